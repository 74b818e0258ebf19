"""The search for the cause of wrong gradients where the outputs are right.

A hypothesis is a fault of the backward pass (`BACKWARD_FAULTS`), or one with a number that is read
off the gradients. It is compared with the gradients as a fault of the forward pass is with outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.fault_search import nearest
from rnnparity.explanation.fits import NoiseWithFault, try_batches
from rnnparity.explanation.noise import Noise
from rnnparity.explanation.patterns import value_findings
from rnnparity.explanation.reading_diagnosis import Diagnosis, with_fits
from rnnparity.explanation.search import Search
from rnnparity.faults import (
    BACKWARD_FAULTS,
    Batch,
    Fault,
    Injection,
    Mutant,
    backward_mutants,
    run_backward,
)
from rnnparity.faults.backward_fitted import fitted
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.errors import RequestError
from rnnparity.problem.explanations import Cause, Explanation
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import Slot
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference.gradients.tolerance import expect_gradients, gradient_noise
from rnnparity.verdict.compare import Comparison, compare_values


def explain_gradients(problem: Problem) -> Diagnosis:
    """Search the cause of what is wrong with `problem.gradients`.

    Where there is no gradient (None) zeros are assumed.

    Raises:
        RequestError: the problem has no gradients.
    """
    if problem.gradients is None:
        raise RequestError(
            f"{problem.id}: has no gradients to explain; add those of the other implementation"
        )
    expected = expect_gradients(problem)
    actual = as_floats(problem, problem.gradients)
    return explain_answer(Evidence(problem, actual, expected), _search)


def explain_answer(evidence: Evidence, find: Callable[[Evidence], Search]) -> Diagnosis:
    """Return the diagnosis of an answer; `find` searches the cause where it differs."""
    problem, actual, expected = evidence.problem, evidence.actual, evidence.expected
    threshold = expected.dtype.threshold
    compared = compare_values(actual, expected.outputs, expected.sigmas, threshold)
    if expected.unpredictable or not compared.differences:
        reason = expected.inconclusive
        verdict = Verdict.INCONCLUSIVE if reason else Verdict.AGREES
        sigma = 0.0 if expected.unpredictable else compared.sigma
        explanation = Explanation(
            problem.id, verdict, sigma=sigma, threshold=threshold, reason=reason
        )
        return Diagnosis(problem, explanation)
    return _explained(evidence, compared, find(evidence))


def as_floats(problem: Problem, gradients: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """Return gradients in a float type, zeros where there is none."""
    pairs = zip(gradients, problem.gradient_slots(), strict=True)
    return tuple(_as_float(tensor, slot) for tensor, slot in pairs)


def _as_float(tensor: Tensor | None, slot: Slot) -> Tensor:
    """Return numbers of a float type: zeros where there are none, integers converted."""
    if tensor is not None and tensor.dtype in FLOAT_TYPES:
        return tensor
    shape = tuple(size or 0 for size in slot.shape)
    values = np.zeros(shape) if tensor is None else tensor.data
    return Tensor.of(slot.name, values, slot.dtype)


def _search(evidence: Evidence) -> Search:
    search = Search()
    try_backward_faults(search, evidence, BACKWARD_FAULTS, record_invisible=True)
    if not search.fits and evidence.finite:
        arrays = evidence.actual_arrays, evidence.expected_arrays
        try_backward_faults(search, evidence, fitted(evidence.problem, *arrays))
    return search


def _explained(evidence: Evidence, compared: Comparison, search: Search) -> Diagnosis:
    problem, expected = evidence.problem, evidence.expected
    fits = nearest(search.fits)
    explanation = Explanation(
        problem.id,
        Verdict.DIVERGES,
        compared.differences,
        cause=Cause(),
        findings=() if fits else value_findings(evidence.actual, expected.outputs),
        sigma=compared.sigma,
        threshold=expected.dtype.threshold,
        sigma_with_cause=fits[0].sigma if fits else None,
        candidates=search.candidates,
        blind_to=search.invisible,
    )
    mutants = tuple(fit.mutant for fit in fits)
    return with_fits(
        Diagnosis(problem, explanation), mutants, bool(fits) and search.certain(fits[0])
    )


def try_backward_faults(
    search: Search, evidence: Evidence, faults: Iterable[Fault], record_invisible: bool = False
) -> None:
    """Try faults; where none fits the nearest ones, however far, get the noise of their own run.

    Gradients vanish over time: what a fault moves to another step has the noise of that step, which
    may be many powers of ten larger.
    """
    noise = evidence.noise
    batches = batches_of(evidence.problem, backward_mutants(evidence.problem, faults))
    raised = noise_with_fault(evidence)
    try_batches(search, evidence, noise, batches, raised, record_invisible, nearly=np.inf)


def batches_of(problem: Problem, mutants: Iterable[Mutant]) -> Iterator[Batch]:
    """Yield mutants of one fault each as batches."""
    for mutant in mutants:
        names = [tensor.name for tensor in mutant.outputs]
        arrays = [tensor.data[None] for tensor in mutant.outputs]
        yield Batch([Injection(problem, mutant.placed)], arrays, names)


def noise_with_fault(evidence: Evidence) -> NoiseWithFault:
    """Return the noise of a backward pass with a fault, by stochastic arithmetic."""
    problem = evidence.problem

    def raised(injection: Injection, outputs: Sequence[Array]) -> Noise | None:
        (placed,) = injection.placed
        exact = [
            Tensor(slot.name, array)
            for slot, array in zip(problem.gradient_slots(), outputs, strict=True)
        ]
        noise = gradient_noise(
            problem, exact, lambda arithmetic: run_backward(problem, placed, arithmetic) or []
        )
        if noise.reason:
            return None
        pairs = zip(noise.sigmas, evidence.noise.floors, strict=True)
        return replace(evidence.noise, sigmas=[np.maximum(*pair) for pair in pairs])

    return raised
