"""Hypotheses are run, and those that fit the actual outputs are kept.

A hypothesis is one fault at a location, or several at once. It fits where every actual value lies
within the noise of what the reference computes under it. A fit is an answer only where chance would
hardly have produced one: with few values or much noise one of many hypotheses fits anyhow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.noise import Noise
from rnnparity.explanation.search import Fit, Search
from rnnparity.faults import Batch, Injection, Mutant, as_problem, inject, run_all
from rnnparity.problem.dtypes import Array
from rnnparity.problem.explanations import FaultId

# Returns the noise of a faulty run with these outputs, None where it cannot be predicted.
NoiseWithFault = Callable[[Injection, Sequence[Array]], Noise | None]

# Outputs of up to so many values are kept for further comparisons (128 MB).
KEPT_VALUES = 2**24
# The hypotheses that miss by less than this factor, at most this many, are compared once more with
# the noise of the faulty run.
NEARLY, MISSED = 5.0, 4


@dataclass(frozen=True)
class _Miss:
    """A hypothesis that nearly fits; `sigma` is scaled down by how much its outputs have grown."""

    sigma: float
    injection: Injection
    mutant: Mutant


def try_hypotheses(
    search: Search,
    evidence: Evidence,
    noise: Noise,
    hypotheses: Iterable[Injection],
    record_invisible: bool = False,
) -> dict[int, float]:
    """Run hypotheses, add those that fit to `search`, and return how near each one comes.

    The result is keyed by the identity of the injection, see `_nearness`. With `record_invisible`
    those that give the expected outputs are recorded as well.
    """
    return try_runs(search, evidence, noise, run_all(hypotheses), record_invisible)


def try_runs(
    search: Search,
    evidence: Evidence,
    noise: Noise,
    runs: Iterable[Batch],
    record_invisible: bool = False,
) -> dict[int, float]:
    """Do the same with hypotheses that have run."""
    raised = _noise_with_fault(evidence, noise)
    return try_batches(search, evidence, noise, runs, raised, record_invisible)


class Runs:
    """The runs of some hypotheses, which may be read many times.

    They are kept where their outputs have few values, else computed each time.
    """

    def __init__(self, evidence: Evidence, hypotheses: Sequence[Injection]) -> None:
        self.hypotheses = hypotheses
        values = sum(array.size for array in evidence.actual_arrays)
        self._keeps = len(hypotheses) * values <= KEPT_VALUES
        self._kept: list[Batch] | None = None

    def __iter__(self) -> Iterator[Batch]:
        if not self._keeps:
            return run_all(self.hypotheses)
        if self._kept is None:
            self._kept = list(run_all(self.hypotheses))
        return iter(self._kept)


def _noise_with_fault(evidence: Evidence, noise: Noise) -> NoiseWithFault:
    """Return the noise of a faulty run where a problem computes the same."""

    def raised(injection: Injection, outputs: Sequence[Array]) -> Noise | None:
        faulty = as_problem(injection)
        return None if faulty is None else evidence.noise_with_fault(faulty, outputs, noise)

    return raised


def try_batches(
    search: Search,
    evidence: Evidence,
    noise: Noise,
    batches: Iterable[Batch],
    noise_with_fault: NoiseWithFault,
    record_invisible: bool = False,
    nearly: float = NEARLY,
) -> dict[int, float]:
    """Add the hypotheses of batches that fit to a search; near misses get the noise of their own run.

    They miss by less than the factor `nearly`.
    """
    scores: dict[int, float] = {}
    misses: list[_Miss] = []
    without_fault = joined(evidence.distances(evidence.expected_arrays, noise))
    for batch in batches:
        if not has_shapes_of(evidence, batch):
            continue
        search.candidates += len(batch.injections)
        if record_invisible:
            search.invisible += _invisible(evidence, batch)
        distances = _by_variant(evidence.distances(batch.outputs, noise))
        for fit in _fits(evidence, noise, batch, distances):
            # A number that was read off the outputs needs more evidence than those outputs.
            if not fit.mutant.fault.freedom or search.certain(fit):
                search.fits.append(fit)
        nearness = _nearness(distances, without_fault, noise.threshold).tolist()
        for injection, score in zip(batch.injections, nearness, strict=True):
            scores[id(injection)] = score
        misses += _near_misses(evidence, noise, batch, distances, nearly)
    if not search.fits:
        search.fits += _by_noise_of_faulty_run(evidence, misses, noise_with_fault)
    return scores


def has_shapes_of(evidence: Evidence, batch: Batch) -> bool:
    """Return whether the outputs of a batch have the shapes of the actual ones."""
    shapes = [array.shape[1:] for array in batch.outputs]
    return shapes == [array.shape for array in evidence.actual_arrays]


def joined(parts: Sequence[Array]) -> Array:
    """Return all values of some arrays."""
    return np.concatenate([part.ravel() for part in parts])


def _by_variant(parts: Sequence[Array]) -> Array:
    """Return one row of all values for each variant."""
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def _invisible(evidence: Evidence, batch: Batch) -> tuple[FaultId, ...]:
    return tuple(batch.injections[n].placed[0].id for n in evidence.invisible(batch.outputs))


def _fits(evidence: Evidence, noise: Noise, batch: Batch, distances: Array) -> Iterator[Fit]:
    for n in np.flatnonzero(distances.max(axis=1) <= noise.threshold).tolist():
        yield fit_of(evidence, noise, batch.mutant(n), distances[n])


def fit_of(evidence: Evidence, noise: Noise, mutant: Mutant, distances: Array) -> Fit:
    """Return a mutant as a fit; `distances` are those of all values, in sigma."""
    squares = float((distances[evidence.distinct] ** 2).sum())
    return Fit(mutant, float(distances.max()), squares, _chance(evidence, noise, mutant))


def _near_misses(
    evidence: Evidence, noise: Noise, batch: Batch, distances: Array, nearly: float
) -> Iterator[_Miss]:
    largest = distances.max(axis=1) / _growth(evidence, batch)
    for n in np.flatnonzero(largest <= nearly * noise.threshold).tolist():
        yield _Miss(float(largest[n]), batch.injections[n], batch.mutant(n))


def _growth(evidence: Evidence, batch: Batch) -> Array:
    """Return by which factor the largest value of each variant exceeds the largest expected one.

    The noise of a faulty run grows with its values.
    """
    sizes = [np.abs(array).reshape(len(array), -1).max(axis=1) for array in batch.outputs]
    largest = np.max(sizes, axis=0)
    usual = max(float(np.abs(array).max()) for array in evidence.expected_arrays)
    growth: Array = np.maximum(1, largest / usual) if usual else np.ones(len(largest))
    return np.where(np.isfinite(growth), growth, 1)


def _by_noise_of_faulty_run(
    evidence: Evidence, misses: Iterable[_Miss], noise_with_fault: NoiseWithFault
) -> Iterator[Fit]:
    """Compare near misses once more with the noise of the faulty run, which may be larger."""
    for miss in sorted(misses, key=lambda miss: miss.sigma)[:MISSED]:
        outputs = [tensor.data for tensor in miss.mutant.outputs]
        raised = noise_with_fault(miss.injection, outputs)
        if raised is None:
            continue
        distances = joined(evidence.distances(outputs, raised))
        if distances.max() <= raised.threshold:
            yield fit_of(evidence, raised, miss.mutant, distances)


def _chance(evidence: Evidence, noise: Noise, mutant: Mutant) -> float:
    """Return the decimal logarithm of the probability that the outputs fit by chance.

    A value that is allowed to be t off, and that the fault moves by d, lies there by chance in t of
    d cases. Each fault of a pair is compared with the run under the other one: beside a cause every
    fault that moves little fits.
    """
    starts = [evidence.expected_arrays]
    if len(mutant.placed) > 1:
        single = [inject(evidence.problem, [placed]) for placed in mutant.placed]
        runs = run_all(injection for injection in single if injection is not None)
        starts += [[array[0] for array in batch.outputs] for batch in runs]
    floors = joined(noise.floors)
    compared = np.isfinite(floors)
    predicted = joined([tensor.data for tensor in mutant.outputs])[compared]
    chances = []
    for start in (joined(arrays)[compared] for arrays in starts):
        # A copy has the same value before and after: a state is a copy of the last output.
        _, distinct = np.unique(np.stack([start, predicted]), axis=1, return_index=True)
        allowed = noise.threshold * floors[compared][distinct] + np.finfo(np.float64).tiny
        moved = np.abs(predicted - start)[distinct]
        share = np.minimum(1, allowed / np.maximum(moved, allowed))
        chances.append(float(np.log10(share).sum()))
    return max(chances) + sum(placed.fault.freedom for placed in mutant.placed)


def _nearness(distances: Array, without_fault: Array, threshold: float) -> Array:
    """Return how much nearer than the expected outputs each hypothesis comes.

    It is the mean over all values, in powers of ten; negative is nearer.
    """
    with np.errstate(invalid="ignore"):
        reached = np.log10(np.maximum(distances, threshold))
        gained = reached - np.log10(np.maximum(without_fault, threshold))
    nearness: Array = np.nan_to_num(gained, nan=300.0, posinf=300.0).mean(axis=1)
    return nearness
