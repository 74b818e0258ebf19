"""If nodes, each replaced by the branch that it takes in a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

from onnx import helper

from rnnparity.problem.dtypes import Array
from rnnparity.subjects.onnx_engines import Engine
from rnnparity.subjects.onnx_models.graph import Proto
from rnnparity.subjects.onnx_models.nodes import tensor_values


def with_taken_branches(model: Proto, inputs: Mapping[str, Array], engine: Engine) -> Proto:
    """Return a model in which the branches that are taken stand in the place of their If nodes.

    That is done for the main graph, also where branches have If nodes, and not in the bodies of loops,
    where a branch may be another at every step. Tensors keep their names where these are unique.

    Raises:
        FormatError: an input is missing, unknown or of another type, or the model cannot be run.
    """
    while any(_is_if(node) for node in model.graph.node):
        conditions = [node.input[0] for node in model.graph.node if _is_if(node)]
        values = tensor_values(model, inputs, conditions, engine)
        changed = type(model)()
        changed.CopyFrom(model)
        graph = changed.graph
        del graph.node[:]
        for node in model.graph.node:
            if _is_if(node):
                _insert(graph, model.graph, node, bool(values[node.input[0]]))
            else:
                graph.node.append(node)
        model = changed
    return model


def _is_if(node: Proto) -> bool:
    return node.domain in ("", "ai.onnx") and node.op_type == "If"


def _insert(graph: Proto, before: Proto, node: Proto, condition: bool) -> None:
    """Append a branch of an If node to a graph, whose other nodes are those of `before`."""
    wanted = "then_branch" if condition else "else_branch"
    (branch,) = (attribute.g for attribute in node.attribute if attribute.name == wanted)
    taken = set(_names(before)) | set(_names(graph))
    names: dict[str, str] = {}
    for name in _names(branch):
        names[name] = _unique(name, taken)
        taken.add(names[name])
    for tensor in branch.initializer:
        graph.initializer.append(tensor)
        graph.initializer[-1].name = names[tensor.name]
    for inner in branch.node:
        graph.node.append(inner)
        _rename(graph.node[-1], names)
    for output, target in zip(branch.output, node.output, strict=False):  # the last may be left out
        if target:
            source = names.get(output.name, output.name)
            graph.node.append(helper.make_node("Identity", [source], [target]))


def _names(graph: Proto) -> Iterator[str]:
    """Yield the names of the tensors that a graph defines."""
    yield from (info.name for info in graph.input)
    yield from (tensor.name for tensor in graph.initializer)
    yield from (name for node in graph.node for name in node.output if name)


def _unique(name: str, taken: set[str]) -> str:
    candidates = (name if not number else f"{name}_{number}" for number in count())
    return next(candidate for candidate in candidates if candidate not in taken)


def _rename(node: Proto, names: Mapping[str, str]) -> None:
    """Rename tensors in a node and in the bodies that it has, which see the names around them."""
    for fields in (node.input, node.output):
        fields[:] = [names.get(name, name) for name in fields]
    for attribute in node.attribute:
        for body in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            for inner in body.node:
                _rename(inner, names)
            for output in body.output:
                output.name = names.get(output.name, output.name)
