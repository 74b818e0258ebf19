"""What is asked: a problem, the outputs that somebody gave, what they should be, and how far noise
may move them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.layers import Bidirectional, Layer, Stack
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference.tolerance import Expected, expect
from rnnparity.verdict.compare import distances

# Coarser types that somebody may have computed in, where a layer's policy names a finer one.
COARSER = {"float64": ("float32", "float16", "bfloat16"), "float32": ("float16", "bfloat16")}


@dataclass(frozen=True)
class Level:
    """How much noise is allowed: that of the layer's own type (`name` is ""), or of a coarser
    one."""

    name: str
    sigmas: Sequence[Array]
    threshold: float

    @cached_property
    def floors(self) -> list[Array]:
        """Sigma as it is allowed to a fault's outputs: the noise of the right run, which a faulty
        one shares in size.

        At least half of what is usual in its array, for where the right run is exact the faulty one
        is not: zeros of masked steps, say.
        """
        usual = [np.median(sigma[sigma > 0]) if sigma.any() else 0.0 for sigma in self.sigmas]
        pairs = zip(self.sigmas, [half or max(usual) for half in usual], strict=True)
        return [np.where(sigma > 0, np.maximum(sigma, half / 2), half) for sigma, half in pairs]


@dataclass(frozen=True)
class Evidence:
    """A problem whose outputs (shapes as they should be) differ from the right ones."""

    problem: Problem
    given: tuple[Tensor, ...]
    expected: Expected

    @cached_property
    def arrays(self) -> list[Array]:
        """What was given, in float64."""
        return [tensor.data.astype(np.float64) for tensor in self.given]

    @cached_property
    def right(self) -> list[Array]:
        return [tensor.data for tensor in self.expected.outputs]

    @cached_property
    def own(self) -> Level:
        return Level("", self.expected.sigmas, self.expected.kind.threshold)

    @cached_property
    def distinct(self) -> Array:
        """Which of all values in a row are no copies: a state is the last output, equal units give
        equal ones."""
        flat = np.concatenate([array.ravel() for array in self.right])
        first = np.zeros(flat.shape, bool)
        first[np.unique(flat, return_index=True)[1]] = True
        return first

    def flat(self, arrays: Sequence[Array]) -> Array:
        """The distinct values of arrays like the outputs."""
        values: Array = np.concatenate([array.ravel() for array in arrays])[self.distinct]
        return values

    @cached_property
    def finite(self) -> bool:
        return all(bool(np.isfinite(array).all()) for array in self.arrays)

    @cached_property
    def mostly_right(self) -> bool:
        """Whether a good part of the values is right to the layer's own precision: coarse
        arithmetic leaves none so."""
        if self.coarse_type:
            return False
        near = self.flat(self.off(self.right, self.own)) <= self.own.threshold
        return bool(near[self.flat(self.right) != 0].mean() > 0.25)

    def worst_rows(self, count: int) -> Evidence:
        """The same question of those rows alone that are furthest off."""
        batch = self.problem.inputs.shape[0]
        if batch <= count:
            return self
        off = np.sum(
            [part.reshape(batch, -1).max(axis=1) for part in self.off(self.right, self.own)], axis=0
        )
        rows = np.sort(np.argsort(off)[::-1][:count])
        return self.rows(rows)

    def rows(self, rows: Sequence[int] | Array) -> Evidence:
        """The same question of some rows alone."""
        given = tuple(replace(tensor, data=tensor.data[rows]) for tensor in self.given)
        outputs = tuple(replace(tensor, data=tensor.data[rows]) for tensor in self.expected.outputs)
        sigmas = tuple(sigma[rows] for sigma in self.expected.sigmas)
        return Evidence(
            rows_of(self.problem, rows),
            given,
            replace(self.expected, outputs=outputs, sigmas=sigmas),
        )

    def coarser(self) -> Iterator[Level]:
        """The noise of coarser types, where it can be told: what rounding the weights moves belongs
        to it."""
        for name in COARSER.get(self.problem.threshold_type, ()):
            level = noise_in(self.problem, self.right, name)
            if level is not None:
                yield level

    def noise_of(self, faulty: Problem, outputs: Sequence[Array], level: Level) -> Level | None:
        """The noise of a faulty run itself, where it can be told, and that of the right one."""
        own = noise_in(faulty, outputs, level.name)
        if own is None or [s.shape for s in own.sigmas] != [s.shape for s in level.sigmas]:
            return None
        sigmas = [
            np.maximum(one, other) for one, other in zip(own.sigmas, level.floors, strict=True)
        ]
        return replace(level, sigmas=sigmas)

    def off(self, outputs: Sequence[Array], level: Level) -> list[Array]:
        """How many sigma each value is from `outputs`, which may have a leading axis of
        variants."""
        tensors = zip(self.given, outputs, level.floors, strict=True)
        return [
            distances(tensor, array, sigma, level.threshold) for tensor, array, sigma in tensors
        ]

    def worst(self, outputs: Sequence[Tensor], level: Level | None = None) -> float:
        """The largest distance in sigma from some outputs; infinite where they have other
        shapes."""
        if [tensor.shape for tensor in outputs] != [tensor.shape for tensor in self.given]:
            return np.inf
        return max(
            float(part.max()) for part in self.off([t.data for t in outputs], level or self.own)
        )

    def hidden(self, outputs: Sequence[Array]) -> list[int]:
        """Which variants of outputs lie within the noise of the right ones."""
        pairs = zip(self.expected.outputs, outputs, self.own.sigmas, strict=True)
        off = [distances(right, array, sigma, self.own.threshold) for right, array, sigma in pairs]
        most = np.max([part.reshape(len(part), -1).max(axis=1) for part in off], axis=0)
        return [int(place) for place in np.flatnonzero(most <= self.own.threshold)]

    @cached_property
    def coarse_type(self) -> str:
        """The coarser type that every value given is a number of, if there is one."""
        values = np.concatenate([array.ravel() for array in self.arrays])
        values = values[np.isfinite(values) & (values != 0)]
        if len(np.unique(np.abs(values))) > 1:
            for name in reversed(COARSER.get(self.problem.threshold_type, ())):
                if (FLOAT_TYPES[name].round(values).astype(np.float64) == values).all():
                    return name
        return ""


def noise_in(problem: Problem, outputs: Sequence[Array], name: str) -> Level | None:
    """The noise of a type ("": the problem's own), unless it cannot be told. What rounding the
    weights moves counts."""
    noisy = expect(in_type(problem, name) if name else problem)
    if noisy.unpredictable:
        return None
    pairs = zip(noisy.sigmas, noisy.outputs, outputs, strict=True)
    sigmas = [
        np.hypot(sigma, tensor.data - right) if name else sigma for sigma, tensor, right in pairs
    ]
    return Level(name, sigmas, noisy.kind.threshold)


def in_type(problem: Problem, name: str) -> Problem:
    """The same problem under another policy."""
    return replace(problem, layer=_typed(problem.layer, name), outputs=None)


def _typed(layer: Layer, name: str) -> Layer:
    if isinstance(layer, Stack):
        return Stack(tuple(_typed(inner, name) for inner in layer.layers))  # type: ignore[misc]  # a stack holds none
    if isinstance(layer, Bidirectional):
        forward, backward = (replace(half, dtype=name) for half in (layer.forward, layer.backward))
        return replace(layer, forward=forward, backward=backward, dtype=name)
    return replace(layer, dtype=name)


def rows_of(problem: Problem, rows: Sequence[int] | Array) -> Problem:
    """Some rows of the batch, without outputs."""

    def some(tensor: Tensor) -> Tensor:
        return replace(tensor, data=tensor.data[rows])

    return replace(
        problem,
        inputs=some(problem.inputs),
        mask=None if problem.mask is None else problem.mask[rows],
        initial_state=None
        if problem.initial_state is None
        else tuple(map(some, problem.initial_state)),
        outputs=None,
    )
