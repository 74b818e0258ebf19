"""Arrays with their noise, in the operations that the cells need (the model: see `noise`)."""

from __future__ import annotations

import numpy as np

from rnnparity.problem.dtypes import Array, FloatType
from rnnparity.reference.activations import Activation
from rnnparity.reference.number import Index

# A type with larger numbers overflows only in an exponential, which `apply` checks, or where states
# or outputs do, which `tolerance` checks.
WIDE = 2.0**17


class NoisyArray:
    """Values with their rounding errors, in operations that round to `dtype`.

    `var` is the variance of errors that no other number shares; None stands for no error. `sources`
    (S, B, n) are the derivatives with respect to the S numbers of a row with which the step began,
    and `covariance` (B, S, S) is that of their errors.
    """

    __slots__ = (
        "_equal_rows",
        "_noise",
        "_paths",
        "_square",
        "covariance",
        "dtype",
        "sources",
        "value",
        "var",
    )

    def __init__(
        self,
        value: Array,
        var: Array | None,
        dtype: FloatType,
        sources: Array | None = None,
        covariance: Array | None = None,
    ) -> None:
        self.value = value
        self.var = var
        self.dtype = dtype
        self.sources = sources
        self.covariance = covariance
        # Computed when first needed; `functools.cached_property` takes a lock each time.
        self._square: Array | None = None
        self._noise: Array | None = None
        self._equal_rows: bool | None = None
        self._paths: float | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def noise(self) -> Array:
        """The whole variance."""
        if self._noise is None:
            self._noise = or_zeros(self.var, self.value)
            if self.sources is not None:
                by_row = self.sources.swapaxes(0, 1)
                shared = ((self.covariance @ by_row) * by_row).sum(1)
                # Errors that cancel may leave a negative number of the size of a rounding.
                self._noise = self._noise + np.maximum(shared, 0)
        return self._noise

    @property
    def sigma(self) -> Array:
        """The standard deviation."""
        return np.sqrt(self.noise)

    @property
    def square(self) -> Array:
        if self._square is None:
            self._square = self.value * self.value
        return self._square

    @property
    def has_equal_rows(self) -> bool:
        """Whether every row of a kernel is the same, as with a constant initializer."""
        if self._equal_rows is None:
            rows = self.value
            self._equal_rows = bool((rows == rows[..., :1, :]).all()) and rows.shape[-2] > 1
        return self._equal_rows

    @property
    def paths(self) -> float:
        """How many numbers a column of a kernel (L, n) adds up, weighed by their size.

        Of L equal numbers that is L, of one large number among small ones 1. The harmonic mean of
        the columns; infinite without any number.
        """
        if self._paths is None:
            squares, fourths = self.square.sum(-2), (self.square**2).sum(-2)
            used = fourths > 0
            shares = fourths[used] / squares[used] ** 2
            self._paths = float(1 / shares.mean()) if shares.size else np.inf
        return self._paths

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
        return NoisyArray(self.value[index], var, self.dtype, sources, self.covariance)

    def _rounded(self, y: Array) -> Array:
        """Return the variance of a result y, rounded once."""
        var = y * self.dtype.u
        var *= var
        if self.dtype.absolute:
            var += self.dtype.absolute**2
        return _with_overflow(var, y, self.dtype)

    def __add__(self, other: NoisyArray) -> NoisyArray:
        y = self.value + other.value
        var = self._rounded(y)
        if self.var is not None:
            var += self.var
        if other.var is not None:
            var += other.var
        sources = _sum(self.sources, other.sources)
        return NoisyArray(y, var, self.dtype, sources, self._covariance_with(other))

    def __rsub__(self, other: int) -> NoisyArray:
        y = other - self.value
        var = (self.dtype.u * y) ** 2
        if self.var is not None:
            var += self.var
        sources = None if self.sources is None else -self.sources
        return NoisyArray(y, var, self.dtype, sources, self.covariance)

    def __truediv__(self, other: int) -> NoisyArray:
        """Division by 2 does not round."""
        return NoisyArray(self.value / other, self.noise / other**2, self.dtype)

    def __mul__(self, other: NoisyArray) -> NoisyArray:
        y = self.value * other.value
        var = self._rounded(y)
        var += self.dtype.tiny**2
        if self.var is not None:
            var += self.var * other.square
        if other.var is not None:
            var += other.var * self.square
        left = None if self.sources is None else self.sources * other.value
        right = None if other.sources is None else other.sources * self.value
        return NoisyArray(y, var, self.dtype, _sum(left, right), self._covariance_with(other))

    def __matmul__(self, W: NoisyArray) -> NoisyArray:
        """A sum of L products rounds L times; W is exact."""
        terms = self.value.shape[-1]
        u2 = self.dtype.u**2
        y = self.value @ W.value
        term_var = self.square * (u2 * terms / 2)
        if self.var is not None:
            term_var += self.var
        var = term_var @ W.square
        var += (u2 * terms / 3) * (y * y)
        if self.dtype.absolute:
            var += terms * self.dtype.absolute**2
        if W.has_equal_rows and (self.var is not None or self.sources is not None):
            var = np.maximum(var, self._coherent(W, y))
        if self.dtype.largest < WIDE:  # any part of the sum may overflow
            var = _with_overflow(var, np.abs(self.value) @ np.abs(W.value), self.dtype)
        sources = None if self.sources is None else self.sources @ W.value
        return NoisyArray(y, var, self.dtype, sources, self.covariance)

    def _covariance_with(self, other: NoisyArray) -> Array | None:
        """Return the covariance of the errors that two numbers of one step share."""
        return other.covariance if self.covariance is None else self.covariance

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
        var = function.error(x, y) * self.dtype.u
        var *= var
        tiny = self.dtype.tiny * np.maximum(np.abs(x), 1) if function.scales else self.dtype.tiny
        var += tiny**2 + self.dtype.absolute**2
        var = _with_overflow(var, y, self.dtype)
        if function.overflows and self.dtype.largest >= WIDE:
            # From here on the product with a number of the same size leaves the range.
            var = np.where(y > np.sqrt(self.dtype.largest), np.inf, var)
        if self.var is not None:
            var += self.var * slope * slope
        sources = None if self.sources is None else self.sources * slope
        return NoisyArray(y, var, self.dtype, sources, self.covariance)


def or_zeros(array: Array | None, like: Array) -> Array:
    """Return the array, where None stands for zeros."""
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
