"""What random problems add up to: counts that do not grow with the seeds, in any order of them."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable, Sequence
from math import inf, log10

from rnnparity.problem.dtypes import FLOAT_TYPES, declared_precision
from rnnparity.problem.verdicts import FAILING, Verdict
from rnnparity.session.fuzz_records import CHANGES, FIXED, Record, SeedRecords, Summary

# So many of the problems that fail are kept, those of the lowest seeds.
KEPT = 10
# Logarithms of distances are counted in steps of a thousandth, 0.23 %.
_STEPS = 1000
# So many different reasons are counted, for a subject's may differ in every problem.
REASONS = 100
# Seeds in one number of a set.
_BLOCK = 1024


# What is counted: a verdict of a healthy problem or of a change, a rejection, a distance of a
# change. All keys begin with the dtype.
_Key = tuple[str | int, ...]


class Tally:
    """Counts of records by dtype, and the failing records of the lowest seeds.

    `seeds` are the first and the last seed that was counted, None before one is. `unsupported` are the
    numbers of unsupported problems by reason, of the first reasons only.
    """

    def __init__(self, seeds: Iterable[SeedRecords] = ()) -> None:
        self.seeds: tuple[int, int] | None = None
        self._counts: Counter[_Key] = Counter()
        self._worst: dict[str, float] = {}
        self._failing: list[tuple[tuple[int, int], Record]] = []
        self._first: dict[tuple[str, Verdict], Record] = {}
        self.unsupported: Counter[str] = Counter()
        for records in seeds:
            self.add(records)

    def add(self, seed: SeedRecords) -> None:
        """Count the records of a seed."""
        self._include(seed.seed, seed.seed)
        for record in seed.records:
            if record.change:
                self._add_change(record)
            else:
                self._add_healthy(record)

    def update(self, other: Tally) -> None:
        """Count what another tally has counted."""
        if other.seeds is not None:
            self._include(*other.seeds)
        self._counts.update(other._counts)
        for reason, count in other.unsupported.items():
            self._add_unsupported(reason, count)
        for dtype, worst in other._worst.items():
            self._worst[dtype] = max(self._worst.get(dtype, 0.0), worst)
        for _, record in other._failing:
            self._keep(record)
        for record in other._first.values():
            self._keep_first(record)

    @property
    def problems(self) -> int:
        """The number of healthy problems that were asked."""
        return self._healthy().total()

    @property
    def verdicts(self) -> int:
        """The number of those that are supported."""
        healthy = self._healthy()
        return healthy.total() - healthy[Verdict.UNSUPPORTED]

    @property
    def compared(self) -> bool:
        """Whether any healthy problem was compared."""
        return any(verdict.compared for verdict in self._healthy())

    @property
    def failures(self) -> int:
        """The number of healthy problems that diverge or err."""
        healthy = self._healthy()
        return sum(healthy[verdict] for verdict in FAILING)

    @property
    def known(self) -> Counter[str]:
        """The numbers of healthy problems by the known differences that they are due to."""
        known: Counter[str] = Counter()
        for (_, what, *rest), count in self._counts.items():
            if what == "known":
                known[str(rest[0])] += count
        return known

    @property
    def failing(self) -> Sequence[Record]:
        """The first healthy problems that diverge or err, KEPT at most."""
        return [record for _, record in self._failing]

    def different_failures(self, most: int) -> list[str]:
        """Return the first problems that fail, one of each verdict and dtype."""
        first = sorted(self._first.values(), key=lambda record: record.order)
        return [record.id for record in first][:most]

    def summaries(self) -> dict[str, Summary]:
        """Return a summary for each dtype."""
        return {
            dtype: self._summary(dtype) for dtype in sorted({str(key[0]) for key in self._counts})
        }

    def _healthy(self) -> Counter[Verdict]:
        """Return the numbers of healthy problems by verdict, of those that occur."""
        verdicts: Counter[Verdict] = Counter()
        for (_, what, verdict, *_), count in self._counts.items():
            if what == "healthy" and count:
                verdicts[Verdict(str(verdict))] += count
        return verdicts

    def _include(self, first: int, last: int) -> None:
        if self.seeds is not None:
            first, last = min(first, self.seeds[0]), max(last, self.seeds[1])
        self.seeds = first, last

    def _add_healthy(self, record: Record) -> None:
        dtype = record.dtype
        self._counts[dtype, "healthy", record.verdict.value] += 1
        if record.known:
            self._counts[dtype, "known", " + ".join(record.known)] += 1
        elif record.verdict.compared:
            self._worst[dtype] = max(self._worst.get(dtype, 0.0), record.sigma)
            for name in record.rejected_by:
                self._counts[dtype, "rejected", name] += 1
        if record.verdict is Verdict.UNSUPPORTED and record.reason:
            self._add_unsupported(record.reason, 1)
        if record.verdict in FAILING:
            self._keep(record)
            self._keep_first(record)

    def _add_unsupported(self, reason: str, count: int) -> None:
        if reason in self.unsupported or len(self.unsupported) < REASONS:
            self.unsupported[reason] += count

    def _add_change(self, record: Record) -> None:
        if record.verdict is Verdict.UNSUPPORTED:
            return
        step = round(_STEPS * log10(max(record.sigma, 1e-9)))
        self._counts[record.dtype, "distance", record.change, step] += 1
        self._counts[record.dtype, "changed", record.change, record.verdict.value] += 1

    def _keep(self, record: Record) -> None:
        insort(self._failing, (record.order, record), key=lambda kept: kept[0])
        del self._failing[KEPT:]

    def _keep_first(self, record: Record) -> None:
        key = record.dtype, record.verdict
        self._first[key] = min(self._first.get(key, record), record, key=lambda each: each.order)

    def _summary(self, dtype: str) -> Summary:
        healthy = {verdict: self._counts[dtype, "healthy", verdict.value] for verdict in Verdict}
        changed = {
            change: {
                verdict: self._counts[dtype, "changed", change, verdict.value]
                for verdict in Verdict
            }
            for change in CHANGES
        }
        fixed = FIXED if dtype == "float32" else {}
        return Summary(
            verdicts=sum(healthy.values()) - healthy[Verdict.UNSUPPORTED],
            failing=sum(healthy[verdict] for verdict in FAILING),
            inconclusive=healthy[Verdict.INCONCLUSIVE],
            unsupported=healthy[Verdict.UNSUPPORTED],
            worst=self._worst.get(dtype, 0.0),
            changed={change: sum(counts.values()) for change, counts in changed.items()},
            detected={change: counts[Verdict.DIVERGES] for change, counts in changed.items()},
            smallest_detected={
                change: self._smallest_detected(dtype, change)
                for change, counts in changed.items()
                if any(counts.values())
            },
            rejected_elsewhere={name: self._counts[dtype, "rejected", name] for name in fixed},
        )

    def _smallest_detected(self, dtype: str, change: str) -> float:
        """Return the change that 99 % of the problems would still have detected."""
        steps = {
            int(key[3]): count
            for key, count in self._counts.items()
            if key[:3] == (dtype, "distance", change)
        }
        float_type = FLOAT_TYPES.get(dtype) or declared_precision(dtype)
        left = 0.01 * (sum(steps.values()) - 1)
        distance = inf
        for step in sorted(steps):
            distance = 10 ** (step / _STEPS)
            left -= steps[step]
            if left < 0:
                break
        return float_type.fault * float_type.threshold / distance


class SeedSet:
    """A set of seeds, which takes a byte for eight neighbours."""

    def __init__(self) -> None:
        self._blocks: dict[int, int] = {}

    def __contains__(self, seed: int) -> bool:
        return bool(self._blocks.get(seed // _BLOCK, 0) >> seed % _BLOCK & 1)

    def add(self, seed: int) -> None:
        """Add a seed."""
        block = seed // _BLOCK
        self._blocks[block] = self._blocks.get(block, 0) | 1 << seed % _BLOCK


def merged(tallies: Iterable[Tally]) -> Tally:
    """Return one tally of several."""
    total = Tally()
    for tally in tallies:
        total.update(tally)
    return total
