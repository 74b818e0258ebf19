"""Smaller problems made of a problem: what can be left out of its layer, its numbers, its inputs.

The numbers of a smaller problem are some of the larger one's, but it computes another function:
whether a subject fails on it too must be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from rnnparity.problem.errors import FormatError
from rnnparity.problem.keras_config import layer_spec, parse_layer
from rnnparity.problem.layers import (
    Bidirectional,
    Layer,
    Recurrent,
    Stack,
    halves,
    with_return_state,
)
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import dropout_slots, state_slots, weight_slots

# Options of a half that may be left out, and their plain values.
PLAIN: Mapping[str, Any] = {
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "use_bias": False,
    "go_backwards": False,
    "zero_output_for_mask": False,
    "return_state": False,
    "return_sequences": False,
}
EVERYTHING = slice(None)


def reductions(problem: Problem) -> Iterator[Problem]:
    """Yield smaller problems, those that leave out most first."""
    for prefix, layer in _parts(problem.layer):
        yield from _reduced(problem, layer, prefix)
    yield from _without_options(problem)
    batch, steps, features = problem.inputs.shape
    for rows in _halved(batch):
        yield from _reduced(problem, problem.layer, rows=rows)
    for kept in _halved(steps):
        yield from _reduced(problem, problem.layer, steps=kept)
    for layer in _narrower(problem.layer):
        yield from _reduced(problem, layer)
    for fewer in _fewer(features):
        yield from _reduced(problem, problem.layer, features=fewer)
    for option, value in PLAIN.items():
        plain = _with_halves(problem.layer, _setting(option, value))
        if plain != problem.layer:
            yield from _reduced(problem, plain)


def _without_options(problem: Problem) -> Iterator[Problem]:
    if problem.mask is not None:
        yield replace(problem, mask=None)
    if problem.initial_state is not None:
        yield replace(problem, initial_state=None)
    if problem.dropout_masks is not None:
        yield replace(problem, dropout_masks=None)


def _fewer(size: int) -> list[int]:
    """Return smaller sizes of an axis."""
    return sorted({size // 2, size - 1} - {0})


def _halved(size: int) -> Iterator[slice]:
    """Yield smaller parts of an axis, from its start and from its end."""
    for fewer in _fewer(size):
        yield slice(0, fewer)
        yield slice(size - fewer, size)


def _parts(layer: Layer) -> Iterator[tuple[str, Layer]]:
    """Yield each layer of a stack, or each half of a Bidirectional, with its prefix."""
    if isinstance(layer, Stack):
        for index, inner in enumerate(layer.layers):
            yield f"{index}/", with_return_state(inner, layer.return_state)
    if isinstance(layer, Bidirectional):
        yield from halves(layer)


def _setting(option: str, value: Any) -> Callable[[Recurrent], Recurrent]:
    return lambda half: replace(half, **{option: value})


def _at_most(units: int) -> Callable[[Recurrent], Recurrent]:
    return lambda half: replace(half, units=min(half.units, units))


def _narrower(layer: Layer) -> Iterator[Layer]:
    for units in _fewer(max(half.units for _, half in halves(layer))):
        yield _with_halves(layer, _at_most(units))


def _with_halves(layer: Layer, change: Callable[[Recurrent], Recurrent]) -> Layer:
    """Return a layer with a change in each of its halves."""
    if isinstance(layer, Recurrent):
        return change(layer)
    if isinstance(layer, Bidirectional):
        return replace(layer, forward=change(layer.forward), backward=change(layer.backward))
    return Stack(tuple(_with_halves(inner, change) for inner in layer.layers))  # type: ignore[misc]


def _reduced(
    problem: Problem,
    layer: Layer,
    prefix: str = "",
    *,
    rows: slice = EVERYTHING,
    steps: slice = EVERYTHING,
    features: int | None = None,
) -> Iterator[Problem]:
    """Yield the problem of a smaller layer, whose arrays have a prefix in the whole, if it is one."""
    weights = {tensor.name.removeprefix(prefix): tensor for tensor in problem.weights}
    first_kernel = weights[weight_slots(layer, 1)[0].name]
    inputs = problem.inputs.data[rows, steps]
    width = min(features or inputs.shape[2], len(first_kernel.data))
    states = None if problem.initial_state is None else _states(problem, layer, prefix, rows)
    try:
        # A combination of options that Keras does not have is refused here.
        layer = parse_layer(layer_spec(layer))
        yield replace(
            problem,
            layer=layer,
            weights=_weights(layer, width, weights),
            inputs=Tensor("inputs", inputs[..., :width]),
            mask=None if problem.mask is None else problem.mask[rows, steps],
            initial_state=states,
            dropout_masks=_dropout_masks(problem, layer, prefix, rows, width),
        )
    except FormatError:
        return


def _weights(layer: Layer, features: int, weights: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """Return the first rows and units of the weights of a larger layer."""
    parts = dict(halves(layer))
    cropped = []
    for slot in weight_slots(layer, features):
        prefix, slash, _ = slot.name.rpartition("/")
        gates = len(parts[prefix + slash].cell.gates)
        data = weights[slot.name].data
        units = (slot.shape[-1] or 0) // gates
        blocks = data.reshape(*data.shape[:-1], gates, -1)[..., :units]
        data = blocks.reshape(*data.shape[:-1], -1)
        cropped.append(Tensor(slot.name, data[tuple(slice(size) for size in slot.shape)]))
    return tuple(cropped)


def _dropout_masks(
    problem: Problem, layer: Layer, prefix: str, rows: slice, features: int
) -> tuple[Tensor, ...] | None:
    """Return the first columns of the dropout masks of a part, in some rows."""
    whole = {tensor.name: tensor.data[:, rows] for tensor in problem.dropout_masks or ()}
    masks = [
        Tensor(slot.name, whole[prefix + slot.name][..., : slot.shape[-1]])
        for slot in dropout_slots(layer, problem.inputs.shape[0], features)
        if prefix + slot.name in whole
    ]
    return tuple(masks) or None


def _states(problem: Problem, layer: Layer, prefix: str, rows: slice) -> tuple[Tensor, ...]:
    """Return the first units of the initial states of a part, in some rows."""
    whole = {tensor.name: tensor.data[rows] for tensor in problem.initial_state or ()}
    if isinstance(problem.layer, Bidirectional):
        prefix = prefix.replace("/", "_")
    slots = state_slots(layer, None)
    return tuple(Tensor(s.name, whole[prefix + s.name][:, : s.shape[1]]) for s in slots)
