"""The noise model: beside every value the variance that rounding would leave in it.

First order with independent errors (Higham & Mary 2019, "A new approach to probabilistic rounding
error analysis"): every operation adds the square of its rounding, every earlier variance passes
through the squared derivative. A sum of L products rounds L times (without that the error grows
with H past every threshold). An activation adds the rms of its measured error: the maximum (tanh
6.2, sigmoid 6.6 units in the last place over all of float32 in TensorFlow 2.21) would only hide
faults.

What enters a step with its states is one error that reaches the new states through several gates,
so that amplitudes add there. Where the states are few, every number of a step carries its
derivatives with respect to them, and their covariance passes from step to step. Where they are many
and many of them matter to the next, the paths average out and variances add. Between the two, with
sparse or heavy-tailed weights, errors are sampled: every number carries SAMPLES random errors, all
propagated through the same derivatives (stochastic arithmetic, Vignes 1993, to first order).

Where a value may overflow its variance is infinite: an implementation that accumulates in a wider
type has another result there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from rnnparity.problem.dtypes import Array, FloatType, arithmetic_type
from rnnparity.reference.activations import ACTIVATIONS
from rnnparity.reference.noisy_array import NoisyArray, or_zeros
from rnnparity.reference.number import Function

# The errors that states share are computed where a row of states has at most this many numbers: the
# cost grows with their square.
CORRELATED = 16
# Errors are sampled where a column of the recurrent kernel adds up fewer numbers than this. With
# variances that add, two of 5,845 random float32 problems were over 10 sigma off: with 3.8 and 7.1.
FEW_PATHS = 8
# A sigma from so many samples is itself uncertain by 9 %.
SAMPLES = 64
# The covariance of samples, as of sources: their mean square.
_MEAN = np.eye(SAMPLES)[None] / SAMPLES


class NoiseArithmetic:
    """Arrays with noise whose operations round to `dtype`, or to a declared precision if coarser.

    An engine of a declared precision also rounds the numbers that it is given, of type `dtype`.
    """

    def __init__(
        self,
        dtype: str,
        precision: FloatType | None = None,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.dtype = arithmetic_type(dtype, precision)
        self._precision = precision
        self._rounds_arrays = self.dtype.name != dtype
        self._rng = rng or np.random.default_rng(0)

    def for_dtype(self, dtype: str) -> NoiseArithmetic:
        return NoiseArithmetic(dtype, self._precision, self._rng)

    def from_array(self, values: Array) -> NoisyArray:
        values = np.asarray(values, np.float64)
        var = self.dtype.storage_error(values) ** 2 if self._rounds_arrays else None
        return NoisyArray(values, var, self.dtype)

    def activation(self, name: str) -> Function[NoisyArray]:
        function = ACTIVATIONS[name]
        return lambda x: x.apply(function)

    def where(self, condition: Array, x: NoisyArray, y: NoisyArray) -> NoisyArray:
        if x.covariance is not y.covariance:  # an output of an earlier step shares no error here
            y = NoisyArray(y.value, y.noise, y.dtype)
        value = np.where(condition, x.value, y.value)
        var = _where(condition, x.var, y.var)
        if var is None:
            var = np.zeros(value.shape)
        return NoisyArray(
            value, var, x.dtype, _where(condition, x.sources, y.sources), x.covariance
        )

    def join(self, numbers: Sequence[NoisyArray], axis: int) -> NoisyArray:
        value = np.concatenate([number.value for number in numbers], axis)
        var = np.concatenate([number.noise for number in numbers], axis)
        return NoisyArray(value, var, numbers[0].dtype)

    def join_columns(self, numbers: Sequence[NoisyArray]) -> NoisyArray:
        value = np.concatenate([number.value for number in numbers], -1)
        var = np.concatenate([or_zeros(number.var, number.value) for number in numbers], -1)
        sources = [number.sources for number in numbers if number.sources is not None]
        joined = np.concatenate(sources, -1) if len(sources) == len(numbers) else None
        return NoisyArray(value, var, numbers[0].dtype, joined, numbers[0].covariance)

    def stack(self, numbers: Sequence[NoisyArray]) -> NoisyArray:
        value = np.stack([number.value for number in numbers], axis=-2)
        var = np.stack([number.noise for number in numbers], axis=-2)
        return NoisyArray(value, var, numbers[0].dtype)

    def cast(self, number: NoisyArray) -> NoisyArray:
        value = number.value
        overflows = np.abs(value) > self.dtype.largest / 2
        if self.dtype.bits >= number.dtype.bits and not overflows.any():
            return NoisyArray(value, number.noise, self.dtype)
        rounding = (self.dtype.u * value) ** 2 + self.dtype.tiny**2
        var = np.where(overflows, np.inf, number.noise + rounding)
        return NoisyArray(value, var, self.dtype)

    def between_steps(self, states: list[NoisyArray], U: NoisyArray) -> list[NoisyArray]:
        """Return the states as the sources of the next step, where their errors do not average."""
        widths = tuple(state.shape[-1] for state in states)
        if all(state.var is None and state.sources is None for state in states):
            return states
        if sum(widths) > CORRELATED:
            return [self._sampled(state) for state in states] if U.paths < FEW_PATHS else states
        covariance = _covariance(states, widths)
        if not np.isfinite(covariance).all():
            return states  # an overflow: the problem will be unpredictable
        sources = _unit_sources(widths, states[0].shape[0])
        return [
            NoisyArray(state.value, None, self.dtype, own, covariance)
            for state, own in zip(states, sources, strict=True)
        ]

    def _sampled(self, state: NoisyArray) -> NoisyArray:
        """Return a state with samples of its error as its sources."""
        if state.var is None:
            return state
        samples = self._rng.standard_normal((SAMPLES, *state.shape)) * np.sqrt(state.var)
        if state.sources is not None:
            samples += state.sources
        if not np.isfinite(samples).all():
            return state  # an overflow: the problem will be unpredictable
        return NoisyArray(state.value, None, self.dtype, samples, _MEAN)


def _covariance(states: Sequence[NoisyArray], widths: tuple[int, ...]) -> Array:
    """Return the covariance (B, S, S) of the S numbers in a row of states."""
    sigmas = np.sqrt(np.concatenate([or_zeros(s.var, s.value) for s in states], axis=-1))
    # Units of a state with equal values, as with constant weights, have made the same error.
    value = np.concatenate([state.value for state in states], axis=-1)
    equal = (value[..., None] == value[..., None, :]) & _same_state(widths)
    covariance: Array = sigmas[..., None] * sigmas[..., None, :] * equal
    entered = next((s.covariance for s in states if s.covariance is not None), None)
    if entered is not None:
        sources = [
            np.zeros((entered.shape[-1], *state.shape)) if state.sources is None else state.sources
            for state in states
        ]
        derivatives = np.concatenate(sources, axis=-1).swapaxes(0, 1)
        covariance += derivatives.swapaxes(-2, -1) @ (entered @ derivatives)
    return covariance


@lru_cache
def _same_state(widths: tuple[int, ...]) -> Array:
    """Return which pairs of numbers in a row belong to one state, (S, S)."""
    index = np.repeat(np.arange(len(widths)), widths)
    same: Array = index[:, None] == index
    return same


@lru_cache
def _unit_sources(widths: tuple[int, ...], batch: int) -> list[Array]:
    """Return the derivatives (S, B, width) of each state with respect to all: 1 or 0."""
    unit = np.eye(sum(widths))[:, None].repeat(batch, axis=1)
    return np.split(unit, np.cumsum(widths)[:-1], axis=-1)


def _where(condition: Array, x: Array | None, y: Array | None) -> Array | None:
    """Choose elementwise, where None stands for zeros."""
    if x is None and y is None:
        return None
    return np.where(condition, 0.0 if x is None else x, 0.0 if y is None else y)
