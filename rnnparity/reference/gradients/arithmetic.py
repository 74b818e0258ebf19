"""Arithmetic whose numbers remember how they were computed: in float64 and with many digits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Self

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.reference.activations import ACTIVATIONS
from rnnparity.reference.exact import ExactArithmetic, MpfNumber, scalar_function
from rnnparity.reference.gradients.taped_array import TapedArray
from rnnparity.reference.number import Function


class TapedArithmetic:
    """Taped arrays of float64; `tape` has what was computed, in this order.

    The methods below `between_steps` compute with plain arrays that have the hidden axis, forward
    and backward; stochastic arithmetic rounds there.
    """

    # A number for each run of stochastic arithmetic.
    runs = 1

    def __init__(self, tape: list[TapedArray] | None = None) -> None:
        self.tape: list[TapedArray] = [] if tape is None else tape

    def for_dtype(self, dtype: str) -> Self:  # noqa: ARG002 - the same for every layer
        return self

    def from_array(self, values: Array) -> TapedArray:
        return TapedArray(self.plain(values)[None], self)

    def activation(self, name: str) -> Function[TapedArray]:
        return lambda x: x.apply(name)

    def where(self, condition: Array, x: TapedArray, y: TapedArray) -> TapedArray:
        def back(gradient: Array) -> None:
            x.add_gradient(np.where(condition, gradient, 0))
            y.add_gradient(np.where(condition, 0, gradient))

        return TapedArray(np.where(condition, x.value, y.value), self, back)

    def join(self, numbers: Sequence[TapedArray], axis: int) -> TapedArray:
        ends = np.cumsum([number.shape[axis] for number in numbers])[:-1]

        def back(gradient: Array) -> None:
            for number, part in zip(numbers, np.split(gradient, ends, axis), strict=True):
                number.add_gradient(part)

        return TapedArray(np.concatenate(_same_runs(numbers), axis), self, back)

    def join_columns(self, numbers: Sequence[TapedArray]) -> TapedArray:
        return self.join(numbers, -1)

    def stack(self, numbers: Sequence[TapedArray]) -> TapedArray:
        def back(gradient: Array) -> None:
            for step, number in enumerate(numbers):
                number.add_gradient(gradient[..., step, :])

        return TapedArray(np.stack(_same_runs(numbers), axis=-2), self, back)

    def cast(self, number: TapedArray) -> TapedArray:
        def back(gradient: Array) -> None:
            number.add_gradient(number.arithmetic.converted(gradient, self))

        return TapedArray(self.converted(number.value, number.arithmetic), self, back)

    def between_steps(self, states: list[TapedArray], U: TapedArray) -> list[TapedArray]:  # noqa: ARG002 - none needed
        return states

    def plain(self, values: Array) -> Array:
        """Return exact values in the numbers that this arithmetic computes with."""
        return np.asarray(values, np.float64)

    def rounded(self, values: Array) -> Array:
        """Return values as they are after one rounding."""
        return values

    def converted(self, values: Array, source: TapedArithmetic) -> Array:  # noqa: ARG002 - float64 is the type of all
        """Return values of another arithmetic, of a layer with another type, in this one."""
        return values

    def product(self, x: Array, y: Array) -> Array:
        """Return x * y."""
        return x * y

    def matmul(self, x: Array, y: Array) -> Array:
        """Return x @ y."""
        return x @ y

    def sum_rows(self, values: Array) -> Array:
        """Return the sum over axis -2, which is kept."""
        total: Array = values.sum(axis=-2, keepdims=True)
        return total

    def activation_value(self, name: str, x: Array) -> Array:
        """Return the activation of x."""
        return ACTIVATIONS[name].value(x)

    def activation_gradient(self, name: str, x: Array, y: Array, gradient: Array) -> Array:
        """Return the gradient with respect to x from that with respect to its activation y."""
        return self.product(gradient, ACTIVATIONS[name].slope(x, y))


class TapedExactArithmetic(TapedArithmetic):
    """Object arrays of mpmath numbers, for gradients that must be correctly rounded float64.

    Raises:
        RequestError: mpmath is missing.
    """

    def __init__(self) -> None:
        super().__init__()
        self._exact = ExactArithmetic()

    def plain(self, values: Array) -> Array:
        return self._exact.from_array(values)

    def activation_value(self, name: str, x: Array) -> Array:
        return np.asarray(self._exact.activation(name)(x))

    def activation_gradient(self, name: str, x: Array, y: Array, gradient: Array) -> Array:  # noqa: ARG002 - x is enough
        slope = np.frompyfunc(partial(self._slope, name), 1, 1)
        return self.product(gradient, np.asarray(slope(x)))

    def _slope(self, name: str, x: MpfNumber) -> MpfNumber:
        """Return the numerical derivative: with so many digits it is as good as a formula."""
        mp, function = self._exact.context, ACTIVATIONS[name]
        if x in function.kinks:  # where the convention decides
            at = np.asarray(float(x))
            return mp.mpf(float(function.slope(at, function.value(at))))
        return mp.diff(scalar_function(name, mp), x)


def _same_runs(numbers: Sequence[TapedArray]) -> list[Array]:
    """Return the values of numbers, of which some may be the same in every run."""
    runs = max(len(number.value) for number in numbers)
    return [np.broadcast_to(number.value, (runs, *number.shape)) for number in numbers]
