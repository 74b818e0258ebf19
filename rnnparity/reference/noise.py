"""The noise model: beside every value the variance that rounding would leave in it.

First order with independent errors (Higham & Mary 2019, "A new approach to probabilistic rounding
error analysis"): every operation adds the square of its rounding, every earlier variance passes
through the squared derivative. A sum of L products rounds L times (without that the error grows
with H past every threshold). An activation adds the rms of its measured error: the maximum (tanh
6.2, sigmoid 6.6 units in the last place over all of float32 in TensorFlow 2.21) would only hide
faults.

What enters a step with its states is one error that reaches the new states through several gates,
so that amplitudes add there. Where the states are few, they enter each step with amplitudes of
uncorrelated sources (a root of their covariance); where they are many, the paths average out and
variances add.

Where a value may overflow its variance is infinite: an implementation that accumulates in a wider
type has another result there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array, FloatType
from rnnparity.reference.activations import ACTIVATIONS, Activation
from rnnparity.reference.number import Function, Index

# The errors that states share are computed where a row of states has at most this many numbers: the
# cost grows with their cube.
CORRELATED = 16
# A type with larger numbers overflows only where states or outputs do, which `tolerance` checks.
WIDE = 2.0**17


class NoisyArray:
    """Values with their rounding errors, in operations that round to `dtype`.

    `var` is the variance of errors that no other number shares, `sources` (S, ...) are amplitudes
    of errors that numbers share. None stands for no error.
    """

    __slots__ = ("__dict__", "dtype", "sources", "value", "var")

    def __init__(
        self, value: Array, var: Array | None, dtype: FloatType, sources: Array | None = None
    ) -> None:
        self.value = value
        self.var = var
        self.dtype = dtype
        self.sources = sources

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def noise(self) -> Array:
        """The whole variance."""
        var = _or_zeros(self.var, self.value)
        return var if self.sources is None else var + (self.sources * self.sources).sum(0)

    @property
    def sigma(self) -> Array:
        """The standard deviation."""
        return np.sqrt(self.noise)

    @cached_property
    def square(self) -> Array:
        return self.value * self.value

    @cached_property
    def has_equal_rows(self) -> bool:
        """Whether every row of a kernel is the same, as with a constant initializer."""
        return bool((self.value == self.value[..., :1, :]).all()) and self.value.shape[-2] > 1

    def reshape(self, shape: tuple[int, ...]) -> NoisyArray:
        """Only outside of the time loop, where there are no sources."""
        var = None if self.var is None else self.var.reshape(shape)
        return NoisyArray(self.value.reshape(shape), var, self.dtype)

    def swapaxes(self, axis1: int, axis2: int) -> NoisyArray:
        """Only outside of the time loop, where there are no sources."""
        var = None if self.var is None else self.var.swapaxes(axis1, axis2)
        return NoisyArray(self.value.swapaxes(axis1, axis2), var, self.dtype)

    def __getitem__(self, index: Index) -> NoisyArray:
        """The index begins with an ellipsis, which also stands for the axis of the sources."""
        var = None if self.var is None else self.var[index]
        sources = None if self.sources is None else self.sources[index]
        return NoisyArray(self.value[index], var, self.dtype, sources)

    def __add__(self, other: NoisyArray) -> NoisyArray:
        y = self.value + other.value
        rounding = _with_overflow((self.dtype.u * y) ** 2, y, self.dtype)
        var = _sum(_sum(self.var, other.var), rounding)
        return NoisyArray(y, var, self.dtype, _sum(self.sources, other.sources))

    def __rsub__(self, other: int) -> NoisyArray:
        y = other - self.value
        sources = None if self.sources is None else -self.sources
        return NoisyArray(y, _sum(self.var, (self.dtype.u * y) ** 2), self.dtype, sources)

    def __truediv__(self, other: int) -> NoisyArray:
        """Division by 2 does not round."""
        return NoisyArray(self.value / other, self.noise / other**2, self.dtype)

    def __mul__(self, other: NoisyArray) -> NoisyArray:
        y = self.value * other.value
        var = _with_overflow((self.dtype.u * y) ** 2 + self.dtype.tiny**2, y, self.dtype)
        if self.var is not None:
            var += self.var * other.square
        if other.var is not None:
            var += other.var * self.square
        left = None if self.sources is None else self.sources * other.value
        right = None if other.sources is None else other.sources * self.value
        return NoisyArray(y, var, self.dtype, _sum(left, right))

    def __matmul__(self, W: NoisyArray) -> NoisyArray:
        """A sum of L products rounds L times; W is exact."""
        terms = self.value.shape[-1]
        u2 = self.dtype.u**2
        y = self.value @ W.value
        term_var = self.square * (u2 * terms / 2)
        if self.var is not None:
            term_var += self.var
        var = term_var @ W.square + (u2 * terms / 3) * (y * y)
        if W.has_equal_rows and (self.var is not None or self.sources is not None):
            var = np.maximum(var, self._coherent(W, y))
        if self.dtype.largest < WIDE:  # any part of the sum may overflow
            var = _with_overflow(var, np.abs(self.value) @ np.abs(W.value), self.dtype)
        sources = None if self.sources is None else self.sources @ W.value
        return NoisyArray(y, var, self.dtype, sources)

    def _coherent(self, W: NoisyArray, y: Array) -> Array:
        """Return the variance where all units make the same error, so that amplitudes add.

        A sum of L equal terms rounds the same way every time: up to u*L/2 of it. Half of that is
        the measure.
        """
        equal = (self.value == self.value[..., :1]).all(-1, keepdims=True)
        var = np.zeros(()) if self.var is None else (np.sqrt(self.var) @ np.abs(W.value)) ** 2
        rounding = self.dtype.u * self.value.shape[-1] / 4 * y
        return np.where(equal, var + rounding**2, 0)

    def apply(self, function: Activation) -> NoisyArray:
        """Return the activation of every value."""
        x = self.value
        y = function.value(x)
        slope = function.slope(x, y)
        for kink in function.kinks:
            near = np.abs(x - kink) < 4 * self.sigma
            slope = np.where(near, function.steepest, slope)
        rounding = (self.dtype.u * function.error(x, y)) ** 2 + self.dtype.tiny**2
        rounding = _with_overflow(rounding, y, self.dtype)
        var = _sum(None if self.var is None else self.var * slope * slope, rounding)
        sources = None if self.sources is None else self.sources * slope
        return NoisyArray(y, var, self.dtype, sources)


class NoiseArithmetic:
    """Arrays with noise whose operations round to `dtype`."""

    def __init__(self, dtype: str) -> None:
        self.dtype = FLOAT_TYPES[dtype]

    def for_dtype(self, dtype: str) -> NoiseArithmetic:
        return NoiseArithmetic(dtype)

    def from_array(self, values: Array) -> NoisyArray:
        return NoisyArray(np.asarray(values, np.float64), None, self.dtype)

    def activation(self, name: str) -> Function[NoisyArray]:
        function = ACTIVATIONS[name]
        return lambda x: x.apply(function)

    def where(self, condition: Array, x: NoisyArray, y: NoisyArray) -> NoisyArray:
        value = np.where(condition, x.value, y.value)
        var = _where(condition, x.var, y.var)
        if var is None:
            var = np.zeros(value.shape)
        return NoisyArray(value, var, x.dtype, _where(condition, x.sources, y.sources))

    def join(self, numbers: Sequence[NoisyArray], axis: int) -> NoisyArray:
        value = np.concatenate([number.value for number in numbers], axis)
        var = np.concatenate([number.noise for number in numbers], axis)
        return NoisyArray(value, var, numbers[0].dtype)

    def stack(self, numbers: Sequence[NoisyArray]) -> NoisyArray:
        value = np.stack([number.value for number in numbers], axis=-2)
        var = np.stack([number.noise for number in numbers], axis=-2)
        return NoisyArray(value, var, numbers[0].dtype)

    def cast(self, number: NoisyArray) -> NoisyArray:
        value = number.value
        overflows = np.abs(value) > self.dtype.largest / 2
        if self.dtype.bits >= number.dtype.bits and not overflows.any():
            return NoisyArray(value, number.var, self.dtype, number.sources)
        rounding = (self.dtype.u * value) ** 2 + self.dtype.tiny**2
        var = np.where(overflows, np.inf, number.noise + rounding)
        return NoisyArray(value, var, self.dtype)

    def between_steps(self, states: list[NoisyArray]) -> list[NoisyArray]:
        """Return the states with their noise in S uncorrelated sources for S numbers a row."""
        widths = [state.shape[-1] for state in states]
        exact = all(state.var is None and state.sources is None for state in states)
        if exact or sum(widths) > CORRELATED:
            return states
        covariance = _covariance(states)
        if not np.isfinite(covariance).all():
            return states  # an overflow: the problem will be unpredictable
        variances, directions = np.linalg.eigh(covariance)
        roots = directions * np.sqrt(np.maximum(variances, 0))[:, None, :]
        # The decomposition is exact to the digits of the largest number; a number with next to no
        # noise keeps its variance.
        sigmas = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
        lengths = np.sqrt((roots * roots).sum(-1))
        roots *= (sigmas / np.maximum(lengths, np.finfo(float).tiny))[..., None]
        sources = np.moveaxis(roots, -1, 0)  # (S, B, S): source, row, number
        ends = np.cumsum([0, *widths])
        return [
            NoisyArray(state.value, None, self.dtype, sources[..., start:end])
            for state, start, end in zip(states, ends[:-1], ends[1:], strict=True)
        ]


def _covariance(states: Sequence[NoisyArray]) -> Array:
    """Return the covariance (B, S, S) of the S numbers in a row of states."""
    sigmas = np.sqrt(np.concatenate([_or_zeros(s.var, s.value) for s in states], axis=-1))
    # Units of a state with equal values, as with constant weights, have made the same error.
    value = np.concatenate([state.value for state in states], axis=-1)
    index = np.repeat(np.arange(len(states)), [state.shape[-1] for state in states])
    equal = (value[..., None] == value[..., None, :]) & (index[:, None] == index)
    covariance: Array = sigmas[..., None] * sigmas[..., None, :] * equal
    count = max((len(s.sources) for s in states if s.sources is not None), default=0)
    if count:
        padded = [
            np.zeros((count, *state.shape)) if state.sources is None else state.sources
            for state in states
        ]
        shared = np.concatenate(padded, axis=-1)
        covariance = covariance + np.einsum("kbi,kbj->bij", shared, shared)
    return covariance


def _or_zeros(array: Array | None, like: Array) -> Array:
    return np.zeros_like(like) if array is None else array


def _sum(x: Array | None, y: Array | None) -> Array | None:
    """Return the sum, where None stands for zeros."""
    if x is None:
        return y
    return x if y is None else x + y


def _with_overflow(var: Array, value: Array, dtype: FloatType) -> Array:
    """Return the variance of values, infinite where they may be beyond the largest number."""
    if dtype.largest >= WIDE:
        return var
    return np.where(np.abs(value) > dtype.largest / 2, np.inf, var)


def _where(condition: Array, x: Array | None, y: Array | None) -> Array | None:
    """Choose elementwise, where None stands for zeros."""
    if x is None and y is None:
        return None
    return np.where(condition, 0.0 if x is None else x, 0.0 if y is None else y)
