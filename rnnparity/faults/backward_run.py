"""Backward passes with a fault in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from copy import copy

import numpy as np

from rnnparity.faults.backward_arrays import ARRAY_FAULTS
from rnnparity.faults.backward_cells import CELL_BACKWARD_FAULTS
from rnnparity.faults.backward_dropout import DROPOUT_BACKWARD_FAULTS
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
from rnnparity.problem.explanations import EVERY_HALF, WHOLE
from rnnparity.problem.layers import Recurrent, halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference.arithmetic import Arithmetic
from rnnparity.reference.gradients.arithmetic import TapedArithmetic
from rnnparity.reference.gradients.backward import BackwardUnroller
from rnnparity.reference.gradients.taped_array import TapedArray

BACKWARD_FAULTS: tuple[Fault, ...] = (
    *FLOW_FAULTS,
    *CELL_BACKWARD_FAULTS,
    *DROPOUT_BACKWARD_FAULTS,
    *ARRAY_FAULTS,
    *WHOLE_BACKWARD_FAULTS,
)

_States = list[TapedArray]


def backward_mutants(
    problem: Problem, faults: Iterable[Fault] = BACKWARD_FAULTS
) -> Iterator[Mutant]:
    """Yield the mutants of the backward pass wherever a fault applies; `outputs` are gradients."""
    without_fault: FaultyBackwardUnroller | None = None
    for fault in faults:
        for placed in placements(problem, fault):
            if isinstance(placed.edit, EditGradients | EditHalfGradients):
                # A fault of the results needs no run of its own.
                if without_fault is None:
                    without_fault = FaultyBackwardUnroller(problem, TapedArithmetic())
                    without_fault.gradients(problem.cotangents or ())
                arrays = without_fault.with_fault(placed).leaf_gradients_with_fault()
            else:
                arrays = run_backward(problem, placed, TapedArithmetic())
            if arrays is not None:
                yield _mutant(problem, placed, arrays)


def backward_mutant(problem: Problem, placed: PlacedFault) -> Mutant | None:
    """Return the mutant of one fault, None where it does not apply; `outputs` are gradients."""
    arrays = run_backward(problem, placed, TapedArithmetic())
    return None if arrays is None else _mutant(problem, placed, arrays)


def _mutant(problem: Problem, placed: PlacedFault, arrays: Sequence[Array]) -> Mutant:
    pairs = zip(problem.gradient_slots(), arrays, strict=True)
    return Mutant((placed,), tuple(Tensor(slot.name, array[0]) for slot, array in pairs))


def run_backward(
    problem: Problem, placed: PlacedFault, arithmetic: TapedArithmetic
) -> list[Array] | None:
    """Return the gradients with a fault, each with a leading axis of runs.

    None where the fault does not apply.
    """
    if placed.fault.needs_mask and problem.mask is None:
        return None
    if placed.fault.needs_dropout and problem.dropout_masks is None:
        return None
    if isinstance(placed.edit, EditBetweenSteps) and placed.edit.first >= problem.inputs.shape[1]:
        return None
    cotangents = _cotangents(problem, placed)
    if cotangents is None:
        return None
    unroller = FaultyBackwardUnroller(problem, arithmetic, placed)
    if isinstance(placed.edit, EditBackwardCell) and not unroller.applies:
        return None
    unroller.gradients(cotangents)
    return unroller.leaf_gradients_with_fault()


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


class FaultyBackwardUnroller(BackwardUnroller):
    """A run with a fault in the backward pass; `applied` are the halves in which it applied."""

    def __init__(
        self, problem: Problem, arithmetic: TapedArithmetic, placed: PlacedFault | None = None
    ) -> None:
        super().__init__(problem, arithmetic)
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
        # In how many halves it must apply.
        location = WHOLE if placed is None else placed.location
        self._needed = {WHOLE: 0, EVERY_HALF: 2}.get(location, 1)

    @property
    def applies(self) -> bool:
        """Whether the fault applied in as many halves as it must."""
        return len(self.applied) >= self._needed

    def with_fault(self, placed: PlacedFault) -> FaultyBackwardUnroller:
        """Return a finished run with a fault in its gradients."""
        other = copy(self)
        other._set_fault(placed)
        return other

    def leaf_gradients_with_fault(self) -> list[Array] | None:
        """Return the gradients of a finished run, None where the fault did not apply."""
        arrays = self.leaf_gradients()
        if not self.applies:
            return None
        if not isinstance(self._edit, EditGradients):
            return arrays
        names = [slot.name for slot in self.problem.gradient_slots()]
        runs = []
        for run in range(len(arrays[0])):
            gradients = dict(zip(names, (array[run] for array in arrays), strict=True))
            edited = self._edit.function(self.problem, gradients)
            if edited is None:
                return None
            runs.append([edited[name] for name in names])
        return [np.stack(array) for array in zip(*runs, strict=True)]

    def entering_states(
        self, prefix: str, states: _States, arithmetic: Arithmetic[TapedArray]
    ) -> _States:
        states = super().entering_states(prefix, states, arithmetic)
        step = self._steps[prefix]
        self._steps[prefix] += 1
        if not isinstance(self._edit, EditBetweenSteps) or prefix not in self._prefixes:
            return states
        edited = self._edit.function(step, states) if step else None
        if edited is None:
            return states
        self.applied.add(prefix)
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
