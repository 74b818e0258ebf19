"""The search for the cause of wrong weights after a training step.

A hypothesis is a fault of the step (`TRAINING_FAULTS`), else one of the backward pass: a wrong
gradient moves the weights by the learning rate times itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.fits import NoiseWithFault, try_batches
from rnnparity.explanation.gradients import batches_of, explain_answer
from rnnparity.explanation.noise import Noise
from rnnparity.explanation.reading_diagnosis import Diagnosis
from rnnparity.explanation.search import Search
from rnnparity.faults import (
    Fault,
    Injection,
    Mutant,
    backward_mutants,
    training_mutants,
)
from rnnparity.faults.backward_fitted import fitted
from rnnparity.faults.training_run import TrainingRun
from rnnparity.problem.answer_types import AnswerType
from rnnparity.problem.dtypes import Array
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference.gradients import compute_gradients
from rnnparity.reference.gradients.tolerance import expect_training_step


def explain_training_step(problem: Problem, actual: tuple[Tensor, ...]) -> Diagnosis:
    """Search the cause of what is wrong with the weights after the problem's training step.

    `actual` are these weights, in their shapes. Where no fault fits the gradients are to be
    explained next.

    Raises:
        RequestError: the problem has no training step.
    """
    diagnosis = explain_answer(Evidence(problem, actual, expect_training_step(problem)), _search)
    cause = diagnosis.explanation.cause
    if cause is None or cause.explained:
        return diagnosis
    explanation = replace(diagnosis.explanation, explain_next=AnswerType.GRADIENTS)
    return replace(diagnosis, explanation=explanation)


def _search(evidence: Evidence) -> Search:
    problem, search = evidence.problem, Search()
    _try(search, evidence, training_mutants(problem), record_invisible=True)
    if search.fits or not evidence.finite:
        return search
    run = TrainingRun(problem)
    slopes = tuple(run.slopes(np.ones(len(run.sizes))))
    backward = replace(problem, outputs=None, training_step=None, cotangents=slopes)
    _try(search, evidence, _steps(run, backward_mutants(backward)))
    if not search.fits:
        faults = _fitted(run, backward, evidence.actual_arrays)
        _try(search, evidence, _steps(run, backward_mutants(backward, faults)))
    return search


def _try(
    search: Search, evidence: Evidence, mutants: Iterable[Mutant], record_invisible: bool = False
) -> None:
    """Try mutants; where none fits the nearest ones get the noise of a step that is as large."""
    batches = batches_of(evidence.problem, mutants)
    raised = _noise_with_fault(evidence)
    try_batches(search, evidence, evidence.noise, batches, raised, record_invisible, nearly=np.inf)


def _steps(run: TrainingRun, mutants: Iterable[Mutant]) -> Iterator[Mutant]:
    """Yield mutants of the backward pass with the weights after a step by their gradients."""
    for mutant in mutants:
        after = run.moved(run.change_by([gradient.data for gradient in mutant.outputs]))
        pairs = zip(run.names, after, strict=True)
        yield replace(mutant, outputs=tuple(Tensor(name, array) for name, array in pairs))


def _fitted(run: TrainingRun, backward: Problem, after: Sequence[Array]) -> Iterator[Fault]:
    """Yield faults with a number that is read off the gradients that the weights moved by.

    Those of inputs and initial states are not known: they count as zeros.
    """
    expected = [gradient.data for gradient in compute_gradients(backward)]
    actual = [np.zeros_like(gradient) for gradient in expected]
    moved = zip(run.before, after, strict=True)
    actual[1 : 1 + len(run.names)] = [(start - end) / run.step.lr for start, end in moved]
    return fitted(backward, actual, expected)


def _noise_with_fault(evidence: Evidence) -> NoiseWithFault:
    """Return the noise of a step that moves the weights further.

    The noise of a gradient grows with the factor that it is multiplied by, that of the weights
    with their size.
    """
    before = TrainingRun(evidence.problem).before

    def raised(_: Injection, outputs: Sequence[Array]) -> Noise:
        sigmas = []
        for start, expected, faulty, floor in zip(
            before, evidence.expected_arrays, outputs, evidence.noise.floors, strict=True
        ):
            growth = max(_growth(expected - start, faulty - start), _growth(expected, faulty))
            sigmas.append(growth * floor)
        return replace(evidence.noise, sigmas=sigmas)

    return raised


def _growth(expected: Array, faulty: Array) -> float:
    """Return by which factor the largest value exceeds the largest expected one, 1 at least."""
    usual, largest = float(np.abs(expected).max()), float(np.abs(faulty).max())
    return max(1.0, largest / usual) if usual and np.isfinite(largest) else 1.0
