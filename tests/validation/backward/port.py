"""Keras' recurrent layers in PyTorch and in TensorFlow, with the backward pass of each half by hand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack
from rnnparity.problem.problem import Problem, Tensor
from validation.backward.half import Half
from validation.backward.mistakes import WHOLE, Mistake
from validation.backward.ops import Arrays, Ops, T


class Port(ABC):
    """A problem in a framework with a mistake in its backward pass."""

    ops: Ops

    def __init__(self, problem: Problem, mistake: Mistake) -> None:
        self.problem, self.mistake = problem, mistake
        self.x = self.leaf(problem.inputs)
        self.weights = {tensor.name: self.leaf(tensor) for tensor in problem.weights}
        self.states = [self.leaf(tensor) for tensor in problem.initial_state or ()]
        batch, steps, _ = problem.inputs.shape
        mask = np.ones((batch, steps), bool) if problem.mask is None else problem.mask
        self.mask = self.ops.tensor(mask)

    @abstractmethod
    def leaf(self, tensor: Tensor) -> T:
        """Return a tensor that gradients are asked for."""

    @abstractmethod
    def apply(self, half: Half, x: T, weights: Arrays, states: Arrays) -> Sequence[T]:
        """Return the output and the states of a half, whose gradients are those by hand."""

    @abstractmethod
    def found(self, leaves: Arrays, cotangents: Arrays) -> Sequence[Array | None]:
        """Return the gradients of the outputs with respect to leaves, None where there is none."""

    def outputs(self) -> Arrays:
        """Return the outputs in Keras' order."""
        self._next_state = iter(self.states)
        return self._layer(self.problem.layer, "", self.x)

    def gradients(self) -> list[Array]:
        """Return the gradients in the order of the problem's slots, with the mistake."""
        leaves = [self.x, *self.weights.values(), *self.states]
        found = self.found(leaves, self._cotangents())
        filled = [
            np.zeros(leaf.shape, np.float32) if gradient is None else gradient
            for leaf, gradient in zip(leaves, found, strict=True)
        ]
        return self._edited(filled)

    def _cotangents(self) -> Arrays:
        arrays = [t.data.copy() for t in self.problem.cotangents or ()]
        for slot, array in zip(self.problem.output_slots(), arrays, strict=True):
            is_output = slot.name.endswith("output")
            if self.mistake.kind == "no state cotangents" and not is_output:
                array[:] = 0
            if self.mistake.kind == "last cotangent only" and array.ndim == 3:
                array[:, :-1] = 0
        return [self.ops.tensor(array) for array in arrays]

    def _edited(self, gradients: list[Array]) -> list[Array]:
        m = self.mistake
        if m.half != WHOLE:
            return gradients
        of_weights = range(1, 1 + len(self.weights))
        for index, gradient in enumerate(gradients):
            if m.kind == "clipped":
                gradients[index] = gradient.clip(-np.float32(m.number), np.float32(m.number))
            if m.kind == "negated":
                gradients[index] = -gradient
            if m.kind == "averaged" and index in of_weights:
                gradients[index] = gradient / np.float32(self.x.shape[0])
            if m.kind == "norms" and index in of_weights:
                gradients[index] = gradient / np.float32(max(1.0, float(np.linalg.norm(gradient))))
        return gradients

    def _layer(self, layer: Layer, prefix: str, x: T) -> Arrays:
        if isinstance(layer, Stack):
            for index, inner in enumerate(layer.layers):
                outputs = self._layer(inner, f"{index}/", x)
                x = outputs[0]
            return outputs
        if isinstance(layer, Recurrent):
            output, *states = self._half(layer, prefix, x)
            return [output, *states] if layer.return_state else [output]
        y, *states = self._half(layer.forward, f"{prefix}forward/", x)
        y_rev, *states_rev = self._half(layer.backward, f"{prefix}backward/", x)
        if layer.return_sequences:
            y_rev = self.ops.reverse(y_rev)
        outputs = self._merged(layer, y, y_rev)
        return [*outputs, *states, *states_rev] if layer.return_state else outputs

    def _half(self, layer: Recurrent, prefix: str, x: T) -> Sequence[T]:
        zeros = [self._zeros(x.shape[0], layer.units) for _ in layer.states]
        states = [next(self._next_state, zero) for zero in zeros]
        b = self.weights.get(f"{prefix}bias")
        W, U = self.weights[f"{prefix}kernel"], self.weights[f"{prefix}recurrent_kernel"]
        if b is None:
            b = self._zeros(1, 1)
        rows = self.ops.repeat(b if b.ndim == 2 else b[None], (layer.bias_rows, W.shape[1]))
        half = Half(self.ops, layer, self.mask, self.mistake.of(prefix))
        return self.apply(half, x, [W, U, rows], states)

    def _zeros(self, *shape: int) -> T:
        return self.ops.tensor(np.zeros(shape, np.float32))

    def _merged(self, layer: Bidirectional, y: T, y_rev: T) -> Arrays:
        match layer.merge_mode:
            case None:
                return [y, y_rev]
            case "concat":
                return [self.ops.join([y, y_rev])]
            case "mul":
                return [y * y_rev]
            case "sum":
                return [y + y_rev]
            case _:
                return [(y + y_rev) / 2]


def as_array(value: Any) -> Array | None:
    """Return a tensor of a framework in NumPy, None where there is no gradient."""
    if value is None:
        return None
    array: Array = (value.detach() if hasattr(value, "detach") else value).numpy()
    return array
