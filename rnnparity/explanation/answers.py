"""What a problem asks for, outputs or gradients: computed with a fault, and compared with an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.gradients import as_floats, noise_with_fault
from rnnparity.faults import Injection, Mutant, PlacedFault, backward_mutant, run_one
from rnnparity.problem.answer import Answer
from rnnparity.problem.answer_types import AnswerType
from rnnparity.problem.problem import Problem, Tensor


def asks_for_gradients(problem: Problem) -> bool:
    """Return whether a problem asks for gradients."""
    return problem.answer_type is AnswerType.GRADIENTS


def asking_for_the_same(problem: Problem, variation: Problem) -> Problem:
    """Return a variation of a problem with cotangents of its own where the problem has some."""
    return with_cotangents(variation) if asks_for_gradients(problem) else variation


def run_with_faults(problem: Problem, placed: Sequence[PlacedFault]) -> Mutant | None:
    """Return what a problem asks for under faults, None where they do not apply."""
    if not asks_for_gradients(problem):
        return run_one(problem, placed)
    (fault,) = placed
    return backward_mutant(problem, fault)


def answered(problem: Problem, answer: Answer) -> tuple[Tensor, ...]:
    """Return what a problem asks for of an answer to it; nothing where there are no gradients.

    Raises:
        RequestError: the gradients have other shapes than they must have.
    """
    if not asks_for_gradients(problem):
        return answer.outputs
    if not answer.gradients:
        return ()
    return as_floats(problem, replace(problem, gradients=answer.gradients).gradients or ())


def largest_distance(evidence: Evidence, mutant: Mutant) -> float:
    """Return the largest distance of the evidence from a mutant in sigma.

    Gradients with a fault may have more noise than those without.
    """
    noise = None
    if asks_for_gradients(evidence.problem):
        injection = Injection(evidence.problem, mutant.placed)
        arrays = [tensor.data for tensor in mutant.outputs]
        noise = noise_with_fault(evidence)(injection, arrays)
    return evidence.largest_distance(mutant.outputs, noise)
