"""The search for a cause: single faults, faults with a number read off the outputs, pairs of
faults, and low precision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.findings.finding_search import find
from rnnparity.explanation.findings.half_questions import Findings
from rnnparity.explanation.findings.rivals import rivals_of_cause
from rnnparity.explanation.findings.seen.half_problem import view_of
from rnnparity.explanation.fits import Runs, try_hypotheses, try_runs
from rnnparity.explanation.location import last_layer
from rnnparity.explanation.noise import noise_of
from rnnparity.explanation.pairs import Progress, try_pairs
from rnnparity.explanation.precision import fits_with_own_noise, low_precision_fits
from rnnparity.explanation.search import Fit, Search
from rnnparity.faults import FAULTS, Injection, candidates
from rnnparity.faults.fitted import fitted
from rnnparity.faults.precision import BFLOAT16_PRODUCTS
from rnnparity.problem.dtypes import Array
from rnnparity.problem.explanations import EVERY_HALF, WHOLE
from rnnparity.problem.findings import FindingType, is_zero_everywhere
from rnnparity.problem.layers import Recurrent
from rnnparity.reference.memory import EXPLANATION, FAULTY_WEIGHT, check_memory

# Fits are distinguished where the sums of their squared distances differ by this much: five sigma
# of one value.
NEAR = 25.0
# Of faults that give the same outputs one of the whole layer is the likeliest, then one that is in
# every half.
RANKS = {WHOLE: 0, EVERY_HALF: 1}
# How many variants of each cause there are.
VARIANTS = Counter(fault.cause for fault in FAULTS)
# Where a fault of a half may be in a layer of two: in either, or in both.
LOCATIONS_OF_TWO = 3


def find_cause(
    evidence: Evidence, thorough: bool, progress: Progress | None = None
) -> tuple[Search, Findings]:
    """Try every single fault, look for findings, and try what takes longer where neither helps.

    That is left out unless `thorough`. `progress` is called while pairs of faults are tried.

    Raises:
        RequestError: the problem does not fit in memory.
    """
    check_memory(evidence.problem, EXPLANATION, FAULTY_WEIGHT)
    search = Search()
    singles = Runs(evidence, candidates(evidence.problem))
    scores = try_runs(search, evidence, evidence.noise, singles, record_invisible=True)
    named = any(search.certain(fit) for fit in search.fits)
    # What is looked for beyond the list knows nothing of dropout, nor of values that do not count.
    beyond = not evidence.problem.dropout_masks and not evidence.compared_in_part
    found = find(evidence, quickly=named) if beyond else Findings()
    # An output of which every value is zero may never have been written.
    search.low_confidence = any(map(is_zero_everywhere, found.findings))
    if thorough and evidence.finite and not found.complete:
        coarse = _try_further(search, evidence, singles, scores, progress)
        found = coarse if coarse.complete else found
    if not evidence.finite:
        infinite = [~np.isfinite(array) for array in evidence.actual_arrays]
        _try_part(search, evidence, infinite, FindingType.FITS_FINITE, thorough)
    search.fits = nearest(search.fits)
    if named and beyond and search.fits:
        view, best = view_of(evidence), search.fits[0]
        search.rivals = rivals_of_cause(evidence.problem, view, best.mutant.placed)
    return search, found


def find_cause_of_zeros(evidence: Evidence) -> tuple[Search, Findings]:
    """Return the single faults under which every output is zero, and where the zeros are.

    The confidence is low: memory that was never written is zero too.

    Raises:
        RequestError: the problem does not fit in memory.
    """
    check_memory(evidence.problem, EXPLANATION, FAULTY_WEIGHT)
    search = Search(low_confidence=True)
    singles = candidates(evidence.problem)
    try_hypotheses(search, evidence, evidence.noise, singles, record_invisible=True)
    search.fits = nearest(search.fits)
    return search, find(evidence, quickly=True)


def find_cause_among(evidence: Evidence, causes: frozenset[str]) -> Search:
    """Return the single faults with one of some causes that fit.

    Raises:
        RequestError: the problem does not fit in memory.
    """
    check_memory(evidence.problem, EXPLANATION, FAULTY_WEIGHT)
    search = Search()
    singles = [
        injection
        for injection in candidates(evidence.problem)
        if injection.placed[0].fault.cause in causes
    ]
    try_hypotheses(search, evidence, evidence.noise, singles)
    search.fits = nearest(search.fits)
    return search


def _try_further(
    search: Search,
    evidence: Evidence,
    singles: Runs,
    scores: Mapping[int, float],
    progress: Progress | None,
) -> Findings:
    """Try numbers read off the outputs, pairs and low precision, until something fits.

    Returns the findings about a layer in a coarser type, where these account for the outputs.
    """
    if search.fits:
        return Findings()
    with_numbers = Runs(evidence, _fitted(evidence))
    if evidence.coarse_dtype:
        _try_coarser(search, evidence, singles, with_numbers)
        found = Findings() if search.fits else _found_in_coarse_type(evidence)
        if found.complete:
            search.precision = evidence.coarse_dtype
            return found
    if not search.fits:
        try_runs(search, evidence, evidence.noise, with_numbers)
    if not search.fits:
        try_pairs(search, evidence, singles.hypotheses, scores, progress)
    if not search.fits and not evidence.coarse_dtype:
        _try_coarser(search, evidence, singles, with_numbers)
    _try_part(search, evidence, _masked_outputs(evidence), FindingType.FITS_UNMASKED)
    return Findings()


def _found_in_coarse_type(evidence: Evidence) -> Findings:
    """Return the findings about a layer that computes in the type of the outputs' values."""
    coarse = None if evidence.problem.dropout_masks else evidence.in_coarse_type()
    return Findings() if coarse is None or evidence.compared_in_part else find(coarse)


def _try_part(
    search: Search,
    evidence: Evidence,
    left_out: Sequence[Array],
    name: FindingType,
    with_pairs: bool = False,
) -> None:
    """Try to explain the other values where nothing fits with those that are left out."""
    if search.fits or not any(out.any() for out in left_out):
        return
    part = evidence.without(left_out)
    pairs = zip(part.actual_arrays, part.differing, strict=True)
    if not any(actual[differing].any() for actual, differing in pairs):
        return  # nothing differs, or is only zero there, as what was never written is
    singles = candidates(part.problem)
    scores = try_hypotheses(search, part, part.noise, singles)
    if not search.fits:
        try_hypotheses(search, part, part.noise, _fitted(part))
    if with_pairs and not search.fits:
        try_pairs(search, part, singles, scores)
    search.fits = [fit for fit in search.fits if search.certain(fit)]
    search.part = name if search.fits else None


def _masked_outputs(evidence: Evidence) -> list[Array]:
    """Return which values are those of masked steps of a sequence, one array an output."""
    problem = evidence.problem
    last = last_layer(problem.layer)
    used = np.ones(problem.inputs.shape[:2], bool) if problem.mask is None else problem.mask
    if isinstance(last, Recurrent) and last.go_backwards:  # outputs come in processing order
        used = used[:, ::-1]
    return [
        np.broadcast_to(~used[..., None] if array.ndim == 3 else np.array(False), array.shape)
        for array in evidence.actual_arrays
    ]


def _fitted(evidence: Evidence) -> list[Injection]:
    """Return the faults that are not on the list: with numbers read off the outputs, and a precision."""
    faults = fitted(evidence.problem, evidence.actual_arrays, evidence.expected_arrays)
    return candidates(evidence.problem, [*faults, BFLOAT16_PRODUCTS])


def _try_coarser(search: Search, evidence: Evidence, singles: Runs, with_numbers: Runs) -> None:
    """Try low precision with no fault, then faults within the noise of a coarser dtype."""
    if evidence.mostly_agrees:
        return
    predicted = set()
    for noise in evidence.coarser_noises():
        predicted.add(noise.dtype)
        if evidence.coarse_dtype not in ("", noise.dtype):
            continue
        distance = evidence.largest_distance(evidence.expected.outputs, noise)
        if distance <= noise.threshold:
            search.fits = low_precision_fits(evidence, noise)
            search.within_noise_of = search.within_noise_of or noise.dtype
        if search.fits:
            return
        try_runs(search, evidence, noise, chain(singles, with_numbers))
        if not evidence.coarse_dtype:  # only the size of the errors points to a coarser dtype
            search.fits = [fit for fit in search.fits if search.certain(fit)]
        if search.fits:
            search.precision, search.low_confidence = noise.dtype, not evidence.coarse_dtype
            return
    if evidence.coarse_dtype not in ("", *predicted) and not evidence.compared_in_part:
        _try_roughly(search, evidence, [*singles.hypotheses, *with_numbers.hypotheses])


def _try_roughly(search: Search, evidence: Evidence, hypotheses: Sequence[Injection]) -> None:
    """Try hypotheses in a dtype whose noise is only roughly known: a fit has low confidence."""
    dtype, expected = evidence.coarse_dtype, evidence.expected
    noise = noise_of(evidence.problem, evidence.expected_arrays, dtype, roughly=True)
    if noise is not None and evidence.largest_distance(expected.outputs, noise) <= noise.threshold:
        search.fits = low_precision_fits(evidence, noise)
    else:
        search.candidates += len(hypotheses)
        search.fits = fits_with_own_noise(evidence, dtype, hypotheses)
        search.precision = dtype if search.fits else ""
    search.low_confidence = bool(search.fits)


def nearest(fits: Sequence[Fit]) -> list[Fit]:
    """Return the likeliest fit first, then the others that noise cannot distinguish from the nearest."""
    least = min((fit.squares for fit in fits), default=0.0)
    near: dict[frozenset[object], Fit] = {}
    for fit in sorted(fits, key=_rank):
        if fit.squares <= least + NEAR:
            near.setdefault(frozenset(fit.mutant.placed), fit)
    return list(near.values())


def _rank(fit: Fit) -> tuple[float, int]:
    """Return the distance with what speaks against a fault beforehand, and the rank of its location.

    A cause is the likelier to fit by chance the more variants of it are tried, in each half and in
    both.
    """
    faults = fit.mutant.faults
    variants = [VARIANTS.get(fault.cause, 1) for fault in faults]
    locations = [1 if fault.location in ("", WHOLE) else LOCATIONS_OF_TWO for fault in faults]
    choices = np.log(variants).sum() + np.log(locations).sum()
    location = sum(RANKS.get(fault.location, 2) for fault in faults)
    return round(fit.squares + 2 * float(choices), 1), location
