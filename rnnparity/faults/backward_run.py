"""Backward passes with a fault in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy

import numpy as np

from rnnparity.faults.backward_arrays import ARRAY_FAULTS
from rnnparity.faults.backward_cells import CELL_BACKWARD_FAULTS
from rnnparity.faults.backward_edit import (
    EditBackwardCell,
    EditBackwardMaskedStep,
    EditBetweenSteps,
    EditCotangents,
    EditGradients,
    EditHalfGradients,
    Gradients,
    Rewiring,
    rewired,
)
from rnnparity.faults.backward_flow import FLOW_FAULTS
from rnnparity.faults.backward_whole import WHOLE_BACKWARD_FAULTS
from rnnparity.faults.fault import Fault, Mutant, PlacedFault
from rnnparity.faults.injection import placements
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent, halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import EVERY_HALF, WHOLE
from rnnparity.reference.gradients.arithmetic import TapedArithmetic
from rnnparity.reference.gradients.backward import BackwardUnroller
from rnnparity.reference.gradients.taped_array import TapedArray

BACKWARD_FAULTS: tuple[Fault, ...] = (
    *FLOW_FAULTS,
    *CELL_BACKWARD_FAULTS,
    *ARRAY_FAULTS,
    *WHOLE_BACKWARD_FAULTS,
)

_States = list[TapedArray]


def backward_mutants(
    problem: Problem, faults: Iterable[Fault] = BACKWARD_FAULTS
) -> Iterator[Mutant]:
    """Yield the mutants of the backward pass wherever a fault applies; `outputs` are gradients."""
    without_fault = FaultyBackwardUnroller(problem)
    without_fault.gradients(problem.cotangents or ())
    for fault in faults:
        for placed in placements(problem, fault):
            mutant = _mutant(problem, placed, without_fault)
            if mutant is not None:
                yield mutant


def run_backward(problem: Problem, placed: PlacedFault) -> Mutant | None:
    """Return the gradients with a fault of the backward pass, None where it does not apply."""
    return next(
        (m for m in backward_mutants(problem, [placed.fault]) if m.placed == (placed,)), None
    )


def _mutant(
    problem: Problem, placed: PlacedFault, without_fault: FaultyBackwardUnroller
) -> Mutant | None:
    """Return the mutant; a fault of the results needs no run of its own."""
    if placed.fault.needs_mask and problem.mask is None:
        return None
    arrays: list[Array] | None
    match placed.edit:
        case EditGradients():
            unroller, arrays = without_fault, without_fault.leaf_gradients()
        case EditHalfGradients():
            unroller = without_fault.with_fault(placed)
            arrays = unroller.leaf_gradients()
        case EditBetweenSteps() if placed.edit.first >= problem.inputs.shape[1]:
            return None
        case _:
            cotangents = _cotangents(problem, placed)
            if cotangents is None:
                return None
            unroller = FaultyBackwardUnroller(problem, placed)
            arrays = unroller.gradients(cotangents)
    needed = {WHOLE: 0, EVERY_HALF: 2}.get(placed.location, 1)
    if len(unroller.applied) < needed:
        return None
    names = [slot.name for slot in problem.gradient_slots()]
    gradients: Gradients | None = dict(zip(names, (array[0] for array in arrays), strict=True))
    if isinstance(placed.edit, EditGradients) and gradients is not None:
        gradients = placed.edit.function(problem, gradients)
    if gradients is None:
        return None
    return Mutant((placed,), tuple(Tensor(name, array) for name, array in gradients.items()))


def _cotangents(problem: Problem, placed: PlacedFault) -> Sequence[Tensor] | None:
    cotangents = problem.cotangents or ()
    if not isinstance(placed.edit, EditCotangents):
        return cotangents
    arrays = [tensor.data.astype(np.float64) for tensor in cotangents]
    edited = placed.edit.function(problem, arrays)
    if edited is None:
        return None
    pairs = zip(cotangents, edited, strict=True)
    return [Tensor(tensor.name, array) for tensor, array in pairs]


class _Arithmetic(TapedArithmetic):
    """Taped arithmetic in which states pass through `pass_states` between two steps."""

    pass_states: Callable[[_States], _States]

    def between_steps(self, states: _States, U: TapedArray) -> _States:  # noqa: ARG002 - not needed
        return self.pass_states(states)


class FaultyBackwardUnroller(BackwardUnroller):
    """A run with a fault in the backward pass; `applied` are the halves in which it applied."""

    def __init__(self, problem: Problem, placed: PlacedFault | None = None) -> None:
        arithmetic = _Arithmetic()
        arithmetic.pass_states = self._pass_states
        super().__init__(problem, arithmetic)
        self._half = ""
        self._steps: Counter[str] = Counter()
        self._set_fault(placed)
        layers = dict(halves(problem.layer))
        if isinstance(self._edit, EditBackwardCell):
            for prefix in self._prefixes:
                cell = self._edit.function(layers[prefix], self.cells[prefix])
                if cell is not None:
                    self.cells[prefix] = cell
                    self.applied.add(prefix)

    def _set_fault(self, placed: PlacedFault | None) -> None:
        self.applied: set[str] = set()
        self._edit = None if placed is None else placed.edit
        self._prefixes = [] if placed is None else placed.prefixes(self.problem)

    def with_fault(self, placed: PlacedFault) -> FaultyBackwardUnroller:
        """Return a finished run with a fault in the gradients of its halves."""
        other = copy(self)
        other._set_fault(placed)
        return other

    def run_half(
        self, layer: Recurrent, prefix: str, x: TapedArray, mask: Array | None
    ) -> tuple[TapedArray, _States]:
        self._half = prefix
        return super().run_half(layer, prefix, x, mask)

    def _pass_states(self, states: _States) -> _States:
        step = self._steps[self._half]
        self._steps[self._half] += 1
        if not isinstance(self._edit, EditBetweenSteps) or self._half not in self._prefixes:
            return states
        edited = self._edit.function(step, states) if step else None
        if edited is None:
            return states
        self.applied.add(self._half)
        return edited

    def masked_step(
        self,
        layer: Recurrent,
        prefix: str,
        used: Array,
        before: tuple[_States, TapedArray],
        new: _States,
    ) -> tuple[_States, TapedArray]:
        states, output = super().masked_step(layer, prefix, used, before, new)
        edit = self._edit
        if not isinstance(edit, EditBackwardMaskedStep) or prefix not in self._prefixes:
            return states, output
        if edit.states is not None:
            triples = zip(states, before[0], new, strict=True)
            states = [_rewired(edit.states, used, *triple) for triple in triples]
            self.applied.add(prefix)
        if edit.output is not None and not (layer.zero_output_for_mask and layer.return_sequences):
            output = _rewired(edit.output, used, output, before[1], new[0])
            self.applied.add(prefix)
        return states, output

    def half_gradients(self, prefix: str, half: Recurrent) -> Gradients:
        gradients = super().half_gradients(prefix, half)
        if not isinstance(self._edit, EditHalfGradients) or prefix not in self._prefixes:
            return gradients
        edited = self._edit.function(half, gradients)
        if edited is None:
            return gradients
        self.applied.add(prefix)
        return edited


def _rewired(
    rewiring: Rewiring, used: Array, after: TapedArray, before: TapedArray, new: TapedArray
) -> TapedArray:
    return rewired(after, *rewiring(used, before, new))
