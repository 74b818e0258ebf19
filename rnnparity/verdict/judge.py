"""The verdict on one case: subject, reference and golden held against each other.

Three witnesses, so that a change names its culprit. Golden and reference agree but the subject does
not: the subject stands alone. Golden and subject agree but the reference does not: the reference
broke.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from rnnparity.golden import known_differences
from rnnparity.golden.goldens import golden_outputs
from rnnparity.golden.known_differences import KnownDifference
from rnnparity.problem.answer import Answer
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import compute
from rnnparity.reference.tolerance import Expected, expect
from rnnparity.verdict.compare import (
    Comparison,
    Difference,
    compare_exactly,
    compare_structure,
    compare_values,
)
from rnnparity.verdict.expectations import check_expectations, stated_facts


class Kind(StrEnum):
    """What a verdict can be; the README tells each."""

    AGREES = "agrees"
    DIVERGES = "diverges"
    KNOWN = "known"
    INCONCLUSIVE = "inconclusive"
    UNSUPPORTED = "unsupported"
    ERROR = "error"


FAILING = frozenset({Kind.DIVERGES, Kind.ERROR})


@dataclass(frozen=True)
class Verdict:
    """What a run says of one case. `sigma` is the largest distance seen, in sigma; `reason` is a
    line of text.

    `differences` are all that was found, also under known entries, whose names are `known`. `alone`
    names the witness that stands alone, where three were heard.
    """

    id: str
    kind: Kind
    sigma: float = 0.0
    reason: str = ""
    differences: tuple[Difference, ...] = ()
    known: tuple[str, ...] = ()
    alone: str = ""


def judge(problem: Problem, answer: Answer, expected: Expected | None = None) -> Verdict:
    """Hold a subject's answer against the reference, by structure, values and what the case knows
    beforehand."""
    expected = expected or expect(problem)
    wrong = compare_structure(answer.outputs, problem.output_slots())
    comparable = all(difference.kind == "dtype" for difference in wrong)
    comparable = comparable and all(tensor.dtype in FLOAT_TYPES for tensor in answer.outputs)
    if not comparable:
        return Verdict(problem.id, Kind.DIVERGES, float("inf"), wrong[0].text, wrong)
    found = compare_values(
        answer.outputs, expected.outputs, expected.sigmas, expected.kind.threshold
    )
    if wrong:  # in type alone: whether the numbers are right is worth knowing as well
        values = found.differences or (Difference("dtype", "", "their values agree"),)
        return Verdict(problem.id, Kind.DIVERGES, float("inf"), wrong[0].text, (*wrong, *values))
    facts = check_expectations(problem, expected, answer.outputs, answer.facts)
    if expected.unpredictable:
        found = Comparison((), 0.0)
    differences = found.differences + facts
    if differences:
        return Verdict(problem.id, Kind.DIVERGES, found.sigma, differences[0].text, differences)
    if expected.inconclusive:
        return Verdict(problem.id, Kind.INCONCLUSIVE, found.sigma, expected.inconclusive)
    return Verdict(problem.id, Kind.AGREES, found.sigma)


def judge_with_golden(
    problem: Problem, answer: Answer, expected: Expected, golden: Sequence[Tensor] | None
) -> Verdict:
    """`judge`, and where something differs or the golden has drifted, which of the three witnesses
    stands alone."""
    verdict = judge(problem, answer, expected)
    if golden is None:
        return verdict
    drift = golden_drift(golden, expected)
    if verdict.kind is Kind.DIVERGES:
        by_value = all(
            difference.kind in ("values", "finiteness") for difference in verdict.differences
        )
        near = by_value and not _against(answer.outputs, golden, expected).differences
        alone = "the reference" if near else "nobody: all three differ" if drift else "the subject"
        return replace(verdict, alone=alone)
    if drift:
        return Verdict(
            problem.id, Kind.DIVERGES, verdict.sigma, drift.text, (drift,), alone="the golden"
        )
    return verdict


def golden_drift(golden: Sequence[Tensor], expected: Expected) -> Difference | None:
    """Where a golden is not what the reference gives when rounded to the golden's type.

    A golden of a 64-bit output comes from hundreds of digits: the float64 reference may be off by
    its noise there.
    """
    for tensor, right, sigma in zip(golden, expected.outputs, expected.sigmas, strict=True):
        if tensor.dtype == "float64":
            found = compare_values([tensor], [right], [sigma], expected.kind.threshold).differences
            difference = found[0] if found else None
        else:
            difference = compare_exactly(tensor, Tensor.of(tensor.name, right.data, tensor.dtype))
        if difference:
            return replace(difference, text=f"the golden has {difference.text}")
    return None


def _against(outputs: Sequence[Tensor], golden: Sequence[Tensor], expected: Expected) -> Comparison:
    return compare_values(outputs, golden, expected.sigmas, expected.kind.threshold)


def with_known(
    verdict: Verdict, entries: Sequence[KnownDifference], subject: str, versions: Mapping[str, str]
) -> Verdict:
    """A failing verdict that a listed entry covers becomes `known`."""
    if verdict.kind not in FAILING:
        return verdict
    kinds = {difference.kind for difference in verdict.differences} or {"error"}
    names = known_differences.covering(entries, subject, versions, verdict.id, kinds)
    if not names:
        return verdict
    return replace(
        verdict, kind=Kind.KNOWN, known=names, reason=f"{', '.join(names)}: {verdict.reason}"
    )


def reference_verdict(problem: Problem, golden: Sequence[Tensor] | None, left_out: str) -> Verdict:
    """The reference against its golden alone, and against what the case knows beforehand. No noise
    is needed where the golden is hit to the last bit."""
    if golden is None:
        return Verdict(problem.id, Kind.INCONCLUSIVE, reason=left_out)
    outputs = compute(problem)
    rounded = tuple(
        Tensor.of(g.name, o.data, g.dtype) for g, o in zip(golden, outputs, strict=True)
    )
    exact = all(
        np.array_equal(r.data, g.data, equal_nan=True) for r, g in zip(rounded, golden, strict=True)
    )
    said = problem.case.expect if problem.case else {}
    if exact and not said:
        return Verdict(problem.id, Kind.AGREES)
    expected = expect(problem)
    return judge_with_golden(problem, Answer(rounded, stated_facts(problem)), expected, golden)


def wrong_on_purpose(problem: Problem) -> Answer:
    """A subject that must not pass: the reference with the first two gates of its first kernel
    swapped."""
    kernel = problem.weights[0]
    units = problem.weights[1].shape[0]
    order = [*range(units, 2 * units), *range(units), *range(2 * units, kernel.shape[1])]
    swapped = replace(kernel, data=kernel.data[:, order])
    return Answer(golden_outputs(replace(problem, weights=(swapped, *problem.weights[1:]))))
