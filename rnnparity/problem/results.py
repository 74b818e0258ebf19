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
from typing import TypeAlias

from rnnparity.problem.errors import DIFFERS, INTERRUPTED, USAGE
from rnnparity.problem.findings import Finding, WeightBlock

# A count, a name, a type, a number, a shape, or a sequence of these. (It is spelled out to the
# depth that is needed: pydantic reads no recursive alias.)
Scalar: TypeAlias = float | int | str | None
Value: TypeAlias = Scalar | tuple[Scalar | tuple[Scalar, ...], ...]

# Locations of a fault that are not the prefix of one half ("", "forward/", "1/backward/").
WHOLE, EVERY_HALF = "whole", "every half"


class Verdict(StrEnum):
    """The verdict on one case (DESIGN section 2)."""

    AGREES = "agrees"
    DIVERGES = "diverges"
    KNOWN = "known"
    INCONCLUSIVE = "inconclusive"
    UNSUPPORTED = "unsupported"
    ERROR = "error"

    @property
    def compared(self) -> bool:
        """Whether this is a comparison: not where rounding would hide a fault, or nothing ran."""
        return self not in (Verdict.INCONCLUSIVE, Verdict.UNSUPPORTED)

    @property
    def status(self) -> int:
        """The exit status of a run with only this verdict."""
        return DIFFERS if self in FAILING else 0 if self.compared else USAGE


FAILING = frozenset({Verdict.DIVERGES, Verdict.ERROR})


class DifferenceType(StrEnum):
    """What differs, in the order in which outputs are compared."""

    COUNT = "count"
    NAMES = "names"
    SHAPE = "shape"
    DTYPE = "dtype"
    FINITENESS = "finiteness"
    VALUES = "values"
    FACT = "fact"


class FactType(StrEnum):
    """What a subject states without computing, or what a source prints of a case."""

    PARAMETERS = "parameters"
    SYMBOLIC_SHAPES = "symbolic"
    SUMMARY = "summary"
    RETURNED = "returned"
    SHAPE = "shape"
    RELATION = "relation"
    DIGITS = "digits"


class Witness(StrEnum):
    """One of the three that are compared; `NONE` where all three differ."""

    SUBJECT = "subject"
    REFERENCE = "reference"
    GOLDEN = "golden"
    NONE = "none"


@dataclass(frozen=True)
class Difference:
    """One difference of one output, or of the set of outputs (`output` is "").

    `actual` and `expected` are counts, tuples of names, shapes, dtype names, numbers, or what a
    fact states. For values and finiteness they belong to the worst element: its `index`, its
    distance `sigma`, how many of the `total` elements differ, and the first index of axis T that
    differs where the output has that axis. `shape` is the shape of the actual output. `gradients`:
    a count or names that differ are those of the gradients.
    """

    type: DifferenceType
    output: str = ""
    actual: Value = None
    expected: Value = None
    shape: tuple[int, ...] = ()
    dtype: str = ""
    index: tuple[int, ...] = ()
    sigma: float = 0.0
    differing: int = 0
    total: int = 0
    first_step: int | None = None
    fact: FactType | None = None
    of: Witness = Witness.SUBJECT
    gradients: bool = False


@dataclass(frozen=True)
class FaultId:
    """A fault of the list at a location: a half's prefix ("", "forward/"), `EVERY_HALF`, `WHOLE`."""

    cause: str
    variant: str
    location: str = WHOLE


@dataclass(frozen=True)
class FaultDescription:
    """What a fault is, how it is fixed and where it has been seen, as the list describes it.

    `in_file` is what the weights that were given seem to be where the other side is right.
    """

    description: str
    fix: str
    seen_in: str = ""
    in_file: str = ""


@dataclass(frozen=True)
class Cause:
    """What explains a divergence: faults that act together; none of them where it is unexplained.

    `also_fits` are other sets of faults that give the same outputs. Not `certain`: with so few
    values one of the candidates might fit by chance.
    """

    faults: tuple[FaultId, ...] = ()
    also_fits: tuple[tuple[FaultId, ...], ...] = ()
    certain: bool = True

    @property
    def explained(self) -> bool:
        return bool(self.faults)

    @property
    def names(self) -> tuple[str, ...]:
        """The causes of its faults, each once."""
        return tuple(dict.fromkeys(fault.cause for fault in self.faults))

    @property
    def unambiguous(self) -> bool:
        """Whether it is certain and the only one that fits."""
        return self.explained and self.certain and not self.also_fits


@dataclass(frozen=True)
class Mismatch:
    """The first value that differs, in the order of processing.

    `step` is an index into axis T of the output, None where it has no such axis. `direction` is
    "forward" or "backward" where the layer has two, `gates` those that the cause changes first.
    """

    output: str
    row: int
    unit: int
    step: int | None = None
    direction: str = ""
    gates: tuple[str, ...] = ()


@dataclass(frozen=True)
class StepValue:
    """A value of the step of the first mismatch: of the output, a state or a gate, by its name.

    `actual` is None where it is not seen, `with_cause` where there is no cause, or it has no such
    value.
    """

    name: str
    expected: float
    actual: float | None = None
    with_cause: float | None = None


@dataclass(frozen=True)
class Picture:
    """Distances of one output, units down: 0 is noise, 8 a million times beyond it.

    `across` is "time" or "rows", and `shape` (H, T) or (H, B); `levels` may be a coarser view of
    it. `direction` is "forward" or "backward" where all units belong to one of two; with
    `forward_units` the first so many are forward's, the others backward's.
    """

    output: str
    across: str
    shape: tuple[int, int]
    levels: tuple[tuple[int, ...], ...]
    direction: str = ""
    forward_units: int | None = None


@dataclass(frozen=True)
class Slice:
    """The part of a huge problem that was explained, and whether the rest fits the cause."""

    rows: tuple[int, ...]
    batch: int
    steps: int
    total_steps: int
    rest_fits: bool | None = None


class ExperimentEnd(StrEnum):
    """Why an experiment on a subject does not account for all differences."""

    REFUSED = "refused"  # the subject answers no probe
    AGREES = "agrees"  # all probes are answered as expected
    OTHER_EQUATIONS = "other-equations"  # no weights, states and activations give the answers
    TOO_LARGE = "too-large"  # only layers with too many weights to identify are answered


@dataclass(frozen=True)
class Explanation:
    """The search for the cause of one problem's divergence.

    `sigma` and `sigma_with_cause` are the largest distances from the reference without and with
    the cause, `threshold` the largest that counts as noise, `candidates` the number of hypotheses
    tried, `precision` the coarser dtype whose noise had to be allowed, `blind_to` the faults that
    these inputs cannot reveal, `probes` the number of further problems that the subject was asked.
    `cause` is None where nothing has to be explained; `descriptions` has one entry for each of its
    faults. `step_values` are those of the unit and step of the first mismatch, the output first.
    `accounted`: the findings account for every value that differs. `experiment` is why an experiment
    on the subject did not find that, None where it did or there was none.
    """

    id: str
    verdict: Verdict
    differences: tuple[Difference, ...] = ()
    cause: Cause | None = None
    descriptions: tuple[FaultDescription, ...] = ()
    first: Mismatch | None = None
    step_values: tuple[StepValue, ...] = ()
    findings: tuple[Finding, ...] = ()
    accounted: bool = False
    sigma: float = 0.0
    threshold: float = 0.0
    sigma_with_cause: float | None = None
    candidates: int = 0
    precision: str = ""
    blind_to: tuple[FaultId, ...] = ()
    picture: Picture | None = None
    slice: Slice | None = None
    probes: int = 0
    experiment: ExperimentEnd | None = None
    known: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class CaseResult:
    """The verdict on one case and what led to it.

    `reason` is a description that was written elsewhere: a subject's message where the verdict is
    unsupported or error, why rounding would hide a fault where it is inconclusive. `cause` is None
    where it was not searched; `explanation` is there for the cases that were explained in full.
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

    @property
    def outputs_compared(self) -> bool:
        """Whether there were outputs to compare: an error, also a known one, gives none."""
        return self.verdict is Verdict.AGREES or (self.verdict.compared and bool(self.differences))

    @property
    def failing(self) -> bool:
        return self.verdict in FAILING

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
class SubjectResult:
    """All results of one subject; `date` is UTC, `seconds` those inside the subject's own code.

    `not_covered` are the option values that no compared case had.
    """

    name: str
    versions: Mapping[str, str]
    cases: tuple[CaseResult, ...]
    stale: tuple[Stale, ...] = ()
    seconds: float = 0.0
    date: str = ""
    machine: Machine | None = None
    not_covered: tuple[OptionValue, ...] = ()

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
    recorded yet. `interrupted`: the run was ended before all selected cases had a result.
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
