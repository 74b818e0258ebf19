"""The report of a stored run: one page for people, the same as Markdown for a CI summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10
from statistics import median
from typing import Any

from rnnparity.bench.charts import forward_chart, growth_chart
from rnnparity.bench.ratios import (
    YARDSTICKS,
    Change,
    Compared,
    Ratio,
    exponent,
    paired,
    reference_ratios,
)
from rnnparity.bench.stored import Series, StoredRun
from rnnparity.bench.targets import MIDDLE, TINY, figures
from rnnparity.report.page import render_template, words_of_markdown

FLOOR = "products float32"
KINDS = ("LSTM", "GRU", "SimpleRNN", "BiLSTM")
AXES = {"T": "time steps T", "H": "units H", "B": "batch B"}


@dataclass(frozen=True)
class Table:
    """Text cells under a header; the first column names the row."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def render(
    run: StoredRun, compared: Sequence[Compared], before: StoredRun | None
) -> tuple[str, str]:
    """The page and the Markdown."""
    forward = run.find("forward")
    kinds = {kind: {p: s for p, s in forward.items() if p.startswith(f"{kind} ")} for kind in KINDS}
    words: dict[str, Any] = {
        "run": run,
        "headline": headline(run),
        "charts": {
            kind: forward_chart(rows, FLOOR) for kind, rows in kinds.items() if _has(rows, FLOOR)
        },
        "figures": _figures(run),
        "ratios": ratio_table(run),
        "times": {kind: times(rows) for kind, rows in kinds.items() if rows},
        "growth_charts": list(_growth_charts(run)),
        "growth": growth_table(run),
        "harness": harness_table(run),
        "changes": compared_table([c for c in compared if c.change is not Change.INCONCLUSIVE]),
        "unchanged": compared_table([c for c in compared if c.change is Change.INCONCLUSIVE]),
        "verdict": verdict(compared) if before else "",
        "moved": _moved(before, run) if before else [],
    }
    return render_template("bench.html.j2", words), render_template(
        "bench.md.j2", words, plain=words_of_markdown
    )


def headline(run: StoredRun) -> str:
    """The whole report in a sentence or two: the small and the middle problem, or else the largest
    that there is."""
    said = {
        problem: words
        for problem, series in run.find("forward").items()
        if (words := _beside(series))
    }
    chosen = [problem for problem in (TINY, MIDDLE) if problem in said] or list(said)[-1:]
    if not chosen:
        return f"{len(run.series)} series were timed; none of them sets the reference beside another contender."
    passes = [f"at {_named(problem)} takes {said[problem]}" for problem in chosen]
    return f"One pass of the reference {'; one '.join(passes)}."


def _beside(series: Mapping[str, Series]) -> str:
    """The reference's time and what it is beside tf.keras' and that of its products; empty where it
    is alone."""
    own, words = series.get("reference float64"), []
    yardsticks = {"tf.keras eager": "tf.keras eager", "tf.keras graph": "tf.keras graph"}
    for name, called in {**yardsticks, "products float64": "its bare matrix products"}.items():
        if own and name in series:
            ratio = paired(own, series[name]).value
            faster, longer = (
                f"{_number(1 / ratio)} times faster than",
                f"{_number(ratio)} times as long as",
            )
            words.append(f"{faster if ratio < 1 else longer} {called}")
    if not own or not words:
        return ""
    return f"{_time(own)}: {' and '.join(filter(None, [', '.join(words[:-1]), words[-1]]))}"


def ratio_table(run: StoredRun) -> Table:
    """The reference over its yardsticks, with their spread: the ratios that runs are compared
    by."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for problem, series, yardstick in reference_ratios(run):
        name = yardstick.contender.partition(" float")[0]
        rows.setdefault((problem, series.contender), {})[name] = _ratio(paired(series, yardstick))
    names = [name for name in YARDSTICKS if any(name in cells for cells in rows.values())]
    header = ["reference over", *("its products" if name == "products" else name for name in names)]
    cells = [
        [f"{p}, {c.split()[1]}", *(row.get(name, "-") for name in names)]
        for (p, c), row in rows.items()
    ]
    return Table(header, cells)


def times(rows: Mapping[str, Mapping[str, Series]]) -> Table:
    """Contender by problem: time, and in brackets how many times that of the reference in
    float64."""
    names = sorted({name for series in rows.values() for name in series}, key=_family)
    cells = [[name, *(_cell(series, name) for series in rows.values())] for name in names]
    return Table(["", *(_size(problem) for problem in rows)], cells)


def growth_table(run: StoredRun) -> Table:
    """How time and memory grow: the exponent of each curve, from its upper half on."""
    rows = []
    for axis, unit, name, extents, amounts in _curves(run):
        span = f"{extents[0]} to {extents[-1]}"
        last = _seconds(amounts[-1]) if unit == "time" else f"{_number(amounts[-1] / 1e6)} MB"
        rows.append(
            [f"{name}: {unit}", f"{axis} = {span}", f"{_slope(extents, amounts):.2f}", last]
        )
    return Table(["LSTM", "over", "exponent", "at the largest"], rows)


def harness_table(run: StoredRun) -> Table:
    """Start-up, goldens and verdicts a second; what belongs together as a ratio to the first of its
    kind."""
    rows = []
    for problem, by_name in run.find("harness").items():
        first = next(iter(by_name.values()))
        for series in by_name.values():
            seconds = min(series.seconds)
            said = [f"{series.count / seconds:.0f} a second"] if series.count else []
            said += (
                [f"{_ratio(paired(series, first))} times {first.contender}"]
                if series is not first
                else []
            )
            said += (
                [f"{series.outside:.0%} of it outside the subject"]
                if series.outside is not None
                else []
            )
            rows.append([f"{series.contender}, {problem}", _seconds(seconds), ", ".join(said)])
    return Table(["what", "time", "beside"], rows)


def compared_table(compared: Sequence[Compared]) -> Table:
    """The ratios, the most changed first."""
    rows = [
        [
            f"{c.problem}: {c.contender} / {c.yardstick}",
            _ratio(c.before),
            _ratio(c.now),
            f"{c.factor:.2f}",
            c.change,
        ]
        for c in sorted(compared, key=lambda c: -abs(log10(c.factor)))
    ]
    return Table(["ratio", "before", "now", "factor", "change"], rows)


def verdict(compared: Sequence[Compared]) -> str:
    """How many ratios are faster, slower or inconclusive."""
    counts = {change: sum(c.change is change for c in compared) for change in Change}
    return (
        f"Of {len(compared)} ratios "
        + ", ".join(f"{count} {change}" for change, count in counts.items())
        + "."
    )


def _figures(run: StoredRun) -> Table:
    rows = [
        [
            f"{figure.contender}, {_size(figure.problem)}",
            f"{figure.yardstick}",
            _wanted(figure.wanted),
            _times(figure.measured) if figure.wanted >= 1 else _faster(figure.measured),
            "yes" if figure.met else f"no: {figure.reason}".removesuffix(": "),
        ]
        for figure in figures(run)
    ]
    return Table(["LSTM", "against", "wanted", "measured", "reached"], rows)


def _wanted(ratio: float) -> str:
    return f"{1 / ratio:.3g} times faster" if ratio < 1 else f"at most {ratio:g} times"


def _growth_charts(run: StoredRun) -> Iterator[str]:
    for axis, label in AXES.items():
        for quantity, unit in (("time", "s"), ("memory", "B")):
            curves = {
                f"{name} (exponent {_slope(extents, amounts):.2f})": (extents, amounts)
                for on, what, name, extents, amounts in _curves(run)
                if (on, what) == (axis, quantity)
            }
            if curves:
                yield growth_chart(label, curves, quantity, unit)


def _curves(run: StoredRun) -> Iterator[tuple[str, str, str, list[int], list[float]]]:
    """Axis, "time" (in seconds) or "memory" (in bytes), contender, extents and amounts."""
    rows = [series for by_name in run.find("growth").values() for series in by_name.values()]
    for axis in AXES:
        for name in dict.fromkeys(series.contender for series in rows):
            chosen = sorted(
                (s for s in rows if (s.axis, s.contender) == (axis, name) and s.extent),
                key=lambda s: s.extent or 0,
            )
            extents = [series.extent or 0 for series in chosen]
            if len(extents) > 1:
                yield axis, "time", name, extents, [min(series.seconds) for series in chosen]
                if all(series.peak_bytes for series in chosen):
                    yield (
                        axis,
                        "memory",
                        name,
                        extents,
                        [float(series.peak_bytes or 0) for series in chosen],
                    )


def _slope(extents: Sequence[int], amounts: Sequence[float]) -> float:
    """The exponent over the larger half of the extents: below, what does not grow at all is most of
    it."""
    half = len(extents) // 2 - (len(extents) == 2)
    return exponent(extents[half:], amounts[half:])


def _moved(before: StoredRun, now: StoredRun) -> list[str]:
    """What else differs between two runs."""
    lines = [f"commit {before.commit}, now {now.commit}"] if before.commit != now.commit else []
    names = sorted(before.versions.keys() | now.versions.keys())
    pairs = [
        (name, before.versions.get(name, "none"), now.versions.get(name, "none")) for name in names
    ]
    return lines + [f"{name} {old}, now {new}" for name, old, new in pairs if old != new]


def _has(rows: Mapping[str, Mapping[str, Series]], name: str) -> bool:
    return any(name in series for series in rows.values())


def _cell(series: Mapping[str, Series], name: str) -> str:
    if name not in series:
        return "-"
    own = series.get("reference float64")
    over = (
        f" ({_number(paired(series[name], own).value)})"
        if own and name != "reference float64"
        else ""
    )
    return _time(series[name]) + over


def _time(series: Series) -> str:
    return _seconds(median(series.seconds))


def _seconds(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{_number(seconds / size)} {unit}"
    return f"{_number(seconds * 1e6)} µs"


def _ratio(ratio: Ratio) -> str:
    return f"{_number(ratio.value)} ({_number(ratio.low)} to {_number(ratio.high)})"


def _times(ratio: Ratio) -> str:
    return f"{_number(ratio.value)} times ({_number(ratio.low)} to {_number(ratio.high)})"


def _faster(ratio: Ratio) -> str:
    return f"{_number(1 / ratio.value)} times faster ({_number(1 / ratio.high)} to {_number(1 / ratio.low)})"


def _family(contender: str) -> tuple[int, str]:
    """The floor first, then the reference, then the others by name."""
    first = ("products", "reference", "tf.keras")
    return next(
        (n for n, word in enumerate(first) if contender.startswith(word)), len(first)
    ), contender


def _number(value: float) -> str:
    """Three digits, never with an exponent: 0.0047, 1.28, 203."""
    digits = max(0, 2 - floor(log10(value)))
    return f"{value:.{digits}f}"


def _size(problem: str) -> str:
    return "(" + problem.partition(" ")[2].replace("x", ", ") + ")"


def _named(problem: str) -> str:
    return f"{problem.partition(' ')[0]} {_size(problem)}"
