"""Which of several problems is the plainest, and so the best example of them."""

from __future__ import annotations

from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem


def complexity(problem: Problem) -> tuple[int, int, int, str]:
    """Return a sort key that puts the plainest problem first: few halves and calls, a short id."""
    return len(halves(problem.layer)), len(problem.steps), len(problem.id), problem.id
