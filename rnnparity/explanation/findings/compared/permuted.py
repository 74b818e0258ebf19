"""Outputs whose rows, steps or units are the expected ones in another order, or one of them repeated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from math import lgamma, log

import numpy as np

from rnnparity.explanation.findings.seen.claim import weigh
from rnnparity.explanation.findings.seen.view import AXES, Output, View
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding, FindingType

# Slices along an axis are compared by so many of their values at first.
COMPARED = 64
# Of longer axes the order is not determined: every slice is compared with every other.
LONGEST = 2000
TYPES = {
    "row": FindingType.ROWS_PERMUTED,
    "step": FindingType.STEPS_PERMUTED,
    "unit": FindingType.UNITS_PERMUTED,
}


def permuted_findings(view: View) -> Iterator[Finding]:
    """Yield the order of the rows in all outputs together: in one of them rows may be equal."""
    yield from permuted(view, view.joined(rows=True), "row")


def permuted(view: View, output: Output, axis: str) -> Iterator[Finding]:
    """Yield which expected row, step or unit each actual one is."""
    slices = output.along(AXES[axis])
    length = len(slices.actual)
    if not 2 <= length <= LONGEST:
        return
    telling = _telling(slices)
    # Any order of length! is as good a guess as another; the plain ones come before.
    guesses = min(length * log(length), lgamma(length + 1)) / log(10)
    orders = [(order, 0.0) for order in _plain_orders(axis, length) if _fits(telling, order)]
    nearest = _nearest(telling)
    if nearest is not None and (nearest != np.arange(length)).any():
        orders.append((nearest, min(guesses, 300)))
    found = (
        finding
        for order, guesses in orders
        for finding in _in_order(view, slices, axis, order, guesses)
    )
    yield from islice(found, 1)


def _telling(slices: Output) -> Output:
    """Return of each slice the values that vary most from slice to slice."""
    flat = Output(
        "", *(a.reshape(len(a), -1) for a in (slices.actual, slices.expected, slices.allowed))
    )
    telling = np.argsort(flat.expected.std(axis=0))[::-1][:COMPARED]
    return flat.part((slice(None), telling))


def _fits(telling: Output, order: Array) -> bool:
    with np.errstate(invalid="ignore"):  # not all numbers need be finite
        error = np.abs(telling.actual - telling.expected[order])
    return bool((error <= telling.allowed[order]).all())


def _plain_orders(axis: str, length: int) -> Iterator[Array]:
    """Yield the reverse order, and for steps the last one everywhere.

    They come first: where steps are equal the nearest ones would give another order.
    """
    yield np.arange(length)[::-1]
    if axis == "step":
        yield np.full(length, length - 1)


def _in_order(
    view: View, slices: Output, axis: str, order: Array, guesses: float
) -> Iterator[Finding]:
    finding = Finding(TYPES[axis], numbers=tuple(order.tolist()), half=view.prefix)
    moved = replace(slices, allowed=slices.allowed[order])  # the noise is that of the values
    claim = moved.claim(finding, slices.expected[order])
    yield from weigh([claim], view.threshold, 10.0**guesses)


def _nearest(telling: Output) -> Array | None:
    """Return which expected slice each actual one is, None where one of them is none."""
    actual, expected, allowed = telling.actual, telling.expected, telling.allowed
    order = np.arange(len(actual))
    for index in np.flatnonzero(telling.differing.any(axis=1)):
        with np.errstate(invalid="ignore"):
            apart = np.nan_to_num(np.abs(expected - actual[index]), nan=np.inf)
        nearest = int(apart.max(axis=1).argmin())
        if not (apart[nearest] <= allowed[nearest]).all():
            return None
        order[index] = nearest
    return order
