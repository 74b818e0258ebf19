"""The cotangents with which gradients are asked for, by the formula of the catalogue's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.core import core
from rnnparity.catalogue.numbers import spread
from rnnparity.problem.problem import Problem, Tensor

# That of the first output; the others follow.
FIRST_SEED = 100


@cache
def gradient_cases() -> Mapping[str, Problem]:
    """Return the cases that have golden gradients: those of the core set that are one call.

    Through the calls of a stateful layer frameworks pass no gradient. A training step is compared
    by the weights after it.
    """
    cases = [catalogue()[id_] for id_ in core()]
    return {
        case.id: with_cotangents(case)
        for case in cases
        if len(case.steps) == 1 and case.training_step is None
    }


def with_cotangents(problem: Problem) -> Problem:
    """Return the problem with cotangents: its own, or else all different, within 1/2.

    A problem asks for gradients if and only if it has cotangents. A training step is left out.
    """
    if problem.cotangents is not None:
        return problem
    cotangents = []
    for seed, slot in enumerate(problem.output_slots(), FIRST_SEED):
        shape = tuple(size or 0 for size in slot.shape)
        digits = "float64" if slot.dtype == "float64" else "float32"
        cotangents.append(Tensor.of(slot.name, spread(shape, seed, dtype=digits), slot.dtype))
    return replace(problem, cotangents=tuple(cotangents), training_step=None)
