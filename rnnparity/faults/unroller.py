"""A run of the engine with faults in it.

What a half computes where no fault reaches it is the same in every run of one problem, see
`FaultyUnroller.shared`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, MutableMapping, Sequence
from functools import partial

from rnnparity.faults.edit import (
    EditArithmetic,
    EditCell,
    EditMaskedStep,
    EditRun,
    HalfRun,
    MaskedStep,
    Result,
    StepResult,
)
from rnnparity.faults.fault import PlacedFault
from rnnparity.faults.injection import edits_run
from rnnparity.problem.dtypes import Array
from rnnparity.problem.explanations import EVERY_HALF, WHOLE
from rnnparity.problem.layers import Recurrent
from rnnparity.problem.problem import Problem
from rnnparity.reference import Unroller
from rnnparity.reference.arithmetic import PlainArithmetic


def by_layer(prefixes: Iterable[str]) -> list[list[str]]:
    """Return the prefixes of halves by layer, in the order in which the layers run."""
    layers: dict[str, list[str]] = {}
    for prefix in prefixes:
        number = prefix.partition("/")[0]
        layers.setdefault(number if number.isdigit() else "", []).append(prefix)
    return list(layers.values())


class DoesNotApplyError(Exception):
    """A fault cannot apply any more; the rest of the run would be in vain."""


def _halves_needed(fault: PlacedFault) -> int:
    """Return in how many halves a fault must apply at its location."""
    return {WHOLE: 0, EVERY_HALF: 2}.get(fault.location, 1)


class FaultyUnroller(Unroller[Array]):
    """A run with faults; afterwards `applies` is whether each of them applied.

    `edited` are the prefixes of the halves that were edited before the run. `shared` are the results
    of halves without a fault, by prefix: those that are there are used, the others are added. None:
    every half runs.
    """

    def __init__(
        self,
        problem: Problem,
        placed: Sequence[PlacedFault],
        weights: Mapping[str, Array],
        edited: Collection[str] = (),
        shared: MutableMapping[str, Result] | None = None,
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
        self.declined: Counter[PlacedFault] = Counter()
        self.outermost: PlacedFault | None = None
        self.previous_states: list[Array] | None = None
        self.first_states: list[Array] = []
        self.entered: tuple[Recurrent, Array, Array | None, list[Array]] | None = None
        self.shared = {} if shared is None else shared
        self.healthy = frozenset() if shared is None else self._healthy_halves(edited)
        for prefix, faults in self.in_half.items():
            for fault in faults:
                if not edits_run(fault.edit):  # applied before the run
                    self.applied.add((fault, prefix))
                if isinstance(fault.edit, EditCell):
                    self._replace_cell(fault, fault.edit, prefix)

    def _replace_cell(self, fault: PlacedFault, edit: EditCell, prefix: str) -> None:
        cell = edit.function(self.cells[prefix])
        if cell is None:
            self._decline(fault)
        else:
            self.cells[prefix] = cell
            self.applied.add((fault, prefix))

    def _healthy_halves(self, edited: Collection[str]) -> frozenset[str]:
        """Return the halves with the problem's own inputs, weights and steps, whatever runs around them."""
        if self.problem.calls is not None or any(
            isinstance(fault.edit, EditArithmetic) for fault in self.placed
        ):
            return frozenset()
        healthy: set[str] = set()
        for layer in by_layer(self.cells):
            own = [prefix for prefix in layer if prefix not in edited]
            healthy.update(prefix for prefix in own if not self._steps_change(prefix))
            if len(own) < len(layer) or any(self.in_half[prefix] for prefix in layer):
                break  # the layers above get other inputs
        return frozenset(healthy)

    def _steps_change(self, prefix: str) -> bool:
        return any(
            isinstance(fault.edit, (EditCell, EditMaskedStep)) for fault in self.in_half[prefix]
        )

    def _decline(self, fault: PlacedFault) -> None:
        """Count a half in which a fault does not apply.

        Raises:
            DoesNotApplyError: too few halves are left.
        """
        self.declined[fault] += 1
        if len(fault.prefixes(self.problem)) - self.declined[fault] < _halves_needed(fault):
            raise DoesNotApplyError

    @property
    def applies(self) -> bool:
        """Whether every fault applied at its location: at EVERY_HALF in two halves or more."""
        for fault in self.placed:
            count = sum(applied == fault for applied, _ in self.applied)
            if count < _halves_needed(fault):
                return False
        return True

    def run_half(self, layer: Recurrent, prefix: str, x: Array, mask: Array | None) -> Result:
        edits = [fault for fault in self.in_half[prefix] if isinstance(fault.edit, EditRun)]
        self.outermost = edits[0] if edits and self.problem.calls is None else None
        self.entered = layer, x, mask, self.states[prefix]
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
            if self.problem.dropout_masks and x.shape[-3] != len(self.problem.inputs.data):
                raise DoesNotApplyError  # of fewer rows it is not known which masks are theirs
            self.states[prefix] = self.first_states = states
            if not self._is_healthy(prefix, layer, x, mask, states):
                return super().run_half(layer, prefix, x, mask)
            if prefix not in self.shared:
                self.shared[prefix] = super().run_half(layer, prefix, x, mask)
            return self.shared[prefix]
        first, *others = faults
        compute = partial(self._run_half, others, prefix)
        run = HalfRun(
            self.problem, prefix, layer, x, mask, states,
            self.initial_states[prefix], self.previous_states, compute,
        )  # fmt: skip
        result = first.edit.function(run) if isinstance(first.edit, EditRun) else None
        if result is None:
            if first is self.outermost:  # a later run inside another fault may still apply
                self._decline(first)
            return run.run()
        self.applied.add((first, prefix))
        return result

    def _is_healthy(self, prefix: str, *arguments: object) -> bool:
        """Return whether a half runs as without faults, with the arguments that it was entered with."""
        if prefix not in self.healthy or self._record is not None or self.entered is None:
            return False
        return all(new is old for new, old in zip(arguments, self.entered, strict=True))

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
