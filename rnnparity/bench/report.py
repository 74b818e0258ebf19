"""The report of a stored run: one HTML page, and the same as Markdown for a CI summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log10

from rnnparity.bench.charts import forward_chart, growth_chart
from rnnparity.bench.ratios import (
    YARDSTICKS,
    Change,
    Compared,
    exponent,
    paired,
    reference_ratios,
)
from rnnparity.bench.stored import Series, StoredRun
from rnnparity.bench.wording import (
    duration,
    listed,
    median_duration,
    number,
    problem_name,
    problem_size,
    speed,
    spread,
)
from rnnparity.report.page import render_template

FLOOR = "products float32"
REFERENCE = "reference float64"
LAYERS = ("LSTM", "GRU", "SimpleRNN", "BiLSTM")
# The small and the middle problem, which the headline is about.
SMALL, MIDDLE = "LSTM 1x4x5x3", "LSTM 32x50x64x128"
AXES = {"T": "time steps T", "H": "units H", "B": "batch B"}

# Series of one problem by contender, and those by problem.
Contenders = Mapping[str, Series]
Problems = Mapping[str, Contenders]


@dataclass(frozen=True)
class Table:
    """Text cells under a header; the first column names the row."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Curve:
    """Time in seconds or memory in bytes of one contender as one axis grows."""

    axis: str
    quantity: str
    contender: str
    extents: Sequence[int]
    amounts: Sequence[float]

    @property
    def slope(self) -> float:
        """The exponent over the larger half: below, what does not grow at all is most of it."""
        half = len(self.extents) // 2
        if len(self.extents) == 2:
            half = 0
        return exponent(self.extents[half:], self.amounts[half:])


def render(
    run: StoredRun, compared: Sequence[Compared], before: StoredRun | None
) -> tuple[str, str]:
    """Return the page and the Markdown."""
    layers = _by_layer(run.find("forward"))
    curves = list(_curves(run))
    changed = [ratio for ratio in compared if ratio.change is not Change.INCONCLUSIVE]
    unchanged = [ratio for ratio in compared if ratio.change is Change.INCONCLUSIVE]
    content: dict[str, object] = {
        "run": run,
        "headline": headline(run),
        "charts": {
            layer: forward_chart(problems, FLOOR)
            for layer, problems in layers.items()
            if any(FLOOR in contenders for contenders in problems.values())
        },
        "ratios": ratio_table(run),
        "times": {layer: time_table(problems) for layer, problems in layers.items()},
        "growth_charts": list(_growth_charts(curves)),
        "growth": growth_table(curves),
        "harness": harness_table(run),
        "changes": compared_table(changed),
        "unchanged": compared_table(unchanged),
        "verdict": verdict(compared) if before else "",
        "differences": _differences(before, run) if before else [],
    }
    page = render_template("bench.html.j2", content)
    markdown = render_template("bench.md.j2", content)
    return page, markdown


def headline(run: StoredRun) -> str:
    """Return the report in a sentence: the small and the middle problem, or else the largest."""
    comparisons: dict[str, str] = {}
    for problem, contenders in run.find("forward").items():
        comparison = _comparison(contenders)
        if comparison:
            comparisons[problem] = comparison
    chosen = [problem for problem in (SMALL, MIDDLE) if problem in comparisons]
    if not chosen:
        chosen = list(comparisons)[-1:]
    if not chosen:
        return f"{len(run.series)} series were timed, none of the reference and another contender."
    passes = [f"at {problem_name(problem)} takes {comparisons[problem]}" for problem in chosen]
    return f"One pass of the reference {'; one '.join(passes)}."


def _comparison(contenders: Contenders) -> str:
    """Return the reference's time compared with its yardsticks, "" where there are none."""
    reference = contenders.get(REFERENCE)
    if reference is None:
        return ""
    parts = []
    for name in ("tf.keras eager", "tf.keras graph", "products float64"):
        if name in contenders:
            yardstick = "its bare matrix products" if name.startswith("products") else name
            ratio = paired(reference, contenders[name]).value
            parts.append(f"{speed(ratio)} than {yardstick}")
    return f"{median_duration(reference)}: {listed(parts)}" if parts else ""


def ratio_table(run: StoredRun) -> Table:
    """Return how fast the reference is compared with each yardstick: the ratios runs compare."""
    rows: dict[str, dict[str, str]] = {}
    for problem, series, yardstick in reference_ratios(run):
        dtype = series.contender.split()[1]
        name = "its products" if yardstick.contender.startswith("products") else yardstick.contender
        rows.setdefault(f"{problem}, {dtype}", {})[name] = spread(paired(series, yardstick))
    columns = ["its products", *YARDSTICKS[1:]]
    columns = [name for name in columns if any(name in cells for cells in rows.values())]
    body = [[row, *(cells.get(name, "-") for name in columns)] for row, cells in rows.items()]
    return Table(["the reference, compared with", *columns], body)


def time_table(problems: Problems) -> Table:
    """Return the median time of every contender, with its speed beside the reference in float64."""
    names = {name for contenders in problems.values() for name in contenders}
    rows = [
        [name, *(_time_cell(contenders, name) for contenders in problems.values())]
        for name in sorted(names, key=_order)
    ]
    return Table(["", *(problem_size(problem) for problem in problems)], rows)


def _time_cell(contenders: Contenders, name: str) -> str:
    if name not in contenders:
        return "-"
    time = median_duration(contenders[name])
    reference = contenders.get(REFERENCE)
    if reference is None or name == REFERENCE:
        return time
    return f"{time} ({speed(paired(contenders[name], reference).value)})"


def _order(contender: str) -> tuple[int, str]:
    """Sort the matrix products first, then the reference, tf.keras and the others by name."""
    families = ("products", "reference", "tf.keras")
    for position, family in enumerate(families):
        if contender.startswith(family):
            return position, contender
    return len(families), contender


def growth_table(curves: Sequence[Curve]) -> Table:
    """Return how time and memory grow: the exponent of each curve."""
    rows = []
    for curve in curves:
        largest = curve.amounts[-1]
        amount = duration(largest) if curve.quantity == "time" else f"{number(largest / 1e6)} MB"
        span = f"{curve.axis} = {curve.extents[0]} to {curve.extents[-1]}"
        rows.append([f"{curve.contender}: {curve.quantity}", span, f"{curve.slope:.2f}", amount])
    return Table(["LSTM", "over", "exponent", "at the largest"], rows)


def harness_table(run: StoredRun) -> Table:
    """Return start-up, goldens and verdicts a second, compared with the first of their group."""
    rows = []
    for problem, contenders in run.find("harness").items():
        first = next(iter(contenders.values()))
        for series in contenders.values():
            seconds = min(series.seconds)
            notes = []
            if series.count:
                notes.append(f"{series.count / seconds:.0f} a second")
            if series is not first:
                notes.append(f"{spread(paired(series, first))} than {first.contender}")
            if series.outside is not None:
                notes.append(f"{series.outside:.0%} of it outside the subject")
            rows.append([f"{series.contender}, {problem}", duration(seconds), ", ".join(notes)])
    return Table(["what", "time", "compared with"], rows)


def compared_table(compared: Sequence[Compared]) -> Table:
    """Return the ratios before and now, the most changed first."""
    rows = []
    for ratio in sorted(compared, key=lambda ratio: -abs(log10(ratio.factor))):
        name = f"{ratio.problem}: {ratio.contender} / {ratio.yardstick}"
        before, now = spread(ratio.before), spread(ratio.now)
        rows.append([name, before, now, f"{ratio.factor:.2f}", str(ratio.change)])
    return Table(["ratio", "before", "now", "factor", "change"], rows)


def verdict(compared: Sequence[Compared]) -> str:
    """Return how many ratios became faster, slower or neither."""
    counts = [f"{sum(c.change is change for c in compared)} {change}" for change in Change]
    return f"Of {len(compared)} ratios {', '.join(counts)}."


def _by_layer(forward: Problems) -> dict[str, Problems]:
    """Return the problems by layer, those that were timed."""
    layers: dict[str, Problems] = {}
    for layer in LAYERS:
        problems = {
            name: series for name, series in forward.items() if name.startswith(f"{layer} ")
        }
        if problems:
            layers[layer] = problems
    return layers


def _curves(run: StoredRun) -> Iterator[Curve]:
    rows = [series for by_name in run.find("growth").values() for series in by_name.values()]
    for axis in AXES:
        for name in dict.fromkeys(series.contender for series in rows):
            chosen = [s for s in rows if (s.axis, s.contender) == (axis, name) and s.extent]
            chosen.sort(key=lambda series: series.extent or 0)
            if len(chosen) < 2:
                continue
            extents = [series.extent or 0 for series in chosen]
            yield Curve(axis, "time", name, extents, [min(series.seconds) for series in chosen])
            if all(series.peak_bytes for series in chosen):
                peaks = [float(series.peak_bytes or 0) for series in chosen]
                yield Curve(axis, "memory", name, extents, peaks)


def _growth_charts(curves: Sequence[Curve]) -> Iterator[str]:
    for axis, label in AXES.items():
        for quantity, unit in (("time", "s"), ("memory", "B")):
            lines = {
                f"{curve.contender} (exponent {curve.slope:.2f})": (curve.extents, curve.amounts)
                for curve in curves
                if (curve.axis, curve.quantity) == (axis, quantity)
            }
            if lines:
                yield growth_chart(label, lines, quantity, unit)


def _differences(before: StoredRun, now: StoredRun) -> list[str]:
    """Return what else differs between two runs."""
    lines = []
    if before.commit != now.commit:
        lines.append(f"commit {before.commit}, now {now.commit}")
    for name in sorted(before.versions.keys() | now.versions.keys()):
        old, new = before.versions.get(name, "none"), now.versions.get(name, "none")
        if old != new:
            lines.append(f"{name} {old}, now {new}")
    return lines
