"""The backward pass of a problem: the engine in taped arithmetic, and what its leaves are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Bidirectional, Recurrent, called_layers, halves
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
            called = called_layers(self.problem.layer)
            for states, layer in zip(self.initial_states.values(), called, strict=True):
                gradients += [self._of_argument(state, layer) for state in states]
        return gradients

    def _of_inputs(self) -> Array:
        """Return the gradient of the inputs, which both halves of a Bidirectional read."""
        called = called_layers(self.problem.layer)[0]
        first, *second = [self._of_argument(x, called) for x in self._inputs]
        arithmetic = self._taped.for_dtype(called.compute_dtype)
        return arithmetic.rounded(first + second[0]) if second else first

    def _of_argument(self, leaf: TapedArray, called: Recurrent | Bidirectional) -> Array:
        """Return the gradient of what entered a call, in the type of the layer that was called."""
        arithmetic = self._taped.for_dtype(called.compute_dtype)
        return arithmetic.converted(self._of(leaf), leaf.arithmetic)

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
