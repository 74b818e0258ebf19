"""What was done to the output with numbers that are read off: scaled, shifted, clipped, normalized.

Axis letters: B batch, T time, H units; N counts the values of a unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rnnparity.explanation.findings.seen.claim import Claim
from rnnparity.explanation.findings.seen.view import Output
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import AfterLayer, Finding, FindingType

# The epsilons of layer normalizations: of Keras, of PyTorch and ONNX, of others.
KERAS_EPSILON, EPSILON = 1e-3, 1e-5
EPSILONS = (KERAS_EPSILON, EPSILON, 1e-6)
# An epsilon that is fitted is a round number where one is as near as this.
ROUND = 0.02
# How many claims there are; the numbers in them are counted by what they leave of the evidence.
FITTED = 10
# Differences must be so large, rms in units of what is allowed: near to the noise much can be fitted.
FAR = 10.0


def fitted_claims(output: Output) -> Iterator[Claim]:
    """Yield the claims about an output, those with fewer numbers first."""
    if not np.isfinite(output.actual).all():
        return
    expected, actual = output.expected, output.actual
    for name, numbers in (
        (AfterLayer.SCALED_AND_SHIFTED, _line(expected, actual, None)),
        (AfterLayer.UNITS_SHIFTED, _line(expected, actual, _units(actual), scales=False)),
        (AfterLayer.UNITS_SCALED_AND_SHIFTED, _line(expected, actual, _units(actual))),
    ):
        yield _affine(output, _finding(output, name), expected, *numbers)
    yield _clipped(output)
    yield from _normalized_claims(output)


def _units(array: Array) -> tuple[int, ...]:
    """Return all axes but that of the units."""
    return tuple(range(array.ndim - 1))


def _finding(output: Output, name: AfterLayer, value: float | None = None) -> Finding:
    half = output.name.removesuffix("output")
    return Finding(FindingType.AFTER_LAYER, name, half=half, value=value)


def _line(
    x: Array, y: Array, axis: tuple[int, ...] | None, *, scales: bool = True
) -> tuple[Array, Array, int]:
    """Return the factor and the shift that give y from x by least squares, and how many numbers they are.

    They are one for everything, or along the axes that are left. What does not vary is not scaled.
    """
    mean_x, mean_y = (array.mean(axis=axis, keepdims=True) for array in (x, y))
    factor = np.ones_like(mean_x)
    if scales:
        variance = ((x - mean_x) ** 2).sum(axis=axis, keepdims=True)
        product = ((x - mean_x) * (y - mean_y)).sum(axis=axis, keepdims=True)
        np.divide(product, variance, out=factor, where=variance > 0)
    return factor, mean_y - factor * mean_x, factor.size * (1 + scales)


def _affine(
    output: Output, finding: Finding, values: Array, factor: Array, shift: Array, freedom: int
) -> Claim:
    """Return the claim that the output is `factor * values + shift`; `freedom` numbers were read off."""
    predicted = values * factor + shift
    if _is_one_number(factor, shift, np.abs(values).max(), output.allowed.max()):
        freedom = predicted.size  # one factor, or one shift, is a fault of the list
    if factor.size == 1:
        finding = replace(finding, value=float(factor.item()), shift=float(shift.item()))
    # Where a factor is small, so is the noise of what is multiplied by it.
    wide = output.widened(predicted)
    claim = wide.claim(finding, predicted, np.ones(predicted.shape, bool))
    return without_freedom(_about_means(claim, predicted), output.expected, freedom)


def _about_means(claim: Claim, predicted: Array) -> Claim:
    """Return a claim of which the mean of each unit is no evidence: it was read off.

    What hardly varies may be any quantity, multiplied by almost nothing.
    """
    away = np.abs(predicted - predicted.mean(axis=_units(predicted), keepdims=True)).ravel()
    return replace(claim, moved=np.minimum(np.abs(claim.moved), away))


def _is_one_number(factor: Array, shift: Array, largest: float, noise: float) -> bool:
    """Return whether one factor, or one shift, does for everything.

    `largest` is the largest value that is multiplied.
    """
    varies = max(float(np.ptp(factor)) * largest, float(np.ptp(shift))) > noise
    scaled = float(np.abs(factor - 1).max()) * largest > noise
    shifted = float(np.abs(shift).max()) > noise
    return not varies and not (scaled and shifted)


def without_freedom(claim: Claim, expected: Array, freedom: int) -> Claim:
    """Return a claim of which so many values, those with most evidence, are none: they were read off.

    What is as expected, or a copy, is no evidence either.
    """
    moved = np.zeros_like(claim.moved)
    _, first = np.unique(claim.predicted, return_index=True)
    moved[first] = claim.moved[first]
    moved[np.abs(claim.predicted - expected.ravel()) <= claim.allowed] = 0
    moved[np.argsort(-moved / claim.allowed)[:freedom]] = 0
    return replace(claim, moved=moved)


def _clipped(output: Output) -> Claim:
    """Return the claim that the output is clipped, at the largest value that it has, on either side."""
    expected, most = output.expected, float(np.abs(output.actual).max())
    predicted = np.clip(expected, -most, most)
    finding = _finding(output, AfterLayer.CLIPPED, most)
    moved = np.abs(predicted - expected)
    # Clipped values are copies of each other, and each of them is evidence: they are compared by
    # what was cut off.
    arrays = (output.actual - predicted + expected, expected, output.allowed, moved)
    claim = Claim(finding, *(array.ravel() for array in arrays))
    return without_freedom(claim, predicted, 1)


def _normalized_claims(output: Output) -> Iterator[Claim]:
    """Yield layer normalizations with another epsilon, and those with a factor and a shift of each unit."""
    expected, actual = output.expected, output.actual
    if expected.shape[-1] == 1:  # over one unit nothing is left of the values
        return
    centred = expected - expected.mean(axis=-1, keepdims=True)
    variance = expected.var(axis=-1, keepdims=True)

    def deviation(epsilon: float) -> Array:
        total = variance + epsilon
        return np.sqrt(np.where(total > 0, total, 1.0))

    fitted = _epsilon(centred, variance, actual)
    for name, epsilon in (
        (AfterLayer.NORMALIZED, 0.0),
        (AfterLayer.NORMALIZED_KERAS, KERAS_EPSILON),
        (AfterLayer.NORMALIZED, EPSILON),
        (AfterLayer.NORMALIZED_EPSILON, fitted),
    ):
        finding = _finding(output, name, epsilon)
        yield _normalized(output, finding, centred / deviation(epsilon), variance, epsilon)
    for guess in EPSILONS if expected.shape[-1] > 2 else ():  # of two units only signs are left
        values = centred / deviation(guess)
        numbers = _line(values, actual, _units(actual))
        finding = _finding(output, AfterLayer.NORMALIZED_AND_SCALED, guess)
        predicted = values * numbers[0] + numbers[1]
        claim = _normalized(output, finding, predicted, variance, guess)
        yield without_freedom(_about_means(claim, predicted), expected, numbers[2])


def _normalized(
    output: Output, finding: Finding, predicted: Array, variance: Array, epsilon: float
) -> Claim:
    """Return the claim that the output is this; the noise grows by what a step is divided by."""
    smallest = max(float(np.median(variance)) * 1e-12, 1e-30)
    size = np.maximum(np.abs(predicted).max(), 1.0) / np.sqrt(
        np.maximum(variance + epsilon, smallest)
    )
    allowed = 4 * (output.allowed.max(axis=-1, keepdims=True) * size)
    wide = replace(output, allowed=np.broadcast_to(allowed, predicted.shape))
    return wide.claim(finding, predicted, np.ones(predicted.shape, bool))


def _epsilon(centred: Array, variance: Array, actual: Array) -> float:
    """Return the epsilon of a layer normalization, from the step with the least variance."""
    with np.errstate(all="ignore"):
        factor = (centred * actual).sum(axis=-1) / (centred**2).sum(axis=-1)
        found = 1 / factor**2 - variance[..., 0]
    found = np.where(np.isfinite(found), found, np.inf)
    where = np.argmin(np.where(np.isfinite(found), variance[..., 0], np.inf))
    epsilon = float(found.ravel()[where])
    if not 0 < epsilon <= 1:
        return 0.0
    power = 10.0 ** np.round(np.log10(epsilon))
    return float(power) if abs(epsilon / power - 1) < ROUND else epsilon
