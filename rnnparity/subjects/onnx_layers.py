"""Keras' layers as ONNX' operators RNN, LSTM and GRU, and their weights in the layout of these.

The operators take (T, B, D) and keep an axis for their one or two directions:
https://onnx.ai/onnx/operators/onnx__LSTM.html, onnx__GRU.html, onnx__RNN.html. All numbers are
inputs of the model, so that one model serves every problem of its structure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnparity.problem.answer import Unsupported
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.layers import Bidirectional, Recurrent
from rnnparity.subjects.onnx_graph import TYPES, Graph, Steps

# Each with its prefix: "0/", "1/" in a stack, else "".
Layers = Sequence[tuple[str, Recurrent | Bidirectional]]
OPERATORS = {"SimpleRNN": "RNN", "LSTM": "LSTM", "GRU": "GRU"}
# Keras' word -> ONNX' function, its alpha, its beta.
ACTIVATIONS: dict[str, tuple[str, list[float], list[float]]] = {
    "tanh": ("Tanh", [], []),
    "sigmoid": ("Sigmoid", [], []),
    "relu": ("Relu", [], []),
    "linear": ("Affine", [1.0], [0.0]),
    "hard_sigmoid": ("HardSigmoid", [1 / 6], [0.5]),
    "hard_sigmoid_keras2": ("HardSigmoid", [0.2], [0.5]),
    "elu": ("Elu", [1.0], []),
    "softsign": ("Softsign", [], []),
    "softplus": ("Softplus", [], []),
}


@dataclass(frozen=True)
class Direction:
    """A half as one direction of an operator, with the names of its weights' prefix and of its
    states."""

    half: Recurrent
    prefix: str
    states: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """A serialized model. It takes `inputs` (name -> type) and gives outputs, then all last states:
    their names."""

    code: bytes
    inputs: Mapping[str, str]
    states: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where a layer stands: its prefix ("0/" in a stack), the mask if any, and whether its states
    are inputs."""

    prefix: str
    steps: Steps | None
    started: bool


def model_of(layers: Layers, dtype: str, masked: bool, started: Sequence[bool]) -> Model:
    """A model of layers that feed each other, over x (B, T, D) of `dtype` and a mask (B, T) if
    `masked`.

    `started` says of each layer whether its states are inputs, under Keras' names.

    Raises:
        Unsupported: an activation that the operators have not.
    """
    graph = Graph()
    x = graph.input("x", dtype, 3)
    steps = Steps(graph, graph.input("mask", "bool", 2)) if masked else None
    ends: list[tuple[str, str, int]] = []
    states: list[str] = []
    for (prefix, layer), begun in zip(layers, started, strict=True):
        outputs, last = add_layer(graph, layer, Place(prefix, steps, begun), x, dtype)
        directions = [own for each in operators_of(layer, prefix) for own in each]
        states += [name for own in directions for name in own.states]
        kinds = [own.half.compute_dtype for own in directions for _ in own.states]
        ends += [(end, kind, 2) for end, kind in zip(last, kinds, strict=True)]
        x, dtype = outputs[0], layer.compute_dtype
    rank = 3 if layers[-1][1].return_sequences else 2
    code = graph.model([*((output, dtype, rank) for output in outputs), *ends])
    return Model(code, graph.inputs, tuple(states))


def packed_weights(layers: Layers, weights: Mapping[str, Array]) -> dict[str, Array]:
    """The weights of all layers under the names of the model's inputs, from Keras' arrays under
    Keras' names."""
    return {
        directions[0].prefix + name: array
        for prefix, layer in layers
        for directions in operators_of(layer, prefix)
        for name, array in packed(directions, weights).items()
    }


def operators_of(layer: Recurrent | Bidirectional, prefix: str) -> list[tuple[Direction, ...]]:
    """The directions of each operator: halves that are too different for one are operators of their
    own."""
    if isinstance(layer, Recurrent):
        return [(Direction(layer, prefix, tuple(prefix + state for state in layer.states)),)]
    both = [
        Direction(
            half, f"{prefix}{side}/", tuple(f"{prefix}{side}_{state}" for state in half.states)
        )
        for side, half in (("forward", layer.forward), ("backward", layer.backward))
    ]
    return (
        [tuple(both)]
        if _shared(layer.forward) == _shared(layer.backward)
        else [(own,) for own in both]
    )


def _shared(half: Recurrent) -> tuple[Any, ...]:
    """What an operator has once for both of its directions."""
    return half.class_name, half.units, half.use_bias, half.reset_after, half.compute_dtype


def packed(directions: Sequence[Direction], weights: Mapping[str, Array]) -> dict[str, Array]:
    """An operator's weights: W (directions, G*H, D), R (directions, G*H, H), B (directions, 2*G*H)
    if it has a bias."""
    blocks: dict[str, list[Array]] = {}
    for own in directions:
        W, U = (
            _gates(own.half, weights[own.prefix + name]) for name in ("kernel", "recurrent_kernel")
        )
        named = {"W": W.T, "R": U.T}
        if own.half.use_bias:
            rows = np.atleast_2d(_gates(own.half, weights[f"{own.prefix}bias"]))
            named["B"] = np.concatenate(
                [rows[0], rows[1] if len(rows) > 1 else np.zeros_like(rows[0])]
            )
        for name, block in named.items():
            blocks.setdefault(name, []).append(FLOAT_TYPES[own.half.compute_dtype].round(block))
    return {name: np.stack(each) for name, each in blocks.items()}


def _gates(half: Recurrent, array: Array) -> Array:
    """Blocks along the last axis in ONNX' order: the LSTM's i, o, f, c; the GRU's z, r, h are
    Keras' own."""
    if half.class_name != "LSTM":
        return array
    i, f, c, o = np.split(array, 4, axis=-1)
    return np.concatenate([i, o, f, c], axis=-1)


def attributes(directions: Sequence[Direction]) -> dict[str, Any]:
    """An operator's attributes. Functions without a parameter take none of the lists of alpha and
    beta.

    Raises:
        Unsupported: an activation that the operators have not.
    """
    half = directions[0].half
    words: list[str] = []
    for own in directions:
        gates = [] if not half.cell.gated else [own.half.recurrent_activation]
        words += [
            *gates,
            own.half.activation,
            *([own.half.activation] if half.class_name == "LSTM" else []),
        ]
    for word in words:
        if word not in ACTIVATIONS:
            raise Unsupported(f"ONNX' recurrent operators have no {word}")
    alpha = [value for word in words for value in ACTIVATIONS[word][1]]
    beta = [value for word in words for value in ACTIVATIONS[word][2]]
    one_way = "reverse" if half.go_backwards else "forward"
    return {
        "hidden_size": half.units,
        "direction": "bidirectional" if len(directions) == 2 else one_way,
        "activations": [ACTIVATIONS[word][0] for word in words],
        **({"activation_alpha": alpha} if alpha else {}),
        **({"activation_beta": beta} if beta else {}),
        **({"linear_before_reset": int(half.reset_after)} if half.class_name == "GRU" else {}),
    }


def add_layer(
    graph: Graph, layer: Recurrent | Bidirectional, place: Place, x: str, dtype: str
) -> tuple[list[str], list[str]]:
    """A layer over x (B, T, D) of `dtype`: its outputs without states, and its last states (B, H)
    in Keras' order.

    Raises:
        Unsupported: an activation that the operators have not.
    """
    x = graph.cast(x, dtype, layer.compute_dtype)
    outputs, states = [], []
    for directions in operators_of(layer, place.prefix):
        kind = directions[0].half.compute_dtype
        given = graph.cast(x, layer.compute_dtype, kind)
        for output, ends in _operator(graph, directions, place, given):
            outputs.append(graph.cast(output, kind, layer.compute_dtype))
            states += ends
    if isinstance(layer, Bidirectional):
        outputs = _merged(graph, layer, *outputs)
    elif layer.go_backwards and layer.return_sequences:  # in processing order
        outputs = [graph.turned(outputs[0])]
    return outputs, states


def _operator(
    graph: Graph, directions: Sequence[Direction], place: Place, x: str
) -> list[tuple[str, list[str]]]:
    """RNN, LSTM or GRU over x (B, T, D): for each direction its output, (B, T, H) or (B, H), and
    its last states."""
    half, steps = directions[0].half, place.steps
    kind, prefix = half.compute_dtype, directions[0].prefix
    B = graph.input(f"{prefix}B", kind, 2) if half.use_bias else ""
    starts = [
        [graph.input(name, kind, 2) for name in own.states] if place.started else []
        for own in directions
    ]
    zero_axis = graph.axis(0)
    stacked = [
        graph.one("Concat", *[graph.one("Unsqueeze", start, zero_axis) for start in pair], axis=0)
        for pair in zip(*starts, strict=True)
    ]
    Y, *ends = graph.several(
        OPERATORS[half.class_name],
        graph.one("Transpose", x if steps is None else steps.gathered(x), perm=[1, 0, 2]),
        *[graph.input(f"{prefix}W", kind, 3), graph.input(f"{prefix}R", kind, 3), B],
        *["" if steps is None else steps.lengths, *stacked],
        outputs=1 + len(half.states),
        **attributes(directions),
    )
    answers = []
    for n, own in enumerate(directions):
        index = graph.one("Constant", value_int=n)
        y = graph.one("Transpose", graph.one("Gather", Y, index, axis=1), perm=[1, 0, 2])
        last = [graph.one("Gather", end, index, axis=0) for end in ends]
        answers.append(_as_keras(graph, own.half, steps, y, last, starts[n]))
    return answers


def _as_keras(
    graph: Graph, half: Recurrent, steps: Steps | None, y: str, last: list[str], starts: list[str]
) -> tuple[str, list[str]]:
    """What Keras makes of a direction's outputs (B, T, H), in the order of the inputs, and its last
    states (B, H)."""
    if steps is None:
        return y if half.return_sequences else last[0], last
    zero = graph.scalar(0, TYPES[half.compute_dtype])
    ends = [steps.last(end, starts[n] if starts else zero) for n, end in enumerate(last)]
    if half.return_sequences:
        return steps.scattered(y, half.go_backwards, half.zero_output_for_mask, zero), ends
    return steps.last(last[0], zero), ends


def _merged(graph: Graph, layer: Bidirectional, y: str, y_rev: str) -> list[str]:
    if layer.merge_mode is None:
        return [y, y_rev]
    if layer.merge_mode == "concat":
        return [graph.one("Concat", y, y_rev, axis=-1)]
    if layer.merge_mode == "mul":
        return [graph.one("Mul", y, y_rev)]
    total = graph.one("Add", y, y_rev)
    if layer.merge_mode == "sum":
        return [total]
    return [graph.one("Mul", total, graph.scalar(0.5, TYPES[layer.compute_dtype]))]
