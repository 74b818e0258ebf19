"""ONNX models from nodes made by hand: values by name, and a mask's steps as the lengths that ONNX
has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx import ModelProto, TensorProto, checker, helper

OPSET, IR_VERSION = 22, 10  # the first in which RNN, LSTM and GRU take bfloat16
TYPES = {
    "bool": TensorProto.BOOL,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
}
TO_THE_START = -(2**31)  # where a Slice with a negative step ends


class Graph:
    """Nodes in the order in which they are added. Every value is known by its name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.infos: list[Any] = []
        self.inputs: dict[str, str] = {}  # name -> type

    def input(self, name: str, dtype: str, rank: int) -> str:
        """An input of the model, of any shape of that rank."""
        self.inputs[name] = dtype
        self.infos.append(helper.make_tensor_value_info(name, TYPES[dtype], [None] * rank))
        return name

    def several(self, operator: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Add a node; the names of its outputs."""
        names = [f"{operator}_{len(self.nodes)}_{n}" for n in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names

    def one(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output; its name."""
        return self.several(operator, *inputs, outputs=1, **attributes)[0]

    def scalar(self, value: float, dtype: int) -> str:
        """A constant of rank 0."""
        return self.one("Constant", value=helper.make_tensor("value", dtype, [], [value]))

    def axis(self, value: int) -> str:
        """A constant of shape (1,), as the operators take axes, starts and steps."""
        return self.one("Constant", value_ints=[value])

    def cast(self, value: str, dtype: str, to: str) -> str:
        """The value in another float type; itself where it has that type."""
        return value if dtype == to else self.one("Cast", value, to=TYPES[to])

    def turned(self, sequence: str) -> str:
        """A sequence (B, T, ...) from its end."""
        return self.one(
            "Slice", sequence, self.axis(-1), self.axis(TO_THE_START), self.axis(1), self.axis(-1)
        )

    def model(self, outputs: Sequence[tuple[str, str, int]]) -> bytes:
        """The model, serialized. `outputs` are names, float types and ranks.

        Raises:
            onnx.checker.ValidationError: by ONNX' specification it is no model.
        """
        infos = [
            helper.make_tensor_value_info(name, TYPES[dtype], [None] * rank)
            for name, dtype, rank in outputs
        ]
        graph = helper.make_graph(self.nodes, "rnnparity", self.infos, infos)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        checker.check_model(model, full_check=True)
        serialized: bytes = model.SerializeToString()
        return serialized


class Steps:
    """A mask (B, T). The operators take lengths, so each row's used steps are gathered at its
    front.

    What an operator gives past a row's length, and as the state of a row that has no used step,
    ONNX does not say (https://github.com/onnx/onnx/issues/1674), so neither is read here.
    """

    def __init__(self, graph: Graph, mask: str) -> None:
        self.graph, self.mask = graph, mask
        self.used = graph.one("Cast", mask, to=TensorProto.INT32)
        self.lengths = graph.one("ReduceSum", self.used, graph.axis(1), keepdims=0)
        self.row = graph.one("Unsqueeze", self.lengths, graph.axis(1))
        # Of equal values TopK takes the lower index first: used steps in their order, then masked
        # ones.
        _, order = graph.several(
            "TopK", self.used, graph.one("Shape", mask, start=1, end=2), axis=1, outputs=2
        )
        self.order = graph.one("Unsqueeze", order, graph.axis(2))

    def gathered(self, x: str) -> str:
        """x (B, T, D) with each row's used steps first."""
        return self.graph.one("GatherND", x, self.order, batch_dims=1)

    def scattered(self, y: str, reverse: bool, zero_where_masked: bool, zero: str) -> str:
        """Outputs (B, T, H) of gathered steps in their places.

        A masked step repeats what was computed last before it (read from the end if `reverse`), or
        is zero.
        """
        graph = self.graph
        one, axis = graph.scalar(1, TensorProto.INT32), graph.scalar(1, TensorProto.INT32)
        before = graph.one("CumSum", self.used, axis, exclusive=1)
        if reverse:
            place, known = before, graph.one("Less", before, self.row)
        else:
            place = graph.one("Sub", graph.one("Add", before, self.used), one)
            known = graph.one("GreaterOrEqual", place, graph.scalar(0, TensorProto.INT32))
        known = self.mask if zero_where_masked else known
        places = graph.one(
            "Unsqueeze", graph.one("Cast", place, to=TensorProto.INT64), graph.axis(2)
        )
        return graph.one(
            "Where",
            graph.one("Unsqueeze", known, graph.axis(2)),
            graph.one("GatherND", y, places, batch_dims=1),
            zero,
        )

    def last(self, value: str, other: str) -> str:
        """A last output or state (B, H); `other` in rows that have no used step."""
        graph = self.graph
        return graph.one(
            "Where",
            graph.one("Greater", self.row, graph.scalar(0, TensorProto.INT32)),
            value,
            other,
        )


def without_notes(model: bytes) -> bytes:
    """A serialized model without what its exporter wrote beside it: PyTorch notes lines of code and
    their files."""
    whole = ModelProto.FromString(model)
    graphs = [whole.graph]
    for graph in graphs:  # grows with the bodies of loops
        for noted in (
            graph,
            *graph.node,
            *graph.initializer,
            *graph.input,
            *graph.output,
            *graph.value_info,
        ):
            del noted.metadata_props[:]
            noted.ClearField("doc_string")
        graphs += [
            attribute.g
            for node in graph.node
            for attribute in node.attribute
            if attribute.HasField("g")
        ]
    del whole.metadata_props[:]
    plain: bytes = whole.SerializeToString(deterministic=True)
    return plain
