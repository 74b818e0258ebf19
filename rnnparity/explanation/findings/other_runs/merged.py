"""Masked steps, restarts and other quantities in halves that are merged into one value.

Each is tried in either half and in both.

A half is not seen by itself, so that what it may return is computed, merged and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.findings.by_step.quantities import last_used, quantities_of
from rnnparity.explanation.findings.by_step.steps import restarted
from rnnparity.explanation.findings.compared.masked import masked_alternatives
from rnnparity.explanation.findings.seen.claim import Claim, weigh
from rnnparity.explanation.findings.seen.half_problem import HalfProblem, merged_halves, view_of
from rnnparity.explanation.findings.seen.view import Output
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding, FindingType
from rnnparity.problem.layers import Bidirectional

MERGED: Mapping[str, Callable[[Array, Array], Array]] = {
    "sum": np.add,
    "mul": np.multiply,
    "ave": lambda first, second: (first + second) / 2,
}
# The findings about some halves, and the output of each half in the order of time.
Choice = tuple[tuple[Finding, ...], Array, Array]


def merged_findings(evidence: Evidence, last: Bidirectional) -> Iterator[Finding]:
    """Yield what masked steps or all steps return, or that every step restarts, in one half or in both.

    Only where the states that are returned agree: nothing is known of them here.
    """
    output, *states = view_of(evidence).outputs
    if any(state.differing.any() for state in states):
        return
    first, second = merged_halves(evidence)
    merge = MERGED[last.merge_mode or ""]
    choices = list(_choices(first, second))
    held = [
        [replace(finding, sigma=found.sigma, certain=found.certain) for finding in findings]
        for findings, forward, backward in choices
        for found in weigh(
            [_claim(output, findings[0], merge(forward, backward))],
            evidence.noise.threshold,
            len(choices),
        )
    ]
    # What changes nothing in one half is not claimed of it.
    yield from min(held, key=lambda fs: (round(fs[0].sigma or 0.0, 3), len(fs)), default=[])


def _claim(output: Output, finding: Finding, predicted: Array) -> Claim:
    """Return the claim that the merged output is this; other quantities have more noise."""
    if finding.type is FindingType.OTHER_QUANTITY:
        output = output.widened(predicted)
    return output.claim(finding, predicted)


def _choices(first: HalfProblem, second: HalfProblem) -> Iterator[Choice]:
    """Yield every alternative in the forward half, in the backward half, and in both."""
    expected = [_in_time(half, half.view.outputs[0].expected) for half in (first, second)]
    of_second = {replace(each, half=""): (each, array) for each, array in _alternatives(second)}
    for finding, forward in _alternatives(first):
        yield (finding,), forward, expected[1]
        same = of_second.get(replace(finding, half=""))
        if same is not None:  # halves of other cells have other quantities
            yield (finding, same[0]), forward, same[1]
    for other, backward in of_second.values():
        yield (other,), expected[0], backward


def _alternatives(half: HalfProblem) -> Iterator[tuple[Finding, Array]]:
    """Yield what a half may return instead, in the order of time."""
    expected = half.view.outputs[0].expected
    used = half.all_units(half.used if expected.ndim == 3 else half.used_rows)
    prefix = half.view.prefix
    restart = Finding(FindingType.RESTARTS_EVERY_STEP, half=prefix)
    yield (
        restart,
        _in_time(half, np.where(used, restarted(half, sequence=expected.ndim == 3), expected)),
    )
    for name, values in quantities_of(half):
        if name != "h":
            at_end = values if expected.ndim == 3 else last_used(half.used, values)
            quantity = Finding(FindingType.OTHER_QUANTITY, name, half=prefix)
            yield quantity, _in_time(half, np.where(used, at_end, expected))
    if half.problem.mask is None or expected.ndim < 3:
        return
    for name, values in masked_alternatives(half):
        finding = Finding(FindingType.MASKED_STEPS_ONLY, name, half=prefix)
        yield finding, _in_time(half, np.where(used, expected, values))


def _in_time(half: HalfProblem, values: Array) -> Array:
    """Return values in processing order in the order of time."""
    return values[:, ::-1] if half.reversed_time and values.ndim == 3 else values
