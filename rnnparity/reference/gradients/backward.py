"""The backward pass of a problem: the engine in taped arithmetic, and what its leaves are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rnnparity.problem.answer_types import TrainingStep
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Bidirectional, Recurrent, called_layers, halves
from rnnparity.problem.problem import Problem
from rnnparity.problem.tensor import Tensor
from rnnparity.reference.cells import LSTM
from rnnparity.reference.engine import StepRecord, Unroller
from rnnparity.reference.gradients.arithmetic import TapedArithmetic
from rnnparity.reference.gradients.taped_array import TapedArray

# The arrays of a half, in Keras' order.
WEIGHTS, STATES = ("kernel", "recurrent_kernel", "bias"), ("h", "c")


class BackwardUnroller(Unroller[TapedArray]):
    """A problem unrolled forward, then backward."""

    def __init__(self, problem: Problem, arithmetic: TapedArithmetic) -> None:
        super().__init__(problem, arithmetic)
        self._taped = arithmetic

    def run(
        self, record: Callable[[StepRecord[TapedArray]], None] | None = None
    ) -> list[TapedArray]:
        # Where numbers leave the range NaN is correct here, too; `tolerance` looks for it.
        with np.errstate(invalid="ignore"):
            return super().run(record)

    def gradients(self, cotangents: Sequence[Tensor]) -> list[Array]:
        """Return the gradients of inputs, weights and initial states, in the order of their slots.

        Each has a leading axis of runs. `cotangents` belong to the outputs.
        """
        for output, cotangent in zip(self.run(), cotangents, strict=True):
            plain = self._taped.plain(cotangent.data)
            output.add_gradient(np.broadcast_to(plain, (self._taped.runs, *plain.shape)))
        return self._flow_back()

    def weights_after(self, step: TrainingStep) -> list[Array]:
        """Return the weights after a training step, each with a leading axis of runs."""
        for output, target in zip(self.run(), step.targets, strict=True):
            arithmetic = output.arithmetic
            error = arithmetic.rounded(output.value - arithmetic.plain(target.data))
            slope = arithmetic.rounded(error * 2 / target.data.size)
            output.add_gradient(np.broadcast_to(slope, (self._taped.runs, *output.shape)))
        _, *gradients = self._flow_back()
        lr = self._taped.plain(np.asarray(step.lr))
        after = []
        # The gradients of initial states follow.
        for weight, gradient in zip(self.problem.weights, gradients, strict=False):
            arithmetic = self._taped.for_dtype(weight.dtype)
            before = arithmetic.plain(weight.data)
            after.append(arithmetic.rounded(before - arithmetic.product(lr, gradient)))
        return after

    def _flow_back(self) -> list[Array]:
        with np.errstate(over="ignore", invalid="ignore"):
            while self._taped.tape:
                self._taped.tape.pop().flow_back()
            return self.leaf_gradients()

    def half_gradients(self, prefix: str, half: Recurrent) -> dict[str, Array]:
        """Return the gradients of one half by name, each with a leading axis of runs.

        They are those of the weights, of the inputs in the first layer, and of the initial states
        (h, c) where the problem has them.
        """
        gradients = self._of_weights(prefix, half)
        index = list(self.cells).index(prefix)
        called = called_layers(self.problem.layer)[index]
        if index < len(self._inputs):
            gradients["inputs"] = self._of_argument(self._inputs[index], called)
        if self.problem.initial_state is not None:
            for name, state in zip(half.states, self.initial_states[prefix], strict=True):
                gradients[name] = self._of_argument(state, called)
        return gradients

    def leaf_gradients(self) -> list[Array]:
        """Return what `gradients` has returned."""
        layer = self.problem.layer
        parts = [self.half_gradients(prefix, half) for prefix, half in halves(layer)]
        inputs, *second = [part["inputs"] for part in parts if "inputs" in part]
        if second:  # both halves of a Bidirectional read them
            arithmetic = self._taped.for_dtype(called_layers(layer)[0].compute_dtype)
            inputs = arithmetic.rounded(inputs + second[0])
        weights = [part[name] for part in parts for name in WEIGHTS if name in part]
        states = [part[name] for part in parts for name in STATES if name in part]
        return [inputs, *weights, *states]

    def _of_argument(self, leaf: TapedArray, called: Recurrent | Bidirectional) -> Array:
        """Return the gradient of what entered a call, in the type of the layer that was called."""
        arithmetic = self._taped.for_dtype(called.compute_dtype)
        return arithmetic.converted(self._of(leaf), leaf.arithmetic)

    def _of_weights(self, prefix: str, half: Recurrent) -> dict[str, Array]:
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
        return dict(zip(WEIGHTS, arrays, strict=False))

    def _of(self, leaf: TapedArray) -> Array:
        gradient = leaf.gradient
        shape = (self._taped.runs, *leaf.shape)
        return np.zeros(shape) if gradient is None else np.broadcast_to(gradient, shape)
