"""Running injections, many at once where they allow it.

Most faults edit only weights. All of them that leave the rest of the run unchanged are variants of
one run: a pass for each would spend a hundred times as long in calls of NumPy as in arithmetic.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from rnnparity.faults.edit import (
    EditArithmetic,
    EditCell,
    EditMaskedStep,
    EditOutputs,
    EditRun,
    HalfRun,
    MaskedStep,
    Result,
    StepResult,
    half_of,
)
from rnnparity.faults.fault import Mutant, PlacedFault
from rnnparity.faults.injection import Injection, edits_run, inject, with_half
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent, halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import EVERY_HALF, WHOLE
from rnnparity.reference import TraceStep, Unroller
from rnnparity.reference.arithmetic import PlainArithmetic

# The number of values of weights and outputs that are computed at once: 64 MB.
BATCH_VALUES = 2**23


@dataclass(frozen=True)
class Batch:
    """Injections that ran together: the outputs have a leading axis with one index for each."""

    injections: Sequence[Injection]
    outputs: Sequence[Array]
    names: Sequence[str]

    def mutant(self, index: int) -> Mutant:
        """Return the mutant with that index."""
        named = zip(self.names, self.outputs, strict=True)
        outputs = tuple(Tensor(name, array[index]) for name, array in named)
        return Mutant(self.injections[index].placed, outputs)


def run_all(injections: Iterable[Injection]) -> Iterator[Batch]:
    """Run all injections, together where they differ only in weights; skip what does not apply."""
    groups: dict[Hashable, list[Injection]] = {}
    for injection in injections:
        groups.setdefault(_group_key(injection), []).append(injection)
    for group in groups.values():
        size = max(1, BATCH_VALUES // _values(group[0]))
        for start in range(0, len(group), size):
            batch = _run(group[start : start + size])
            if batch is not None:
                yield batch


def run_one(problem: Problem, placed: Iterable[PlacedFault]) -> Mutant | None:
    """Run several faults together; return None where they do not apply."""
    injection = inject(problem, placed)
    batch = None if injection is None else next(run_all([injection]), None)
    return None if batch is None else batch.mutant(0)


def trace_injection(injection: Injection) -> list[TraceStep]:
    """Return every gate and state at every step, each (1, B, H) or (B, H)."""
    unroller, _ = _prepare([injection])
    with np.errstate(all="ignore"):
        steps: list[TraceStep] = []
        unroller.run(steps.append)
        return steps


def _group_key(injection: Injection) -> Hashable:
    """Return what two injections must have in common to run together."""
    layers = tuple(
        (prefix, half.layer)
        for prefix, half in injection.halves
        if half.layer != _layer(injection.problem, prefix)
    )
    edits = tuple(
        (id(placed.fault), placed.location) for placed in injection.placed if edits_run(placed.edit)
    )
    return id(injection.problem), layers, edits


def _layer(problem: Problem, prefix: str) -> Recurrent:
    return dict(halves(problem.layer))[prefix]


def _values(injection: Injection) -> int:
    """Return an estimate of the number of values in one variant."""
    problem = injection.problem
    batch, steps, _ = problem.inputs.shape
    units = sum(half.units for _, half in halves(problem.layer))
    return sum(tensor.data.size for tensor in problem.weights) + 6 * batch * steps * units


def _prepare(group: Sequence[Injection]) -> tuple[FaultyUnroller, Problem]:
    """Return one run for a group that has the same layers, with the weights as variants."""
    first = group[0]
    problem = first.problem
    for prefix, half in first.halves:
        if half.layer != _layer(first.problem, prefix):
            problem = with_half(problem, prefix, half)
    return FaultyUnroller(problem, first.placed, _variants(problem, group)), problem


def _run(group: Sequence[Injection]) -> Batch | None:
    unroller, problem = _prepare(group)
    with np.errstate(all="ignore"):
        outputs = edit_outputs(group[0].placed, problem, unroller.run())
    if outputs is None or not unroller.applies:
        return None
    slots = problem.output_slots()
    variants = [
        np.broadcast_to(array, (len(group), *array.shape[-len(slot.shape) :]))
        for array, slot in zip(outputs, slots, strict=True)
    ]
    return Batch(group, variants, [slot.name for slot in slots])


def edit_outputs(
    placed: Iterable[PlacedFault], problem: Problem, outputs: list[Array]
) -> list[Array] | None:
    """Return the outputs as the faults edit them, None where one does not apply."""
    edited: list[Array] | None = outputs
    for fault in placed:
        match fault.edit:
            case EditOutputs(function):
                edited = None if edited is None else function(problem, edited)
            case EditArithmetic():
                rounded = fault.edit.round_output
                edited = None if edited is None else [rounded(array) for array in edited]
            case _:
                pass
    return edited


def _variants(problem: Problem, group: Sequence[Injection]) -> dict[str, Array]:
    """Return the weights of every half that was edited in the group, with a leading axis."""
    prefixes = dict.fromkeys(prefix for injection in group for prefix, _ in injection.halves)
    variants: dict[str, Array] = {}
    for prefix in prefixes:
        original = half_of(problem, prefix)
        sets = [dict(injection.halves).get(prefix, original).weights for injection in group]
        for name in sets[0]:
            arrays = [weights[name] for weights in sets]
            if any(array is not arrays[0] for array in arrays):
                variants[prefix + name] = np.stack(arrays)
            elif arrays[0] is not original.weights.get(name):
                variants[prefix + name] = arrays[0]
    return variants


class FaultyUnroller(Unroller[Array]):
    """A run with faults; afterwards `applies` is whether each of them applied."""

    def __init__(
        self, problem: Problem, placed: Sequence[PlacedFault], weights: Mapping[str, Array]
    ) -> None:
        edits = [fault.edit for fault in placed]
        arithmetics = [edit.arithmetic for edit in edits if isinstance(edit, EditArithmetic)]
        super().__init__(problem, arithmetics[0] if arithmetics else PlainArithmetic(), weights)
        self.placed = placed
        self.in_half = {
            prefix: [fault for fault in placed if prefix in fault.prefixes(problem)]
            for prefix in self.cells
        }
        self.applied: set[tuple[PlacedFault, str]] = set()
        self.previous_states: list[Array] | None = None
        self.first_states: list[Array] = []
        for prefix, faults in self.in_half.items():
            for fault in faults:
                if not edits_run(fault.edit):  # applied before the run
                    self.applied.add((fault, prefix))
                if isinstance(fault.edit, EditCell):
                    self._replace_cell(fault, fault.edit, prefix)

    def _replace_cell(self, fault: PlacedFault, edit: EditCell, prefix: str) -> None:
        cell = edit.function(self.cells[prefix])
        if cell is not None:
            self.cells[prefix] = cell
            self.applied.add((fault, prefix))

    @property
    def applies(self) -> bool:
        """Whether every fault applied at its location: at EVERY_HALF in two halves or more."""
        for fault in self.placed:
            count = sum(applied == fault for applied, _ in self.applied)
            needed = {WHOLE: 0, EVERY_HALF: 2}.get(fault.location, 1)
            if count < needed:
                return False
        return True

    def run_half(self, layer: Recurrent, prefix: str, x: Array, mask: Array | None) -> Result:
        edits = [fault for fault in self.in_half[prefix] if isinstance(fault.edit, EditRun)]
        output, states = self._run_half(edits, prefix, layer, x, mask, self.states[prefix])
        self.previous_states = states
        return output, states

    def _run_half(
        self,
        faults: Sequence[PlacedFault],
        prefix: str,
        layer: Recurrent,
        x: Array,
        mask: Array | None,
        states: list[Array],
    ) -> Result:
        """Run a half with the faults around it, the first outermost."""
        if not faults:
            self.states[prefix] = self.first_states = states
            return super().run_half(layer, prefix, x, mask)
        first, *others = faults
        compute = partial(self._run_half, others, prefix)
        run = HalfRun(
            self.problem, prefix, layer, x, mask, states,
            self.initial_states[prefix], self.previous_states, compute,
        )  # fmt: skip
        result = first.edit.function(run) if isinstance(first.edit, EditRun) else None
        if result is None:
            return run.run()
        self.applied.add((first, prefix))
        return result

    def masked_step(
        self,
        layer: Recurrent,
        prefix: str,
        used: Array,
        before: tuple[list[Array], Array],
        new: list[Array],
    ) -> StepResult:
        for fault in self.in_half[prefix]:
            if isinstance(fault.edit, EditMaskedStep):
                self.applied.add((fault, prefix))
                return fault.edit.function(MaskedStep(layer, used, *before, new, self.first_states))
        return super().masked_step(layer, prefix, used, before, new)
