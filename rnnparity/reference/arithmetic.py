"""Three arithmetics for one set of equations.

`Plain` computes in a NumPy type; `WithNoise` carries beside every value the variance that rounding in a given type
would leave there; `Digits50` computes with 50 digits. The cells never know which one they run in.

The noise model is first order with independent errors (Higham & Mary 2019, "A new approach to probabilistic rounding
error analysis"): every operation adds the square of its own rounding, every earlier variance passes on through the
squared derivative. Constants and their evidence: DESIGN.md, section 6.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from rnnparity.dtypes import FLOAT_TYPES, Array, FloatType
from rnnparity.reference.activations import ACTIVATIONS, Activation
from rnnparity.reference.cells import Letter


class Arithmetic(Protocol):
    """What the time loop needs beyond + - * / @: how numbers come in, and how they are chosen, joined, turned."""

    def known(self, values: Array) -> Letter:
        """Numbers that are given exactly: weights, inputs, states."""

    def activation(self, name: str) -> Callable[[Letter], Letter]:
        """The function of that name."""

    def where(self, chosen: Array, one: Letter, other: Letter) -> Letter:
        """Elementwise choice, like numpy.where."""

    def join(self, letters: Sequence[Letter], axis: int) -> Letter:
        """Like numpy.concatenate."""

    def stack(self, letters: Sequence[Letter]) -> Letter:
        """Steps (..., B, H) each -> (..., B, T, H)."""

    def cast(self, letter: Letter, dtype: str) -> Letter:
        """Rounding to another type: noise where noise is carried, nothing elsewhere."""


class Plain:
    """NumPy arrays of one type: float64, or float32 when asked."""

    def __init__(self, dtype: type[Any] = np.float64) -> None:
        self.dtype = dtype

    def known(self, values: Array) -> Letter:
        return np.asarray(values, self.dtype)

    def activation(self, name: str) -> Callable[[Letter], Letter]:
        return ACTIVATIONS[name]

    def where(self, chosen: Array, one: Letter, other: Letter) -> Letter:
        return np.where(chosen, one, other)

    def join(self, letters: Sequence[Letter], axis: int) -> Letter:
        return np.concatenate(letters, axis)

    def stack(self, letters: Sequence[Letter]) -> Letter:
        return np.stack(np.broadcast_arrays(*letters), axis=-2)

    def cast(self, letter: Letter, dtype: str) -> Letter:  # noqa: ARG002 - the Protocol's word
        return letter


class Digits50(Plain):
    """Object arrays of mpmath numbers: 50 decimal digits in every operation."""

    def __init__(self) -> None:
        import mpmath

        self.mp = mpmath.mp.clone()
        self.mp.dps = 50

    def known(self, values: Array) -> Letter:
        return np.frompyfunc(self.mp.mpf, 1, 1)(np.asarray(values, np.float64))

    def activation(self, name: str) -> Callable[[Letter], Letter]:
        from rnnparity.reference.digits import scalar_function

        function: Callable[[Letter], Letter] = np.frompyfunc(scalar_function(name, self.mp), 1, 1)
        return function


class WithNoise:
    """`Noisy` letters whose operations round to `dtype`."""

    def __init__(self, dtype: str) -> None:
        self.kind = FLOAT_TYPES[dtype]

    def known(self, values: Array) -> Noisy:
        return Noisy(np.asarray(values, np.float64), None, self.kind)

    def activation(self, name: str) -> Callable[[Noisy], Noisy]:
        function = ACTIVATIONS[name]
        return lambda x: x.through(function)

    def where(self, chosen: Array, one: Noisy, other: Noisy) -> Noisy:
        return Noisy(np.where(chosen, one.value, other.value), np.where(chosen, one.noise, other.noise), one.kind)

    def join(self, letters: Sequence[Noisy], axis: int) -> Noisy:
        values = np.concatenate([letter.value for letter in letters], axis)
        return Noisy(values, np.concatenate([letter.noise for letter in letters], axis), letters[0].kind)

    def stack(self, letters: Sequence[Noisy]) -> Noisy:
        values = np.stack([letter.value for letter in letters], axis=-2)
        return Noisy(values, np.stack([letter.noise for letter in letters], axis=-2), letters[0].kind)

    def cast(self, letter: Noisy, dtype: str) -> Noisy:
        kind = FLOAT_TYPES[dtype]
        if kind.bits >= letter.kind.bits:
            return Noisy(letter.value, letter.var, kind)
        return Noisy(letter.value, letter.noise + (kind.u * letter.value) ** 2 + kind.tiny**2, kind)


class Noisy:
    """Values and the variance of their rounding errors; `var` None means known exactly."""

    __slots__ = ("__dict__", "kind", "value", "var")

    def __init__(self, value: Array, var: Array | None, kind: FloatType) -> None:
        self.value, self.var, self.kind = value, var, kind

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def noise(self) -> Array:
        return np.zeros_like(self.value) if self.var is None else self.var

    @property
    def sigma(self) -> Array:
        return np.sqrt(self.noise)

    @cached_property
    def square(self) -> Array:
        return self.value * self.value

    @cached_property
    def alike(self) -> bool:
        """Whether every row of a kernel is the same, as with a constant initializer."""
        return bool((self.value == self.value[..., :1, :]).all()) and self.value.shape[-2] > 1

    def reshape(self, *shape: int) -> Noisy:
        return Noisy(self.value.reshape(shape), None if self.var is None else self.var.reshape(shape), self.kind)

    def __getitem__(self, index: Any) -> Noisy:
        return Noisy(self.value[index], None if self.var is None else self.var[index], self.kind)

    def __add__(self, other: Noisy) -> Noisy:
        y = self.value + other.value
        return Noisy(y, _sum(self.var, other.var) + (self.kind.u * y) ** 2, self.kind)

    def __rsub__(self, one: float) -> Noisy:
        y = one - self.value
        return Noisy(y, self.noise + (self.kind.u * y) ** 2, self.kind)

    def __truediv__(self, two: int) -> Noisy:
        return Noisy(self.value / two, self.noise / two**2, self.kind)

    def __mul__(self, other: Noisy) -> Noisy:
        y = self.value * other.value
        var = (self.kind.u * y) ** 2 + self.kind.tiny**2
        if self.var is not None:
            var += self.var * other.square
        if other.var is not None:
            var += other.var * self.square
        return Noisy(y, var, self.kind)

    def __matmul__(self, W: Noisy) -> Noisy:
        """A sum of L products rounds L times; W is known exactly."""
        terms = self.value.shape[-1]
        u2 = self.kind.u**2
        y = self.value @ W.value
        each = self.square * (u2 * terms / 2)
        if self.var is not None:
            each += self.var
        var = each @ W.square + (u2 * terms / 3) * (y * y)
        if W.alike and self.var is not None:
            var = np.maximum(var, self._coherent(W, y))
        return Noisy(y, var, self.kind)

    def _coherent(self, W: Noisy, y: Array) -> Array:
        """With constant weights all units make the same error, so that amplitudes add, not variances.

        A sum of L equal terms rounds the same way again and again: up to u*L/2 of it, half of that as a measure.
        """
        same = (self.value == self.value[..., :1]).all(-1, keepdims=True)
        own = self.kind.u * self.value.shape[-1] / 4 * y
        return np.where(same, (np.sqrt(self.noise) @ np.abs(W.value)) ** 2 + own**2, 0)

    def through(self, function: Activation) -> Noisy:
        x, kind = self.value, self.kind
        y = function.value(x)
        slope = function.slope(x, y)
        for kink in function.kinks:
            near = np.abs(x - kink) < 4 * self.sigma
            slope = np.where(near, function.steepest, slope)
        own = kind.u * function.error(x, y)
        return Noisy(y, self.noise * slope * slope + own * own + kind.tiny**2, kind)


def _sum(one: Array | None, other: Array | None) -> Array | float:
    if one is None:
        return 0.0 if other is None else other
    return one if other is None else one + other
