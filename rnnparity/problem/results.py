"""The results of a run as frozen values: the one model that every report renders and stores.

    Report > SubjectResult > CaseResult > Difference, Cause, Mismatch
                           > Explanation (of some cases)

Everything here is data; sentences are made in `report`. Times are in seconds, distances in sigma
(one sigma is the error that rounding alone would leave in a value).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from rnnparity.problem.errors import DIFFERS, INTERRUPTED, USAGE
from rnnparity.problem.explanations import Cause, Explanation, FaultId
from rnnparity.problem.findings import WeightBlock
from rnnparity.problem.verdicts import FAILING, Difference, DifferenceType, Verdict, Witness


@dataclass(frozen=True)
class CaseResult:
    """The verdict on one case and what led to it.

    `reason` is a description that was written elsewhere: a subject's message where the verdict is
    unsupported or error, why rounding would hide a fault where it is inconclusive. `cause` is None
    where it was not searched; `explanation` is there for the cases that were explained in full, `fixes`
    for the others, whose cause is that of an earlier case.
    `outlier` is the one of subject, reference and golden that differs from the other two. Where it
    agrees, `blind_to` are the blocks of weights in which a change would have stayed in the noise,
    though not in the whole array. `precision` is the declared one that the verdict is relative to,
    "" where it is that of the layer's own type.
    """

    id: str
    verdict: Verdict
    sigma: float = 0.0
    reason: str = ""
    differences: tuple[Difference, ...] = ()
    known: tuple[str, ...] = ()
    outlier: Witness | None = None
    cause: Cause | None = None
    explanation: Explanation | None = None
    blind_to: tuple[WeightBlock, ...] = ()
    seconds: float = 0.0
    precision: str = ""
    fixes: tuple[str, ...] = ()

    @property
    def outputs_compared(self) -> bool:
        """Whether there were outputs to compare: an error, also a known one, gives none."""
        return self.verdict is Verdict.AGREES or (self.verdict.compared and bool(self.differences))

    @property
    def failing(self) -> bool:
        return self.verdict in FAILING

    @property
    def passed(self) -> bool:
        return self.verdict.compared and not self.failing

    @property
    def difference_types(self) -> frozenset[DifferenceType]:
        return frozenset(difference.type for difference in self.differences)


class StaleReason(StrEnum):
    """Why an entry of the known differences must be removed."""

    NO_CASE = "no-case"  # its patterns match no case
    ALL_AGREE = "all-agree"  # all of its cases ran and agree


@dataclass(frozen=True)
class Stale:
    """An entry of the known differences that no longer holds; `cases` is the number it matches."""

    name: str
    reason: StaleReason
    cases: int = 0


@dataclass(frozen=True)
class Machine:
    """The machine of a run, without the name of the host."""

    processor: str
    cores: int
    system: str
    python: str


@dataclass(frozen=True)
class OptionValue:
    """A value that cases have of an option: ("activation", "relu"), ("Mask", "a gap inside")."""

    option: str
    value: str


@dataclass(frozen=True)
class Shards:
    """The parts of a selection that was divided: `sizes` are their numbers of cases.

    `missing` are the numbers of the parts, from 1 on, of which nothing ran. `k` and `full` are the
    selection: an expression, or all cases instead of the core set.
    """

    sizes: tuple[int, ...]
    missing: tuple[int, ...] = ()
    k: str = ""
    full: bool = False

    @property
    def missing_cases(self) -> int:
        return sum(self.sizes[number - 1] for number in self.missing)


@dataclass(frozen=True)
class SubjectResult:
    """All results of one subject; `date` is UTC, `seconds` those inside the subject's own code.

    `not_covered` are the option values that no compared case had. `unfinished` is the number of
    selected cases without a result, because the run was ended before. `shards` are there where
    --shard selected a part of the cases.
    """

    name: str
    versions: Mapping[str, str]
    cases: tuple[CaseResult, ...]
    stale: tuple[Stale, ...] = ()
    seconds: float = 0.0
    date: str = ""
    machine: Machine | None = None
    not_covered: tuple[OptionValue, ...] = ()
    unfinished: int = 0
    shards: tuple[Shards, ...] = ()

    @property
    def counts(self) -> Counter[Verdict]:
        return Counter(case.verdict for case in self.cases)

    @property
    def failing(self) -> tuple[CaseResult, ...]:
        return tuple(case for case in self.cases if case.failing)

    @property
    def precision(self) -> str:
        """The declared precision that verdicts are relative to; "" without one."""
        return next((case.precision for case in self.cases if case.precision), "")

    @property
    def compared(self) -> int:
        """The number of cases that were compared."""
        return sum(case.verdict.compared for case in self.cases)

    @property
    def passed(self) -> bool:
        return self.compared > 0 and not self.failing and not self.stale


@dataclass(frozen=True)
class Skipped:
    """A subject that could not run. `requested`: it was named, or more than a package is missing."""

    subject: str
    reason: str
    requested: bool


@dataclass(frozen=True)
class Score:
    """A mutation score: how many of the faults that apply the compared cases detect."""

    detected: int
    applicable: int
    undetected: tuple[FaultId, ...] = ()


@dataclass(frozen=True)
class KnownEntry:
    """An entry of the known differences that was met, as the report shows it."""

    name: str
    cause: str
    standing: str
    reason: str
    link: str


@dataclass(frozen=True)
class Report:
    """One run, or several merged. `catalogue` is the digest of the cases there were to choose from.

    `score_constant` is the mutation score of the compared cases with constant weights only.
    `without_golden` are the cases that were compared with the reference only, because no golden is
    recorded yet. `interrupted`: the run was ended, or its process killed, before it was complete.
    `gradients`: these were compared instead of outputs.
    """

    subjects: tuple[SubjectResult, ...]
    skipped: tuple[Skipped, ...] = ()
    known: tuple[KnownEntry, ...] = ()
    score: Score | None = None
    score_constant: Score | None = None
    rnnparity: str = ""
    catalogue: str = ""
    without_golden: tuple[str, ...] = ()
    interrupted: bool = False
    gradients: bool = False

    @property
    def compared(self) -> int:
        return sum(subject.compared for subject in self.subjects)

    @property
    def passed(self) -> bool:
        return self.status == 0

    @property
    def status(self) -> int:
        """The exit status.

        130 if the run was interrupted, 1 if something differs, 2 if a subject did not run or
        compare anything, else 0.
        """
        if self.interrupted:
            return INTERRUPTED
        if any(subject.failing or subject.stale for subject in self.subjects):
            return DIFFERS
        requested = any(skipped.requested for skipped in self.skipped)
        ran = self.compared and all(subject.compared for subject in self.subjects)
        return 0 if ran and not requested else USAGE
