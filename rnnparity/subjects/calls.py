"""Split a problem into the calls of its layer, pass states on, and join the outputs again.

A stateful run splits axis T into several calls; any other problem is one call. Sequences are joined
along axis T; what a call returns once (its last output, its states) is that of the last call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.layers import Bidirectional, Recurrent, Stack
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.subjects.user_arrays import numbered_names

State = TypeVar("State")
# The states of one layer, in Keras' order; None where the layer starts from zeros.
LayerStates: TypeAlias = list[Array] | None


@dataclass(frozen=True)
class Call:
    """The arguments of one call: inputs (B, t, D), mask (B, t) or None, states (B, H) or None.

    Only the first call has the problem's initial states: a stateful layer keeps them itself.
    """

    inputs: Array
    mask: Array | None
    initial_state: tuple[Array, ...] | None


def calls_of(problem: Problem) -> list[Call]:
    """Return the calls that a problem consists of."""
    calls: list[Call] = []
    start = 0
    states = None
    if problem.initial_state is not None:
        states = tuple(tensor.data for tensor in problem.initial_state)
    for steps in problem.steps:
        span = slice(start, start + steps)
        mask = None if problem.mask is None else problem.mask[:, span]
        calls.append(Call(problem.inputs.data[:, span], mask, states))
        states = None
        start += steps
    return calls


def layers_of(problem: Problem) -> list[tuple[str, Recurrent | Bidirectional]]:
    """Return the layers that feed each other, with the prefix of their tensors: "0/" or ""."""
    if not isinstance(problem.layer, Stack):
        return [("", problem.layer)]
    return [(f"{index}/", layer) for index, layer in enumerate(problem.layer.layers)]


def run_calls(
    problem: Problem,
    states: Sequence[LayerStates],
    run: Callable[[Call, Sequence[LayerStates]], tuple[list[Tensor], list[list[Array]]]],
) -> tuple[Tensor, ...]:
    """Return the joined outputs of a framework that takes states and returns them.

    `states` are those before the first call, layer by layer. `run` returns the outputs of one call
    and the last states of each layer; only those of stateful layers start the next call.
    """
    layers = [layer for _, layer in layers_of(problem)]
    outputs = []
    for call in calls_of(problem):
        tensors, last = run(call, states)
        outputs.append(tensors)
        states = [end if layer.stateful else None for layer, end in zip(layers, last, strict=True)]
    return join_outputs(problem, outputs)


def initial_states(problem: Problem) -> list[LayerStates]:
    """Return the problem's initial states layer by layer, rounded to the type of each layer."""
    if problem.initial_state is None:
        return [None for _ in layers_of(problem)]
    states = [tensor.data for tensor in problem.initial_state]
    pairs = zip(layers_of(problem), split_states(problem, states), strict=True)
    return [
        [FLOAT_TYPES[layer.compute_dtype].round(state) for state in start]
        for (_, layer), start in pairs
    ]


def split_states(problem: Problem, states: Sequence[State]) -> list[list[State]]:
    """Return the states of all layers, which are given in Keras' order, layer by layer."""
    by_layer = []
    start = 0
    for _, layer in layers_of(problem):
        end = start + len(layer.states)
        by_layer.append(list(states[start:end]))
        start = end
    return by_layer


def join_outputs(problem: Problem, calls: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
    """Return the outputs of all calls under the names of the problem.

    The names of `calls` are not read: each call has its outputs in Keras' order.

    Raises:
        ValueError: the calls have different numbers of outputs.
    """
    slots = [slot.name for slot in problem.output_slots()]
    outputs = []
    names = numbered_names(slots, len(calls[-1]))
    for name, parts in zip(names, zip(*calls, strict=True), strict=True):
        data = parts[-1].data
        if len(parts) > 1 and problem.layer.return_sequences and name.endswith("output"):
            data = np.concatenate([part.data for part in parts], axis=1)
        outputs.append(Tensor(name, data))
    return tuple(outputs)
