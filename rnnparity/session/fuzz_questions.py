"""What fuzzing asks of a seed: its problems, and some of them with a small change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.problem.dtypes import Array, FloatType, arithmetic_type
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference.tolerance import Expected
from rnnparity.session.fuzz_records import CHANGES
from rnnparity.session.outcome import Outcome
from rnnparity.session.random_problems import problems_of_seed

# Of so many problems of a seed a weight array, or a gradient, is changed besides.
CHANGED_DRAWS = 2


@dataclass(frozen=True)
class Question:
    """A problem to ask, and the healthy one of which `array` was changed: a weight or a gradient."""

    seed: int
    draw: int
    problem: Problem
    healthy: Problem
    change: str = ""
    array: str = ""


def questions_of(seed: int, precision: FloatType | None, gradients: bool) -> list[Question]:
    """Return the problems of a seed, and some of them with changed weights.

    With `gradients` they have cotangents, and no weights are changed.
    """
    questions = []
    for draw, drawn in enumerate(problems_of_seed(seed)):
        problem = with_cotangents(drawn) if gradients else drawn
        question = Question(seed, draw, problem, problem)
        questions.append(question)
        if draw < CHANGED_DRAWS and not gradients:
            questions += [_with_changed_weights(question, change, precision) for change in CHANGES]
    return questions


def _with_changed_weights(question: Question, change: str, precision: FloatType | None) -> Question:
    """Return a problem with one weight array changed by the fault size of its arithmetic."""
    problem = question.problem
    rng = np.random.default_rng([question.seed, question.draw, len(problem.weights)])
    index = int(rng.integers(len(problem.weights)))
    tensor = problem.weights[index]
    size = arithmetic_type(problem.threshold_type, precision).fault
    weights = list(problem.weights)
    weights[index] = _changed(tensor, change, size, rng)
    changed = replace(problem, weights=tuple(weights), id=f"{problem.id}-{change}")
    return replace(question, problem=changed, change=change, array=tensor.name)


def with_changed_gradients(
    question: Question, outcome: Outcome, expected: Expected | None
) -> Iterator[tuple[Question, Outcome]]:
    """Yield an answer with one gradient changed by the fault size, where its draw has changes.

    Without a gradient that is not zero, or without an answer, nothing is changed.
    """
    if question.draw >= CHANGED_DRAWS:
        return
    answer = outcome.answer
    gradients = list(answer.gradients or ()) if answer else []
    filled = [n for n, tensor in enumerate(gradients) if tensor is not None and tensor.data.any()]
    for change in CHANGES:
        rng = np.random.default_rng([question.seed, question.draw, len(filled)])
        changed = replace(question, change=change)
        tensor = gradients[index := int(rng.choice(filled))] if filled else None
        if answer is None or tensor is None or expected is None:
            yield changed, outcome
            continue
        edited = _changed(tensor, change, expected.dtype.fault, rng)
        parts = (*gradients[:index], edited, *gradients[index + 1 :])
        wrong = replace(outcome, answer=replace(answer, gradients=parts))
        yield replace(changed, array=tensor.name), wrong


def _changed(tensor: Tensor, change: str, size: float, rng: np.random.Generator) -> Tensor:
    """Return a tensor with each element larger by a relative size, or larger or smaller."""
    signs: Array | float = rng.choice([-1.0, 1.0], tensor.shape) if change == "signs" else 1.0
    values = tensor.data.astype(np.float64) * (1 + size * signs)
    return Tensor.of(tensor.name, values, tensor.dtype)
