"""The search for a cause among chosen faults only, singly and in pairs."""

from __future__ import annotations

from collections.abc import Sequence

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.fits import Runs, try_runs
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
    fit = next(filter(search.certain, search.fits), None)
    return () if fit is None else tuple(placed.id for placed in fit.mutant.placed)
