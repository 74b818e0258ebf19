"""Outputs whose axes are in another order: transposed, or read in that order without being transposed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

from rnnparity.explanation.findings.claim import Claim, weigh
from rnnparity.explanation.findings.view import Output
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding, FindingType

RESHAPED = "reshaped"


def axes_findings(
    actual: Array, whole: Output, threshold: float, *, half: str = ""
) -> Iterator[Finding]:
    """Yield in which order of its axes the whole expected output gives the actual values."""
    claims = list(_claims(actual, whole, half))
    yield from list(weigh(claims, threshold, max(1, len(claims))))[:1]


def _claims(actual: Array, whole: Output, half: str) -> Iterator[Claim]:
    axes = tuple(range(whole.expected.ndim))
    for order in permutations(axes):
        predicted, allowed = whole.expected.transpose(order), whole.allowed.transpose(order)
        name = "" if predicted.shape == actual.shape else RESHAPED
        if order == axes or (name and actual.shape != whole.expected.shape):
            continue
        predicted, allowed = (array.reshape(actual.shape) for array in (predicted, allowed))
        expected = whole.expected if actual.shape == whole.expected.shape else predicted
        finding = Finding(FindingType.AXES_EXCHANGED, name, order, half=half)
        there = replace(whole, actual=actual, expected=expected, allowed=allowed)
        yield there.claim(finding, predicted)
