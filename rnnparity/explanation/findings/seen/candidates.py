"""Other computations of the outputs of a whole layer: those that give what is seen become findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.explanation.evidence import rows_of
from rnnparity.explanation.findings.seen.claim import Claim, weigh
from rnnparity.explanation.findings.seen.view import View
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding
from rnnparity.problem.problem import Problem

# A candidate is tried on so many rows first; what is no further off, in what is allowed, on all.
FIRST_ROWS, NEARLY = 2, 100.0


@dataclass(frozen=True)
class Candidate:
    """A finding, and how the outputs of a problem are computed if it is true; None if they cannot be.

    `mixes_rows`: a row depends on other rows.
    """

    finding: Finding
    outputs: Callable[[Problem], list[Array] | None]
    mixes_rows: bool = False


def held_candidates(problem: Problem, view: View, candidates: Iterable[Candidate]) -> list[Finding]:
    """Return the findings of the candidates that give everything that is seen.

    Where several do, which of them it was cannot be determined: none is certain.
    """
    tried = list(candidates)
    rows = view.worst_rows(FIRST_ROWS)
    part, seen = rows_of(problem, rows), view.rows(rows)
    claims = []
    for candidate in tried:
        if not candidate.mixes_rows and not _claim(part, seen, candidate, NEARLY):
            continue
        claims += _claim(problem, view, candidate, 1.0)
    found = list(weigh(claims, view.threshold, max(len(tried), 1)))
    return [replace(each, certain=each.certain and len(found) == 1) for each in found]


def _claim(problem: Problem, view: View, candidate: Candidate, near: float) -> list[Claim]:
    """Return the claim of a candidate where it is near enough; values as expected are no evidence."""
    with np.errstate(all="ignore"):
        outputs = candidate.outputs(problem)
    shapes = [output.actual.shape for output in view.outputs]
    if outputs is None or [array.shape for array in outputs] != shapes:
        return []
    claim = view.widened(outputs).claim(candidate.finding, outputs)
    if not claim.distance <= near:
        return []
    return [evidence_of(view, claim)]


def evidence_of(view: View, claim: Claim) -> Claim:
    """Return a claim about all outputs of a view without what is as expected."""
    expected = np.concatenate([output.expected.ravel() for output in view.outputs])
    return claim.part(np.abs(claim.predicted - expected) > claim.allowed)
