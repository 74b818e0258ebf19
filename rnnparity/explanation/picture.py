"""The picture of an output: how far each value is off, as levels from 0 (noise) to 8."""

from __future__ import annotations

import numpy as np

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.location import columns_of, first_differing_output
from rnnparity.problem.dtypes import Array
from rnnparity.problem.explanations import Picture

# The highest level, and the power of ten beyond the threshold at which it is reached.
LEVELS, DECADES = 8, 6
# A picture has at most this many rows (units) and columns.
ROWS, COLUMNS = 64, 72


def picture_of(evidence: Evidence) -> Picture:
    """Return the picture of the first output that differs, with the largest distance of all rows.

    An output without a time axis has the rows of the batch across.
    """
    n = first_differing_output(evidence)
    values = evidence.distances(evidence.expected_arrays)[n]
    across = "rows"
    if values.ndim == 3:
        across = "time"
        values = values.max(axis=0)
    values = values.T
    units, columns = values.shape
    coarse = shrunk(levels(values, evidence.noise.threshold), ROWS, COLUMNS)
    rows = tuple(tuple(row) for row in coarse.tolist())
    name = evidence.actual[n].name
    of = columns_of(evidence.problem.layer, name)
    return Picture(name, across, (units, columns), rows, of.direction, of.units)


def levels(sigma: Array, threshold: float) -> Array:
    """Return the level of each distance: 0 up to the threshold, 8 a million times beyond it."""
    with np.errstate(divide="ignore"):
        decades = np.log10(np.minimum(sigma, 1e300) / threshold)
    steps = np.clip(1 + LEVELS * decades / DECADES, 1, LEVELS)
    level: Array = np.where(sigma > threshold, steps, 0).astype(int)
    return level


def shrunk(values: Array, rows: int, columns: int) -> Array:
    """Return at most that many rows and columns; of neighbours that share one the largest counts."""
    for axis, most in ((0, rows), (1, columns)):
        size = values.shape[axis]
        if size > most:
            starts = np.arange(most) * size // most
            values = np.maximum.reduceat(values, starts, axis=axis)
    return values
