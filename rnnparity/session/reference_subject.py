"""The reference as a subject: what `run` and `check reference` ask. No framework is loaded."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np

from rnnparity.problem.answer import Answer, Subject, Unsupported
from rnnparity.problem.errors import NO_MEMORY, RequestError
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import compute
from rnnparity.reference.gradients import compute_gradients
from rnnparity.reference.gradients.training import compute_training_step
from rnnparity.verdict.expectations import stated_facts


def make() -> Subject:
    """The subject `reference`."""
    return ReferenceSubject()


class ReferenceSubject:
    """NumPy in float64; its outputs keep that type, so that nothing is lost."""

    takes_dropout_masks = True

    def versions(self) -> dict[str, str]:
        return {"numpy": np.__version__}

    def answer(self, problem: Problem) -> Answer:
        start = perf_counter()
        outputs = _computed(compute, problem)
        return Answer(outputs, stated_facts(problem), perf_counter() - start)

    def gradients(self, problem: Problem) -> Answer:
        start = perf_counter()
        gradients = _computed(compute_gradients, problem)
        return Answer(gradients=gradients, seconds=perf_counter() - start)

    def train(self, problem: Problem) -> Answer:
        start = perf_counter()
        weights = _computed(compute_training_step, problem)
        return Answer(weights, seconds=perf_counter() - start)


def _computed(
    function: Callable[[Problem], tuple[Tensor, ...]], problem: Problem
) -> tuple[Tensor, ...]:
    try:
        # A value that leaves the range is judged, not warned of.
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            return function(problem)
    except RequestError as refusal:  # it does not fit in memory
        raise Unsupported(str(refusal)) from None
    except MemoryError:
        raise Unsupported(NO_MEMORY) from None
