"""Arrays that remember how they were computed, so that gradients can flow back (reverse mode)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.reference.number import Index

if TYPE_CHECKING:
    from rnnparity.reference.gradients.arithmetic import TapedArithmetic

# Takes the gradient with respect to a number and adds to those of what it was computed from.
Back = Callable[[Array], None]


class TapedArray:
    """A number of `TapedArithmetic`.

    `value` has a hidden leading axis of runs, which `shape` leaves out: it is 1, or one entry for
    each run of stochastic arithmetic. No sum extends over it.
    """

    __slots__ = ("_back", "_parts", "_products", "_sum", "arithmetic", "value")

    def __init__(self, value: Array, arithmetic: TapedArithmetic, back: Back | None = None) -> None:
        self.value = value
        self.arithmetic = arithmetic
        self._back = back
        self._sum: Array | None = None
        self._parts: Array | None = None
        self._products: list[tuple[Array, Array]] = []
        if back is not None:
            arithmetic.tape.append(self)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape[1:]

    @property
    def gradient(self) -> Array | None:
        """The sum of what has flowed back; None where nothing has."""
        if self._products:
            # One product for all steps, as the weights of a time loop enter every step.
            x, g = (_joined_rows(arrays) for arrays in zip(*self._products, strict=True))
            self._products = []
            self.add_gradient(self.arithmetic.matmul(x.swapaxes(-1, -2), g))
        if self._parts is not None:
            parts, self._parts = self._parts, None
            self.add_gradient(parts)
        return self._sum

    def add_gradient(self, gradient: Array) -> None:
        """Add what flows back from one use; rows over which the number was repeated are summed."""
        if self.value.shape[-2] == 1 < gradient.shape[-2]:
            gradient = self.arithmetic.sum_rows(gradient)
        if self._sum is not None:
            gradient = self.arithmetic.rounded(self._sum + gradient)
        self._sum = gradient

    def flow_back(self) -> None:
        """Pass the gradient on to what the number was computed from, and forget the latter.

        What is kept until the end would nearly double the memory that gradients take.
        """
        gradient = self.gradient
        if gradient is not None and self._back is not None:
            self._back(gradient)
        self._back = None

    def _add_part(self, gradient: Array, index: Index) -> None:
        """Add what flows back from a part; the parts of a number that are used do not overlap."""
        if self._parts is None:
            self._parts = np.zeros((len(gradient), *self.shape), gradient.dtype)
        self._parts[index] += gradient

    def _new(self, value: Array, back: Back) -> TapedArray:
        return TapedArray(value, self.arithmetic, back)

    def _rounded(self, value: Array, back: Back) -> TapedArray:
        return self._new(self.arithmetic.rounded(value), back)

    def __add__(self, other: TapedArray) -> TapedArray:
        def back(gradient: Array) -> None:
            self.add_gradient(gradient)
            other.add_gradient(gradient)

        return self._rounded(self.value + other.value, back)

    def __rsub__(self, other: int) -> TapedArray:
        return self._rounded(other - self.value, lambda gradient: self.add_gradient(-gradient))

    def __truediv__(self, other: int) -> TapedArray:
        """Division by 2 does not round."""
        return self._new(self.value / other, lambda gradient: self.add_gradient(gradient / other))

    def __mul__(self, other: TapedArray) -> TapedArray:
        product = self.arithmetic.product

        def back(gradient: Array) -> None:
            self.add_gradient(product(gradient, other.value))
            other.add_gradient(product(gradient, self.value))

        return self._new(product(self.value, other.value), back)

    def __matmul__(self, W: TapedArray) -> TapedArray:
        matmul = self.arithmetic.matmul

        def back(gradient: Array) -> None:
            self.add_gradient(matmul(gradient, W.value.swapaxes(-1, -2)))
            W._products.append((self.value, gradient))

        return self._new(matmul(self.value, W.value), back)

    def __getitem__(self, index: Index) -> TapedArray:
        """The index begins with an ellipsis, which also stands for the hidden axis."""
        return self._new(self.value[index], lambda gradient: self._add_part(gradient, index))

    def reshape(self, shape: tuple[int, ...]) -> TapedArray:
        def back(gradient: Array) -> None:
            self.add_gradient(gradient.reshape(len(gradient), *self.shape))

        return self._new(self.value.reshape(len(self.value), *shape), back)

    def swapaxes(self, axis1: int, axis2: int) -> TapedArray:
        def back(gradient: Array) -> None:
            self.add_gradient(gradient.swapaxes(axis1, axis2))

        return self._new(self.value.swapaxes(axis1, axis2), back)

    def apply(self, name: str) -> TapedArray:
        """Return the activation of every value."""
        x, arithmetic = self.value, self.arithmetic
        y = arithmetic.activation_value(name, x)

        def back(gradient: Array) -> None:
            self.add_gradient(arithmetic.activation_gradient(name, x, y, gradient))

        return self._new(y, back)


def _joined_rows(arrays: tuple[Array, ...]) -> Array:
    """Join the rows of arrays (runs or 1, rows, columns)."""
    if len(arrays) == 1:
        return arrays[0]
    runs = max(map(len, arrays))
    return np.concatenate([np.broadcast_to(a, (runs, *a.shape[1:])) for a in arrays], axis=-2)
