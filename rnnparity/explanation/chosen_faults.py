"""The search for a cause among chosen faults only, singly and in pairs."""

from __future__ import annotations

from collections.abc import Sequence

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.fits import Runs, try_runs
from rnnparity.explanation.gradients import as_floats, try_backward_faults
from rnnparity.explanation.pairs import try_pairs
from rnnparity.explanation.search import Search
from rnnparity.faults import Fault, candidates
from rnnparity.problem.explanations import FaultId
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference.tolerance import Expected
from rnnparity.verdict.compare import compare_structure


def explained_by(
    problem: Problem, outputs: Sequence[Tensor], expected: Expected, faults: Sequence[Fault]
) -> tuple[FaultId, ...]:
    """Return those of the faults that explain wrong outputs with certainty, () where none do."""
    if not faults or compare_structure(outputs, problem.answer_slots()):
        return ()
    evidence = Evidence(problem, tuple(outputs), expected)
    search = Search()
    singles = Runs(evidence, candidates(problem, faults))
    scores = try_runs(search, evidence, evidence.noise, singles)
    if not search.fits:
        try_pairs(search, evidence, singles.hypotheses, scores)
    return _certain(search)


def gradients_explained_by(
    problem: Problem,
    gradients: Sequence[Tensor | None],
    expected: Expected,
    faults: Sequence[Fault],
) -> tuple[FaultId, ...]:
    """Return that one of the backward faults that explains wrong gradients with certainty.

    () where none does. Where there is no gradient (None) zeros are assumed.
    """
    if not faults or len(gradients) != len(expected.outputs):
        return ()
    actual = as_floats(problem, gradients)
    if compare_structure(actual, problem.answer_slots()):
        return ()
    search = Search()
    try_backward_faults(search, Evidence(problem, actual, expected), faults)
    return _certain(search)


def _certain(search: Search) -> tuple[FaultId, ...]:
    fit = next(filter(search.certain, search.fits), None)
    return () if fit is None else tuple(placed.id for placed in fit.mutant.placed)
