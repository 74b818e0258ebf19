"""The lower layers of a stack and its last layer, as problems of their own."""

from __future__ import annotations

from dataclasses import replace

from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack, halves
from rnnparity.problem.problem import Problem, Tensor


def lower_problem(problem: Problem, below: tuple[Recurrent | Bidirectional, ...]) -> Problem:
    """Return the problem of the first layers of a stack."""
    prefixes = tuple(f"{index}/" for index in range(len(below)))
    weights = tuple(tensor for tensor in problem.weights if tensor.name.startswith(prefixes))
    states = problem.initial_state
    if states is not None:
        states = tuple(tensor for tensor in states if tensor.name.startswith(prefixes))
    return replace(
        problem,
        layer=Stack(below),
        weights=weights,
        initial_state=states,
        calls=problem.calls if any(layer.stateful for layer in below) else None,
        outputs=None,
        case=None,
    )


def last_problem(problem: Problem, inputs: Array) -> Problem:
    """Return the problem of the last layer of a stack, with these inputs (B, T, D)."""
    assert isinstance(problem.layer, Stack)  # noqa: S101 - the caller has asked
    prefix = f"{len(problem.layer.layers) - 1}/"
    states = problem.initial_state
    return Problem(
        problem.layer.layers[-1],
        _without_prefix(problem.weights, prefix),
        Tensor.of("inputs", inputs, problem.inputs.dtype),
        problem.mask,
        None if states is None else _without_prefix(states, prefix),
        calls=problem.calls,
        id=problem.id,
    )


def _without_prefix(tensors: tuple[Tensor, ...], prefix: str) -> tuple[Tensor, ...]:
    return tuple(
        Tensor.of(tensor.name.removeprefix(prefix), tensor.data, tensor.dtype)
        for tensor in tensors
        if tensor.name.startswith(prefix)
    )


def with_outputs_of(layer: Layer, *, sequences: bool) -> Layer:
    """Return a layer that returns its sequence, or its last output only, and no states."""
    if isinstance(layer, Recurrent):
        return replace(layer, return_sequences=sequences, return_state=False)
    if isinstance(layer, Stack):
        *below, last = layer.layers
        changed = with_outputs_of(last, sequences=sequences)
        assert not isinstance(changed, Stack)  # noqa: S101 - a stack holds none
        return replace(layer, layers=(*below, changed))
    forward, backward = (
        replace(half, return_sequences=sequences, return_state=False) for _, half in halves(layer)
    )
    return replace(layer, forward=forward, backward=backward)
