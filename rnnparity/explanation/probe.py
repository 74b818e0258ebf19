"""Probes: the subject is asked problems on which the causes that fit give different outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from rnnparity.explanation.answers import answered, largest_distance, run_with_faults
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.reading_diagnosis import Diagnosis, with_fits
from rnnparity.explanation.separate import with_separating_problem
from rnnparity.faults import Mutant
from rnnparity.problem.answer import Answer, Unsupported
from rnnparity.problem.errors import RequestError
from rnnparity.problem.findings import is_zero_everywhere
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference.tolerance import Expected
from rnnparity.verdict.judge import expect_answer

# The subject is asked at most this many further problems.
PROBES = 3

Ask = Callable[[Problem], Answer]


def probe(diagnosis: Diagnosis, ask: Ask) -> Diagnosis:
    """Ask the subject separating problems until one cause is left.

    A question that the subject fails on, or does not support, ends it.
    """
    while diagnosis.separating is not None and diagnosis.explanation.probes < PROBES:
        problem, fits = diagnosis.separating, diagnosis.fits
        outputs = _outputs(problem, ask)
        expected = expect_answer(problem)
        remaining = tuple(
            mutant for mutant in fits if outputs and _fits(problem, expected, mutant, outputs)
        )
        count = diagnosis.explanation.probes + 1
        explanation = replace(diagnosis.explanation, probes=count)
        diagnosis = replace(diagnosis, explanation=explanation)
        if not remaining or len(remaining) == len(fits):
            break
        certain = not any(map(is_zero_everywhere, diagnosis.explanation.findings))
        diagnosis = with_fits(replace(diagnosis, separating=None), remaining, certain)
        diagnosis = with_separating_problem(diagnosis)
    return diagnosis


def _outputs(problem: Problem, ask: Ask) -> tuple[Tensor, ...]:
    try:
        return answered(problem, ask(problem))
    except (RequestError, Unsupported):
        return ()


def _fits(problem: Problem, expected: Expected, mutant: Mutant, actual: Sequence[Tensor]) -> bool:
    """Return whether the actual answer is the one that a hypothesis gives."""
    faulty = run_with_faults(problem, mutant.placed)
    if faulty is None or _shapes(faulty.outputs) != _shapes(actual):
        return False
    if _shapes(actual) != _shapes(expected.outputs):
        pairs = zip(actual, faulty.outputs, strict=True)
        return all(
            np.allclose(tensor.data, output.data, rtol=1e-3, atol=1e-5) for tensor, output in pairs
        )
    evidence = Evidence(problem, tuple(actual), expected)
    return largest_distance(evidence, faulty) <= evidence.noise.threshold


def _shapes(tensors: Sequence[Tensor]) -> list[tuple[int, ...]]:
    return [tensor.shape for tensor in tensors]
