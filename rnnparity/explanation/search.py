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

from rnnparity.explanation.evidence import Level, Question
from rnnparity.faults import Mutant, hypotheses, mutants
from rnnparity.faults.fault import EVERY, WHOLE
from rnnparity.faults.fitted import fitted
from rnnparity.faults.injection import Batch, Struck, as_problem, run_all, together
from rnnparity.faults.precision import PRECISIONS, low_precision
from rnnparity.problem.dtypes import Array

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
    hidden: tuple[str, ...] = ()
    within: str = ""

    def certain(self, fit: Fit) -> bool:
        """Whether a fit is more than chance."""
        return bool(np.log10(max(self.tried, 1)) + fit.chance < np.log10(CHANCE))


def find_cause(question: Question) -> Search:
    """Try hypotheses from the plainest on until some fit: single faults, those with a number,
    pairs, low precision."""
    found = Search()
    singles = hypotheses(question.problem)
    scores = _try(found, question, question.own, singles, hiding=True)
    if not found.fits and question.finite:
        if question.coarse_type:
            _try_coarser(found, question, singles)
        if not found.fits:
            _try(found, question, question.own, _fitted(question))
        if not found.fits:
            _try_pairs(found, question, singles, scores)
        if not found.fits and not question.coarse_type:
            _try_coarser(found, question, singles)
    found.fits = _nearest(found.fits)
    return found


def _try(
    found: Search, question: Question, level: Level, made: Sequence[Struck], hiding: bool = False
) -> dict[int, float]:
    """Run hypotheses and keep those that fit. How near each one comes, by its identity: see
    `_nearness`.

    `hiding`: find out as well which of them give what is right.
    """
    scores: dict[int, float] = {}
    missed: list[tuple[float, Struck, Mutant]] = []
    limit = NEARLY * level.threshold
    right = np.concatenate([part.ravel() for part in question.off(question.right, level)])
    for batch in run_all(made):
        if [array.shape[1:] for array in batch.outputs] != [
            array.shape for array in question.arrays
        ]:
            continue
        found.tried += len(batch.struck)
        if hiding:
            found.hidden += tuple(batch.mutant(n).name for n in question.hidden(batch.outputs))
        off = np.concatenate(
            [p.reshape(len(p), -1) for p in question.off(batch.outputs, level)], axis=1
        )
        # A number that was read off the outputs needs more than the outputs it was read off.
        fits = _fits(question, level, batch, off)
        found.fits += [fit for fit in fits if not fit.mutant.fault.freedom or found.certain(fit)]
        nearness = _nearness(off, right, level.threshold).tolist()
        scores |= {id(struck): score for struck, score in zip(batch.struck, nearness, strict=True)}
        worst = off.max(axis=1) / _grown(question, batch)
        missed += [
            (float(worst[n]), batch.struck[n], batch.mutant(n))
            for n in np.flatnonzero(worst <= limit).tolist()
        ]
    if not found.fits:
        found.fits += _by_their_own_noise(question, level, missed)
    return scores


def _grown(question: Question, batch: Batch) -> Array:
    """By how much the largest value of each hypothesis is larger than the largest right one: so is
    its noise."""
    largest = np.max(
        [np.abs(array).reshape(len(array), -1).max(axis=1) for array in batch.outputs], axis=0
    )
    usual = max(float(np.abs(array).max()) for array in question.right)
    grown: Array = np.maximum(1, largest / usual) if usual else np.ones(len(largest))
    return np.where(np.isfinite(grown), grown, 1)


def _by_their_own_noise(
    question: Question, level: Level, missed: Iterable[tuple[float, Struck, Mutant]]
) -> Iterator[Fit]:
    """Near misses once more, with the noise of the faulty run, which may be larger than that of the
    right one."""
    for _, struck, mutant in sorted(missed, key=lambda miss: miss[0])[:MISSED]:
        faulty = as_problem(struck)
        outputs = [tensor.data for tensor in mutant.outputs]
        noise = None if faulty is None else question.noise_of(faulty, outputs, level)
        if noise is None:
            continue
        off = np.concatenate([part.ravel() for part in question.off(outputs, noise)])
        if off.max() <= noise.threshold:
            squares = float((off[question.distinct] ** 2).sum())
            yield Fit(mutant, float(off.max()), squares, _chance(question, noise, mutant))


def _fits(question: Question, level: Level, batch: Batch, off: Array) -> Iterator[Fit]:
    for place in np.flatnonzero(off.max(axis=1) <= level.threshold):
        squares = float((off[place][question.distinct] ** 2).sum())
        mutant = batch.mutant(int(place))
        yield Fit(mutant, float(off[place].max()), squares, _chance(question, level, mutant))


def _chance(question: Question, level: Level, mutant: Mutant) -> float:
    """A value that is allowed to be t off, and that the fault moves by d, lies there by chance in t
    of d cases.

    Each of a pair is held against the other one alone: beside a cause any other fault that moves
    little fits.
    """
    without = [question.right]
    if len(mutant.placed) > 1:
        alone = [together(question.problem, [placed]) for placed in mutant.placed]
        without += [
            [array[0] for array in done.outputs] for done in run_all(one for one in alone if one)
        ]
    allowed = level.threshold * question.flat(level.floors) + np.finfo(np.float64).tiny
    found = []
    for start in without:
        moved = question.flat(
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
    rank = {WHOLE: 0, EVERY: 1}
    ranked = sorted(
        fits, key=lambda fit: (round(fit.squares, 1), rank.get(fit.mutant.placed[0].place, 2))
    )
    near = [fit for fit in ranked if fit.squares <= ranked[0].squares + NEAR]
    return list({frozenset(fit.mutant.placed): fit for fit in reversed(near)}.values())[::-1]


def _fitted(question: Question) -> list[Struck]:
    return hypotheses(question.problem, fitted(question.problem, question.arrays, question.right))


def _try_coarser(found: Search, question: Question, singles: Sequence[Struck]) -> None:
    """No fault but less precision; or faults under the noise of a coarser type."""
    if question.mostly_right:
        return
    for level in question.coarser():
        if question.coarse_type not in ("", level.name):
            continue
        if question.worst(question.expected.outputs, level) <= level.threshold:
            found.fits = _low_precision(question, level)
            found.within = found.within or level.name
        if found.fits:
            return
        _try(found, question, level, [*singles, *_fitted(question)])
        # Where nothing but their size speaks for coarse numbers, a doubtful fit is none.
        found.fits = [fit for fit in found.fits if question.coarse_type or found.certain(fit)]
        if found.fits:
            found.level = level.name
            return


def _low_precision(question: Question, level: Level) -> list[Fit]:
    """The layer computed in less precision: all values are numbers of that type, or they are off
    from what is right in the direction in which rounding weights and states to so few bits moves
    them.
    """
    worst = question.worst(question.expected.outputs, level)
    names = (
        [question.coarse_type]
        if question.coarse_type
        else [name for name in PRECISIONS if name != "float32"]
    )
    moved = [
        (_alike(question, level, mutant), mutant)
        for name in names
        for mutant in _in_precision(question, name)
    ]
    alike, mutant = max(moved, key=lambda one: one[0])
    if not question.coarse_type and (alike < ALIKE or int(question.distinct.sum()) < MANY):
        return []
    return [Fit(mutant, worst, 0.0, -np.inf)]


def _in_precision(question: Question, name: str) -> list[Mutant]:
    return mutants(question.problem, [low_precision(name)])


def _alike(question: Question, level: Level, mutant: Mutant) -> float:
    """The correlation of how far, in sigma, the given outputs and a mutant's are from what is
    right."""
    sigma = np.maximum(question.flat(level.sigmas), np.finfo(np.float64).tiny)
    right = question.flat(question.right)
    given = (question.flat(question.arrays) - right) / sigma
    made = (question.flat([tensor.data for tensor in mutant.outputs]) - right) / sigma
    size = float(np.sqrt((given @ given) * (made @ made)))
    return float(given @ made) / size if size else 0.0


def _try_pairs(
    found: Search, question: Question, singles: Sequence[Struck], scores: Mapping[int, float]
) -> None:
    """Pairs on the few rows that are furthest off; what fits there is tried on all."""
    part = question.worst_rows(ENOUGH)
    # Less precision is noise beside a fault, not a fault beside another.
    ranked = [
        struck
        for struck in singles
        if id(struck) in scores and struck.placed[0].fault.arithmetic is None
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
        if there.fits and part is not question:
            again = [together(question.problem, fit.mutant.placed) for fit in there.fits]
            there = Search()
            _try(there, question, question.own, [pair for pair in again if pair is not None])
        found.fits = [fit for fit in there.fits if found.certain(fit)]
        if found.fits:
            return


def _pairs(question: Question, one: Struck, others: Sequence[Struck]) -> Iterator[Struck]:
    """A single fault with each of the others. Edits of the whole come first."""
    start = Struck(question.problem)
    (placed,) = one.placed
    first = start.with_fault(placed)
    for other in others:
        (more,) = other.placed
        yield from filter(None, [first and first.with_fault(more)])
        # The other order is another thing where both edit the same weights, or where one is of the
        # whole.
        if first is not None and first.halves and (more.fault.half or more.fault.problem):
            second = start.with_fault(more)
            yield from filter(None, [second and second.with_fault(placed)])
