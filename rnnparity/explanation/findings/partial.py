"""Parts of the steps or rows, and exchanged or joined axes, where the shape of an output is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from rnnparity.explanation.findings.compared.axes import axes_findings, joined_findings
from rnnparity.explanation.findings.half_questions import Findings
from rnnparity.explanation.findings.seen.claim import Claim, weigh
from rnnparity.explanation.findings.seen.view import Output
from rnnparity.explanation.noise import Noise
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding, FindingType, accounts_for_values
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference.tolerance import expect

TIME_FIRST = "time first"
# The axis of the rows is missing as well.
WITHOUT_AXIS = "without-axis"


def partial_findings(problem: Problem, actual: Sequence[Tensor]) -> Findings:
    """Return which steps or rows of the expected outputs are there, or how their axes are exchanged.

    Complete where every other output agrees.
    """
    expected = expect(problem)
    if expected.unpredictable:
        return Findings()
    threshold = expected.dtype.threshold
    floors = Noise("", expected.sigmas, threshold).floors
    found: list[Finding] = []
    complete = len(actual) == len(expected.outputs)
    for tensor, output, floor in zip(actual, expected.outputs, floors, strict=False):
        whole = Output(output.name, output.data, output.data, threshold * floor)
        array = tensor.data.astype(np.float64)
        if array.shape == whole.expected.shape and not replace(whole, actual=array).differing.any():
            continue
        answers = list(_of_output(array, whole, threshold))
        found += answers
        complete = complete and any(map(accounts_for_values, answers))
    return Findings(tuple(found), bool(found) and complete)


def _of_output(array: Array, whole: Output, threshold: float) -> Iterator[Finding]:
    """Yield what part of one output an array is, or how its axes are exchanged or joined."""
    yield from axes_findings(array, whole, threshold)
    yield from joined_findings(array, whole, threshold)
    yield from _rows(array, whole, threshold)
    if whole.has_time and array.ndim == 2:
        yield from _one_step(array, whole, threshold)
    if whole.has_time and array.ndim == 3:
        for name, seen in (("", array), (TIME_FIRST, array.swapaxes(0, 1))):
            yield from _part(seen, whole, name, threshold)


def _rows(array: Array, whole: Output, threshold: float) -> Iterator[Finding]:
    """Yield which consecutive rows of the batch are there, or which one without its axis."""
    batch, *others = whole.expected.shape
    name, seen = ("", array) if array.ndim > len(others) else (WITHOUT_AXIS, array[None])
    count = len(seen)
    if list(seen.shape[1:]) != others or count >= batch:
        return
    claims = []
    for start in range(batch - count + 1):
        part = whole.part((slice(start, start + count),))
        finding = Finding(FindingType.ROWS_MISSING, name, tuple(range(start, start + count)))
        claims.append(replace(part, actual=seen).claim(finding, part.expected))
    yield from _first(claims, threshold, batch)


def _one_step(array: Array, whole: Output, threshold: float) -> Iterator[Finding]:
    """Yield which step is there without the axis of the steps: (B, H), or (H, B)."""
    yield from _part(array[:, None], whole, "", threshold)
    for found in _part(array.T[:, None], whole, "", threshold):
        yield found
        yield replace(found, type=FindingType.AXES_EXCHANGED, numbers=(1, 0))


def _part(seen: Array, whole: Output, name: str, threshold: float) -> Iterator[Finding]:
    """Yield where in the whole sequence a shorter one is."""
    batch, steps, units = whole.expected.shape
    count = seen.shape[1]
    if seen.shape != (batch, count, units) or count >= steps:
        return
    claims = []
    for start in range(steps - count + 1):
        part = whole.part((slice(None), slice(start, start + count)))
        finding = Finding(FindingType.STEPS_MISSING, name, tuple(range(start, start + count)))
        there = Output(whole.name, seen, part.expected, part.allowed)
        claims.append(there.claim(finding, part.expected))
    yield from _first(claims, threshold, 2 * steps)


def _first(claims: Sequence[Claim], threshold: float, hypotheses: int) -> Iterator[Finding]:
    """Yield the first claim that holds; where several do, which of them it is cannot be determined."""
    found = list(weigh(claims, threshold, hypotheses))
    yield from (replace(each, certain=each.certain and len(found) == 1) for each in found[:1])
