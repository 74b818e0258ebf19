"""The explanation of wrong outputs, with further questions to the subject that gave them."""

from __future__ import annotations

from rnnparity.explanation.diagnosis import Diagnosis, diagnose
from rnnparity.explanation.probe import Ask, probe
from rnnparity.explanation.separate import with_separating_problem
from rnnparity.problem.problem import Problem


def explain(problem: Problem, ask: Ask | None = None) -> Diagnosis:
    """Search the cause of wrong outputs, and a problem that separates the causes that fit.

    With `ask` the subject is asked such problems until one cause is left.

    Raises:
        RequestError: the problem has no outputs.
    """
    diagnosis = with_separating_problem(diagnose(problem))
    return diagnosis if ask is None else probe(diagnosis, ask)
