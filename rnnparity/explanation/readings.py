"""Readings of outputs whose shapes are wrong: the layer under faults of its flags, merging or axes
that give these shapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from rnnparity.explanation.pairs import Progress
from rnnparity.faults import FAULTS, PlacedFault, inject
from rnnparity.problem.explanations import WHOLE, FaultId
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import Slot
from rnnparity.reference.tolerance import Expected

RETURN_SEQUENCES = ("return_sequences True", "return_sequences False")
RETURN_STATE = ("return_state True", "return_state False")
TIME_FIRST = FaultId("axis-swapped", "outputs time first")


@dataclass(frozen=True)
class Reading:
    """A problem edited so that its outputs have the actual shapes, and the faults that do that.

    Not `thorough`: only what is found quickly is looked for. `progress` is called while pairs of
    faults are tried. `expected` is what is expected of the problem, where that is known already.
    `causes` are the only ones that are tried, if there are any; then no findings are looked for.
    """

    problem: Problem
    actual: tuple[Tensor, ...]
    placed: tuple[PlacedFault, ...] = ()
    thorough: bool = True
    progress: Progress | None = None
    expected: Expected | None = None
    causes: frozenset[str] = frozenset()


def readings(problem: Problem, actual: Sequence[Tensor]) -> Iterator[Reading]:
    """Yield every reading of outputs with wrong shapes, the one with the fewest faults first."""
    (time_first,) = _whole_faults(TIME_FIRST.cause, [TIME_FIRST.variant])
    transposed = [_time_first(tensor) for tensor in actual]
    choices = _choices()
    for tensors, axes in ((list(actual), ()), (transposed, (time_first,))):
        shapes = [tensor.shape for tensor in tensors]
        for placed in choices:
            edited = _edited(problem, placed)
            slots = [] if edited is None else edited.output_slots()
            if edited is not None and [slot.shape for slot in slots] == shapes:
                yield Reading(edited, _named(tensors, slots), (*placed, *axes))


def _choices() -> list[tuple[PlacedFault, ...]]:
    """Return every combination of a merge mode and the two return flags, fewest first."""
    modes = [fault.variant for fault in FAULTS if fault.cause == "merge-mode"]
    alternatives = (
        (None, *_whole_faults("merge-mode", modes)),
        (None, *_whole_faults("return-flags", RETURN_SEQUENCES)),
        (None, *_whole_faults("return-flags", RETURN_STATE)),
    )
    combinations = [
        tuple(placed for placed in combination if placed is not None)
        for combination in product(*alternatives)
    ]
    return sorted(combinations, key=len)


def _whole_faults(cause: str, variants: Sequence[str]) -> list[PlacedFault]:
    return [
        PlacedFault(fault, WHOLE)
        for fault in FAULTS
        if fault.cause == cause and fault.variant in variants
    ]


def _edited(problem: Problem, placed: Sequence[PlacedFault]) -> Problem | None:
    injection = inject(problem, placed)
    return None if injection is None else injection.problem


def _time_first(tensor: Tensor) -> Tensor:
    """Swap the first two axes of a sequence."""
    if tensor.data.ndim != 3:
        return tensor
    return replace(tensor, data=tensor.data.swapaxes(0, 1))


def _named(tensors: Sequence[Tensor], slots: Sequence[Slot]) -> tuple[Tensor, ...]:
    pairs = zip(tensors, slots, strict=True)
    return tuple(replace(tensor, name=slot.name) for tensor, slot in pairs)
