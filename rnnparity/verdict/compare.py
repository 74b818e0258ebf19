"""Comparison of outputs: count, names, shape, dtype, finiteness and values, in this order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array, FloatType
from rnnparity.problem.problem import Tensor
from rnnparity.problem.shapes import Slot
from rnnparity.problem.verdicts import Difference, DifferenceType


@dataclass(frozen=True)
class Comparison:
    """All differences, and the largest distance in sigma (also where nothing differs)."""

    differences: tuple[Difference, ...]
    sigma: float


def compare_structure(
    actual: Sequence[Tensor], slots: Sequence[Slot], *, gradients: bool = False
) -> tuple[Difference, ...]:
    """Return the differences in count, names, shapes and dtypes from a layer's outputs or gradients.

    Only the first of the four that differs is returned: shapes that differ hide dtypes.
    """
    names = tuple(tensor.name for tensor in actual)
    expected_names = tuple(slot.name for slot in slots)
    if names != expected_names:
        same_count = len(names) == len(expected_names)
        type_ = DifferenceType.NAMES if same_count else DifferenceType.COUNT
        return (Difference(type_, actual=names, expected=expected_names, gradients=gradients),)
    pairs = list(zip(actual, slots, strict=True))
    shapes = [
        Difference(DifferenceType.SHAPE, tensor.name, tensor.shape, slot.shape, tensor.shape)
        for tensor, slot in pairs
        if tensor.shape != slot.shape
    ]
    dtypes = [
        Difference(DifferenceType.DTYPE, tensor.name, tensor.dtype, slot.dtype, tensor.shape)
        for tensor, slot in pairs
        if tensor.dtype != slot.dtype
    ]
    return tuple(shapes or dtypes)


def compare_values(
    actual: Sequence[Tensor], expected: Sequence[Tensor], sigmas: Sequence[Array], threshold: float
) -> Comparison:
    """Compare finiteness, then values, of outputs of the right structure.

    `sigmas` have the units of the values. Rounding to the output's own dtype adds half a unit in
    the last place to what the noise allows.
    """
    differences: list[Difference] = []
    largest = 0.0
    for tensor, reference, sigma in zip(actual, expected, sigmas, strict=True):
        distance = distances(tensor, reference.data, sigma, threshold)
        largest = max(largest, float(np.max(distance, initial=0.0)))
        if (distance > threshold).any():
            differences.append(_difference(tensor, reference.data, distance, threshold))
    # "finiteness" comes before "values" in the alphabet, too.
    differences.sort(key=lambda difference: difference.type)
    return Comparison(tuple(differences), largest)


def compare_exactly(actual: Tensor, expected: Tensor) -> Difference | None:
    """Return the worst of the values that are not bit-equal, or None.

    Its sigma is infinite: no difference is allowed, however small.
    """
    values = actual.data.astype(np.float64)
    target = expected.data.astype(np.float64)
    same = (values == target) | (np.isnan(values) & np.isnan(target))
    if same.all():
        return None
    scale = np.maximum(np.abs(target), FLOAT_TYPES[actual.dtype].tiny)
    with np.errstate(invalid="ignore"):
        distance = np.abs(values - target) / scale
    finite_or_inf = np.nan_to_num(distance, nan=np.inf, posinf=np.inf)
    distance = np.where(same, 0.0, finite_or_inf)
    return replace(_difference(actual, target, distance, 0.0), sigma=np.inf)


def distances(actual: Tensor, expected: Array, sigma: Array, threshold: float) -> Array:
    """Return how many sigma each value is off; infinite where only one of both is finite.

    `expected` may have a leading axis of variants, which the result then has too.
    """
    float_type = FLOAT_TYPES[actual.dtype]
    values = actual.data.astype(np.float64)
    target = float_type.round(expected).astype(np.float64)
    half_unit = half_units(target, float_type)
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.abs(values - expected) / np.maximum(sigma, half_unit / threshold)
    same = (values == target) | (np.isnan(values) & np.isnan(target))
    finite_or_inf = np.nan_to_num(distance, nan=np.inf, posinf=np.inf)
    return np.where(~np.isfinite(target) & same, 0.0, finite_or_inf)


def half_units(values: Array, float_type: FloatType) -> Array:
    """Return half a unit in the last place of each value of a type; of 0 where it is not finite."""
    return np.where(np.isfinite(values), float_type.u * np.abs(values), 0) + float_type.tiny


def _difference(actual: Tensor, expected: Array, distance: Array, threshold: float) -> Difference:
    """Return the difference of one output, with its worst element."""
    wrong = distance > threshold
    worst = np.unravel_index(int(np.argmax(distance)), distance.shape)
    index = tuple(int(axis_index) for axis_index in worst)
    finite = np.isfinite(actual.data[wrong]).all() and np.isfinite(expected[wrong]).all()
    first_step = None
    if wrong.ndim == 3:
        first_step = int(np.argwhere(wrong.any(axis=(0, 2)))[0, 0])
    return Difference(
        DifferenceType.VALUES if finite else DifferenceType.FINITENESS,
        actual.name,
        actual=float(actual.data[index]),
        expected=float(expected[index]),
        shape=actual.shape,
        dtype=actual.dtype,
        index=index,
        sigma=float(distance[index]),
        differing=int(wrong.sum()),
        total=wrong.size,
        first_step=first_step,
    )
