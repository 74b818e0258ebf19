"""The search for two faults that act together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.fits import try_hypotheses
from rnnparity.explanation.precision import is_low_precision
from rnnparity.explanation.search import Fit, Search
from rnnparity.faults import EditWeights, Injection, PlacedFault, inject
from rnnparity.faults.edit import PROBLEM_EDITS, Half, half_of
from rnnparity.problem.explanations import EVERY_HALF
from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem

# How many pairs are tried: the faults that bring the outputs nearest, each with every other one. It
# is done in this many parts, and ends with the first part in which one fits.
PAIRS, PARTS = 7_000, 4
# Fewer where a pass is long: about a second, in multiply-adds. An activation takes as long as so many
# of them, copying the weights of a pair as long as so many steps of one row, and a step of a half,
# however small it is, as long as STEP of them.
WORK, ACTIVATION, COPYING, STEP = 1e9, 30, 8, 7e3
# Pairs are tried on this many rows first, on one that has so many values by itself.
ROWS, ENOUGH_VALUES = 4, 500

# Called with the number of parts that were tried, and that of all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Single:
    """A single fault, and the prefix and name of each array that it changes.

    There are none if it changes anything else.
    """

    injection: Injection
    arrays: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, injection: Injection) -> _Single:
        arrays: set[tuple[str, str]] = set()
        if isinstance(injection.placed[0].edit, EditWeights):
            for prefix, half in injection.halves:
                given = half_of(injection.problem, prefix).weights
                arrays |= {
                    (prefix, name) for name in given if half.weights[name] is not given[name]
                }
        return cls(injection, frozenset(arrays))

    @property
    def placed(self) -> PlacedFault:
        return self.injection.placed[0]


def try_pairs(
    search: Search,
    evidence: Evidence,
    singles: Sequence[Injection],
    scores: Mapping[int, float],
    progress: Progress | None = None,
) -> None:
    """Try pairs on the few rows that are furthest off, and those that fit there on all rows."""
    part = evidence.worst_rows(1 if _values_of_row(evidence) >= ENOUGH_VALUES else ROWS)
    ranked = _ranked(singles, scores, part.problem)
    if len(ranked) < 2:
        return
    count = _affordable(part)
    first = ranked[: max(1, count // len(ranked))]
    parts = min(PARTS, len(first))
    for number, share in enumerate(np.array_split(np.arange(len(first)), parts)):
        if progress is not None:
            progress(number, parts)
        pairs = (pair for n in share.tolist() for pair in _pairs(first[n], ranked[n + 1 :][:count]))
        on_part = Search()
        try_hypotheses(on_part, part, part.noise, pairs)
        search.candidates += on_part.candidates
        fits = on_part.fits if part is evidence else _fits_on_all_rows(evidence, on_part.fits)
        search.fits = [fit for fit in fits if search.certain(fit)]
        if search.fits:
            return


def _ranked(
    singles: Sequence[Injection], scores: Mapping[int, float], problem: Problem
) -> list[_Single]:
    """Return the single faults that were run, nearest first, in `problem`, which has fewer rows.

    Low precision is noise beside a fault, not a fault beside another one.
    """
    candidates = [
        injection
        for injection in singles
        if id(injection) in scores and not is_low_precision(injection.placed[0])
    ]
    candidates.sort(key=lambda injection: scores[id(injection)])
    in_problem = [Injection(problem).with_fault(single.placed[0]) for single in candidates]
    return [_Single.of(injection) for injection in in_problem if injection is not None]


def _values_of_row(evidence: Evidence) -> float:
    """Return how many values of a row of the batch are compared."""
    compared = sum(int(np.isfinite(sigmas).sum()) for sigmas in evidence.expected.sigmas)
    return compared / len(evidence.problem.inputs.data)


def _affordable(evidence: Evidence) -> int:
    """Return how many pairs can be tried."""
    batch, steps, _ = evidence.problem.inputs.shape
    weights = sum(tensor.data.size for tensor in evidence.problem.weights)
    all_halves = halves(evidence.problem.layer)
    gates = sum(half.units * len(half.cell.gates) for _, half in all_halves)
    work = (weights + ACTIVATION * gates) * batch * steps + COPYING * weights
    return int(min(PAIRS, WORK / (work + STEP * len(all_halves) * steps)))


def _fits_on_all_rows(evidence: Evidence, fits: Sequence[Fit]) -> list[Fit]:
    if not fits:
        return []
    pairs = [inject(evidence.problem, fit.mutant.placed) for fit in fits]
    search = Search()
    try_hypotheses(search, evidence, evidence.noise, [pair for pair in pairs if pair is not None])
    return search.fits


def _pairs(first: _Single, partners: Sequence[_Single]) -> Iterator[Injection]:
    """Yield a single fault with each of its partners. Edits of the whole come first."""
    for partner in partners:
        if first.arrays and partner.arrays and first.arrays.isdisjoint(partner.arrays):
            yield _joined(first, partner)
            continue
        pair = first.injection.with_fault(partner.placed)
        if pair is not None:
            yield _smallest(pair, first, partner)
        # The reverse order differs where both edit the same weights, or where one edits the whole.
        if first.injection.halves and isinstance(partner.placed.edit, PROBLEM_EDITS):
            reverse = partner.injection.with_fault(first.placed)
            if reverse is not None:
                yield _smallest(reverse, first, partner)


def _smallest(pair: Injection, first: _Single, second: _Single) -> Injection:
    """Return a pair in as few halves as possible.

    Where a fault in one half undoes the other one, which is in every half, the rest is the other
    fault in all halves but this one.
    """
    for every, at_one in ((first, second), (second, first)):
        prefix = at_one.placed.location
        edited = dict(every.injection.halves)
        if every.placed.location != EVERY_HALF or prefix not in edited:
            continue
        if _equal(pair.half(prefix), half_of(every.injection.problem, prefix)):
            others = [replace(every.placed, location=half) for half in edited if half != prefix]
            return inject(every.injection.problem, others) or pair
    return pair


def _equal(half: Half, other: Half) -> bool:
    """Return whether two halves have the same layer, weights and dropout masks."""
    if half.layer != other.layer or half.dropout.keys() != other.dropout.keys():
        return False
    arrays = ((half.weights, other.weights), (half.dropout, other.dropout))
    return half.weights.keys() == other.weights.keys() and all(
        np.array_equal(values[name], given[name]) for values, given in arrays for name in values
    )


def _joined(first: _Single, second: _Single) -> Injection:
    """Return two faults that change different arrays, from the arrays of each."""
    edited = dict(first.injection.halves)
    for prefix, half in second.injection.halves:
        if prefix in edited:
            new = {name: half.weights[name] for of, name in second.arrays if of == prefix}
            edited[prefix] = replace(half, weights={**edited[prefix].weights, **new})
        else:
            edited[prefix] = half
    placed = (first.placed, second.placed)
    return Injection(first.injection.problem, placed, tuple(edited.items()))
