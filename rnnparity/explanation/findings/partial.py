"""Parts of a sequence and exchanged axes, where the shape of an output is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from rnnparity.explanation.findings.axes import axes_findings
from rnnparity.explanation.findings.claim import weigh
from rnnparity.explanation.findings.half_questions import Findings
from rnnparity.explanation.findings.view import Output
from rnnparity.explanation.noise import Noise
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding, FindingType, accounts_for_values
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference.tolerance import expect

TIME_FIRST = "time first"


def partial_findings(problem: Problem, actual: Sequence[Tensor]) -> Findings:
    """Return which steps of each sequence of the expected outputs are there, or how its axes are exchanged.

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
    """Yield what part of one output an array is, or how its axes are exchanged."""
    if array.ndim != whole.expected.ndim:
        return
    yield from axes_findings(array, whole, threshold)
    if not whole.has_time:
        return
    for name, seen in (("", array), (TIME_FIRST, array.swapaxes(0, 1))):
        yield from _part(seen, whole, name, threshold)


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
    found = list(weigh(claims, threshold, 2 * steps))
    # Where steps are equal, it cannot be determined which of them are there.
    yield from (replace(each, certain=each.certain and len(found) == 1) for each in found[:1])
