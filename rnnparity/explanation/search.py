"""The search for a cause: every fault in every place, faults with a number read off the outputs,
pairs of faults.

A hypothesis fits where all that was given lies within the noise of what the reference computes
under it. A fit is an answer only where chance would hardly have made one: with few numbers or much
noise some of many hypotheses fit anyhow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rnnparity.explanation.evidence import Evidence, Level
from rnnparity.faults import (
    Batch,
    EditArithmetic,
    Injection,
    Mutant,
    as_problem,
    candidates,
    inject,
    mutants,
    run_all,
)
from rnnparity.faults.edit import PROBLEM_EDITS
from rnnparity.faults.fitted import fitted
from rnnparity.faults.precision import PRECISIONS, low_precision
from rnnparity.problem.dtypes import Array
from rnnparity.problem.results import EVERY_HALF, WHOLE, FaultId

# A fit counts where fewer than so many are to be had by chance among all that were tried.
CHANCE = 0.01
# Fits are told apart where the squares of their distances in sigma, summed up, differ by so much:
# five sigma of one.
NEAR = 25.0
# How many pairs are tried: of the faults that bring the outputs nearest with each other one; in so
# many parts, and no further than the part in which one fits.
PAIRS, PARTS = 8_000, 4
# Fewer where a pass is long: so many multiply-adds in all, some ten seconds.
WORK = 1e10
# So many hypotheses that miss by less than this factor are held against the noise of the faulty run
# itself.
MISSED, NEARLY = 4, 5.0
# Pairs are tried on so many rows.
ENOUGH = 4
# Outputs that are off as rounding to fewer bits moves them: correlated by so much, over so many
# values at least. With small errors in some weights the correlation was up to 0.74 by chance (42
# problems of 12 values and more).
ALIKE, MANY = 0.9, 12


@dataclass(frozen=True)
class Fit:
    """A hypothesis that fits, its largest distance in sigma, and the sum of the squares of all.

    `chance` is the decimal logarithm of how likely another hypothesis would come as near by chance.
    """

    mutant: Mutant
    sigma: float
    squares: float
    chance: float


@dataclass
class Search:
    """What was tried and what fits, nearest first.

    `level` is the coarser type whose noise had to be allowed, or ""; `hidden` names the single
    faults that give what is right on these inputs. `within` is the coarser type whose noise would
    cover all that differs from what is right, where nothing else speaks for it.
    """

    tried: int = 0
    fits: list[Fit] = field(default_factory=list)
    level: str = ""
    hidden: tuple[FaultId, ...] = ()
    within: str = ""

    def certain(self, fit: Fit) -> bool:
        """Whether a fit is more than chance."""
        return bool(np.log10(max(self.tried, 1)) + fit.chance < np.log10(CHANCE))


def find_cause(evidence: Evidence) -> Search:
    """Try hypotheses from the plainest on until some fit: single faults, those with a number,
    pairs, low precision."""
    found = Search()
    singles = candidates(evidence.problem)
    scores = _try(found, evidence, evidence.own, singles, hiding=True)
    if not found.fits and evidence.finite:
        if evidence.coarse_type:
            _try_coarser(found, evidence, singles)
        if not found.fits:
            _try(found, evidence, evidence.own, _fitted(evidence))
        if not found.fits:
            _try_pairs(found, evidence, singles, scores)
        if not found.fits and not evidence.coarse_type:
            _try_coarser(found, evidence, singles)
    found.fits = _nearest(found.fits)
    return found


def _try(
    found: Search, evidence: Evidence, level: Level, made: Sequence[Injection], hiding: bool = False
) -> dict[int, float]:
    """Run hypotheses and keep those that fit. How near each one comes, by its identity: see
    `_nearness`.

    `hiding`: find out as well which of them give what is right.
    """
    scores: dict[int, float] = {}
    missed: list[tuple[float, Injection, Mutant]] = []
    limit = NEARLY * level.threshold
    right = np.concatenate([part.ravel() for part in evidence.off(evidence.right, level)])
    for batch in run_all(made):
        if [array.shape[1:] for array in batch.outputs] != [
            array.shape for array in evidence.arrays
        ]:
            continue
        found.tried += len(batch.injections)
        if hiding:
            for n in evidence.hidden(batch.outputs):
                found.hidden += batch.mutant(n).faults
        off = np.concatenate(
            [p.reshape(len(p), -1) for p in evidence.off(batch.outputs, level)], axis=1
        )
        # A number that was read off the outputs needs more than the outputs it was read off.
        fits = _fits(evidence, level, batch, off)
        found.fits += [fit for fit in fits if not fit.mutant.fault.freedom or found.certain(fit)]
        nearness = _nearness(off, right, level.threshold).tolist()
        scores |= {
            id(struck): score for struck, score in zip(batch.injections, nearness, strict=True)
        }
        worst = off.max(axis=1) / _grown(evidence, batch)
        missed += [
            (float(worst[n]), batch.injections[n], batch.mutant(n))
            for n in np.flatnonzero(worst <= limit).tolist()
        ]
    if not found.fits:
        found.fits += _by_their_own_noise(evidence, level, missed)
    return scores


def _grown(evidence: Evidence, batch: Batch) -> Array:
    """By how much the largest value of each hypothesis is larger than the largest right one: so is
    its noise."""
    largest = np.max(
        [np.abs(array).reshape(len(array), -1).max(axis=1) for array in batch.outputs], axis=0
    )
    usual = max(float(np.abs(array).max()) for array in evidence.right)
    grown: Array = np.maximum(1, largest / usual) if usual else np.ones(len(largest))
    return np.where(np.isfinite(grown), grown, 1)


def _by_their_own_noise(
    evidence: Evidence, level: Level, missed: Iterable[tuple[float, Injection, Mutant]]
) -> Iterator[Fit]:
    """Near misses once more, with the noise of the faulty run, which may be larger than that of the
    right one."""
    for _, struck, mutant in sorted(missed, key=lambda miss: miss[0])[:MISSED]:
        faulty = as_problem(struck)
        outputs = [tensor.data for tensor in mutant.outputs]
        noise = None if faulty is None else evidence.noise_of(faulty, outputs, level)
        if noise is None:
            continue
        off = np.concatenate([part.ravel() for part in evidence.off(outputs, noise)])
        if off.max() <= noise.threshold:
            squares = float((off[evidence.distinct] ** 2).sum())
            yield Fit(mutant, float(off.max()), squares, _chance(evidence, noise, mutant))


def _fits(evidence: Evidence, level: Level, batch: Batch, off: Array) -> Iterator[Fit]:
    for place in np.flatnonzero(off.max(axis=1) <= level.threshold):
        squares = float((off[place][evidence.distinct] ** 2).sum())
        mutant = batch.mutant(int(place))
        yield Fit(mutant, float(off[place].max()), squares, _chance(evidence, level, mutant))


def _chance(evidence: Evidence, level: Level, mutant: Mutant) -> float:
    """A value that is allowed to be t off, and that the fault moves by d, lies there by chance in t
    of d cases.

    Each of a pair is held against the other one alone: beside a cause any other fault that moves
    little fits.
    """
    without = [evidence.right]
    if len(mutant.placed) > 1:
        alone = [inject(evidence.problem, [placed]) for placed in mutant.placed]
        without += [
            [array[0] for array in done.outputs] for done in run_all(one for one in alone if one)
        ]
    allowed = level.threshold * evidence.flat(level.floors) + np.finfo(np.float64).tiny
    found = []
    for start in without:
        moved = evidence.flat(
            [np.abs(t.data - array) for t, array in zip(mutant.outputs, start, strict=True)]
        )
        found.append(float(np.log10(np.minimum(1, allowed / np.maximum(moved, allowed))).sum()))
    return max(found) + sum(placed.fault.freedom for placed in mutant.placed)


def _nearness(off: Array, right: Array, threshold: float) -> Array:
    """How much nearer than the right run each hypothesis comes, on the average of all values, in
    powers of ten."""
    with np.errstate(invalid="ignore"):
        gained = np.log10(np.maximum(off, threshold)) - np.log10(np.maximum(right, threshold))
    nearness: Array = np.nan_to_num(gained, nan=300.0, posinf=300.0).mean(axis=1)
    return nearness


def _nearest(fits: Sequence[Fit]) -> list[Fit]:
    """Nearest first, and no further than what noise could make of the nearest."""
    # Of what gives the same one mistake of the whole is the likeliest, then one that strikes every
    # half alike.
    rank = {WHOLE: 0, EVERY_HALF: 1}
    ranked = sorted(
        fits, key=lambda fit: (round(fit.squares, 1), rank.get(fit.mutant.placed[0].location, 2))
    )
    near = [fit for fit in ranked if fit.squares <= ranked[0].squares + NEAR]
    return list({frozenset(fit.mutant.placed): fit for fit in reversed(near)}.values())[::-1]


def _fitted(evidence: Evidence) -> list[Injection]:
    return candidates(evidence.problem, fitted(evidence.problem, evidence.arrays, evidence.right))


def _try_coarser(found: Search, evidence: Evidence, singles: Sequence[Injection]) -> None:
    """No fault but less precision; or faults under the noise of a coarser type."""
    if evidence.mostly_right:
        return
    for level in evidence.coarser():
        if evidence.coarse_type not in ("", level.name):
            continue
        if evidence.worst(evidence.expected.outputs, level) <= level.threshold:
            found.fits = _low_precision(evidence, level)
            found.within = found.within or level.name
        if found.fits:
            return
        _try(found, evidence, level, [*singles, *_fitted(evidence)])
        # Where nothing but their size speaks for coarse numbers, a doubtful fit is none.
        found.fits = [fit for fit in found.fits if evidence.coarse_type or found.certain(fit)]
        if found.fits:
            found.level = level.name
            return


def _low_precision(evidence: Evidence, level: Level) -> list[Fit]:
    """The layer computed in less precision: all values are numbers of that type, or they are off
    from what is right in the direction in which rounding weights and states to so few bits moves
    them.
    """
    worst = evidence.worst(evidence.expected.outputs, level)
    names = (
        [evidence.coarse_type]
        if evidence.coarse_type
        else [name for name in PRECISIONS if name != "float32"]
    )
    moved = [
        (_alike(evidence, level, mutant), mutant)
        for name in names
        for mutant in _in_precision(evidence, name)
    ]
    alike, mutant = max(moved, key=lambda one: one[0])
    if not evidence.coarse_type and (alike < ALIKE or int(evidence.distinct.sum()) < MANY):
        return []
    return [Fit(mutant, worst, 0.0, -np.inf)]


def _in_precision(evidence: Evidence, name: str) -> list[Mutant]:
    return mutants(evidence.problem, [low_precision(name)])


def _alike(evidence: Evidence, level: Level, mutant: Mutant) -> float:
    """The correlation of how far, in sigma, the given outputs and a mutant's are from what is
    right."""
    sigma = np.maximum(evidence.flat(level.sigmas), np.finfo(np.float64).tiny)
    right = evidence.flat(evidence.right)
    given = (evidence.flat(evidence.arrays) - right) / sigma
    made = (evidence.flat([tensor.data for tensor in mutant.outputs]) - right) / sigma
    size = float(np.sqrt((given @ given) * (made @ made)))
    return float(given @ made) / size if size else 0.0


def _try_pairs(
    found: Search, evidence: Evidence, singles: Sequence[Injection], scores: Mapping[int, float]
) -> None:
    """Pairs on the few rows that are furthest off; what fits there is tried on all."""
    part = evidence.worst_rows(ENOUGH)
    # Less precision is noise beside a fault, not a fault beside another.
    ranked = [
        struck
        for struck in singles
        if id(struck) in scores and not isinstance(struck.placed[0].fault.edit, EditArithmetic)
    ]
    best = sorted(ranked, key=lambda struck: scores[id(struck)])
    batch, steps, _ = part.problem.inputs.shape
    affordable = WORK / (sum(tensor.data.size for tensor in part.problem.weights) * batch * steps)
    tops = best[: max(1, int(min(PAIRS, affordable)) // max(len(best), 1))]
    for share in np.array_split(np.arange(len(tops)), min(PARTS, len(tops))):
        pairs = [pair for n in share for pair in _pairs(part, tops[n], best[n + 1 :])]
        there = Search()
        _try(there, part, part.own, pairs)
        found.tried += there.tried
        if there.fits and part is not evidence:
            again = [inject(evidence.problem, fit.mutant.placed) for fit in there.fits]
            there = Search()
            _try(there, evidence, evidence.own, [pair for pair in again if pair is not None])
        found.fits = [fit for fit in there.fits if found.certain(fit)]
        if found.fits:
            return


def _pairs(evidence: Evidence, one: Injection, others: Sequence[Injection]) -> Iterator[Injection]:
    """A single fault with each of the others. Edits of the whole come first."""
    start = Injection(evidence.problem)
    (placed,) = one.placed
    first = start.with_fault(placed)
    for other in others:
        (more,) = other.placed
        yield from filter(None, [first and first.with_fault(more)])
        # The other order is another thing where both edit the same weights, or where one is of the
        # whole.
        if first is not None and first.halves and isinstance(more.fault.edit, PROBLEM_EDITS):
            second = start.with_fault(more)
            yield from filter(None, [second and second.with_fault(placed)])
