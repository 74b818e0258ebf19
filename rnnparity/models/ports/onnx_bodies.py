"""Tensors inside of Loop and Scan nodes, made outputs of these nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

# A module or a protocol buffer of the package onnx, which has no types.
Onnx: TypeAlias = Any


def expose_bodies(
    onnx: Onnx, graph: Onnx, is_wanted: Callable[[str], bool], sizes: bool = False, prefix: str = ""
) -> set[str]:
    """Make tensors of all bodies scan outputs, which hold their values at every step, or their sizes.

    Returns the names of the new outputs, "NODE/TENSOR", with a prefix; of these are the wanted ones.
    Inner bodies come first, so that theirs are exposed as well.
    """
    exposed: set[str] = set()
    for node in graph.node:
        bodies = [attribute.g for attribute in node.attribute if attribute.name == "body"]
        if node.op_type in ("Loop", "Scan") and bodies:
            label = f"{node.name or next(iter(node.output))}/"
            inner = expose_bodies(onnx, bodies[0], is_wanted, sizes, prefix + label)
            operators = {
                name: "Size" if sizes and name not in inner else "Identity"
                for step in bodies[0].node
                for name in step.output
                if name and is_wanted(prefix + label + name)
            }
            exposed |= _expose_body(onnx, node, bodies[0], label, operators)
    return exposed


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
