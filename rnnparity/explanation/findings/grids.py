"""Values on a grid: fixed-point or raw quantized numbers, or those of a coarser float type."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rnnparity.explanation.findings.view import Output, View
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.findings import Finding, FindingType

# So many different values are needed, this many steps apart at most.
FEWEST, MOST_STEPS = 5, 2**16
# Types that outputs may have been stored in, the finest first.
STORED = ("float16", "bfloat16")
# What was rounded once is off by half a unit and its own noise; what was computed, by more.
ROUNDED = 1.05
# A raw number is correct up to so many steps: one of its own rounding, more of those before it.
RAW_ERROR = 3.0
# The rounding of a number of the grid, in parts of its step.
TOLERANCE = 1e-3


def grid_findings(view: View) -> Iterator[Finding]:
    """Yield the grid on which all values of an output that differs lie."""
    for output in view.differing:
        raw = _raw(view, output)
        if raw is not None:
            yield raw
            continue
        step = _step(output.actual)
        if step is not None:
            error = float(np.abs(output.actual - output.expected).max())
            yield Finding(
                FindingType.QUANTIZED, output.name, value=step, half=view.prefix,
                sigma=error / step, certain=error <= RAW_ERROR * step,
            )  # fmt: skip


def storage_findings(view: View) -> Iterator[Finding]:
    """Yield the coarser type in which correct outputs were stored."""
    for output in view.differing:
        for dtype in (FLOAT_TYPES[name] for name in STORED):
            rounded = dtype.round(output.actual).astype(np.float64)
            rounding = dtype.u * np.abs(output.expected) + dtype.tiny
            allowed = ROUNDED * np.maximum(output.allowed, rounding)
            error = np.abs(output.actual - output.expected)
            different = len(np.unique(output.actual)) >= FEWEST
            if different and (rounded == output.actual).all() and (error <= allowed).all():
                yield Finding(
                    FindingType.COARSE_STORAGE, dtype.name, half=view.prefix,
                    sigma=float((error / allowed).max()),
                )  # fmt: skip
                break


def _raw(view: View, output: Output) -> Finding | None:
    """Return the scale and the zero point of integers that are the expected values, quantized."""
    values = output.actual
    if (values != np.round(values)).any() or len(np.unique(values)) < FEWEST:
        return None
    if np.abs(values).max() >= MOST_STEPS:
        return None
    design = np.stack([values.ravel(), np.ones(values.size)], axis=1)
    (scale, offset), *_ = np.linalg.lstsq(design, output.expected.ravel(), rcond=None)
    if scale <= 0:
        return None
    zero_point = round(-offset / scale)
    error = float(np.abs(scale * (values - zero_point) - output.expected).max() / scale)
    if error > RAW_ERROR:
        return None
    return Finding(
        FindingType.QUANTIZED, output.name, (zero_point,), float(scale), view.prefix, sigma=error
    )


def _step(values: Array) -> float | None:
    """Return the step of the coarsest grid through 0 with all values, None without one."""
    different = np.unique(np.abs(values[np.isfinite(values)]))
    gaps = np.diff(different)
    gaps = gaps[gaps > 0]
    if len(different) < FEWEST:
        return None
    largest = float(different.max())
    step = float(gaps.min())
    if step * MOST_STEPS < largest or _is_spacing_of_type(different, largest / step):
        return None
    indices = different / step
    off = np.abs(indices - np.round(indices))
    if (off > TOLERANCE * np.maximum(1, np.round(indices) / 16)).any():
        return None
    return float(np.median(different[indices > 0.5] / np.round(indices[indices > 0.5])))


def _is_spacing_of_type(values: Array, steps: float) -> bool:
    """Return whether a grid of so many steps is that of a float type, finer for small numbers."""
    return any(
        steps >= 2 ** (dtype.bits - 1) and bool((dtype.round(values) == values).all())
        for dtype in (FLOAT_TYPES[name] for name in STORED)
    )
