"""The other ways in which states get into a step, or are kept after it.

Axis letters: B batch, T time, D features, H units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from rnnparity.explanation.findings.other_runs.ways import Past, Rule, States, Weights
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import (
    Finding,
    FindingType,
    OtherInputs,
)
from rnnparity.problem.layers import Recurrent
from rnnparity.problem.problem import Problem
from rnnparity.problem.recurrences import OtherRecurrence
from rnnparity.reference.cells import Cell, altered

Named = Iterator[tuple[Finding, Rule]]
# The states restart after so many steps at most, or after a block of so many.
MOST_STEPS, BLOCKS = 16, (20, 24, 32, 50, 64, 100, 128, 256)
# A step of all units in turn, or of all rows in turn, is computed at most so often.
MOST_IN_TURN = 2000


@dataclass(frozen=True)
class KeepsOnly(Rule):
    """One state is kept at masked steps, the others go on."""

    index: int

    def kept(self, used: Array, new: States, old: States) -> States:
        kept = list(new)
        kept[self.index] = np.where(used, new[self.index], old[self.index])
        return kept


class MasksOutputOnly(Rule):
    """Masked steps return zeros, but change the states."""

    def kept(self, used: Array, new: States, old: States) -> States:
        return new

    def output(self, used: Array, new: Array, masked: Array) -> Array:
        return super().output(used, new, np.zeros_like(masked))


class MaskedLate(Rule):
    """States are kept by the mask of the step before."""

    def used(self, mask: Array, number: int) -> Array:
        return super().used(mask, number - 1) if number else np.ones((len(mask), 1), bool)


@dataclass(frozen=True)
class TwoStepsAgo(Rule):
    """A step starts from the states of two steps ago: all of them, or h only."""

    every: bool

    def before(self, past: Past, number: int) -> States:
        return past.earlier if self.every else [past.earlier[0], *past.last[1:]]


class InPlace(Rule):
    """Each unit writes its h where the units after it read."""

    def step(self, cell: Cell[Array], projected: Array, before: States) -> States:
        states, h = [state.copy() for state in before], before[0].copy()
        for unit in range(h.shape[-1]):
            new = super().step(cell, projected, [h, *before[1:]])
            for state, values in zip(states, new, strict=True):
                state[:, unit] = values[:, unit]
            h[:, unit] = new[0][:, unit]
        return states


@dataclass(frozen=True)
class BiasAt(Rule):
    """The bias is added at the first step only, or at all others."""

    first_only: bool

    def weights(self, arrays: Weights) -> Weights | None:
        if "bias" not in arrays:
            return None
        return {**arrays, "bias": np.zeros_like(arrays["bias"])}

    def has_other_weights(self, number: int) -> bool:
        return (number > 0) is self.first_only


@dataclass(frozen=True)
class Clips(Rule):
    """A state is clipped after each step."""

    index: int
    largest: float

    def result(self, new: States) -> States:
        if self.index >= len(new):
            return new
        clipped = np.clip(new[self.index], -self.largest, self.largest)
        return [*new[: self.index], clipped, *new[self.index + 1 :]]


@dataclass(frozen=True)
class ClipsPreactivations(Rule):
    """What goes into the activations is clipped."""

    largest: float

    def cell(self, cell: Cell[Array]) -> Cell[Array]:
        other: Cell[Array] = altered(cell)
        for name in ("act", "ract"):
            if hasattr(cell, name):
                setattr(other, name, self._clipping(getattr(cell, name)))
        return other

    def _clipping(self, function: Callable[[Array], Array]) -> Callable[[Array], Array]:
        return lambda z: function(np.clip(z, -self.largest, self.largest))


@dataclass(frozen=True)
class InputsOf(Rule):
    """Every step has the inputs of one time step."""

    time: int

    def inputs(self, x: Array, time: int, last: Array | None) -> Array:
        return super().inputs(x, self.time, last)


class FeedsBack(Rule):
    """The output of a step is the input of the next one."""

    def inputs(self, x: Array, time: int, last: Array | None) -> Array:
        if last is None or last.shape[-1] != x.shape[-1]:
            return super().inputs(x, time, last)
        return last


@dataclass(frozen=True)
class RestartsEvery(Rule):
    """Every few steps the states are those at the start."""

    steps: int

    def before(self, past: Past, number: int) -> States:
        return past.last if number % self.steps else past.first


@dataclass(frozen=True)
class LeavesOutUnit(Rule):
    """The recurrent product leaves out a unit."""

    unit: int

    def weights(self, arrays: Weights) -> Weights | None:
        U = arrays["recurrent_kernel"].copy()
        U[self.unit] = 0
        return {**arrays, "recurrent_kernel": U}


def step_rules(problem: Problem, half: Recurrent) -> Named:
    """Yield what may be otherwise in each row by itself."""
    steps, units = problem.inputs.shape[1], half.units
    lstm = len(half.states) > 1
    if problem.mask is not None:
        yield recurrence(OtherRecurrence.MASKED_LATE), MaskedLate()
        yield recurrence(OtherRecurrence.ONLY_OUTPUT_MASKED), MasksOutputOnly()
    if problem.mask is not None and lstm:
        yield recurrence(OtherRecurrence.ONLY_H_KEPT), KeepsOnly(0)
        yield recurrence(OtherRecurrence.ONLY_C_KEPT), KeepsOnly(1)
    yield recurrence(OtherRecurrence.H_OF_TWO_STEPS_AGO), TwoStepsAgo(every=False)
    if lstm:
        yield recurrence(OtherRecurrence.STATES_OF_TWO_STEPS_AGO), TwoStepsAgo(every=True)
    if steps * units <= MOST_IN_TURN:
        yield recurrence(OtherRecurrence.IN_PLACE), InPlace()
    yield recurrence(OtherRecurrence.BIAS_AT_FIRST_STEP_ONLY), BiasAt(first_only=True)
    yield recurrence(OtherRecurrence.BIAS_NOT_AT_FIRST_STEP), BiasAt(first_only=False)
    yield Finding(FindingType.INPUTS, OtherInputs.OF_FIRST_STEP), InputsOf(0)
    yield Finding(FindingType.INPUTS, OtherInputs.OF_LAST_STEP), InputsOf(-1)
    yield recurrence(OtherRecurrence.OUTPUT_AS_INPUT), FeedsBack()
    # The last output of a layer shows only where its states started: `time-truncated` of the list.
    seen = problem.layer.return_sequences or not isinstance(problem.layer, Recurrent)
    for every in (
        ()
        if not seen
        else (*range(2, min(steps, MOST_STEPS + 1)), *(n for n in BLOCKS if n < steps))
    ):
        yield recurrence(OtherRecurrence.RESTARTS, every), RestartsEvery(every)
    for unit in (0, -1):
        yield recurrence(OtherRecurrence.UNIT_LEFT_OUT, unit), LeavesOutUnit(unit)


def recurrence(name: OtherRecurrence, *numbers: int) -> Finding:
    """Return the finding of another way to pass states on."""
    return Finding(FindingType.RECURRENCE, name, numbers)
