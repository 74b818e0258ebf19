"""What the outputs show whatever the cause: which values differ, and what is odd about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.location import BACKWARD, FORWARD, Columns, columns_of, last_layer
from rnnparity.explanation.search import Search
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding, FindingType
from rnnparity.problem.layers import Bidirectional, Layer
from rnnparity.problem.problem import Problem, Tensor


def is_constant(tensor: Tensor) -> bool:
    """Return whether an output of several values has the same one everywhere."""
    return tensor.data.size > 1 and bool((tensor.data == tensor.data.flat[0]).all())


def value_findings(
    actual: Sequence[Tensor], expected: Sequence[Tensor] = ()
) -> tuple[Finding, ...]:
    """Return the first output that is not finite, or constant and not expected to be."""
    constant = {tensor.name for tensor in expected if is_constant(tensor)}
    for tensor in actual:
        finite = np.isfinite(tensor.data)
        if not finite.all():
            index = tuple(np.argwhere(~finite)[0].tolist())
            return (Finding(FindingType.NOT_FINITE, tensor.name, index),)
        if is_constant(tensor) and tensor.name not in constant:
            value = float(tensor.data.flat[0]) + 0.0  # no -0
            return (Finding(FindingType.CONSTANT, tensor.name, value=value),)
    return ()


def numeric_findings(evidence: Evidence, search: Search) -> tuple[Finding, ...]:
    """Return what the size or the dtype of the values shows."""
    if search.within_noise_of and not search.fits:
        error = max(_largest_error(evidence))
        return (Finding(FindingType.WITHIN_NOISE_OF, search.within_noise_of, value=error),)
    patterns = value_findings(evidence.actual, evidence.expected.outputs)
    if search.part is not None:
        patterns += (Finding(search.part),)
    if evidence.coarse_dtype and not patterns:
        return (Finding(FindingType.NUMBERS_OF_TYPE, evidence.coarse_dtype),)
    return patterns


def _largest_error(evidence: Evidence) -> Iterator[float]:
    """Yield the largest error of each output."""
    for actual, expected in zip(evidence.actual_arrays, evidence.expected_arrays, strict=True):
        yield float(np.nanmax(np.abs(actual - expected), initial=0.0))


def location_findings(evidence: Evidence) -> Iterator[Finding]:
    """Yield what the locations of the values that differ show."""
    layer, output = evidence.problem.layer, evidence.differing[0]
    columns = columns_of(layer, evidence.actual[0].name)
    if not output.any():
        yield Finding(FindingType.OUTPUT_AGREES)
    yield from _rows(evidence)
    yield from _units(output, columns)
    if _first_step_agrees(output, columns) and output.any() and not _is_merged(layer):
        yield Finding(FindingType.FIRST_STEP_AGREES)


def _rows(evidence: Evidence) -> Iterator[Finding]:
    by_output = [part.reshape(len(part), -1).any(axis=1) for part in evidence.differing]
    differing = np.any(by_output, axis=0)
    if differing.all():
        return
    unmasked = _unmasked_rows(evidence.problem)
    if not unmasked[differing].any() and unmasked[~differing].all():
        yield Finding(FindingType.MASKED_ROWS)
    else:
        yield Finding(FindingType.ROWS, numbers=tuple(np.flatnonzero(differing).tolist()))


def _unmasked_rows(problem: Problem) -> Array:
    if problem.mask is None:
        return np.ones(problem.inputs.shape[0], bool)
    unmasked: Array = np.all(problem.mask, axis=1)
    return unmasked


def _units(output: Array, columns: Columns) -> Iterator[Finding]:
    """Yield the half that agrees, or else the units that differ."""
    count = output.shape[-1]
    differing = np.flatnonzero(output.reshape(-1, count).any(axis=0)).tolist()
    if not 0 < len(differing) < count:
        return
    directions = {columns.direction_of(column) for column in range(count)}
    affected = {columns.direction_of(column) for column in differing}
    if len(directions) == 2 and len(affected) == 1:
        yield Finding(FindingType.HALF_AGREES, FORWARD if BACKWARD in affected else BACKWARD)
    else:
        yield Finding(FindingType.UNITS, numbers=tuple(differing))


def _first_step_agrees(output: Array, columns: Columns) -> bool:
    """Return whether a sequence agrees at the first processed step of every unit."""
    if output.ndim != 3:
        return False
    first = [
        output[:, -1 if columns.direction_of(column) == BACKWARD else 0, column]
        for column in range(output.shape[-1])
    ]
    return not np.any(first)


def _is_merged(layer: Layer) -> bool:
    """Return whether both directions meet in every value."""
    last = last_layer(layer)
    return isinstance(last, Bidirectional) and last.merge_mode not in ("concat", None)
