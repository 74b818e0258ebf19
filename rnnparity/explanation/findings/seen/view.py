"""What is seen of a layer or of one of its halves: actual and expected outputs side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import EllipsisType

import numpy as np

from rnnparity.explanation.findings.seen.claim import Claim
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding
from rnnparity.problem.problem import Problem
from rnnparity.reference import compute_with_noise

# The noise of other values than the expected ones, in theirs, and the smallest size that counts.
GROWTH, SMALLEST = 4.0, 1e-30

# The axes of an output by what an index is called.
AXES = {"row": 0, "step": 1, "unit": -1}

Index = tuple[slice | EllipsisType | Array, ...]


@dataclass(frozen=True)
class Output:
    """One output: (B, T, H) or (B, H) each. `allowed` is how far a correct value may be off."""

    name: str
    actual: Array
    expected: Array
    allowed: Array

    @cached_property
    def differing(self) -> Array:
        """Which values differ."""
        with np.errstate(invalid="ignore"):
            agreeing: Array = np.abs(self.actual - self.expected) <= self.allowed
        return ~agreeing

    @cached_property
    def spread(self) -> float:
        """How far apart expected values are: about how far off an arbitrary one would be."""
        return float(np.std(self.expected))

    @cached_property
    def most_varying(self) -> tuple[int, int]:
        """The row and the unit of a sequence whose expected values vary most over time."""
        variation = np.nan_to_num(self.expected.std(axis=1), nan=0.0, posinf=0.0)
        row, unit = np.unravel_index(int(variation.argmax()), variation.shape)
        return int(row), int(unit)

    @property
    def has_time(self) -> bool:
        """Whether there is an axis T."""
        return self.actual.ndim == 3

    def part(self, index: Index) -> Output:
        """Return the values at an index of every array."""
        return Output(self.name, self.actual[index], self.expected[index], self.allowed[index])

    def along(self, axis: int) -> Output:
        """Return the output with another axis first."""
        arrays = (self.actual, self.expected, self.allowed)
        return Output(self.name, *(np.moveaxis(array, axis, 0) for array in arrays))

    def widened(self, predicted: Array) -> Output:
        """Return the output with the noise of predicted values, which may be larger than expected."""
        largest = float(np.abs(self.expected).max())
        size = max(1.0, float(np.abs(predicted).max()) / max(largest, SMALLEST))
        return replace(self, allowed=self.allowed * GROWTH * size)

    def claim(self, finding: Finding, predicted: Array, where: Array | None = None) -> Claim:
        """Return the claim that the values, or those `where`, are the predicted ones.

        What a value would be if the claim were wrong is the expected one, or, where that is
        predicted too, any other.
        """
        moved = np.abs(predicted - self.expected)
        moved = np.where(moved > self.allowed, moved, self.spread)
        arrays = (self.actual, predicted, self.allowed, moved)
        chosen = [np.broadcast_to(array, self.actual.shape) for array in arrays]
        if where is not None:
            chosen = [array[where] for array in chosen]
        return Claim(finding, *chosen)


@dataclass(frozen=True)
class View:
    """The outputs of a layer (`prefix` is "") or of a half, the sequence first."""

    prefix: str
    outputs: tuple[Output, ...]
    threshold: float

    def joined(self, *, rows: bool) -> Output:
        """Return all outputs as one, flat or, with `rows`, with a row for each of the batch."""
        shape = (len(self.outputs[0].actual), -1) if rows else (-1,)
        arrays = (
            np.concatenate(
                [getattr(output, name).reshape(shape) for output in self.outputs], axis=-1
            )
            for name in ("actual", "expected", "allowed")
        )
        return Output("", *arrays)

    def worst_rows(self, count: int) -> Array:
        """Return the indices of the rows of the batch that are furthest off, at most `count`."""
        far = np.zeros(len(self.outputs[0].actual))
        for output in self.outputs:
            error = np.abs(output.actual - output.expected) / output.allowed
            far = np.maximum(far, error.reshape(len(far), -1).max(axis=1))
        return np.sort(np.argsort(far)[::-1][:count])

    def rows(self, rows: Array) -> View:
        """Return what is seen of some rows of the batch."""
        return replace(self, outputs=tuple(output.part((rows,)) for output in self.outputs))

    def with_noise_of(self, problem: Problem) -> View:
        """Return the view with the noise of a problem with these outputs, where it is larger."""
        with np.errstate(all="ignore"):
            sigmas = compute_with_noise(problem).sigmas
        outputs = tuple(
            replace(output, allowed=np.fmax(output.allowed, self.threshold * sigma))
            for output, sigma in zip(self.outputs, sigmas, strict=True)
        )
        return replace(self, outputs=outputs)

    def widened(self, predicted: Sequence[Array]) -> View:
        """Return the view with the noise of predicted outputs, which may be larger than expected."""
        pairs = zip(self.outputs, predicted, strict=True)
        return replace(self, outputs=tuple(output.widened(values) for output, values in pairs))

    def claim(self, finding: Finding, predicted: Sequence[Array]) -> Claim:
        """Return the claim that all outputs are the predicted ones."""
        parts = [
            output.claim(finding, values)
            for output, values in zip(self.outputs, predicted, strict=True)
        ]
        joined = (
            np.concatenate([getattr(part, name).ravel() for part in parts])
            for name in ("actual", "predicted", "allowed", "moved")
        )
        return Claim(finding, *joined)

    def distances(self, variants: Sequence[Array]) -> Array:
        """Return the largest error of each variant (V,), in units of what is allowed.

        `variants` are the outputs of all of them, each with a leading axis V.
        """
        largest = np.zeros(len(variants[0]))
        for output, predicted in zip(self.outputs, variants, strict=True):
            with np.errstate(all="ignore"):
                error = np.abs(output.actual - predicted) / output.allowed
            error = np.nan_to_num(error, nan=np.inf).reshape(len(largest), -1)
            largest = np.maximum(largest, error.max(axis=1, initial=0.0))
        return largest

    def nearest(self, variants: Sequence[Array], most: int, limit: float) -> list[int]:
        """Return the indices of the nearest variants, `most` of them, that are no further than `limit`."""
        distance = self.distances(variants)
        nearest = np.argsort(distance, kind="stable")[:most].tolist()
        return [index for index in nearest if distance[index] <= limit]

    @property
    def differing(self) -> Iterator[Output]:
        """The outputs that differ."""
        return (output for output in self.outputs if output.differing.any())
