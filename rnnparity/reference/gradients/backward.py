"""The backward pass of a problem: the engine in taped arithmetic, and what its leaves are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent, halves
from rnnparity.problem.problem import Problem
from rnnparity.problem.tensor import Tensor
from rnnparity.reference.cells import LSTM
from rnnparity.reference.engine import Unroller
from rnnparity.reference.gradients.arithmetic import TapedArithmetic
from rnnparity.reference.gradients.taped_array import TapedArray


class BackwardUnroller(Unroller[TapedArray]):
    """A problem unrolled forward, then backward."""

    def __init__(self, problem: Problem, arithmetic: TapedArithmetic) -> None:
        super().__init__(problem, arithmetic)
        self._taped = arithmetic

    def gradients(self, cotangents: Sequence[Tensor]) -> list[Array]:
        """Return the gradients of inputs, weights and initial states, in the order of their slots.

        Each has a leading axis of runs. `cotangents` belong to the outputs.
        """
        for output, cotangent in zip(self.run(), cotangents, strict=True):
            plain = self._taped.plain(cotangent.data)
            output.add_gradient(np.broadcast_to(plain, (self._taped.runs, *plain.shape)))
        with np.errstate(over="ignore", invalid="ignore"):
            while self._taped.tape:
                self._taped.tape.pop().flow_back()
            return self._of_leaves()

    def _of_leaves(self) -> list[Array]:
        gradients = [self._of_inputs()]
        for prefix, half in halves(self.problem.layer):
            gradients += self._of_weights(prefix, half)
        if self.problem.initial_state is not None:
            gradients += [self._of(s) for states in self.initial_states.values() for s in states]
        return gradients

    def _of_inputs(self) -> Array:
        """Return the gradient of the inputs, which both halves of a Bidirectional read."""
        first, *second = [self._of(x) for x in self._inputs]
        return self._inputs[0].arithmetic.rounded(first + second[0]) if second else first

    def _of_weights(self, prefix: str, half: Recurrent) -> list[Array]:
        """Return the gradients of the weights of one half, in Keras' order and layout."""
        cell = self.cells[prefix]
        biases = [getattr(cell, name) for name in ("b", "b_h")[: half.bias_rows]]
        W, U, *rows = [self._of(leaf) for leaf in (cell.W, cell.U, *biases)]
        arrays = [W, U]
        if half.use_bias:
            b = np.concatenate(rows, axis=-2)
            arrays.append(b if half.bias_rows > 1 else b[..., 0, :])
        if half.class_name == "LSTM":  # the cell has its gates first, which swaps two blocks
            arrays = [LSTM.gates_first(array) for array in arrays]
        return arrays

    def _of(self, leaf: TapedArray) -> Array:
        gradient = leaf.gradient
        shape = (self._taped.runs, *leaf.shape)
        return np.zeros(shape) if gradient is None else np.broadcast_to(gradient, shape)
