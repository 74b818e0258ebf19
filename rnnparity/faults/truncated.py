"""How many steps may have been left out at either end, as far as the actual outputs show it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from rnnparity.faults.fault import Fault
from rnnparity.faults.time import time_truncated
from rnnparity.faults.whole import with_flag
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem
from rnnparity.reference import compute

# Of an end whose every count is a run of its own: this many steps in all.
STEPS = 10_000
# Of the other counts: those whose last output is nearest to the actual one.
NEAREST = 3


def truncated(problem: Problem, actual: Sequence[Array]) -> Iterator[Fault]:
    """Yield faults that leave out two steps or more of what gives only a last output."""
    steps = problem.inputs.shape[1]
    if problem.layer.return_sequences or problem.calls is not None:
        return
    by_count = _last_outputs(problem)
    if by_count is None:
        yield from (time_truncated("last", count) for count in _affordable(steps))
    else:
        errors = np.abs(by_count - actual[0][:, None]).max(axis=(0, 2))[: steps - 2]
        nearest = np.argsort(errors, kind="stable")[:NEAREST].tolist()
        yield from (time_truncated("last", steps - 1 - index) for index in nearest)
    yield from (time_truncated("first", count) for count in _affordable(steps))


def _affordable(steps: int) -> Iterator[int]:
    """Yield counts of steps to leave out: few of them, and nearly all, as many as can be tried."""
    left = STEPS
    for few in range(2, (steps + 1) // 2 + 1):
        for count in sorted({few, steps + 1 - few}):
            left -= steps - count
            if left < 0:
                return
            yield count


def _last_outputs(problem: Problem) -> Array | None:
    """Return what is the last output after each step, (B, T, H); None where a half reads backward.

    Under a mask the output of the step before is repeated, as it is where no step follows.
    """
    if any(half.go_backwards for _, half in halves(problem.layer)):
        return None
    layer = with_flag(with_flag(problem.layer, "return_sequences", True), "return_state", False)
    return compute(replace(problem, layer=layer, outputs=None))[0].data
