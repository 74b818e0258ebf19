"""Verdicts and differences as frozen values: what a comparison finds.

Everything here is data; sentences are made in `report`. Distances are in sigma (one sigma is the error
that rounding alone would leave in a value).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from rnnparity.problem.errors import DIFFERS, USAGE

# A count, a name, a type, a number, a shape, or a sequence of these. (It is spelled out to the
# depth that is needed: pydantic reads no recursive alias.)
Scalar: TypeAlias = float | int | str | None

Value: TypeAlias = Scalar | tuple[Scalar | tuple[Scalar, ...], ...]


class Verdict(StrEnum):
    """The verdict on one case; `MEANINGS` has what each means."""

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
MEANINGS = {
    Verdict.AGREES: "structure and every value are as specified, and a relative change of 1e-3 in "
    "any weight array that is not all zeros would have been detected",
    Verdict.DIVERGES: "a count, name, shape, dtype or value differs, or what the layer states without "
    "computing (symbolic shapes, parameters)",
    Verdict.KNOWN: "it differs as listed in `fixtures/known_differences.toml`",
    Verdict.INCONCLUSIVE: "rounding noise would hide a fault: never a pass",
    Verdict.UNSUPPORTED: "the subject cannot run the case and reports why",
    Verdict.ERROR: "the subject failed: an exception, a dead process or a timeout",
}


class DifferenceType(StrEnum):
    """What differs, in the order in which outputs are compared."""

    COUNT = "count"
    NAMES = "names"
    SHAPE = "shape"
    DTYPE = "dtype"
    FINITENESS = "finiteness"
    VALUES = "values"
    FACT = "fact"


# No fault of the list explains these, so that no cause is searched.
WITHOUT_CAUSE = frozenset({DifferenceType.FACT, DifferenceType.DTYPE})


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
