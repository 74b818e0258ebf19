"""A mask (B, T) in an ONNX graph, whose operators take lengths."""

from __future__ import annotations

from onnx import TensorProto

from rnnparity.subjects.onnx_models.graph import Graph

INT32, INT64 = TensorProto.INT32, TensorProto.INT64


class Mask:
    """Moves each row's used steps to its front, and its outputs back.

    ONNX does not define what an operator returns beyond a row's length, nor the state of a row
    without used steps (https://github.com/onnx/onnx/issues/1674), so neither is read here.
    """

    def __init__(self, graph: Graph, mask: str) -> None:
        self.graph = graph
        self.mask = mask
        self.used = graph.add("Cast", mask, to=INT32)
        self.lengths = graph.add("ReduceSum", self.used, graph.axis(1), keepdims=0)
        self.steps = graph.add("Shape", mask, start=1, end=2)
        # (B, 1)
        self.lengths_column = graph.add("Unsqueeze", self.lengths, graph.axis(1))
        _, order = graph.add_node("TopK", self._keys(), self.steps, axis=1, outputs=2)
        self.order = graph.add("Unsqueeze", order, graph.axis(2))

    def _keys(self) -> str:
        """Return keys (B, T), no two of a row equal, that decrease in the order of steps wanted.

        They are used * T - t: used steps in order, then masked ones. TopK takes the lower index first
        of equal values, but not in every engine.
        """
        graph = self.graph
        steps = graph.add("Cast", self.steps, to=INT32)
        axis = graph.scalar(1, INT32)
        ones = graph.add("Expand", graph.scalar(1, INT32), graph.add("Shape", self.mask))
        index = graph.add("CumSum", ones, axis, exclusive=1)
        return graph.add("Sub", graph.add("Mul", self.used, steps), index)

    def gathered(self, x: str) -> str:
        """Return x (B, T, D) with each row's used steps first."""
        return self.graph.add("GatherND", x, self.order, batch_dims=1)

    def scattered(self, y: str, reverse: bool, zero_where_masked: bool, zero: str) -> str:
        """Return the outputs (B, T, H) of gathered steps at the steps that they belong to.

        A masked step repeats the output that was computed last before it (from the end of the
        sequence if `reverse`), or is zero.
        """
        graph = self.graph
        one, axis = graph.scalar(1, INT32), graph.scalar(1, INT32)
        used_before = graph.add("CumSum", self.used, axis, exclusive=1)
        if reverse:
            index = used_before
            has_output = graph.add("Less", used_before, self.lengths_column)
        else:
            used_so_far = graph.add("Add", used_before, self.used)
            index = graph.add("Sub", used_so_far, one)
            has_output = graph.add("GreaterOrEqual", index, graph.scalar(0, INT32))
        condition = self.mask if zero_where_masked else has_output
        indices = graph.add("Unsqueeze", graph.add("Cast", index, to=INT64), graph.axis(2))
        condition = graph.add("Unsqueeze", condition, graph.axis(2))
        values = graph.add("GatherND", y, indices, batch_dims=1)
        return graph.add("Where", condition, values, zero)

    def last(self, value: str, default: str) -> str:
        """Return a last output or state (B, H); `default` in rows without used steps."""
        zero = self.graph.scalar(0, INT32)
        has_steps = self.graph.add("Greater", self.lengths_column, zero)
        return self.graph.add("Where", has_steps, value, default)
