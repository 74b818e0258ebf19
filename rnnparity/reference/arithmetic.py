"""What the engine needs beyond + - * / @, and the arithmetic of plain NumPy arrays.

Two more arithmetics implement the same Protocol: `noise.NoiseArithmetic` computes the variance that
rounding in a given type leaves in every value, `exact.ExactArithmetic` has hundreds of digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.reference.activations import ACTIVATIONS
from rnnparity.reference.number import Function, N


class Arithmetic(Protocol[N]):
    """How arrays enter a run, and how its numbers are chosen and joined."""

    def for_dtype(self, dtype: str) -> Self:
        """Return the arithmetic for layers with this compute dtype."""

    def from_array(self, values: Array) -> N:
        """Convert weights, inputs or states, which are exact."""

    def activation(self, name: str) -> Function[N]:
        """Return the activation function with this name."""

    def where(self, condition: Array, x: N, y: N) -> N:
        """Choose elementwise, like `numpy.where`."""

    def join(self, numbers: Sequence[N], axis: int) -> N:
        """Join along an axis, like `numpy.concatenate`."""

    def join_columns(self, numbers: Sequence[N]) -> N:
        """Join what one step has computed along the last axis; errors in common stay in common."""

    def stack(self, numbers: Sequence[N]) -> N:
        """Stack steps: (..., B, H) each -> (..., B, T, H)."""

    def cast(self, number: N) -> N:
        """Convert what a layer with another dtype has computed."""

    def between_steps(self, states: list[N], U: N) -> list[N]:
        """Return the states of one step as those that enter the next, by the recurrent kernel U."""


class PlainArithmetic:
    """NumPy arrays of one type: float64, or another one where asked."""

    def __init__(self, dtype: type[np.floating] = np.float64) -> None:
        self.dtype = dtype

    def for_dtype(self, dtype: str) -> Self:  # noqa: ARG002 - the same for every layer
        return self

    def from_array(self, values: Array) -> Array:
        return np.asarray(values, self.dtype)

    def activation(self, name: str) -> Function[Array]:
        return ACTIVATIONS[name].value

    def where(self, condition: Array, x: Array, y: Array) -> Array:
        return np.where(condition, x, y)

    def join(self, numbers: Sequence[Array], axis: int) -> Array:
        if axis == -1:  # only one of two halves may have variants
            leading = np.broadcast_shapes(*(array.shape[:-1] for array in numbers))
            numbers = [np.broadcast_to(array, (*leading, array.shape[-1])) for array in numbers]
        return np.concatenate(numbers, axis)

    def join_columns(self, numbers: Sequence[Array]) -> Array:
        return self.join(numbers, -1)

    def stack(self, numbers: Sequence[Array]) -> Array:
        # The first steps have no variants where these enter by the recurrent kernel.
        same = len({array.shape for array in numbers}) == 1
        return np.stack(numbers if same else np.broadcast_arrays(*numbers), axis=-2)

    def cast(self, number: Array) -> Array:
        return number

    def between_steps(self, states: list[Array], U: Array) -> list[Array]:  # noqa: ARG002 - none needed
        return states


def merge(mode: str | None, y: N, y_rev: N, arithmetic: Arithmetic[N]) -> list[N]:
    """Return the outputs of Bidirectional from those of its halves."""
    # Two runs have no error in common: joining removes the errors that each shares with its states.
    y, y_rev = arithmetic.join([y], -1), arithmetic.join([y_rev], -1)
    if mode == "sum":
        return [y + y_rev]
    if mode == "mul":
        return [y * y_rev]
    if mode == "ave":
        return [(y + y_rev) / 2]
    return [y, y_rev] if mode is None else [arithmetic.join([y, y_rev], -1)]
