"""The problems of the nodes RNN, LSTM and GRU of an ONNX model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from rnnparity.problem.arrays import ArrayLike
from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import FormatError, RequestError
from rnnparity.problem.keras_config import JsonObject, parse_layer
from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem
from rnnparity.subjects.onnx_engines import ENGINES
from rnnparity.subjects.onnx_models.operators import OPERATORS, keras_activations
from rnnparity.subjects.onnx_models.weights import unpacked

if TYPE_CHECKING:
    from rnnparity.subjects.onnx_models.nodes import RecurrentNode

ModelLike: TypeAlias = Any  # a path, the bytes of a model, or an onnx.ModelProto

CLASSES = {operator: name for name, operator in OPERATORS.items()}
# The functions of one direction by default, in the order in which an operator takes them.
FUNCTIONS = {"RNN": ["Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}


def from_onnx(
    model: ModelLike, inputs: ArrayLike | Mapping[str, ArrayLike], *, engine: str | None = None
) -> list[Problem]:
    """Return a problem for each node RNN, LSTM and GRU of a model, in the order of the model.

    `model` is a path, bytes or an onnx.ModelProto; `inputs` are by name, or one array where it has
    one. The model runs once, on `engine` ("onnxruntime", where it is installed, or
    "onnx-reference"), and each problem has the inputs, weights and states that its node gets. Of an If
    node the branch counts that is taken in this run.

    The problem's outputs have the axes B, T, H whatever the node's layout: the sequence, of which the
    directions are concatenated, and the last states. That of a node with direction "reverse" is in
    the order of processing, as Keras returns it. `sequence_lens` become a mask, beyond which the
    sequence is 0.

    Raises:
        FormatError: the model cannot be read or run, has no such node, or one with what Keras cannot
        express (peepholes, clip, input_forget, a function): one line with the node and the reason.
        RequestError: onnx is missing.

    >>> import numpy as np
    >>> from onnx import TensorProto, helper, numpy_helper
    >>> W, R = np.ones((1, 12, 4), np.float32), np.ones((1, 12, 3), np.float32)
    >>> node = helper.make_node("LSTM", ["x", "W", "R"], ["", "h"], "encoder", hidden_size=3)
    >>> x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [5, 2, 4])
    >>> h = helper.make_tensor_value_info("h", TensorProto.FLOAT, [1, 2, 3])
    >>> weights = [numpy_helper.from_array(W, "W"), numpy_helper.from_array(R, "R")]
    >>> model = helper.make_model(helper.make_graph([node], "port", [x], [h], weights))
    >>> from_onnx(model, np.ones((5, 2, 4)))
    [Problem('encoder', LSTM(3, use_bias=False, return_sequences=True, return_state=True), B=2 T=5 D=4)]
    """
    if find_spec("onnx") is None:
        raise RequestError("from_onnx: package onnx is missing; run pip install 'rnnparity[onnx]'")
    from rnnparity.subjects.onnx_models.branches import with_taken_branches
    from rnnparity.subjects.onnx_models.nodes import load_model, model_inputs, recurrent_nodes

    engine = engine or ("onnxruntime" if find_spec("onnxruntime") else "onnx-reference")
    if engine not in ENGINES:
        raise RequestError(f"engine: got {engine!r}, expected {' or '.join(ENGINES)}")
    loaded = load_model(model)
    if not isinstance(inputs, Mapping):
        names = model_inputs(loaded)
        if len(names) != 1:
            raise FormatError(f"inputs: got one array, expected a dict of {', '.join(names)}")
        inputs = {names[0]: inputs}
    runtime = ENGINES[engine]()
    loaded = with_taken_branches(loaded, inputs, runtime)
    nodes = recurrent_nodes(loaded, inputs, runtime)
    return [_problem(node) for node in nodes]


def _problem(node: RecurrentNode) -> Problem:
    where, values = f"node {node.name!r}", node.values
    _check_expressible(node, where)
    batch_first = bool(node.attributes.get("layout", 0))
    x = values["X"] if batch_first else values["X"].transpose(1, 0, 2)
    mask = _mask(values.get("sequence_lens"), x.shape[1])
    spec = _spec(node, where, mask is not None)
    weights: list[Array] = []
    for index, (_, half) in enumerate(halves(parse_layer(spec, where))):
        arrays = {name: values[name][index] for name in ("W", "R", "B") if name in values}
        weights += unpacked(half, arrays)
    return Problem.from_arrays(
        spec, weights, x, mask, _states(node, batch_first), id=node.name[:200]
    )


def _check_expressible(node: RecurrentNode, where: str) -> None:
    attributes = node.attributes
    if "clip" in attributes:
        raise FormatError(
            f"{where}: clip: got {attributes['clip']}, expected none: Keras clips nothing"
        )
    if attributes.get("input_forget", 0):
        raise FormatError(f"{where}: input_forget: got 1, expected 0: Keras' LSTM has both gates")
    if np.any(node.values.get("P", 0)):
        raise FormatError(f"{where}: P: got weights, expected none: Keras' LSTM has no peepholes")


def _mask(lengths: Array | None, steps: int) -> Array | None:
    """Return the mask (B, T) of lengths (B,), None where every row has all steps."""
    if lengths is None or (lengths == steps).all():
        return None
    mask: Array = np.arange(steps) < lengths[:, None]
    return mask


def _spec(node: RecurrentNode, where: str, masked: bool) -> JsonObject:
    """Return the configuration of a node as a layer, or as a Bidirectional."""
    class_name = CLASSES[node.operator]
    config: JsonObject = {
        "units": int(node.values["R"].shape[2]),
        "use_bias": "B" in node.values,
        "return_sequences": True,
        "return_state": True,
        "zero_output_for_mask": masked,
        "dtype": node.values["X"].dtype.name,
    }
    if node.operator == "GRU":
        config["reset_after"] = bool(node.attributes.get("linear_before_reset", 0))
    directions: list[JsonObject] = [
        {"class_name": class_name, "config": config | activations}
        for activations in _activations(node, where)
    ]
    if len(directions) == 1:
        reverse = node.attributes.get("direction") == b"reverse"
        return {
            "class_name": class_name,
            "config": directions[0]["config"] | {"go_backwards": reverse},
        }
    forward, backward = directions
    backward["config"]["go_backwards"] = True
    both = {"layer": forward, "backward_layer": backward, "dtype": config["dtype"]}
    return {"class_name": "Bidirectional", "config": both}


def _activations(node: RecurrentNode, where: str) -> Iterator[dict[str, str]]:
    """Yield the arguments `activation` and `recurrent_activation` of each direction."""
    attributes, directions = node.attributes, len(node.values["W"])
    defaults = FUNCTIONS[node.operator]
    functions = [
        name.decode() for name in attributes.get("activations", [])
    ] or defaults * directions
    names = keras_activations(
        functions, attributes.get("activation_alpha", []), attributes.get("activation_beta", [])
    )
    count = len(defaults)
    if len(names) != count * directions:
        expected = f"{count * directions} for {directions} directions"
        raise FormatError(f"{where}: activations: got {len(names)}, expected {expected}")
    if "" in names:
        function = functions[names.index("")]
        raise FormatError(
            f"{where}: activations: got {function}, which no activation of Keras equals"
        )
    for start in range(0, len(names), count):
        *gates, activation = names[start : start + count]
        if gates[1:] not in ([], [activation]):
            message = f"got {gates[1]} for c and {activation} for h, expected one for both"
            raise FormatError(f"{where}: activations: {message}")
        yield {"activation": activation} | ({"recurrent_activation": gates[0]} if gates else {})


def _states(node: RecurrentNode, batch_first: bool) -> list[Array] | None:
    """Return the states (B, H) in Keras' order, direction by direction; None without any.

    Of an LSTM's two states one alone may be left out; it is zero.
    """
    names = ["initial_h", "initial_c"] if node.operator == "LSTM" else ["initial_h"]
    present = [node.values[name] for name in names if name in node.values]
    if not present:
        return None
    arrays = [node.values.get(name, np.zeros_like(present[0])) for name in names]
    if batch_first:
        arrays = [array.transpose(1, 0, 2) for array in arrays]
    return [array[index] for index in range(len(arrays[0])) for array in arrays]
