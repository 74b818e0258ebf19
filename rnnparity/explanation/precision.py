"""Low precision as a cause: the layer computed in a coarser dtype than its policy names."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest
from operator import itemgetter

import numpy as np

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.findings.compared.grids import may_be_fixed_point
from rnnparity.explanation.fits import fit_of, has_shapes_of, joined
from rnnparity.explanation.noise import Noise, noise_of
from rnnparity.explanation.search import Fit
from rnnparity.faults import (
    EditArithmetic,
    Injection,
    Mutant,
    PlacedFault,
    as_problem,
    mutants,
    run_all,
)
from rnnparity.faults.precision import PRECISIONS, low_precision
from rnnparity.problem.dtypes import FLOAT_TYPES

# Outputs that are off in the direction in which rounding to fewer bits moves them: correlated by
# this much, over this many values at least. With small errors in some weights the correlation was
# up to 0.74 by chance (42 problems of 12 values and more).
CORRELATION, VALUES = 0.9, 12
# So many hypotheses are compared with the noise of their own runs.
TRIED = 8


def is_low_precision(placed: PlacedFault) -> bool:
    """Return whether a fault computes everything in a coarser dtype."""
    return isinstance(placed.fault.edit, EditArithmetic)


def low_precision_fits(evidence: Evidence, noise: Noise) -> list[Fit]:
    """Return the coarser dtype as a fit where something besides the size of the noise speaks for it.

    Either all values are numbers of that dtype, or they are off in the direction in which rounding
    weights and states to its bits moves them.
    """
    dtypes = [dtype for dtype in PRECISIONS if dtype != "float32"]
    if evidence.coarse_dtype:
        dtypes = [evidence.coarse_dtype]
    best = max(
        (
            (_correlation(evidence, noise, mutant), mutant)
            for dtype in dtypes
            for mutant in mutants(evidence.problem, [low_precision(dtype)])
        ),
        key=lambda pair: pair[0],
    )
    correlation, mutant = best
    correlated = int(evidence.distinct.sum()) >= VALUES and correlation >= CORRELATION
    if not (evidence.coarse_dtype or correlated):
        return []
    values = evidence.flat(evidence.actual_arrays)
    ambiguous = not correlated and may_be_fixed_point(values, FLOAT_TYPES[evidence.coarse_dtype])
    sigma = evidence.largest_distance(evidence.expected.outputs, noise)
    return [Fit(mutant, sigma, 0.0, 0.0 if ambiguous else -np.inf)]


def fits_with_own_noise(
    evidence: Evidence, dtype: str, hypotheses: Iterable[Injection]
) -> list[Fit]:
    """Return the hypotheses that fit within the noise of their own runs in a dtype.

    That of the expected run cannot be predicted there, and theirs may only be roughly known. Only the
    nearest are tried.
    """
    actual = joined(evidence.actual_arrays)
    unit = FLOAT_TYPES[dtype].u
    scale = np.maximum(np.abs(actual), np.median(np.abs(actual))) + np.finfo(np.float64).tiny
    near: list[tuple[float, Injection, Mutant]] = []
    for batch in run_all(hypotheses):
        if not has_shapes_of(evidence, batch):
            continue
        for index, injection in enumerate(batch.injections):
            mutant = batch.mutant(index)
            values = joined([tensor.data for tensor in mutant.outputs])
            with np.errstate(invalid="ignore", over="ignore"):
                error = np.nan_to_num(np.abs(values - actual) / scale, nan=np.inf)
            score = float(np.log10(np.maximum(error, unit)).mean())
            near.append((score, injection, mutant))
    fits = []
    for _, injection, mutant in nsmallest(TRIED, near, key=itemgetter(0)):
        outputs, faulty = [tensor.data for tensor in mutant.outputs], as_problem(injection)
        noise = None if faulty is None else noise_of(faulty, outputs, dtype, roughly=True)
        if noise is None:
            continue
        distances = joined(evidence.distances(outputs, noise))
        if distances.max() <= noise.threshold:
            fits.append(fit_of(evidence, noise, mutant, distances))
    return fits


def _correlation(evidence: Evidence, noise: Noise, mutant: Mutant) -> float:
    """Return the correlation of the actual outputs' and a mutant's errors, both in sigma."""
    sigma = np.maximum(evidence.flat(noise.floors), np.finfo(np.float64).tiny)
    expected = evidence.flat(evidence.expected_arrays)
    actual_errors = (evidence.flat(evidence.actual_arrays) - expected) / sigma
    outputs = [tensor.data for tensor in mutant.outputs]
    mutant_errors = (evidence.flat(outputs) - expected) / sigma
    size = float(np.sqrt((actual_errors @ actual_errors) * (mutant_errors @ mutant_errors)))
    return float(actual_errors @ mutant_errors) / size if size else 0.0
