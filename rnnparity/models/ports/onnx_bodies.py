"""Tensors inside of Loop and Scan nodes, made outputs of these nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

# A module or a protocol buffer of the package onnx, which has no types.
Onnx: TypeAlias = Any

LOOPS = ("Loop", "Scan")
OVER_SEQUENCES = (*LOOPS, "RNN", "LSTM", "GRU")


def expose_bodies(
    onnx: Onnx, graph: Onnx, is_wanted: Callable[[str], bool], sizes: bool = False, prefix: str = ""
) -> set[str]:
    """Make tensors of all bodies scan outputs, which hold their values at every step, or their sizes.

    Returns the names of the new outputs, "NODE/TENSOR", with a prefix; of these are the wanted ones.
    Inner bodies come first, so that theirs are exposed as well.
    """
    exposed: set[str] = set()
    for node in graph.node:
        for body in _bodies(node):
            label = f"{_label(node)}/"
            inner = expose_bodies(onnx, body, is_wanted, sizes, prefix + label)
            operators = {
                name: "Size" if sizes and name not in inner else "Identity"
                for step in body.node
                for name in step.output
                if name and is_wanted(prefix + label + name)
            }
            exposed |= _expose_body(onnx, node, body, label, operators)
    return exposed


def by_step(graph: Onnx) -> set[str]:
    """Return the tensors in bodies that an operator over a sequence takes or returns there.

    At every step of the loop around it that may be another call of a layer.
    """
    return {
        f"{_label(node)}/{name}"
        for node in graph.node
        for body in _bodies(node)
        for step in body.node
        if step.op_type in OVER_SEQUENCES
        for name in (*step.input, *step.output)
        if name
    }


def _bodies(node: Onnx) -> list[Onnx]:
    """Return the body of a node that is a loop, none of another node."""
    if node.op_type not in LOOPS:
        return []
    return [attribute.g for attribute in node.attribute if attribute.name == "body"]


def _label(node: Onnx) -> str:
    return str(node.name or next(iter(node.output)))


def _expose_body(
    onnx: Onnx, node: Onnx, body: Onnx, label: str, operators: dict[str, str]
) -> set[str]:
    """Add an output to a node and its body for each tensor; the body's may be outputs already."""
    for name, operator in operators.items():
        copy = f"{label}{name}"
        body.node.append(onnx.helper.make_node(operator, [name], [f"{copy}/step"]))
        body.output.append(onnx.helper.make_empty_tensor_value_info(f"{copy}/step"))
        node.output.append(copy)
    for attribute in node.attribute:
        if attribute.name in ("scan_output_axes", "scan_output_directions"):
            attribute.ints.extend([0] * len(operators))
    return {f"{label}{name}" for name in operators}
