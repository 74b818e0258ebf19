"""Gradients: the equations of the cells, run backward in one more arithmetic (reverse mode).

A gradient is the derivative of sum(cotangent * output) over all outputs, states included, with
respect to the inputs, a weight or an initial state. Nothing is truncated or clipped.
"""

from __future__ import annotations

import numpy as np

from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem
from rnnparity.problem.tensor import Tensor
from rnnparity.reference.gradients.arithmetic import TapedArithmetic, TapedExactArithmetic
from rnnparity.reference.gradients.backward import BackwardUnroller
from rnnparity.reference.memory import GRADIENT, check_memory

__all__ = ["compute_gradients", "compute_gradients_exactly"]


def compute_gradients(problem: Problem) -> tuple[Tensor, ...]:
    """Return the gradients for the problem's cotangents, in float64, see `gradient_slots`.

    Raises:
        RequestError: the problem has no cotangents, or does not fit in memory.
    """
    check_memory(problem, GRADIENT)
    return _gradients(problem, TapedArithmetic())


def compute_gradients_exactly(problem: Problem) -> tuple[Tensor, ...]:
    """Return the gradients as correctly rounded float64, hundreds of times slower.

    Raises:
        RequestError: the problem has no cotangents, or mpmath is missing.
    """
    return _gradients(problem, TapedExactArithmetic())


def _gradients(problem: Problem, arithmetic: TapedArithmetic) -> tuple[Tensor, ...]:
    if problem.cotangents is None:
        raise RequestError(f"{problem.id}: cotangents: got none, expected one for each output")
    arrays = BackwardUnroller(problem, arithmetic).gradients(problem.cotangents)
    pairs = zip(problem.gradient_slots(), arrays, strict=True)
    return tuple(Tensor(slot.name, np.asarray(array[0], np.float64)) for slot, array in pairs)
