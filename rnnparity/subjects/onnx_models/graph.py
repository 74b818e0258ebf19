"""Build an ONNX graph node by node; every value is known by its name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from onnx import ModelProto, TensorProto, checker, helper

# onnx' types are not checked: mypy must give the same answer where it is not installed.
Proto: TypeAlias = Any  # a message of onnx' format: a model, a graph, a node, ...

# The first operator set in which RNN, LSTM and GRU take bfloat16.
OPSET, IR_VERSION = 22, 10
TYPES = {
    "bool": TensorProto.BOOL,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
}
# Where a Slice with a negative step ends.
BEFORE_THE_FIRST = -(2**31)


class Graph:
    """Nodes in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[Proto] = []
        self.infos: list[Proto] = []
        # The model's inputs: name -> float type.
        self.inputs: dict[str, str] = {}

    def input(self, name: str, dtype: str, rank: int) -> str:
        """Add an input of the model, of any shape of that rank."""
        self.inputs[name] = dtype
        self.infos.append(helper.make_tensor_value_info(name, TYPES[dtype], [None] * rank))
        return name

    def add(self, operator: str, *inputs: str, **attributes: object) -> str:
        """Add a node with one output and return the output's name."""
        return self.add_node(operator, *inputs, outputs=1, **attributes)[0]

    def add_node(
        self, operator: str, *inputs: str, outputs: int, **attributes: object
    ) -> list[str]:
        """Add a node and return the names of its outputs."""
        names = [f"{operator}_{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names

    def scalar(self, value: float, dtype: int) -> str:
        """Add a constant of rank 0."""
        return self.add("Constant", value=helper.make_tensor("value", dtype, [], [value]))

    def axis(self, value: int) -> str:
        """Add a constant of shape (1,), as the operators take axes, starts and steps."""
        return self.add("Constant", value_ints=[value])

    def cast(self, value: str, dtype: str, to: str) -> str:
        """Convert a value of type `dtype` to another float type, if it differs."""
        return value if dtype == to else self.add("Cast", value, to=TYPES[to])

    def reversed_time(self, sequence: str) -> str:
        """Reverse a sequence (B, T, ...) along axis T."""
        start, end = self.axis(-1), self.axis(BEFORE_THE_FIRST)
        axis, step = self.axis(1), self.axis(-1)
        return self.add("Slice", sequence, start, end, axis, step)

    def model(self, outputs: Sequence[tuple[str, str, int]]) -> bytes:
        """Return the model, serialized. `outputs` are names, float types and ranks.

        Raises:
            onnx.checker.ValidationError: the model contradicts ONNX' specification.
        """
        infos = [
            helper.make_tensor_value_info(name, TYPES[dtype], [None] * rank)
            for name, dtype, rank in outputs
        ]
        graph = helper.make_graph(self.nodes, "rnnparity", self.infos, infos)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        checker.check_model(model, full_check=True)
        serialized: bytes = model.SerializeToString()
        return serialized


def without_metadata(model: bytes) -> bytes:
    """Return a serialized model without its exporter's notes, such as PyTorch's lines of code."""
    parsed = ModelProto.FromString(model)
    graphs = [parsed.graph]
    # The list grows by the bodies of loops.
    for graph in graphs:
        for message in _messages(graph):
            del message.metadata_props[:]
            message.ClearField("doc_string")
        for node in graph.node:
            graphs += [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    del parsed.metadata_props[:]
    serialized: bytes = parsed.SerializeToString(deterministic=True)
    return serialized


def _messages(graph: Proto) -> Iterator[Proto]:
    yield graph
    yield from graph.node
    yield from graph.initializer
    yield from graph.input
    yield from graph.output
    yield from graph.value_info
