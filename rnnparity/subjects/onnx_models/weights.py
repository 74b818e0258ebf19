"""Which operators a layer becomes, and their weights in ONNX' layout.

The operators take (T, B, D) and have an axis for their one or two directions:
https://onnx.ai/onnx/operators/onnx__LSTM.html, onnx__GRU.html, onnx__RNN.html.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.layers import Bidirectional, Recurrent

# Layers that feed each other, each with its prefix: "0/", "1/" in a stack, else "".
Layers = Sequence[tuple[str, Recurrent | Bidirectional]]


@dataclass(frozen=True)
class Direction:
    """A half as one direction of an operator: the prefix of its weights, the names of its states."""

    half: Recurrent
    prefix: str
    states: tuple[str, ...]


def operators_of(layer: Recurrent | Bidirectional, prefix: str) -> list[tuple[Direction, ...]]:
    """Return the directions of each operator; halves that differ too much are two operators."""
    if isinstance(layer, Recurrent):
        return [(Direction(layer, prefix, tuple(prefix + state for state in layer.states)),)]
    forward = _direction(layer.forward, prefix, "forward")
    backward = _direction(layer.backward, prefix, "backward")
    if _shared_options(layer.forward) == _shared_options(layer.backward):
        return [(forward, backward)]
    return [(forward,), (backward,)]


def _direction(half: Recurrent, prefix: str, side: str) -> Direction:
    states = tuple(f"{prefix}{side}_{state}" for state in half.states)
    return Direction(half, f"{prefix}{side}/", states)


def _shared_options(half: Recurrent) -> tuple[object, ...]:
    """Return what both directions of an operator have in common."""
    return half.class_name, half.units, half.use_bias, half.reset_after, half.compute_dtype


def packed_weights(layers: Layers, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Return the weights of all layers by the inputs of the model; `weights` are Keras'."""
    inputs = {}
    for prefix, layer in layers:
        for directions in operators_of(layer, prefix):
            for name, array in packed(directions, weights).items():
                inputs[directions[0].prefix + name] = array
    return inputs


def packed(directions: Sequence[Direction], weights: Mapping[str, Array]) -> dict[str, Array]:
    """Return an operator's weights, N directions.

    W is (N, G*H, D), R is (N, G*H, H), and B, where there is a bias, is (N, 2*G*H).
    """
    blocks: dict[str, list[Array]] = {}
    for direction in directions:
        float_type = FLOAT_TYPES[direction.half.compute_dtype]
        for name, block in _direction_weights(direction, weights).items():
            blocks.setdefault(name, []).append(float_type.round(block))
    return {name: np.stack(arrays) for name, arrays in blocks.items()}


def _direction_weights(direction: Direction, weights: Mapping[str, Array]) -> dict[str, Array]:
    half, prefix = direction.half, direction.prefix
    arrays = {
        "W": _gates(half, weights[f"{prefix}kernel"]).T,
        "R": _gates(half, weights[f"{prefix}recurrent_kernel"]).T,
    }
    if half.use_bias:
        rows = np.atleast_2d(_gates(half, weights[f"{prefix}bias"]))
        second = rows[1] if len(rows) > 1 else np.zeros_like(rows[0])
        arrays["B"] = np.concatenate([rows[0], second])
    return arrays


def unpacked(half: Recurrent, arrays: Mapping[str, Array]) -> list[Array]:
    """Return a half's weights in Keras' order and layout, from those of one direction of an operator.

    `arrays` are W (G*H, D), R (G*H, H) and, where there is a bias, B (2*G*H,). Where Keras has one
    row of biases it is the sum of ONNX' two.
    """
    weights = [_keras_gates(half, arrays[name].T) for name in ("W", "R")]
    if half.use_bias:
        rows = _keras_gates(half, arrays["B"].astype(np.float64).reshape(2, -1))
        weights.append(rows if half.bias_rows == 2 else rows.sum(axis=0))
    return weights


def _gates(half: Recurrent, array: Array) -> Array:
    """Return blocks along the last axis in ONNX' order: the LSTM's are i, o, f, c."""
    if half.class_name != "LSTM":
        return array
    i, f, c, o = np.split(array, 4, axis=-1)
    return np.concatenate([i, o, f, c], axis=-1)


def _keras_gates(half: Recurrent, array: Array) -> Array:
    """Return blocks along the last axis, which are in ONNX' order, in Keras' order."""
    if half.class_name != "LSTM":
        return array
    i, o, f, c = np.split(array, 4, axis=-1)
    return np.concatenate([i, f, c, o], axis=-1)
