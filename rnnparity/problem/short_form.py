"""The short form of a problem: nested lists, and the layer as a call of its class (docs/format.md).

It is for numbers that somebody has typed or copied; programs write the format `rnnparity/1`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.errors import FormatError
from rnnparity.problem.layer_text import parse_layer_text
from rnnparity.problem.layers import describe_layer, halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import Slot, output_slots, state_slots, weight_slots
from rnnparity.problem.text import did_you_mean

# Without a format, these show that the short form is meant.
_PARTS = ("weights", "inputs", "outputs")
KEYS = ("layer", "weights", "inputs", "mask", "initial_state", "outputs", "id")


def is_short(fields: object) -> bool:
    """Return whether a JSON value is in the short form: its layer is a text, or left out."""
    if not isinstance(fields, Mapping):
        return False
    is_headless = not {"layer", "format"} & fields.keys() and any(key in fields for key in _PARTS)
    return is_headless or isinstance(fields.get("layer"), str)


def parse_short(fields: Mapping[str, object], where: str) -> Problem:
    """Return the problem in a JSON object of the short form; `where` is the file in messages.

    Raises:
        FormatError: a part is missing or has another shape; the message shows what to write.
    """
    try:
        return _parse(fields)
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None


def _parse(fields: Mapping[str, object]) -> Problem:
    for key in fields:
        if key not in KEYS:
            raise FormatError(f"unknown key {key!r:.40}{did_you_mean(key, KEYS)}")
    if "layer" not in fields:
        example = '"layer": "LSTM(4, return_sequences=True)"'
        raise FormatError(f"layer: missing; write it as in Keras: {example}")
    layer = parse_layer_text(cast("str", fields["layer"]))
    dtype = "float64" if any(h.dtype == "float64" for _, h in halves(layer)) else "float32"
    inputs = _inputs(fields.get("inputs"))
    batch, steps, features = inputs.shape
    weights = weight_slots(layer, features)
    if "weights" not in fields:
        what = f"{describe_layer(layer)} with D={features}"
        raise FormatError(f"weights: missing; {what} has {_shapes(weights)}: {_example(weights)}")
    states, outputs, mask = (fields.get(key) for key in ("initial_state", "outputs", "mask"))
    state_tensors = None
    if states is not None:
        state_tensors = _tensors(states, state_slots(layer, batch), "initial_state", dtype)
    output_tensors = None
    if outputs is not None:
        output_tensors = outputs_of(outputs, output_slots(layer, batch, steps))
    return Problem(
        layer,
        _tensors(fields["weights"], weights, "weights", dtype),
        Tensor.of("inputs", inputs, dtype),
        None if mask is None else array_of(mask, "mask").astype(bool),
        state_tensors,
        outputs=output_tensors,
        id=str(fields.get("id", "problem")),
    )


def _inputs(value: object) -> Array:
    hint = 'write "inputs": [[[0.1, 0.2], [0.3, 0.4]]], with the axes B, T, D'
    if value is None:
        raise FormatError(f"inputs: missing; {hint}")
    inputs = array_of(value, "inputs")
    if inputs.ndim != 3:
        raise FormatError(f"inputs: got shape {inputs.shape}; {hint}")
    return inputs


def array_of(value: object, where: str) -> Array:
    """Return nested lists of numbers as an array of float64.

    Raises:
        FormatError: the lists have different lengths, or hold anything but numbers.
    """
    try:
        array = np.asarray(value, np.float64)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise FormatError(f"{where}: expected nested lists of numbers of equal lengths") from None
    return array


def _tensors(value: object, slots: Sequence[Slot], where: str, dtype: str) -> tuple[Tensor, ...]:
    """Return arrays by name or in Keras' order as the tensors of a layer."""
    names = [slot.name for slot in slots]
    if isinstance(value, Mapping):
        missing = [slot for slot in slots if slot.name not in value]
        if missing or len(value) > len(slots):
            raise FormatError(f"{where}: got {', '.join(value)}; expected {_shapes(slots)}")
        arrays = [value[name] for name in names]
    elif isinstance(value, list) and len(value) == len(slots):
        arrays = value
    elif len(slots) == 1:
        arrays = [value]
    else:
        count = len(value) if isinstance(value, list) else 1
        shapes = _shapes(slots)
        raise FormatError(f"{where}: got {count} arrays; expected {shapes}: {_example(slots)}")
    return tuple(
        Tensor.of(name, array_of(array, f"{where}: {name}"), dtype)
        for name, array in zip(names, arrays, strict=True)
    )


def outputs_of(value: object, slots: Sequence[Slot]) -> tuple[Tensor, ...]:
    """Return arrays or nested lists, by name or in Keras' order, as the outputs in these slots.

    Their number and shapes are kept: what is wrong with these is for a verdict to state.

    Raises:
        FormatError: they hold anything but numbers.
    """
    if isinstance(value, Mapping):
        named = list(value.items())
    elif len(slots) == 1:
        named = [(slots[0].name, value)]
    else:
        several = isinstance(value, list) and _depth(value) > len(slots[0].shape)
        arrays: list[object] = value if isinstance(value, list) and several else [value]
        names = [slot.name for slot in slots[: len(arrays)]]
        names += [f"extra_{index}" for index in range(len(arrays) - len(names))]
        named = list(zip(names, arrays, strict=True))
    return tuple(_output(str(name), value, slots[0].dtype) for name, value in named)


def _depth(value: object) -> int:
    """Return how many levels of lists there are."""
    depth = 0
    while isinstance(value, list) and value:
        value, depth = value[0], depth + 1
    return depth + (value.ndim if isinstance(value, np.ndarray) else 0)


def _output(name: str, value: object, dtype: str) -> Tensor:
    if isinstance(value, np.ndarray) and value.dtype.name in FLOAT_TYPES:
        return Tensor(name, value)
    return Tensor.of(name, array_of(value, f"outputs: {name}"), dtype)


def _shapes(slots: Sequence[Slot]) -> str:
    return ", ".join(f"{slot.name} {slot.shape}" for slot in slots)


def _example(slots: Sequence[Slot]) -> str:
    """Return how the arrays of slots are written as nested lists."""
    arrays = ["[" * len(slot.shape) + "..." + "]" * len(slot.shape) for slot in slots]
    return f"write them in this order as nested lists: [{', '.join(arrays)}]"
