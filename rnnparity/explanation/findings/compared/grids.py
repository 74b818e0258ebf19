"""Values on a grid: fixed-point or raw quantized numbers, or those of a coarser float type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rnnparity.explanation.findings.seen.view import Output, View
from rnnparity.explanation.search import CHANCE
from rnnparity.problem.dtypes import FLOAT_TYPES, Array, FloatType
from rnnparity.problem.findings import Finding, FindingType

# So many different values are needed, this many steps apart at most.
FEWEST, MOST_STEPS = 5, 2**16
# Types that outputs may have been stored in, the finest first.
STORED = ("float16", "bfloat16")
# Numbers of a float type lie on a grid by chance of 2 to the power of minus this.
CHANCE_BITS = 10
# What was rounded once is off by half a unit and its own noise; what was computed, by more.
ROUNDED = 1.05
# The two nearest values are at most so many steps apart: twenty of them may be.
PARTS = 64
# A raw number is correct up to so many steps: one of its own rounding, more of those before it.
RAW_ERROR = 3.0
# The ends of the types of raw numbers: they do not show what lies beyond.
SATURATED = (-(2**7), 2**7 - 1, 2**8 - 1, -(2**15), 2**15 - 1)
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
            yield _on_grid(view, output, step)


def shared_grid_findings(view: View) -> Iterator[Finding]:
    """Yield the grid on which all outputs lie, where each one has too few values to show it."""
    joined = view.joined(rows=False)
    raw = _raw(view, joined)
    if raw is not None:
        yield from (replace(raw, name=output.name) for output in view.differing)
        return
    step = _step(joined.actual)
    if step is not None:
        yield from (_on_grid(view, output, step) for output in view.differing)


def _on_grid(view: View, output: Output, step: float) -> Finding:
    error = float(np.abs(output.actual - output.expected).max()) / step
    certain = error <= RAW_ERROR and _is_evident(output.expected, step, 1)
    return Finding(
        FindingType.QUANTIZED, output.name, value=step, half=view.prefix,
        sigma=error, certain=certain,
    )  # fmt: skip


def _is_evident(expected: Array, step: float, freedom: int) -> bool:
    """Return whether other values would not be as near as that by chance.

    `freedom` numbers were read off the values: with a step as large as these much is near.
    """
    different = len(np.unique(expected)) - freedom
    share = RAW_ERROR * step / max(float(expected.std()), step)
    return bool(different * np.log10(min(share, 1.0)) < np.log10(CHANCE))


def may_be_fixed_point(values: Array, dtype: FloatType) -> bool:
    """Return whether numbers of a float type may be fixed-point numbers as well.

    The spacing of the type grows with the numbers: each number of a finer grid has a chance of step
    / spacing to be one of the type.
    """
    sizes = np.unique(np.abs(values[np.isfinite(values) & (values != 0)]))
    if not sizes.size:
        return True
    spacing = _spacing(sizes, dtype)
    step = spacing[0]
    while (sizes % (2 * step) == 0).all():
        step *= 2
    return bool(np.log2(np.maximum(spacing / step, 1)).sum() < CHANCE_BITS)


def _spacing(sizes: Array, dtype: FloatType) -> Array:
    return np.asarray(2 * dtype.u * 2.0 ** np.floor(np.log2(sizes)))


def storage_findings(view: View) -> Iterator[Finding]:
    """Yield the coarser type in which each correct output was stored."""
    yield from filter(None, (_stored(view, output) for output in view.differing))


def _stored(view: View, output: Output) -> Finding | None:
    """Return the coarsest type in which a correct output was stored."""
    for dtype in (FLOAT_TYPES[name] for name in STORED):
        rounded = dtype.round(output.actual).astype(np.float64)
        rounding = dtype.u * np.abs(output.expected) + dtype.tiny
        allowed = ROUNDED * np.maximum(output.allowed, rounding)
        error = np.abs(output.actual - output.expected)
        different = len(np.unique(output.actual)) >= FEWEST
        if different and (rounded == output.actual).all() and (error <= allowed).all():
            certain = not may_be_fixed_point(output.actual, dtype)
            sigma = float((error / allowed).max())
            return Finding(
                FindingType.COARSE_STORAGE,
                dtype.name,
                half=view.prefix,
                sigma=sigma,
                certain=certain,
            )
    return None


def _raw(view: View, output: Output) -> Finding | None:
    """Return the scale and the zero point of integers that are the expected values, quantized."""
    if (output.actual != np.round(output.actual)).any():
        return None
    inside = ~np.isin(output.actual, SATURATED)
    values, expected = output.actual[inside], output.expected[inside]
    if len(np.unique(values)) < FEWEST or np.abs(values).max() >= MOST_STEPS:
        return None
    design = np.stack([values, np.ones(values.size)], axis=1)
    (scale, offset), *_ = np.linalg.lstsq(design, expected, rcond=None)
    if scale <= 0:
        return None
    zero_point = round(-offset / scale)
    error = float(np.abs(scale * (values - zero_point) - expected).max() / scale)
    if error > RAW_ERROR:
        return None
    return Finding(
        FindingType.QUANTIZED, output.name, (zero_point,), float(scale), view.prefix,
        sigma=error, certain=_is_evident(expected, float(scale), 2),
    )  # fmt: skip


def _step(values: Array) -> float | None:
    """Return the step of the coarsest grid through 0 with all values, None without one."""
    different = np.unique(np.abs(values[np.isfinite(values) & (values != 0)]))
    if len(different) < FEWEST:
        return None
    lengths = np.sort(np.concatenate([np.diff(different), different]))
    for parts in range(1, PARTS + 1):  # the nearest two may be several steps apart
        coarse = float(lengths[0]) / parts
        if different[-1] > 2 * MOST_STEPS * coarse:
            return None
        step = _refined(lengths, coarse)
        indices = np.round(different / step)
        off = np.abs(different / step - indices)
        # Values are rounded to 24 bits themselves.
        if indices[-1] < MOST_STEPS and (off <= TOLERANCE + indices * 2.0**-22).all():
            return None if _is_spacing_of_type(different, step) else step
    return None


def _refined(lengths: Array, step: float) -> float:
    """Return a step that is known from a short length by lengths that are longer and longer."""
    for length in lengths.tolist():
        step = length / max(round(length / step), 1)
    return step


def _is_spacing_of_type(values: Array, step: float) -> bool:
    """Return whether numbers of a float type would lie on a grid of this step by chance.

    The spacing of a type is finer for smaller numbers: each has a chance of spacing / step.
    """
    values = values[values > 0]
    for dtype in (FLOAT_TYPES[name] for name in STORED):
        bits = float(np.log2(np.maximum(step / _spacing(values, dtype), 1)).sum())
        if bits < CHANCE_BITS and (dtype.round(values) == values).all():
            return True
    return False
