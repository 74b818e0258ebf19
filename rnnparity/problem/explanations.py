"""Faults, causes and explanations as frozen values: why outputs differ.

Everything here is data; sentences are made in `report`. Distances are in sigma.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rnnparity.problem.answer_types import AnswerType
from rnnparity.problem.findings import Finding
from rnnparity.problem.verdicts import Difference, Verdict

# Locations of a fault that are not the prefix of one half ("", "forward/", "1/backward/").
WHOLE, EVERY_HALF = "whole", "every half"


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

    `also_fits` are other sets of faults that give the same outputs, `rivals` findings that account for
    them as well. Not `certain`: with so few values one of the candidates might fit by chance.
    """

    faults: tuple[FaultId, ...] = ()
    also_fits: tuple[tuple[FaultId, ...], ...] = ()
    certain: bool = True
    rivals: tuple[Finding, ...] = ()

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
        return self.explained and self.certain and not self.also_fits and not self.rivals


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
    `forward_units` the first so many are forward's, the others backward's. `start` is the step of
    the first column, where only some steps of a problem were explained.
    """

    output: str
    across: str
    shape: tuple[int, int]
    levels: tuple[tuple[int, ...], ...]
    direction: str = ""
    forward_units: int | None = None
    start: int = 0


@dataclass(frozen=True)
class Slice:
    """The part of a huge problem that was explained, and whether the rest fits the cause.

    The steps are those from `start` on in the order of the outputs, or, with `joined`, so many at the
    start and as many at the end.
    """

    rows: tuple[int, ...]
    batch: int
    steps: int
    total_steps: int
    rest_fits: bool | None = None
    start: int = 0
    joined: int = 0


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
    on the subject did not find that, None where it did or there was none. `explain_next` is the
    answer of the subject to the same case that should be explained next: no fault of this one fits,
    and the mistake may be there.
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
    explain_next: AnswerType | None = None
    known: tuple[str, ...] = ()
    reason: str = ""

    @property
    def unambiguous(self) -> bool:
        """Whether its cause is certain, the only one that fits, and fits all of a large problem."""
        fits_all = self.slice is None or self.slice.rest_fits is not False
        return self.cause is not None and self.cause.unambiguous and fits_all
