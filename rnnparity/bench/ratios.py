"""Ratios of two contenders' times, paired by block, and whether one has changed between two runs.

Times of one block are taken one right after the other, so what slows the machine for a while slows
both and leaves their ratio alone. A ratio is the median over the blocks, its spread their middle
half.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp, log
from statistics import linear_regression, median, quantiles

from rnnparity.bench.stored import Series, StoredRun

# What a ratio must have changed by to be called faster or slower, both beyond the middle halves of
# its blocks and where it was fastest: memory that a process happens to get and what else runs move
# it by some per cent, whatever its blocks agree on. Of 150 pairs of runs of the same code on a busy
# machine this calls 2 slower, of 150 with a reference that is 30 % slower every one (18 ratios a
# run).
MARGIN = 1.2
FEWEST = 3  # blocks, below which a spread says nothing
YARDSTICKS = ("products", "tf.keras eager", "tf.keras graph", "tf.keras XLA")


class Change(StrEnum):
    """How a ratio has changed between two runs."""

    FASTER = "faster"
    SLOWER = "slower"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Ratio:
    """One contender's time over another's: the median over the blocks, their middle half, and at
    their fastest."""

    value: float
    low: float
    high: float
    best: float
    blocks: int


def paired(one: Series, other: Series) -> Ratio:
    """`one` over `other`, block by block."""
    logs = [log(a / b) for a, b in zip(one.seconds, other.seconds, strict=False)]
    low, _, high = quantiles(logs, n=4, method="inclusive") if len(logs) > 1 else (logs[0],) * 3
    return Ratio(
        exp(median(logs)), exp(low), exp(high), min(one.seconds) / min(other.seconds), len(logs)
    )


@dataclass(frozen=True)
class Compared:
    """A ratio before and now, and what became of it; `factor` is now over before."""

    problem: str
    contender: str
    yardstick: str
    before: Ratio
    now: Ratio

    @property
    def factor(self) -> float:
        return self.now.value / self.before.value

    @property
    def change(self) -> Change:
        if min(self.before.blocks, self.now.blocks) < FEWEST:
            return Change.INCONCLUSIVE
        best = self.now.best / self.before.best
        if self.now.low > self.before.high * MARGIN and best > MARGIN:
            return Change.SLOWER
        if self.now.high < self.before.low / MARGIN and best < 1 / MARGIN:
            return Change.FASTER
        return Change.INCONCLUSIVE


def reference_ratios(run: StoredRun) -> Iterator[tuple[str, Series, Series]]:
    """Problem, the reference's series and a yardstick's: the products of its own type, and
    tf.keras' paths."""
    for problem, by_contender in run.find("forward").items():
        for name, series in by_contender.items():
            if not name.startswith("reference"):
                continue
            own = name.replace("reference", "products")
            for yardstick in YARDSTICKS:
                other = by_contender.get(own if yardstick == "products" else yardstick)
                if other is not None:
                    yield problem, series, other


def compare(before: StoredRun, now: StoredRun) -> list[Compared]:
    """Every ratio of the reference to a yardstick that both runs have."""
    old = {(p, s.contender, y.contender): paired(s, y) for p, s, y in reference_ratios(before)}
    return [
        Compared(
            problem, series.contender, yardstick.contender, old[place], paired(series, yardstick)
        )
        for problem, series, yardstick in reference_ratios(now)
        if (place := (problem, series.contender, yardstick.contender)) in old
    ]


def exponent(extents: Sequence[int], amounts: Sequence[float]) -> float:
    """The slope of log(amount) over log(extent), by least squares: 1 where an amount grows in
    proportion."""
    return linear_regression(
        [log(extent) for extent in extents], [log(amount) for amount in amounts]
    ).slope
