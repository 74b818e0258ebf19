"""One step of gradient descent: the weights after it."""

from __future__ import annotations

import numpy as np

from rnnparity.problem.answer_types import TrainingStep
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem
from rnnparity.problem.tensor import Tensor
from rnnparity.reference.gradients.arithmetic import TapedArithmetic, TapedExactArithmetic
from rnnparity.reference.gradients.backward import BackwardUnroller
from rnnparity.reference.memory import GRADIENT, check_memory


def compute_training_step(problem: Problem) -> tuple[Tensor, ...]:
    """Return the weights after the problem's training step, in float64.

    Raises:
        RequestError: the problem has none, or does not fit in memory.
    """
    check_memory(problem, GRADIENT)
    return _weights_after(problem, TapedArithmetic())


def compute_training_step_exactly(problem: Problem) -> tuple[Tensor, ...]:
    """Return the weights as correctly rounded float64, hundreds of times slower.

    Raises:
        RequestError: the problem has no training step, or mpmath is missing.
    """
    return _weights_after(problem, TapedExactArithmetic())


def _weights_after(problem: Problem, arithmetic: TapedArithmetic) -> tuple[Tensor, ...]:
    arrays = BackwardUnroller(problem, arithmetic).weights_after(step_of(problem))
    return tuple(
        Tensor(slot.name, np.asarray(array[0], np.float64))
        for slot, array in zip(problem.weight_slots(), arrays, strict=True)
    )


def step_of(problem: Problem) -> TrainingStep:
    """Return the problem's training step.

    Raises:
        RequestError: it has none.
    """
    if problem.training_step is None:
        raise RequestError(f"{problem.id}: training_step: got none, expected lr and targets")
    return problem.training_step
