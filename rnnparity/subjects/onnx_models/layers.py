"""Keras' layers as ONNX' operators RNN, LSTM and GRU.

All numbers are inputs of the model, so that one model serves every problem of its structure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from rnnparity.problem.answer import Unsupported
from rnnparity.problem.layers import Bidirectional, Recurrent
from rnnparity.subjects.onnx_models.graph import TYPES, Graph
from rnnparity.subjects.onnx_models.masks import Mask
from rnnparity.subjects.onnx_models.operators import ACTIVATIONS, OPERATORS
from rnnparity.subjects.onnx_models.weights import Direction, Layers, operators_of


@dataclass(frozen=True)
class Model:
    """A serialized model with `inputs` (name -> type); `states` are the last of its outputs."""

    code: bytes
    inputs: Mapping[str, str]
    states: tuple[str, ...]


@dataclass(frozen=True)
class Context:
    """What surrounds a layer: its prefix ("0/" in a stack), the mask, whether states are inputs."""

    prefix: str
    mask: Mask | None
    has_states: bool


def model_of(layers: Layers, dtype: str, has_mask: bool, has_states: Sequence[bool]) -> Model:
    """Return a model of layers that feed each other, over x (B, T, D) of type `dtype`.

    `has_mask` adds a mask (B, T); `has_states` states for each layer whether its initial states
    are inputs, under Keras' names.

    Raises:
        Unsupported: the operators lack an activation.
    """
    graph = Graph()
    x = graph.input("x", dtype, 3)
    mask = Mask(graph, graph.input("mask", "bool", 2)) if has_mask else None
    last_states: list[tuple[str, str, int]] = []
    names: list[str] = []
    for (prefix, layer), layer_has_states in zip(layers, has_states, strict=True):
        context = Context(prefix, mask, layer_has_states)
        outputs, ends = add_layer(graph, layer, context, x, dtype)
        directions = list(chain.from_iterable(operators_of(layer, prefix)))
        names += [name for direction in directions for name in direction.states]
        dtypes = [
            direction.half.compute_dtype for direction in directions for _ in direction.states
        ]
        last_states += [(end, end_dtype, 2) for end, end_dtype in zip(ends, dtypes, strict=True)]
        x, dtype = outputs[0], layer.compute_dtype
    rank = 3 if layers[-1][1].return_sequences else 2
    code = graph.model([*((output, dtype, rank) for output in outputs), *last_states])
    return Model(code, graph.inputs, tuple(names))


def attributes(directions: Sequence[Direction]) -> dict[str, object]:
    """Return an operator's attributes.

    Raises:
        Unsupported: the operators lack an activation.
    """
    half = directions[0].half
    names = [name for direction in directions for name in _activations(direction.half)]
    for name in names:
        if name not in ACTIVATIONS:
            raise Unsupported(f"ONNX' recurrent operators have no {name}")
    direction_word = "reverse" if half.go_backwards else "forward"
    arguments: dict[str, object] = {
        "hidden_size": half.units,
        "direction": "bidirectional" if len(directions) == 2 else direction_word,
        "activations": [ACTIVATIONS[name][0] for name in names],
    }
    # Functions without a parameter take none of the values in these lists.
    alpha = [value for name in names for value in ACTIVATIONS[name][1]]
    beta = [value for name in names for value in ACTIVATIONS[name][2]]
    if alpha:
        arguments["activation_alpha"] = alpha
    if beta:
        arguments["activation_beta"] = beta
    if half.class_name == "GRU":
        arguments["linear_before_reset"] = int(half.reset_after)
    return arguments


def _activations(half: Recurrent) -> list[str]:
    """Return the activations of a direction in the order in which its operator takes them."""
    if not half.cell.gated:
        return [half.activation]
    if half.class_name == "GRU":
        return [half.recurrent_activation, half.activation]
    return [half.recurrent_activation, half.activation, half.activation]


def add_layer(
    graph: Graph, layer: Recurrent | Bidirectional, context: Context, x: str, dtype: str
) -> tuple[list[str], list[str]]:
    """Add a layer over x (B, T, D) of type `dtype`.

    Return its outputs without states, and its last states (B, H) in Keras' order.

    Raises:
        Unsupported: the operators lack an activation.
    """
    x = graph.cast(x, dtype, layer.compute_dtype)
    outputs = []
    states = []
    for directions in operators_of(layer, context.prefix):
        half_dtype = directions[0].half.compute_dtype
        half_x = graph.cast(x, layer.compute_dtype, half_dtype)
        for output, ends in _add_operator(graph, directions, context, half_x):
            outputs.append(graph.cast(output, half_dtype, layer.compute_dtype))
            states += ends
    if isinstance(layer, Bidirectional):
        outputs = _merged(graph, layer, *outputs)
    elif layer.go_backwards and layer.return_sequences:
        # Keras returns them in processing order.
        outputs = [graph.reversed_time(outputs[0])]
    return outputs, states


def _add_operator(
    graph: Graph, directions: Sequence[Direction], context: Context, x: str
) -> list[tuple[str, list[str]]]:
    """Add RNN, LSTM or GRU over x (B, T, D).

    Return the output of each direction, (B, T, H) or (B, H), and its last states.
    """
    half, mask = directions[0].half, context.mask
    dtype, prefix = half.compute_dtype, directions[0].prefix
    bias = graph.input(f"{prefix}B", dtype, 2) if half.use_bias else ""
    starts: list[list[str]] = [[] for _ in directions]
    if context.has_states:
        starts = [
            [graph.input(name, dtype, 2) for name in direction.states] for direction in directions
        ]
    stacked = _stacked(graph, starts)
    steps = x if mask is None else mask.gathered(x)
    time_first = graph.add("Transpose", steps, perm=[1, 0, 2])
    W = graph.input(f"{prefix}W", dtype, 3)
    R = graph.input(f"{prefix}R", dtype, 3)
    Y, *ends = graph.add_node(
        OPERATORS[half.class_name],
        *(time_first, W, R, bias),
        *("" if mask is None else mask.lengths, *stacked),
        outputs=1 + len(half.states),
        **attributes(directions),
    )
    results = []
    for number, direction in enumerate(directions):
        index = graph.add("Constant", value_int=number)
        y = graph.add("Transpose", graph.add("Gather", Y, index, axis=1), perm=[1, 0, 2])
        last = [graph.add("Gather", end, index, axis=0) for end in ends]
        results.append(_as_keras(graph, direction.half, mask, y, last, starts[number]))
    return results


def _stacked(graph: Graph, starts: Sequence[Sequence[str]]) -> list[str]:
    """Return the states (B, H) of all directions as one value (directions, B, H) a state."""
    axis = graph.axis(0)
    stacked = []
    for states in zip(*starts, strict=True):
        unsqueezed = [graph.add("Unsqueeze", state, axis) for state in states]
        stacked.append(graph.add("Concat", *unsqueezed, axis=0))
    return stacked


def _as_keras(
    graph: Graph,
    half: Recurrent,
    mask: Mask | None,
    y: str,
    last: list[str],
    starts: Sequence[str],
) -> tuple[str, list[str]]:
    """Return what Keras makes of a direction's outputs (B, T, H) and its last states (B, H)."""
    if mask is None:
        return y if half.return_sequences else last[0], last
    zero = graph.scalar(0, TYPES[half.compute_dtype])
    defaults = starts or [zero] * len(last)
    ends = [mask.last(end, default) for end, default in zip(last, defaults, strict=True)]
    if half.return_sequences:
        return mask.scattered(y, half.go_backwards, half.zero_output_for_mask, zero), ends
    return mask.last(last[0], zero), ends


def _merged(graph: Graph, layer: Bidirectional, y: str, y_rev: str) -> list[str]:
    if layer.merge_mode is None:
        return [y, y_rev]
    if layer.merge_mode == "concat":
        return [graph.add("Concat", y, y_rev, axis=-1)]
    if layer.merge_mode == "mul":
        return [graph.add("Mul", y, y_rev)]
    total = graph.add("Add", y, y_rev)
    if layer.merge_mode == "sum":
        return [total]
    return [graph.add("Mul", total, graph.scalar(0.5, TYPES[layer.compute_dtype]))]
