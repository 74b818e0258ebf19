"""Three arithmetics for one set of equations.

`Plain` computes in a NumPy type; `WithNoise` carries beside every value the variance that rounding
in a given type would leave there; `ManyDigits` computes with hundreds of digits. The cells never
know which one they run in.

The noise model is first order with independent errors (Higham & Mary 2019, "A new approach to
probabilistic rounding error analysis"): every operation adds the square of its own rounding, every
earlier variance passes on through the squared derivative. A sum of L products rounds L times
(without that the error grows with H past every threshold). An activation enters with the rms of its
measured error: the maximum (tanh 6.2, sigmoid 6.6 units in the last place over all of float32 in
TensorFlow 2.21) would only hide faults.

What enters a step with its states is one error that reaches the new states by way of several gates,
so that amplitudes add there. Where the states are few, each step therefore carries them as
amplitudes of uncorrelated sources (the root of their covariance); where they are many, the ways
average out and variances do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array, FloatType
from rnnparity.reference.activations import ACTIVATIONS, Activation
from rnnparity.reference.cells import Number


class Arithmetic(Protocol):
    """What the time loop needs beyond + - * / @: how numbers come in, and how they are chosen,
    joined, turned."""

    def known(self, values: Array) -> Number:
        """Numbers that are given exactly: weights, inputs, states."""

    def activation(self, name: str) -> Callable[[Number], Number]:
        """The function of that name."""

    def where(self, chosen: Array, one: Number, other: Number) -> Number:
        """Elementwise choice, like numpy.where."""

    def join(self, letters: Sequence[Number], axis: int) -> Number:
        """Like numpy.concatenate."""

    def stack(self, letters: Sequence[Number]) -> Number:
        """Steps (..., B, H) each -> (..., B, T, H)."""

    def cast(self, letter: Number, dtype: str) -> Number:
        """Rounding to another type: noise where noise is carried, nothing elsewhere."""

    def carry(self, states: list[Number]) -> list[Number]:
        """The states of one step as those that enter the next."""


class Plain:
    """NumPy arrays of one type: float64, or float32 when asked."""

    def __init__(self, dtype: type[Any] = np.float64) -> None:
        self.dtype = dtype

    def known(self, values: Array) -> Number:
        return np.asarray(values, self.dtype)

    def activation(self, name: str) -> Callable[[Number], Number]:
        return ACTIVATIONS[name].value

    def where(self, chosen: Array, one: Number, other: Number) -> Number:
        return np.where(chosen, one, other)

    def join(self, letters: Sequence[Number], axis: int) -> Number:
        # One half alone may have variants.
        lead = (
            np.broadcast_shapes(*(letter.shape[:axis] for letter in letters))
            if axis == -1
            else None
        )
        parts = (
            letters if lead is None else [np.broadcast_to(x, (*lead, x.shape[-1])) for x in letters]
        )
        return np.concatenate(parts, axis)

    def stack(self, letters: Sequence[Number]) -> Number:
        # Before variants come in by the recurrent kernel, a step has none.
        same = len({letter.shape for letter in letters}) == 1
        return np.stack(letters if same else np.broadcast_arrays(*letters), axis=-2)

    def cast(self, letter: Number, dtype: str) -> Number:  # noqa: ARG002 - the Protocol's word
        return letter

    def carry(self, states: list[Number]) -> list[Number]:
        return states


class ManyDigits(Plain):
    """Object arrays of mpmath numbers: so many digits that 1 - z keeps its own where float64 could
    still tell z."""

    def __init__(self) -> None:
        import mpmath

        self.mp = mpmath.mp.clone()
        self.mp.dps = 350

    def known(self, values: Array) -> Number:
        return np.frompyfunc(self.mp.mpf, 1, 1)(np.asarray(values, np.float64))

    def activation(self, name: str) -> Callable[[Number], Number]:
        from rnnparity.reference.digits import scalar_function

        function: Callable[[Number], Number] = np.frompyfunc(scalar_function(name, self.mp), 1, 1)
        return function


# Up to this many numbers in a row's states the errors they share are followed: the cost grows with
# their cube.
CORRELATED = 16


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
        value = np.where(chosen, one.value, other.value)
        var = np.where(
            chosen, 0.0 if one.var is None else one.var, 0.0 if other.var is None else other.var
        )
        if one.sources is None and other.sources is None:
            return Noisy(value, var, one.kind)
        sources = np.where(
            chosen,
            0.0 if one.sources is None else one.sources,
            0.0 if other.sources is None else other.sources,
        )
        return Noisy(value, var, one.kind, sources)

    def join(self, letters: Sequence[Noisy], axis: int) -> Noisy:
        values = np.concatenate([letter.value for letter in letters], axis)
        return Noisy(
            values, np.concatenate([letter.noise for letter in letters], axis), letters[0].kind
        )

    def stack(self, letters: Sequence[Noisy]) -> Noisy:
        values = np.stack([letter.value for letter in letters], axis=-2)
        return Noisy(
            values, np.stack([letter.noise for letter in letters], axis=-2), letters[0].kind
        )

    def cast(self, letter: Noisy, dtype: str) -> Noisy:
        kind = FLOAT_TYPES[dtype]
        if kind.bits >= letter.kind.bits:
            return Noisy(letter.value, letter.var, kind, letter.sources)
        return Noisy(letter.value, letter.noise + (kind.u * letter.value) ** 2 + kind.tiny**2, kind)

    def carry(self, states: list[Noisy]) -> list[Noisy]:
        """The states with all their noise as amplitudes of uncorrelated sources, S of them for S
        numbers a row."""
        widths = [state.shape[-1] for state in states]
        if sum(widths) > CORRELATED or all(
            state.var is None and state.sources is None for state in states
        ):
            return states
        covariance = self._covariance(states)
        if not np.isfinite(covariance).all():
            return states  # overflown: the run will be called unpredictable
        sizes, directions = np.linalg.eigh(covariance)
        roots = directions * np.sqrt(np.maximum(sizes, 0))[:, None, :]
        # The decomposition is exact to the largest number's digits; a number with next to no noise
        # shall keep that.
        right = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
        roots *= (right / np.maximum(np.sqrt((roots * roots).sum(-1)), np.finfo(float).tiny))[
            ..., None
        ]
        sources = np.moveaxis(roots, -1, 0)  # (S, B, S): source, row, number
        ends = np.cumsum([0, *widths])
        return [
            Noisy(state.value, None, self.kind, sources[..., start:end])
            for state, start, end in zip(states, ends[:-1], ends[1:], strict=True)
        ]

    def _covariance(self, states: Sequence[Noisy]) -> Array:
        """(B, S, S) of a row's states: what they share by their sources, and each one's own
        variance."""
        own = np.sqrt(
            np.concatenate(
                [np.zeros_like(s.value) if s.var is None else s.var for s in states], axis=-1
            )
        )
        # Units that carry the same value, as with constant weights, have made the same error on the
        # way.
        place = np.repeat(np.arange(len(states)), [s.shape[-1] for s in states])
        value = np.concatenate([s.value for s in states], axis=-1)
        one = (value[..., None] == value[..., None, :]) & (place[:, None] == place)
        covariance: Array = own[..., None] * own[..., None, :] * one
        count = max((len(s.sources) for s in states if s.sources is not None), default=0)
        if count:
            shared = np.concatenate(
                [np.zeros((count, *s.shape)) if s.sources is None else s.sources for s in states],
                axis=-1,
            )
            covariance = covariance + np.einsum("kbi,kbj->bij", shared, shared)
        return covariance


class Noisy:
    """Values and their rounding errors: a variance `var` of their own, and amplitudes of shared
    `sources` (S, ...).

    None stands for none. `noise` is the whole variance.
    """

    __slots__ = ("__dict__", "kind", "sources", "value", "var")

    def __init__(
        self, value: Array, var: Array | None, kind: FloatType, sources: Array | None = None
    ) -> None:
        self.value, self.var, self.kind, self.sources = value, var, kind, sources

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def noise(self) -> Array:
        own = np.zeros_like(self.value) if self.var is None else self.var
        return own if self.sources is None else own + (self.sources * self.sources).sum(0)

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
        """Outside of the time loop, where there are no sources."""
        return Noisy(
            self.value.reshape(shape),
            None if self.var is None else self.var.reshape(shape),
            self.kind,
        )

    def swapaxes(self, one: int, other: int) -> Noisy:
        """Outside of the time loop, where there are no sources."""
        return Noisy(
            self.value.swapaxes(one, other),
            None if self.var is None else self.var.swapaxes(one, other),
            self.kind,
        )

    def __getitem__(self, index: Any) -> Noisy:
        """With an index that begins with an ellipsis, which leaves the sources' leading axis
        alone."""
        return Noisy(
            self.value[index],
            None if self.var is None else self.var[index],
            self.kind,
            None if self.sources is None else self.sources[index],
        )

    def __add__(self, other: Noisy) -> Noisy:
        y = self.value + other.value
        own = (self.kind.u * y) ** 2
        return Noisy(
            y, _sum(_sum(self.var, other.var), own), self.kind, _sum(self.sources, other.sources)
        )

    def __rsub__(self, one: float) -> Noisy:
        y = one - self.value
        own = (self.kind.u * y) ** 2
        return Noisy(
            y, _sum(self.var, own), self.kind, None if self.sources is None else -self.sources
        )

    def __truediv__(self, two: int) -> Noisy:
        return Noisy(self.value / two, self.noise / two**2, self.kind)

    def __mul__(self, other: Noisy) -> Noisy:
        y = self.value * other.value
        var = (self.kind.u * y) ** 2 + self.kind.tiny**2
        if self.var is not None:
            var += self.var * other.square
        if other.var is not None:
            var += other.var * self.square
        sources = None if self.sources is None else self.sources * other.value
        more = None if other.sources is None else other.sources * self.value
        return Noisy(y, var, self.kind, _sum(sources, more))

    def __matmul__(self, W: Noisy) -> Noisy:
        """A sum of L products rounds L times; W is known exactly."""
        terms = self.value.shape[-1]
        u2 = self.kind.u**2
        y = self.value @ W.value
        each = self.square * (u2 * terms / 2)
        if self.var is not None:
            each += self.var
        var = each @ W.square + (u2 * terms / 3) * (y * y)
        if W.alike and (self.var is not None or self.sources is not None):
            var = np.maximum(var, self._coherent(W, y))
        return Noisy(y, var, self.kind, None if self.sources is None else self.sources @ W.value)

    def _coherent(self, W: Noisy, y: Array) -> Array:
        """With constant weights all units make the same error, so that amplitudes add, not
        variances.

        A sum of L equal terms rounds the same way again and again: up to u*L/2 of it, half of that
        as a measure.
        """
        same = (self.value == self.value[..., :1]).all(-1, keepdims=True)
        amplitudes = 0.0 if self.var is None else (np.sqrt(self.var) @ np.abs(W.value)) ** 2
        own = self.kind.u * self.value.shape[-1] / 4 * y
        return np.where(same, amplitudes + own**2, 0)

    def through(self, function: Activation) -> Noisy:
        x, kind = self.value, self.kind
        y = function.value(x)
        slope = function.slope(x, y)
        for kink in function.kinks:
            near = np.abs(x - kink) < 4 * self.sigma
            slope = np.where(near, function.steepest, slope)
        own = (kind.u * function.error(x, y)) ** 2 + kind.tiny**2
        passed = None if self.var is None else self.var * slope * slope
        return Noisy(
            y, _sum(passed, own), kind, None if self.sources is None else self.sources * slope
        )


def _sum(one: Array | None, other: Array | None) -> Array | None:
    """The sum of what is there."""
    if one is None:
        return other
    return one if other is None else one + other
