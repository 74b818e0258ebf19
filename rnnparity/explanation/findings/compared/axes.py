"""Outputs whose axes are in another order, transposed or read in that order without being transposed, or
are joined to one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

import numpy as np

from rnnparity.explanation.findings.seen.claim import Claim, weigh
from rnnparity.explanation.findings.seen.view import Output
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding, FindingType

RESHAPED = "reshaped"
# Which axes, in their order, are joined to one.
FIRST_JOINED, LAST_JOINED, ALL_JOINED = "first-joined", "last-joined", "all-joined"


def axes_findings(
    actual: Array, whole: Output, threshold: float, *, half: str = ""
) -> Iterator[Finding]:
    """Yield in which order of its axes the whole expected output gives the actual values."""
    orders = list(_orders(actual, whole))
    claims = (_claim(actual, whole, order, half) for order in orders)
    held = weigh((claim for claim in claims if claim is not None), threshold, max(1, len(orders)))
    yield from list(held)[:1]


def _orders(actual: Array, whole: Output) -> Iterator[tuple[int, ...]]:
    """Yield the other orders of the axes that give as many values."""
    axes = tuple(range(whole.expected.ndim))
    for order in permutations(axes):
        shape = tuple(whole.expected.shape[axis] for axis in order)
        if order != axes and actual.shape in (shape, whole.expected.shape):
            yield order


def _claim(actual: Array, whole: Output, order: tuple[int, ...], half: str) -> Claim | None:
    """Return the claim that the axes are in an order; None where the first row is another one."""
    predicted, allowed = whole.expected.transpose(order), whole.allowed.transpose(order)
    name = "" if predicted.shape == actual.shape else RESHAPED
    row = actual[:1].ravel()
    with np.errstate(invalid="ignore"):
        if not (np.abs(row - predicted.flat[: len(row)]) <= allowed.flat[: len(row)]).all():
            return None
    predicted, allowed = (array.reshape(actual.shape) for array in (predicted, allowed))
    expected = whole.expected if actual.shape == whole.expected.shape else predicted
    finding = Finding(FindingType.AXES_EXCHANGED, name, order, half=half)
    there = replace(whole, actual=actual, expected=expected, allowed=allowed)
    return there.claim(finding, predicted)


def joined_findings(actual: Array, whole: Output, threshold: float) -> Iterator[Finding]:
    """Yield which axes of the whole expected output are joined to one, and in which order they are."""
    claims = []
    for order in permutations(range(whole.expected.ndim)):
        predicted, allowed = whole.expected.transpose(order), whole.allowed.transpose(order)
        for name, shape in _joined_shapes(predicted.shape):
            if shape == actual.shape:
                finding = Finding(FindingType.AXES_EXCHANGED, name, order)
                there = Output(whole.name, actual, predicted.reshape(shape), allowed.reshape(shape))
                claims.append(there.claim(finding, there.expected))
    yield from list(weigh(claims, threshold, max(1, len(claims))))[:1]


def _joined_shapes(shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the shapes with fewer axes, and which axes are joined in each."""
    if len(shape) > 2:
        yield FIRST_JOINED, (shape[0] * shape[1], *shape[2:])
        yield LAST_JOINED, (shape[0], shape[1] * shape[2])
    yield ALL_JOINED, (math.prod(shape),)
