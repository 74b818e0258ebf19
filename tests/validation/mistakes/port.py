"""A port of recurrent layers whose every step can be taken in another way.

Axis letters: B batch, T time, D input features, H units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack, halves
from rnnparity.problem.problem import Problem
from validation.off_list.cells import AS_KERAS, Arrays, Half, States, step_of

# Which halves have the mistake, where it is not the prefix of one: all of them, or the last one.
EVERY, LAST = "every half", "the last half"


class Loop:
    """The loop over the steps of one half, as Keras runs it; a mistake overrides a method.

    `number` counts the steps in processing order, `time` is the index in the inputs.
    """

    def run(
        self, half: Half, x: Array, mask: Array, first: States, zeros: bool
    ) -> tuple[Array, States]:
        """Return what each step returns, (B, T, H) in processing order, and the last states."""
        states, output = [first], np.zeros_like(first["h"])
        outputs: list[Array] = []
        order = range(x.shape[1])[:: -1 if half.layer.go_backwards else 1]
        for number, time in enumerate(order):
            given = self.inputs(x, time, outputs)
            new = self.step(half, given, self.before(states), number)
            used = mask[:, time, None]
            output = np.where(used, new["h"], 0 if zeros else output)
            used = self.kept(mask[:, order], number)
            states.append(self.after(used, {name: new[name] for name in first}, states[-1]))
            outputs.append(output)
        return np.stack(outputs, axis=1), states[-1]

    def inputs(self, x: Array, time: int, outputs: Sequence[Array]) -> Array:  # noqa: ARG002
        """Return the inputs (B, D) of a step."""
        result: Array = x[:, time]
        return result

    def before(self, states: Sequence[States]) -> States:
        """Return the states that a step starts from, of all before it; the first are the initial ones."""
        return states[-1]

    def step(self, half: Half, x: Array, before: States, number: int) -> States:  # noqa: ARG002
        """Return the states after a step."""
        return step_of(half, x, before)

    def kept(self, mask: Array, number: int) -> Array:
        """Return where a step counts for the states, (B, 1); the mask is in processing order."""
        used: Array = mask[:, number, None]
        return used

    def after(self, used: Array, new: States, old: States) -> States:
        """Return the states after a step under a mask."""
        return {name: np.where(used, new[name], old[name]) for name in new}


@dataclass(frozen=True)
class Port:
    """An implementation of every layer; what its functions do by default is nothing.

    `between` gets the inputs and the output of a layer of a stack and returns what the next one gets.
    `first` gets the initial states, or those at the end of the call before, and returns those of a call.
    """

    loop: Loop = field(default_factory=Loop)
    halves: str | frozenset[str] = EVERY
    between: Callable[[Array, Array], Array] = lambda x, y: y
    backward: Callable[[Array, Array], Array] = lambda y, mask: y[:, ::-1]
    merge: Callable[[str | None, Sequence[Array]], list[Array]] | None = None
    first: Callable[[States, int], States] = lambda states, call: states

    def __call__(self, problem: Problem) -> list[Array]:
        """Return the outputs of a problem in Keras' order."""
        arrays = Arrays(problem)
        mask = np.ones(problem.inputs.shape[:2], bool) if problem.mask is None else problem.mask
        inside = [arrays.half(half, AS_KERAS) for _, half in halves(problem.layer)]
        states = [arrays.first_states(half.layer) for half in inside]
        calls, start = [], 0
        with np.errstate(all="ignore"):
            for number, steps in enumerate(problem.steps):
                times = slice(start, start + steps)
                first = [self.first(each, number) for each in states]
                run = _Call(self, inside, first, mask[:, times], problem.layer)
                calls.append(run.layer(problem.layer, problem.inputs.data[:, times]))
                states, start = run.last, start + steps
        if not problem.layer.return_sequences:
            return calls[-1]
        outputs = zip(*calls, strict=True)
        return [np.concatenate(y, axis=1) if y[0].ndim == 3 else y[-1] for y in outputs]


@dataclass
class _Call:
    """One call of a layer."""

    port: Port
    halves: list[Half]
    first: list[States]
    mask: Array
    whole: Layer

    def __post_init__(self) -> None:
        self.last: list[States] = []

    def layer(self, layer: Layer, x: Array) -> list[Array]:
        """Return the outputs of a layer."""
        if isinstance(layer, Stack):
            outputs = [x]
            for index, inner in enumerate(layer.layers):
                x = outputs[0] if index == 0 else self.port.between(x, outputs[0])
                outputs = self.layer(inner, x)
            return outputs
        if isinstance(layer, Recurrent):
            output, states = self._half(layer, x, layer.zero_output_for_mask)
            return [output, *(states if layer.return_state else [])]
        y, states = self._half(layer.forward, x, True)
        y_rev, states_rev = self._half(layer.backward, x, True)
        if layer.return_sequences:
            y_rev = self.port.backward(y_rev, self.mask)
        merge = self.port.merge or merged
        outputs = merge(layer.merge_mode, [y, y_rev])
        return [*outputs, *(states + states_rev if layer.return_state else [])]

    def _half(self, layer: Recurrent, x: Array, zeros: bool) -> tuple[Array, list[Array]]:
        index = len(self.last)
        (prefix, _), is_last = halves(self.whole)[index], index == len(self.halves) - 1
        names = {EVERY, prefix, *([LAST] if is_last else [])}
        chosen = self.port.halves
        wrong = bool(names & ({chosen} if isinstance(chosen, str) else chosen))
        loop = self.port.loop if wrong else Loop()
        zeros = zeros and layer.return_sequences
        output, states = loop.run(self.halves[index], x, self.mask, self.first[index], zeros)
        self.last.append(states)
        return output if layer.return_sequences else output[:, -1], list(states.values())


def merged(mode: str | None, sequences: Sequence[Array]) -> list[Array]:
    """Return the outputs of two halves as Keras merges them."""
    if mode == "concat":
        return [np.concatenate(sequences, axis=-1)]
    if mode is None:
        return list(sequences)
    forward, backward = sequences
    values = {"sum": forward + backward, "mul": forward * backward}
    return [values.get(mode, (forward + backward) / np.float32(2))]


def returning(layer: Layer, *, sequences: bool) -> Layer:
    """Return a layer that returns sequences, or its last output only."""
    match layer:
        case Recurrent():
            return replace(layer, return_sequences=sequences)
        case Bidirectional():
            forward, backward = (
                replace(half, return_sequences=sequences) for _, half in halves(layer)
            )
            return replace(layer, forward=forward, backward=backward)
        case Stack():
            last = returning(layer.layers[-1], sequences=sequences)
            return replace(layer, layers=(*layer.layers[:-1], last))
