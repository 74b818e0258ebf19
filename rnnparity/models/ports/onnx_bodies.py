"""Tensors inside of Loop and Scan nodes, made outputs of these nodes."""

from __future__ import annotations

from typing import Any, TypeAlias

# A module or a protocol buffer of the package onnx, which has no types.
Onnx: TypeAlias = Any


def expose_bodies(onnx: Onnx, graph: Onnx) -> set[str]:
    """Make the tensors of all bodies scan outputs, which hold their values at every step.

    Returns the names of the new outputs, "NODE/TENSOR". Inner bodies come first, so that theirs are
    exposed as well.
    """
    exposed: set[str] = set()
    for node in graph.node:
        bodies = [attribute.g for attribute in node.attribute if attribute.name == "body"]
        if node.op_type in ("Loop", "Scan") and bodies:
            expose_bodies(onnx, bodies[0])
            exposed |= _expose_body(onnx, node, bodies[0])
    return exposed


def _expose_body(onnx: Onnx, node: Onnx, body: Onnx) -> set[str]:
    """Add an output to a node and its body for each tensor; the body's may be outputs already."""
    label = node.name or next(iter(node.output))
    names = [name for inner in body.node for name in inner.output if name]
    for name in names:
        copy = f"{label}/{name}"
        body.node.append(onnx.helper.make_node("Identity", [name], [f"{copy}/step"]))
        body.output.append(onnx.helper.make_empty_tensor_value_info(f"{copy}/step"))
        node.output.append(copy)
    for attribute in node.attribute:
        if attribute.name in ("scan_output_axes", "scan_output_directions"):
            attribute.ints.extend([0] * len(names))
    return {f"{label}/{name}" for name in names}
