"""The search for two faults that act together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.fits import Fit, Search, try_hypotheses
from rnnparity.explanation.precision import is_low_precision
from rnnparity.faults import Injection, inject
from rnnparity.faults.edit import PROBLEM_EDITS

# How many pairs are tried: the faults that bring the outputs nearest, each with every other one. It
# is done in this many parts, and ends with the first part in which one fits.
PAIRS, PARTS = 8_000, 4
# Fewer where a pass is long: this many multiply-adds in all, some ten seconds.
WORK = 1e10
# Pairs are tried on this many rows first.
ROWS = 4


def try_pairs(
    search: Search, evidence: Evidence, singles: Sequence[Injection], scores: Mapping[int, float]
) -> None:
    """Try pairs on the few rows that are furthest off, and those that fit there on all rows."""
    part = evidence.worst_rows(ROWS)
    ranked = _ranked(singles, scores)
    first = ranked[: _affordable(part, len(ranked))]
    for share in np.array_split(np.arange(len(first)), min(PARTS, len(first))):
        pairs = [pair for n in share.tolist() for pair in _pairs(part, first[n], ranked[n + 1 :])]
        on_part = Search()
        try_hypotheses(on_part, part, part.noise, pairs)
        search.candidates += on_part.candidates
        fits = on_part.fits if part is evidence else _fits_on_all_rows(evidence, on_part.fits)
        search.fits = [fit for fit in fits if search.certain(fit)]
        if search.fits:
            return


def _ranked(singles: Sequence[Injection], scores: Mapping[int, float]) -> list[Injection]:
    """Return the single faults that were run, nearest first.

    Low precision is noise beside a fault, not a fault beside another one.
    """
    candidates = [
        injection
        for injection in singles
        if id(injection) in scores and not is_low_precision(injection.placed[0])
    ]
    return sorted(candidates, key=lambda injection: scores[id(injection)])


def _affordable(evidence: Evidence, partners: int) -> int:
    """Return how many faults can be tried with every partner."""
    batch, steps, _ = evidence.problem.inputs.shape
    size = sum(tensor.data.size for tensor in evidence.problem.weights)
    pairs = int(min(PAIRS, WORK / (size * batch * steps)))
    return max(1, pairs // max(partners, 1))


def _fits_on_all_rows(evidence: Evidence, fits: Sequence[Fit]) -> list[Fit]:
    if not fits:
        return []
    pairs = [inject(evidence.problem, fit.mutant.placed) for fit in fits]
    search = Search()
    try_hypotheses(search, evidence, evidence.noise, [pair for pair in pairs if pair is not None])
    return search.fits


def _pairs(
    evidence: Evidence, single: Injection, partners: Sequence[Injection]
) -> Iterator[Injection]:
    """Yield a single fault with each of its partners. Edits of the whole come first."""
    start = Injection(evidence.problem)
    (placed,) = single.placed
    first = start.with_fault(placed)
    for partner in partners:
        (added,) = partner.placed
        pair = None if first is None else first.with_fault(added)
        if pair is not None:
            yield pair
        # The reverse order differs where both edit the same weights, or where one edits the whole.
        if first is not None and first.halves and isinstance(added.fault.edit, PROBLEM_EDITS):
            second = start.with_fault(added)
            reverse = None if second is None else second.with_fault(placed)
            if reverse is not None:
                yield reverse
