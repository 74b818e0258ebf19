"""The tables of a stored run's report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log10

from rnnparity.bench.ratios import (
    YARDSTICKS,
    Compared,
    exponent,
    paired,
    reference_ratios,
)
from rnnparity.bench.stored import Series, StoredRun
from rnnparity.bench.wording import (
    duration,
    median_duration,
    number,
    problem_size,
    speed,
    spread,
)

FLOOR = "products float32"
REFERENCE = "reference float64"
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
