"""The nodes RNN, LSTM and GRU of a model, each with the values that its inputs have in a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, ValueInfoProto, helper, numpy_helper

from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import FormatError
from rnnparity.subjects.onnx_engines import Engine
from rnnparity.subjects.onnx_models.graph import Proto
from rnnparity.subjects.onnx_models.operators import OPERATORS

# The names of the inputs in their order: https://onnx.ai/onnx/operators/onnx__LSTM.html.
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")


@dataclass(frozen=True)
class RecurrentNode:
    """A node by its operator; `values` are those of its inputs, by INPUTS, that are not left out."""

    name: str
    operator: str
    attributes: Mapping[str, Any]
    values: Mapping[str, Array]


def load_model(model: str | Path | bytes | Proto) -> Proto:
    """Return a model from its file, its bytes or itself, with the functions in it expanded.

    Raises:
        FormatError: it is no ONNX model.
    """
    try:
        if isinstance(model, bytes):
            model = ModelProto.FromString(model)
        elif isinstance(model, str | Path):
            model = onnx.load(model)
    except Exception as error:  # protobuf's errors are of several classes
        where = "model" if isinstance(model, bytes) else model
        raise FormatError(f"{where}: cannot be read as an ONNX model: {error}") from None
    if not isinstance(model, ModelProto):
        raise FormatError(f"model: got {type(model).__name__}, expected a path or a ModelProto")
    if not model.graph.node:  # bytes that are no model may be read as one that is empty
        raise FormatError("model: cannot be read as an ONNX model: it has no nodes")
    return onnx.inliner.inline_local_functions(model) if model.functions else model


def model_inputs(model: Proto) -> list[str]:
    """Return the names of the inputs that a model needs."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [info.name for info in model.graph.input if info.name not in constants]


def recurrent_nodes(
    model: Proto, inputs: Mapping[str, Array], engine: Engine
) -> list[RecurrentNode]:
    """Return the nodes RNN, LSTM and GRU of a model in its order, with the values of a run.

    Raises:
        FormatError: it has none, one is in the body of a loop, or the model cannot be run.
    """
    for outer, node in _nested_nodes(model.graph):
        raise FormatError(
            f"node {outer.name!r}: {node.op_type} in the body of {outer.op_type}: its values are "
            "those of many runs; convert the model without it"
        )
    nodes = [node for node in model.graph.node if _is_recurrent(node)]
    if not nodes:
        loops = sorted({node.op_type for node in model.graph.node} & {"Loop", "Scan"})
        form = f"as a {loops[0]}" if loops else "in other operators"
        raise FormatError(
            f"model: no node RNN, LSTM or GRU; a layer that was written {form} is not recognized"
        )
    names = list(dict.fromkeys(name for node in nodes for name in node.input if name))
    values = tensor_values(model, inputs, names, engine)
    return [
        RecurrentNode(
            node.name or node.output[0] or f"{node.op_type}_{index}",
            node.op_type,
            {a.name: helper.get_attribute_value(a) for a in node.attribute},
            {role: values[name] for role, name in zip(INPUTS, node.input, strict=False) if name},
        )
        for index, node in enumerate(nodes)
    ]


def tensor_values(
    model: Proto, inputs: Mapping[str, Array], names: Sequence[str], engine: Engine
) -> dict[str, Array]:
    """Return the values of the tensors `names` where the model runs on `inputs`.

    Only the nodes that lead to them run.

    Raises:
        FormatError: an input is missing, unknown or of another type, or the model cannot be run.
    """
    graph = model.graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    feeds = _feeds(model, inputs)
    values |= feeds
    missing = [name for name in names if name not in values]
    if not missing:
        return values
    part = ModelProto()
    part.CopyFrom(model)
    del part.graph.output[:], part.graph.node[:]
    part.graph.node.extend(_leading_to(graph, missing))
    part.graph.output.extend(ValueInfoProto(name=name) for name in missing)
    try:
        arrays = engine.run(engine.load(part.SerializeToString()), feeds)
    except Exception as error:  # whatever an engine or an operator may raise
        raise FormatError(f"model: cannot be run: {error}") from error
    return values | dict(zip(missing, arrays, strict=True))


def _feeds(model: Proto, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return the inputs of a model in its types."""
    expected = model_inputs(model)
    if set(inputs) != set(expected):
        raise FormatError(f"inputs: got {', '.join(inputs)}, expected {', '.join(expected)}")
    feeds = {}
    for info in model.graph.input:
        if info.name not in inputs:
            continue
        array = np.asarray(inputs[info.name])
        dtype = helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
        if not np.can_cast(array.dtype, dtype, "same_kind"):
            raise FormatError(f"inputs: {info.name}: got {array.dtype}, expected {dtype}")
        feeds[info.name] = array.astype(dtype)
    return feeds


def _leading_to(graph: Proto, names: Sequence[str]) -> list[Proto]:
    """Return the nodes on which tensors depend, in their order."""
    needed = set(names)
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
            needed.update(name for inner in _inner_nodes(node) for name in inner.input)
    return kept[::-1]


def _is_recurrent(node: Proto) -> bool:
    return node.domain in ("", "ai.onnx") and node.op_type in OPERATORS.values()


def _nested_nodes(graph: Proto) -> Iterator[tuple[Proto, Proto]]:
    """Yield the recurrent nodes in the bodies of other nodes, after the node around them."""
    for node in graph.node:
        yield from ((node, inner) for inner in _inner_nodes(node) if _is_recurrent(inner))


def _inner_nodes(node: Proto) -> Iterator[Proto]:
    """Yield all nodes in the bodies of a node, at any depth."""
    for attribute in node.attribute:
        for body in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            for inner in body.node:
                yield inner
                yield from _inner_nodes(inner)
