"""Two sets of outputs held against each other: count, names, shape, dtype, finiteness, values, in
this order.

A difference is returned, never dropped, and never a bare bool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.problem import Tensor
from rnnparity.problem.shapes import Slot


@dataclass(frozen=True)
class Difference:
    """What is wrong with one output, or with the set of them.

    `kind` is "count", "names", "shape", "dtype", "finiteness", "values" or "fact"; `text` says it
    in a line. For values: how many of how many differ, the worst one's index, value, expected value
    and distance in sigma, and the first time step (index into axis T) that differs, where the
    output has one.
    """

    kind: str
    output: str
    text: str
    shape: tuple[int, ...] = ()
    differing: int = 0
    total: int = 0
    index: tuple[int, ...] = ()
    value: float = float("nan")
    expected: float = float("nan")
    sigma: float = 0.0
    first_step: int | None = None


@dataclass(frozen=True)
class Comparison:
    """All differences, and the largest distance in sigma that was seen (also where nothing
    differs)."""

    differences: tuple[Difference, ...]
    sigma: float


def compare_structure(given: Sequence[Tensor], slots: Sequence[Slot]) -> tuple[Difference, ...]:
    """Count, names, shapes and types against those that the layer must give."""
    if len(given) != len(slots):
        names = ", ".join(slot.name for slot in slots)
        listed = f" ({', '.join(tensor.name for tensor in given)})" if given else ""
        count = f"{len(given)} output{'s' if len(given) != 1 else ''}{listed}"
        return (Difference("count", "", f"{count}, but should be {len(slots)}: {names}"),)
    called, right = [tensor.name for tensor in given], [slot.name for slot in slots]
    if called != right:
        return (
            Difference(
                "names", "", f"outputs are {', '.join(called)}, but should be {', '.join(right)}"
            ),
        )
    pairs = list(zip(given, slots, strict=True))
    shapes = [
        Difference(
            "shape", t.name, f"{t.name} has shape {t.shape}, but should have {s.shape}", t.shape
        )
        for t, s in pairs
        if t.shape != s.shape
    ]
    types = [
        Difference("dtype", t.name, f"{t.name} is {t.dtype}, but should be {s.dtype}", t.shape)
        for t, s in pairs
        if t.dtype != s.dtype
    ]
    return tuple(shapes or types)


def compare_values(
    given: Sequence[Tensor], expected: Sequence[Tensor], sigmas: Sequence[Array], threshold: float
) -> Comparison:
    """Finiteness, then values, of outputs whose structure is right; `sigmas` in units of the
    values.

    Rounding to the output's own type adds half a unit in the last place to what the noise allows.
    """
    differences, worst = [], 0.0
    for tensor, right, sigma in zip(given, expected, sigmas, strict=True):
        distance = distances(tensor, right.data, sigma, threshold)
        worst = max(worst, float(np.max(distance, initial=0.0)))
        if (distance > threshold).any():
            differences.append(_describe(tensor, right.data, distance, threshold))
    return Comparison(
        tuple(sorted(differences, key=lambda difference: difference.kind)), worst
    )  # finiteness first


def compare_exactly(tensor: Tensor, right: Tensor) -> Difference | None:
    """The worst of the values that are not the same, however near: infinitely many sigma off, for
    none is allowed."""
    kind = FLOAT_TYPES[tensor.dtype]
    values, target = tensor.data.astype(np.float64), right.data.astype(np.float64)
    same = (values == target) | (np.isnan(values) & np.isnan(target))
    with np.errstate(invalid="ignore"):
        distance = np.abs(values - target) / (2 * kind.u * np.maximum(np.abs(target), kind.tiny))
    distance = np.where(same, 0.0, np.nan_to_num(distance, nan=np.inf, posinf=np.inf))
    return None if same.all() else replace(_describe(tensor, target, distance, 0.0), sigma=np.inf)


def distances(tensor: Tensor, right: Array, sigma: Array, threshold: float) -> Array:
    """How many sigma each value is off; infinite where one side alone is not finite.

    `right` may have a leading axis of variants, which the result then has too.
    """
    kind = FLOAT_TYPES[tensor.dtype]
    values = tensor.data.astype(np.float64)
    target = kind.round(right).astype(np.float64)
    half_unit = np.where(np.isfinite(target), kind.u * np.abs(target), 0) + kind.tiny
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.abs(values - right) / np.maximum(sigma, half_unit / threshold)
    agree_on_infinity = ~np.isfinite(target) & (
        (values == target) | (np.isnan(values) & np.isnan(target))
    )
    return np.where(agree_on_infinity, 0.0, np.nan_to_num(distance, nan=np.inf, posinf=np.inf))


def _describe(tensor: Tensor, right: Array, distance: Array, threshold: float) -> Difference:
    wrong = distance > threshold
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(distance)), distance.shape))
    value, expected = float(tensor.data[index]), float(right[index])
    finite = bool(np.isfinite(tensor.data[wrong]).all() and np.isfinite(right[wrong]).all())
    place = ", ".join(map(str, index))
    form = (
        ".17g" if tensor.dtype == "float64" else ".9g"
    )  # fewer, and two that differ may look alike
    return Difference(
        kind="values" if finite else "finiteness",
        output=tensor.name,
        text=f"{tensor.name}[{place}]={value:{form}}, but should be {expected:{form}}",
        shape=tensor.shape,
        differing=int(wrong.sum()),
        total=wrong.size,
        index=index,
        value=value,
        expected=expected,
        sigma=float(distance[index]),
        first_step=int(np.argwhere(wrong.any(axis=(0, 2)))[0, 0]) if wrong.ndim == 3 else None,
    )
