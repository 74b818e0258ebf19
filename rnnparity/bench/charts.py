"""Charts as SVG elements of a page, in the page's own colours, light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rnnparity.bench.ratios import paired
from rnnparity.bench.stored import Series

# Placeholders for the page's colours, replaced in the finished SVG.
INK, GRID = "#010203", "#040506"
PAGE_COLOURS = {INK: "var(--ink)", GRID: "var(--grid)"}
# Okabe and Ito's colours, which colour-blind people can distinguish, each with a marker.
COLOURS = ("#0f8ad0", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P")
WIDTH = 4.8  # inches: wide enough for a column of the page, narrow enough to be read on a phone


def forward_chart(by_problem: Mapping[str, Mapping[str, Series]], against: str) -> str:
    """Draw a row per contender and a mark per size: its time over that of `against`, log axis."""
    problems = [problem for problem, series in by_problem.items() if against in series]
    names = _by_speed([by_problem[problem] for problem in problems], against)
    with _figure(0.6 + 0.3 * len(names), against) as (figure, axes):
        for index, problem in enumerate(problems):
            points = [
                (paired(by_problem[problem][name], by_problem[problem][against]), row)
                for row, name in enumerate(names)
                if name in by_problem[problem]
            ]
            axes.plot(
                [ratio.value for ratio, _ in points],
                [row for _, row in points],
                linestyle="",
                marker=MARKERS[index % len(MARKERS)],
                color=COLOURS[index % len(COLOURS)],
                label=_size(problem),
                markersize=6,
                alpha=0.9,
            )
        axes.axvline(1, color=INK, linewidth=1)
        axes.set_xscale("log")
        labels = axes.set_yticks(range(len(names)), names) and axes.get_yticklabels()
        for label in labels:
            label.set_fontweight("bold" if label.get_text().startswith("reference") else "normal")
        axes.invert_yaxis()
        _ticks(axes.xaxis, "{x:g}")
        figure.supxlabel(f"times that of {against}: left is faster", fontsize="medium")
        figure.legend(loc="outside upper center", ncols=2, frameon=False, title="B × T × D × H")
        return _svg(figure)


def growth_chart(
    axis: str, curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], quantity: str, unit: str
) -> str:
    """Draw amount over extent, both on log axes; a curve's name has its exponent."""
    from matplotlib.ticker import EngFormatter

    with _figure(2.6, axis + quantity) as (figure, axes):
        for index, (name, (extents, amounts)) in enumerate(curves.items()):
            axes.plot(
                extents,
                amounts,
                marker=MARKERS[index % len(MARKERS)],
                color=COLOURS[index % len(COLOURS)],
                label=name,
                markersize=5,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        every = sorted({extent for extents, _ in curves.values() for extent in extents})
        axes.set_xticks(every, [str(extent) for extent in every])
        axes.set_xticks([], minor=True)
        _ticks(axes.yaxis, EngFormatter(unit))
        axes.set_xlabel(axis)
        axes.set_ylabel(f"{quantity} of one pass")
        figure.legend(loc="outside upper center", ncols=1, frameon=False)
        return _svg(figure)


def _ticks(axis: Any, formatter: Any) -> None:
    """Set plain numbers on a log axis, more of them where it is short."""
    from matplotlib.ticker import LogLocator

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 50 * low else (1,)))
    axis.set_major_formatter(formatter)
    axis.set_ticks([], minor=True)


def _by_speed(rows: Sequence[Mapping[str, Series]], against: str) -> list[str]:
    """Return the names by the time of their largest problem, fastest first."""
    ratios: dict[str, float] = {}
    for series in reversed(rows):
        for name in series:
            ratios.setdefault(name, paired(series[name], series[against]).value)
    return sorted(ratios, key=lambda name: ratios[name])


def _size(problem: str) -> str:
    return problem.partition(" ")[2].replace("x", "×")


@contextmanager
def _figure(height: float, salt: str) -> Iterator[tuple[Any, Any]]:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    style: dict[Any, Any] = {
        "font.size": 10,
        "text.parse_math": False,  # a name is not a formula
        "svg.fonttype": "none",  # text stays text: it can be read, searched and styled
        "svg.hashsalt": salt,  # the same run gives the same page
        "axes.edgecolor": GRID,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": GRID,
        "grid.linewidth": 0.5,
        **dict.fromkeys(
            ("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), INK
        ),
        **dict.fromkeys(("xtick.color", "ytick.color"), GRID),
    }
    with mpl.rc_context(style):
        figure, axes = pyplot.subplots(figsize=(WIDTH, height + 0.8), layout="constrained")
        figure.patch.set_alpha(0)
        axes.patch.set_alpha(0)
        try:
            yield figure, axes
        finally:
            pyplot.close(figure)


def _svg(figure: Any) -> str:
    """Return the drawing as an element of a page, with the page's colours."""
    buffer = io.StringIO()
    figure.savefig(
        buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
    )
    drawing = re.sub(
        r'(<svg [^>]*?) width="[^"]*" height="[^"]*"', r"\1", _element(buffer.getvalue()), count=1
    )
    for colour, page in PAGE_COLOURS.items():
        drawing = drawing.replace(colour, page)
    return drawing


def _element(document: str) -> str:
    return document[document.index("<svg") :]
