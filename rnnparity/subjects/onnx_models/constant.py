"""Models of one operator whose weights are constants, for engines that take no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import checker, helper, numpy_helper

from rnnparity.problem.dtypes import Array
from rnnparity.subjects.onnx_models.graph import IR_VERSION, OPSET, TYPES, Proto
from rnnparity.subjects.onnx_models.layers import attributes
from rnnparity.subjects.onnx_models.operators import OPERATORS
from rnnparity.subjects.onnx_models.weights import Direction, packed

# The functions that the operators have by default.
DEFAULTS = (["Tanh"], ["Sigmoid", "Tanh"], ["Sigmoid", "Tanh", "Tanh"])


@dataclass(frozen=True)
class Call:
    """What one operator is called with: x (B, T, D), and constants.

    `lengths` (B,) may be None; `starts` are the initial states (B, H) of each direction. The sequence is
    returned `reversed`, as Keras returns that of a layer that goes backwards.
    """

    shape: tuple[int, ...]
    lengths: Array | None
    starts: Sequence[Sequence[Array]]
    reversed: bool


def constant_model(
    directions: Sequence[Direction], weights: Mapping[str, Array], call: Call
) -> bytes:
    """Return the model of an operator, serialized.

    Its outputs are the output, (B, T, H) or (B, H), and the last states; with two directions they have
    an axis for these first.

    Raises:
        Unsupported: the operator lacks an activation.
    """
    half = directions[0].half
    constants = _constants(directions, weights, call)
    last = ["Y_h", "Y_c"][: len(half.states)]
    inputs = ["steps", *_present(("W", "R", "B", "lengths", "h", "c"), constants)]
    nodes = [
        helper.make_node("Transpose", ["x"], ["steps"], perm=[1, 0, 2]),
        helper.make_node(OPERATORS[half.class_name], inputs, ["Y", *last], **_options(directions)),
        helper.make_node("Transpose", ["Y"], ["in_time"], perm=[1, 2, 0, 3]),
        helper.make_node("Gather", ["in_time", "order"], ["sequence"], axis=2),
    ]
    outputs = []
    for index, source in enumerate(["sequence" if half.return_sequences else "Y_h", *last]):
        shape = _shape(call, directions, with_steps=source == "sequence")
        constants[f"shape_{index}"] = np.array(shape)
        nodes.append(helper.make_node("Reshape", [source, f"shape_{index}"], [f"output_{index}"]))
        outputs.append(_info(f"output_{index}", shape))
    graph = helper.make_graph(
        nodes,
        "rnnparity",
        [_info("x", call.shape)],
        outputs,
        [numpy_helper.from_array(np.ascontiguousarray(a), name) for name, a in constants.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    checker.check_model(model, full_check=True)
    serialized: bytes = model.SerializeToString()
    return serialized


def _constants(
    directions: Sequence[Direction], weights: Mapping[str, Array], call: Call
) -> dict[str, Array]:
    """Return the constants by name; states of zeros, ONNX's default, are left out."""
    constants = packed(directions, weights)
    if call.lengths is not None:
        constants["lengths"] = call.lengths.astype(np.int32)
    states = [np.stack(each) for each in zip(*call.starts, strict=True)]
    if any(state.any() for state in states):
        constants |= zip(("h", "c"), states, strict=False)
    constants["order"] = np.arange(call.shape[1])[:: -1 if call.reversed else 1]
    return constants


def _options(directions: Sequence[Direction]) -> dict[str, object]:
    """Return an operator's attributes, without activations that it has by default."""
    options = attributes(directions)
    if options["activations"] in [names * len(directions) for names in DEFAULTS]:
        del options["activations"]
    return options


def _shape(call: Call, directions: Sequence[Direction], with_steps: bool) -> list[int]:
    B, T, _ = call.shape
    sizes = [B, *([T] if with_steps else []), directions[0].half.units]
    return sizes if len(directions) == 1 else [len(directions), *sizes]


def _info(name: str, shape: Sequence[int]) -> Proto:
    return helper.make_tensor_value_info(name, TYPES["float32"], shape)


def _present(names: Sequence[str], constants: Mapping[str, Array]) -> list[str]:
    """Return the names of an operator's inputs, "" for those that are left out before the last."""
    present = [name if name in constants else "" for name in names]
    while not present[-1]:
        present.pop()
    return present
