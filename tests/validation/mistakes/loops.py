"""Mistakes in the loop over the steps: how states, masks, biases and inputs get into a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import FindingType
from rnnparity.problem.problem import Problem
from validation.mistakes.mistake import Maker, Mistake, Stated, all_lstm, feeds_itself, masked, port
from validation.mistakes.port import Loop, Port
from validation.off_list.cells import Half, States, run, step_of

RECURRENCE, INPUTS = FindingType.RECURRENCE, FindingType.INPUTS
# A bias that is missing at some steps states the same.
BIAS = (FindingType.BLOCK, "bias")


@dataclass(frozen=True)
class KeepsOnly(Loop):
    """Masked steps keep one state, the other goes on."""

    name: str

    def after(self, used: Array, new: States, old: States) -> States:
        return {
            state: np.where(used, new[state], old[state]) if state == self.name else new[state]
            for state in new
        }


class MaskedLate(Loop):
    """States are kept by the mask of the step before; the first step counts."""

    def kept(self, mask: Array, number: int) -> Array:
        return mask[:, number - 1, None] if number else np.ones((len(mask), 1), bool)


class TwoStepsBack(Loop):
    """h is that of two steps ago."""

    def before(self, states: Sequence[States]) -> States:
        return states[-1] | {"h": states[max(len(states) - 2, 0)]["h"]}


class BothTwoStepsBack(Loop):
    """Every state is that of two steps ago: two interleaved sequences."""

    def before(self, states: Sequence[States]) -> States:
        return states[max(len(states) - 2, 0)]


@dataclass(frozen=True)
class BiasAt(Loop):
    """The bias is added at the first step only, or at all others."""

    first: bool

    def step(self, half: Half, x: Array, before: States, number: int) -> States:
        if (number == 0) is not self.first:
            half = replace(half, bias=np.zeros_like(half.bias))
        return step_of(half, x, before)


class InPlace(Loop):
    """Each unit writes its new h where the units after it read."""

    def step(self, half: Half, x: Array, before: States, number: int) -> States:  # noqa: ARG002
        states = {name: array.copy() for name, array in before.items()}
        for unit in range(half.layer.units):
            read = before | {"h": states["h"]}
            new = step_of(half, x, read)
            for name in before:
                states[name][:, unit] = new[name][:, unit]
        return states


@dataclass(frozen=True)
class Clips(Loop):
    """A state is clipped after every step."""

    name: str
    largest: np.float32

    def step(self, half: Half, x: Array, before: States, number: int) -> States:  # noqa: ARG002
        new = step_of(half, x, before)
        return new | {self.name: np.clip(new[self.name], -self.largest, self.largest)}


@dataclass(frozen=True)
class _ClippedHalf(Half):
    """A half that clips what goes into its activations."""

    largest: np.float32 = np.float32(0)  # noqa: RUF009

    def activate(self, gate: str, values: Array) -> Array:
        return super().activate(gate, np.clip(values, -self.largest, self.largest))


@dataclass(frozen=True)
class ClipsPreactivations(Loop):
    """What goes into the activations is clipped: the attribute `clip` of ONNX."""

    largest: np.float32

    def step(self, half: Half, x: Array, before: States, number: int) -> States:  # noqa: ARG002
        return step_of(_ClippedHalf(**vars(half), largest=self.largest), x, before)


class GoesOn(Loop):
    """Masked steps return zeros, and change the states like any other."""

    def run(
        self, half: Half, x: Array, mask: Array, first: States, zeros: bool
    ) -> tuple[Array, States]:
        outputs, states = super().run(half, x, np.ones_like(mask), first, zeros)
        order = slice(None, None, -1 if half.layer.go_backwards else 1)
        return outputs * mask[:, order, None], states


class FirstInputs(Loop):
    """Every step gets the inputs of the first time step."""

    def inputs(self, x: Array, time: int, outputs: Sequence[Array]) -> Array:  # noqa: ARG002
        return x[:, 0]


class FeedsBack(Loop):
    """After the first step the output is the next input."""

    def inputs(self, x: Array, time: int, outputs: Sequence[Array]) -> Array:
        return outputs[-1] if outputs else x[:, time]


class OfRowBefore(Loop):
    """A step of a row starts from the state of the row before at the step before."""

    def before(self, states: Sequence[States]) -> States:
        return {name: np.roll(array, 1, axis=0) for name, array in states[-1].items()}


class OneStateForAll(Loop):
    """Every row starts its steps from the state of row 0."""

    def before(self, states: Sequence[States]) -> States:
        return {name: np.repeat(a[:1], len(a), axis=0) for name, a in states[-1].items()}


class OneAfterAnother(Loop):
    """There is one state: each row updates it in turn within a step."""

    def step(self, half: Half, x: Array, before: States, number: int) -> States:  # noqa: ARG002
        state = {name: array[-1:] for name, array in before.items()}
        rows = []
        for row in range(len(x)):
            new = step_of(half, x[row : row + 1], state)
            state = {name: new[name] for name in before}
            rows.append(state)
        return {name: np.concatenate([each[name] for each in rows]) for name in before}


class MeanState(Loop):
    """The state is the mean over the rows after every step."""

    def before(self, states: Sequence[States]) -> States:
        mean = {name: a.mean(0, keepdims=True) for name, a in states[-1].items()}
        return {name: np.repeat(a, len(states[-1][name]), 0) for name, a in mean.items()}


@dataclass(frozen=True)
class Restarts(Loop):
    """The states restart every few steps, as in blocks without a state."""

    every: int

    def before(self, states: Sequence[States]) -> States:
        return states[0] if (len(states) - 1) % self.every == 0 else states[-1]


@dataclass(frozen=True)
class ForgetsUnit(Loop):
    """The recurrent product leaves out a unit."""

    unit: int

    def step(self, half: Half, x: Array, before: States, number: int) -> States:  # noqa: ARG002
        U = half.recurrent_kernel.copy()
        U[self.unit] = 0
        return step_of(replace(half, recurrent_kernel=U), x, before)


def _clips(name: str) -> Maker:
    """Return the maker of a port that clips a state at a number that it exceeds."""

    def make(problem: Problem, rng: np.random.Generator) -> Port:
        largest = np.abs(run(problem)[0]).max() * (1 if name == "h" else 1.5)
        return port(loop=Clips(name, np.float32(largest * rng.uniform(0.3, 0.8))))(problem, rng)

    return make


def _clips_preactivations(problem: Problem, rng: np.random.Generator) -> Port:
    return port(loop=ClipsPreactivations(np.float32(rng.uniform(0.2, 0.6))))(problem, rng)


def _restarts(problem: Problem, rng: np.random.Generator) -> Port:
    return port(loop=Restarts(int(rng.integers(2, problem.inputs.shape[1]))))(problem, rng)


def loop_mistakes() -> list[Mistake]:
    """Return the mistakes in the loop."""

    def of(name: str, stated: str, loop: Loop, *others: Stated, **options: object) -> Mistake:
        return Mistake(name, ((RECURRENCE, stated), *others), port(loop=loop), **options)

    return [
        of("only h kept at masked steps", "only-h-kept", KeepsOnly("h"),
           applies=lambda p: masked(p) and all_lstm(p)),
        of("only c kept at masked steps", "only-c-kept", KeepsOnly("c"),
           applies=lambda p: masked(p) and all_lstm(p)),
        of("mask one step late for the states", "states-masked-late", MaskedLate(), applies=masked),
        of("h of two steps ago", "h-of-two-steps-ago", TwoStepsBack()),
        of("states of two steps ago", "states-of-two-steps-ago", BothTwoStepsBack(),
           applies=all_lstm),
        of("h updated in place", "updated-in-place", InPlace()),
        of("bias at the first step only", "bias-at-first-step-only", BiasAt(first=True), BIAS),
        of("bias at all steps but the first", "bias-not-at-first-step", BiasAt(first=False), BIAS),
        Mistake("h clipped", ((RECURRENCE, "h-clipped"),), _clips("h")),
        Mistake("c clipped", ((RECURRENCE, "c-clipped"),), _clips("c"), applies=all_lstm),
        Mistake("pre-activations clipped", ((RECURRENCE, "pre-activations-clipped"),),
                _clips_preactivations, source="microsoft/onnxruntime#27224"),
        of("masked outputs zero, states go on", "only-output-masked", GoesOn(), applies=masked,
           sequences=True, source="deeplearning4j/deeplearning4j#4631"),
        Mistake("inputs of the first step at all steps", ((INPUTS, "of-first-step"),),
                port(loop=FirstInputs())),
        of("output fed as input", "output-as-input", FeedsBack(), applies=feeds_itself),
        of("state of the row before", "of-row-before", OfRowBefore()),
        of("state of the first row", "of-first-row", OneStateForAll()),
        of("one state for all rows", "one-state-for-all-rows", OneAfterAnother(),
           source="Element-Research/rnn#74"),
        of("mean state of all rows", "mean-of-rows", MeanState()),
        Mistake("states restart every few steps", ((RECURRENCE, "restarts-every-few-steps"),),
                _restarts, source="keras-team/keras#10231"),
        of("last unit left out of the recurrent product", "unit-left-out", ForgetsUnit(-1)),
    ]  # fmt: skip
