"""Stochastic arithmetic: the noise of gradients (Vignes 1993, the idea of CESTAC).

All runs are done at once, along the hidden axis. Every operation, forward and backward, changes its
result by a random error of the size that `noisy_array` gives to its rounding; how far the runs end
from the exact result is its noise. A sign is as random as is needed: the errors of many operations
add up.
"""

from __future__ import annotations

from copy import copy
from math import prod

import numpy as np

from rnnparity.problem.dtypes import Array, FloatType, arithmetic_type
from rnnparity.reference.activations import ACTIVATIONS, Activation
from rnnparity.reference.gradients.arithmetic import TapedArithmetic
from rnnparity.reference.gradients.taped_array import TapedArray


class StochasticArithmetic(TapedArithmetic):
    """Taped arrays of `runs` runs whose operations round to `dtype` with random errors.

    With a declared precision that is coarser they round to that, the given arrays too.
    `reasons` are found on the way: why these runs do not show how far a healthy result may be off.
    `kinks` are activations of numbers near a kink, through which something flows back.
    """

    def __init__(
        self,
        dtype: str,
        runs: int,
        rng: np.random.Generator,
        precision: FloatType | None = None,
    ) -> None:
        super().__init__()
        self._precision = precision
        self._set_type(dtype)
        self.runs = runs
        self.reasons: list[str] = []
        self.kinks: set[str] = set()
        self._rng = rng
        # Of an activation, in each run: an approximation errs in the same direction every time.
        self._direction = self._signs((runs, 1, 1))

    def for_dtype(self, dtype: str) -> StochasticArithmetic:
        other = copy(self)  # tape, reasons, kinks and generator are those of all
        other._set_type(dtype)
        return other

    def _set_type(self, dtype: str) -> None:
        self.dtype = arithmetic_type(dtype, self._precision)
        self._rounds_arrays = self.dtype.name != dtype

    def from_array(self, values: Array) -> TapedArray:
        if not self._rounds_arrays:
            return super().from_array(values)
        exact = self.plain(values)[None]
        signs = self._signs((self.runs, *exact.shape[1:]))
        return TapedArray(exact + signs * self.dtype.storage_error(exact), self)

    def rounded(self, values: Array) -> Array:
        return self._with_error(values, self.dtype.u * values)

    def converted(self, values: Array, source: TapedArithmetic) -> Array:
        same = isinstance(source, StochasticArithmetic) and source.dtype.bits <= self.dtype.bits
        return values if same else self.rounded(values)

    def product(self, x: Array, y: Array) -> Array:
        return self.rounded(x * y)

    def matmul(self, x: Array, y: Array) -> Array:
        """A sum of L products rounds L times; the first run stands for all."""
        product = x @ y
        terms, u2 = x.shape[-1], self.dtype.u**2
        each = (x[:1] * x[:1]) @ (y[:1] * y[:1])
        size = np.sqrt(each * (u2 * terms / 2) + product[:1] ** 2 * (u2 * terms / 3))
        return self._with_error(product, size, terms)

    def sum_rows(self, values: Array) -> Array:
        return self.matmul(np.ones((1, 1, values.shape[-2])), values)

    def activation_value(self, name: str, x: Array) -> Array:
        """Half of the variance of an activation's error is that of its direction."""
        function = ACTIVATIONS[name]
        y = function.value(x)
        size = np.copysign(self.dtype.u / np.sqrt(2) * function.error(x, y), y)
        return self._with_error(y + self._direction * size, size)

    def activation_gradient(self, name: str, x: Array, y: Array, gradient: Array) -> Array:
        function = ACTIVATIONS[name]
        slope = function.slope(x, y)
        for kink in function.kinks:
            near = self._near(function, kink, x, y)
            if (near & (gradient != 0).any(axis=0)).any():
                self.kinks.add(name)
                slope = np.where(near, self._either_slope(function, kink, slope.shape), slope)
        slope = self.rounded(slope)
        if function.slope_error is not None:
            slope = self._with_error(slope, self.dtype.u * function.slope_error(x))
        return self.product(gradient, slope)

    def _near(self, function: Activation, kink: float, x: Array, y: Array) -> Array:
        """Return which numbers rounding may move over a kink; one that is exactly there stays.

        A healthy number may be off by as many sigma as a result. An activation's own error counts
        like one of x: TensorFlow takes the slope of selu from its result, which is 0 for -1e-8.
        """
        of_function = self.dtype.u * function.error(x, y).mean(axis=0) / function.steepest
        spread = np.hypot(x.std(axis=0), of_function)
        near = np.abs(x.mean(axis=0) - kink) < self.dtype.threshold * spread
        result: Array = near & (x != kink).any(axis=0)
        return result

    def _either_slope(self, function: Activation, kink: float, shape: tuple[int, ...]) -> Array:
        """Return slopes of both sides of a kink at random: rounding decides which one a value has.

        What depends on it gets the noise of that, whatever the side of the exact value.
        """
        sides = np.nextafter(kink, [-np.inf, np.inf])
        low, high = function.slope(sides, function.value(sides))
        either: Array = np.where(self._signs(shape) > 0, high, low)
        return either

    def _with_error(self, values: Array, size: Array, terms: int = 1) -> Array:
        """Return values with a random error of this size in every run.

        Of the `terms` that were added any may have been flushed to zero; zeros are exact.
        """
        if np.abs(values).max(initial=0) > self.dtype.largest / 2:
            self.reasons.append(f"a gradient leaves the range of {self.dtype.name}")
        floor = self.dtype.tiny + self.dtype.absolute
        size = size + np.sqrt(terms) * floor * np.sign(values)
        error = self._signs((self.runs, *values.shape[1:]))
        error *= size
        error += values
        return error

    def _signs(self, shape: tuple[int, ...]) -> Array:
        """Return numbers that are 1 or -1."""
        count = prod(shape)
        bits = self._rng.bit_generator.random_raw(-(-count // 64)).view(np.uint8)
        signs: Array = np.unpackbits(bits, count=count).astype(np.float64).reshape(shape)
        signs *= 2
        signs -= 1
        return signs
