"""The evidence: a problem, its actual outputs, the expected ones, and how far apart they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from rnnparity.explanation.cut import Cuts
from rnnparity.explanation.noise import COARSER, Noise, coarser_type, noise_of, numbers_in_type
from rnnparity.problem.dtypes import Array
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference.tolerance import Expected, expect
from rnnparity.verdict.compare import distances

# Coarse arithmetic leaves no value exact: with a larger share of values that agree it is ruled out.
AGREEING_SHARE = 0.25


@dataclass(frozen=True)
class Evidence:
    """A problem whose actual outputs have the expected shapes."""

    problem: Problem
    actual: tuple[Tensor, ...]
    expected: Expected

    @cached_property
    def actual_arrays(self) -> list[Array]:
        """The actual outputs in float64."""
        return [tensor.data.astype(np.float64) for tensor in self.actual]

    @cached_property
    def expected_arrays(self) -> list[Array]:
        """The expected outputs in float64."""
        return [tensor.data for tensor in self.expected.outputs]

    @cached_property
    def noise(self) -> Noise:
        """The noise of the layer's own dtype."""
        return Noise("", self.expected.sigmas, self.expected.dtype.threshold)

    @cached_property
    def distinct(self) -> Array:
        """Which of all flattened values are not copies.

        A state is a copy of the last output, and equal units give equal values.
        """
        flat = np.concatenate([array.ravel() for array in self.expected_arrays])
        first = np.zeros(flat.shape, bool)
        first[np.unique(flat, return_index=True)[1]] = True
        return first

    def flat(self, arrays: Sequence[Array]) -> Array:
        """Return the distinct values of arrays that have the shapes of the outputs."""
        values: Array = np.concatenate([array.ravel() for array in arrays])[self.distinct]
        return values

    @cached_property
    def cuts(self) -> Cuts:
        """The problem cut to some of its steps, with the expected states around them."""
        return Cuts(self.problem)

    @cached_property
    def finite(self) -> bool:
        """Whether every actual value is finite."""
        return all(bool(np.isfinite(array).all()) for array in self.actual_arrays)

    @cached_property
    def compared_in_part(self) -> bool:
        """Whether some values are not compared: their noise is infinite."""
        return any(bool(np.isinf(sigma).any()) for sigma in self.expected.sigmas)

    @cached_property
    def differing(self) -> list[Array]:
        """Which values differ from the expected ones, one array an output."""
        return [part > self.noise.threshold for part in self.distances(self.expected_arrays)]

    @cached_property
    def mostly_agrees(self) -> bool:
        """Whether many values agree to the layer's own precision, which rules out coarse dtypes."""
        if self.coarse_dtype:
            return False
        near = self.flat(self.distances(self.expected_arrays)) <= self.noise.threshold
        not_zero = self.flat(self.expected_arrays) != 0
        return bool(near[not_zero].mean() > AGREEING_SHARE)

    def without(self, left_out: Sequence[Array]) -> Evidence:
        """Return the evidence with some values left out: any value agrees where noise is infinite."""
        outputs, sigmas = self.expected.outputs, self.expected.sigmas
        actual = tuple(
            replace(
                tensor, data=np.where(out, expected.data, tensor.data).astype(tensor.data.dtype)
            )
            for tensor, expected, out in zip(self.actual, outputs, left_out, strict=True)
        )
        infinite = (np.where(out, np.inf, s) for s, out in zip(sigmas, left_out, strict=True))
        return Evidence(self.problem, actual, replace(self.expected, sigmas=tuple(infinite)))

    def worst_rows(self, count: int) -> Evidence:
        """Return the evidence of the `count` rows that are furthest off."""
        batch = self.problem.inputs.shape[0]
        if batch <= count:
            return self
        distance = self.distances(self.expected_arrays)
        largest = [part.reshape(batch, -1).max(axis=1) for part in distance]
        rows = np.sort(np.argsort(np.sum(largest, axis=0))[::-1][:count])
        return self.rows(rows)

    def rows(self, rows: Sequence[int] | Array) -> Evidence:
        """Return the evidence of some rows of the batch."""
        actual = _tensor_rows(self.actual, rows)
        outputs = _tensor_rows(self.expected.outputs, rows)
        sigmas = tuple(sigma[rows] for sigma in self.expected.sigmas)
        expected = replace(self.expected, outputs=outputs, sigmas=sigmas)
        return Evidence(rows_of(self.problem, rows), actual, expected)

    def coarser_noises(self) -> Iterator[Noise]:
        """Yield the noise of each coarser dtype in which it can be predicted."""
        for dtype in COARSER.get(self.problem.threshold_type, ()):
            noise = noise_of(self.problem, self.expected_arrays, dtype)
            if noise is not None:
                pairs = zip(noise.sigmas, self.expected.sigmas, strict=True)
                sigmas = [np.where(np.isinf(own), np.inf, sigma) for sigma, own in pairs]
                yield replace(noise, sigmas=sigmas)

    def noise_with_fault(
        self, faulty: Problem, outputs: Sequence[Array], noise: Noise
    ) -> Noise | None:
        """Return `noise` raised to that of a faulty run, None where that cannot be predicted."""
        raised = noise_of(faulty, outputs, noise.dtype)
        if raised is None or [s.shape for s in raised.sigmas] != [s.shape for s in noise.sigmas]:
            return None
        pairs = zip(raised.sigmas, noise.floors, strict=True)
        return replace(noise, sigmas=[np.maximum(sigma, floor) for sigma, floor in pairs])

    def distances(self, outputs: Sequence[Array], noise: Noise | None = None) -> list[Array]:
        """Return how many sigma each actual value is from `outputs`.

        The outputs may have a leading axis of variants, which the result then has as well.
        """
        noise = noise or self.noise
        triples = zip(self.actual, outputs, noise.floors, strict=True)
        return [
            distances(tensor, array, sigma, noise.threshold) for tensor, array, sigma in triples
        ]

    def largest_distance(self, outputs: Sequence[Tensor], noise: Noise | None = None) -> float:
        """Return the largest distance from some outputs in sigma; infinite for other shapes."""
        if [tensor.shape for tensor in outputs] != [tensor.shape for tensor in self.actual]:
            return np.inf
        parts = self.distances([tensor.data for tensor in outputs], noise)
        return max(float(part.max()) for part in parts)

    def invisible(self, outputs: Sequence[Array]) -> list[int]:
        """Return the indices of variants of outputs within the noise of the expected ones."""
        threshold = self.noise.threshold
        triples = zip(self.expected.outputs, outputs, self.noise.sigmas, strict=True)
        distance = [distances(tensor, array, sigma, threshold) for tensor, array, sigma in triples]
        largest = np.max([part.reshape(len(part), -1).max(axis=1) for part in distance], axis=0)
        return [int(index) for index in np.flatnonzero(largest <= threshold)]

    @cached_property
    def coarse_dtype(self) -> str:
        """The coarser dtype that represents every actual value exactly, "" if there is none."""
        values = np.concatenate([array.ravel() for array in self.actual_arrays])
        return coarser_type(values, self.problem.threshold_type)

    def in_coarse_type(self) -> Evidence | None:
        """Return the same outputs of a layer that computes in `coarse_dtype`, None if it is unpredictable.

        Its weights, inputs and states are rounded to that type.
        """
        problem = numbers_in_type(self.problem, self.coarse_dtype)
        expected = expect(problem)
        return None if expected.unpredictable else Evidence(problem, self.actual, expected)


def rows_of(problem: Problem, rows: Sequence[int] | Array) -> Problem:
    """Return the problem with only some rows of the batch, without outputs."""
    (inputs,) = _tensor_rows([problem.inputs], rows)
    initial_state = problem.initial_state
    if initial_state is not None:
        initial_state = _tensor_rows(initial_state, rows)
    masks = problem.dropout_masks
    if masks is not None:
        masks = tuple(replace(mask, data=mask.data[:, rows]) for mask in masks)
    return replace(
        problem,
        inputs=inputs,
        mask=None if problem.mask is None else problem.mask[rows],
        initial_state=initial_state,
        dropout_masks=masks,
        outputs=None,
    )


def _tensor_rows(tensors: Sequence[Tensor], rows: Sequence[int] | Array) -> tuple[Tensor, ...]:
    return tuple(replace(tensor, data=tensor.data[rows]) for tensor in tensors)
