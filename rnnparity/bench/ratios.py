"""Ratios of two contenders' times, paired by block, and whether a ratio changed between two runs.

The times of one block are taken one right after the other, so that other load on the machine slows
both and leaves their ratio unchanged. A ratio is the median over the blocks, its spread their middle
half.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp, log
from statistics import linear_regression, median, quantiles

from rnnparity.bench.stored import Series, StoredRun

# A ratio changed if it moved by this factor beyond the middle halves of its blocks and in its
# fastest blocks: memory layout and other load move it by some per cent. Of 150 pairs of runs of the
# same code on a busy machine this calls 2 slower, of 150 with a reference that is 30 % slower all
# (18 ratios a run).
MARGIN = 1.2
# Below this many blocks a spread means nothing.
FEWEST_BLOCKS = 3
YARDSTICKS = ("products", "tf.keras eager", "tf.keras graph", "tf.keras XLA")


class Change(StrEnum):
    """How a ratio changed between two runs."""

    FASTER = "faster"
    SLOWER = "slower"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Ratio:
    """A ratio of times: median over the blocks, their middle half, and that of the fastest calls."""

    value: float
    low: float
    high: float
    fastest: float
    blocks: int


def paired(numerator: Series, denominator: Series) -> Ratio:
    """Return the ratio of two series, block by block."""
    pairs = zip(numerator.seconds, denominator.seconds, strict=False)
    logs = [log(a / b) for a, b in pairs]
    low = high = logs[0]
    if len(logs) > 1:
        low, _, high = quantiles(logs, n=4, method="inclusive")
    fastest = min(numerator.seconds) / min(denominator.seconds)
    return Ratio(exp(median(logs)), exp(low), exp(high), fastest, len(logs))


@dataclass(frozen=True)
class Compared:
    """A ratio before and now; `factor` is now over before."""

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
        if min(self.before.blocks, self.now.blocks) < FEWEST_BLOCKS:
            return Change.INCONCLUSIVE
        fastest = self.now.fastest / self.before.fastest
        if self.now.low > self.before.high * MARGIN and fastest > MARGIN:
            return Change.SLOWER
        if self.now.high < self.before.low / MARGIN and fastest < 1 / MARGIN:
            return Change.FASTER
        return Change.INCONCLUSIVE


def reference_ratios(run: StoredRun) -> Iterator[tuple[str, Series, Series]]:
    """Yield problem, the reference's series and a yardstick's.

    Yardsticks are the bare matrix products of the reference's own dtype and tf.keras' paths.
    """
    for problem, contenders in run.find("forward").items():
        for name, series in contenders.items():
            if not name.startswith("reference"):
                continue
            products = name.replace("reference", "products")
            for yardstick in (products, *YARDSTICKS[1:]):
                if yardstick in contenders:
                    yield problem, series, contenders[yardstick]


def compare(before: StoredRun, now: StoredRun) -> list[Compared]:
    """Return every ratio of the reference to a yardstick that both runs have."""
    old = {}
    for problem, series, yardstick in reference_ratios(before):
        old[problem, series.contender, yardstick.contender] = paired(series, yardstick)
    compared = []
    for problem, series, yardstick in reference_ratios(now):
        key = (problem, series.contender, yardstick.contender)
        if key in old:
            compared.append(Compared(*key, old[key], paired(series, yardstick)))
    return compared


def exponent(extents: Sequence[int], amounts: Sequence[float]) -> float:
    """Return the slope of log(amount) over log(extent): 1 where it grows in proportion."""
    x = [log(extent) for extent in extents]
    y = [log(amount) for amount in amounts]
    return linear_regression(x, y).slope
