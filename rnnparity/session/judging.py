"""From outcomes to the results of cases, and the self-check of every run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from rnnparity.catalogue import catalogue
from rnnparity.golden.goldens import Goldens
from rnnparity.problem.dtypes import FloatType
from rnnparity.problem.errors import RequestError, SelfCheckError
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import CaseResult, Report
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference.tolerance import Expected
from rnnparity.session.outcome import Outcome
from rnnparity.verdict.judge import (
    expect_answer,
    judge,
    judge_with_golden,
    reference_result,
    wrong_answer,
)

# A subject that swaps two gates must fail on this case, or no verdict of the run counts.
SELF_CHECK_CASE = "lstm-spread-sequences-state"


class Judge(Protocol):
    """How the outcomes of a subject become results."""

    def __call__(
        self,
        outcome: Outcome,
        goldens: Goldens | None = None,
        expected: Mapping[str, Expected] | None = None,
    ) -> CaseResult:
        """Return a case's result; `expected` may hold what the reference has computed before."""


def judge_outcome(
    outcome: Outcome,
    goldens: Goldens | None = None,
    expected: Mapping[str, Expected] | None = None,
    *,
    precision: FloatType | None = None,
) -> CaseResult:
    """Judge an outcome: the answer is compared with the reference and with the case's golden.

    The tolerance is that of the problem's own type, or of a declared precision that is coarser.
    """
    problem, answer = outcome.problem, outcome.answer
    if answer is not None:
        reference = (expected or {}).get(problem.id)
        reference = reference or expect_answer(problem, by_gate=True, precision=precision)
        result = judge_with_golden(problem, answer, reference, _golden(problem, goldens))
        return replace(result, seconds=answer.seconds)
    if outcome.unsupported:
        return CaseResult(problem.id, Verdict.UNSUPPORTED, reason=outcome.unsupported)
    return CaseResult(problem.id, Verdict.ERROR, reason=outcome.error)


def judge_reference(
    outcome: Outcome,
    goldens: Goldens | None = None,
    expected: Mapping[str, Expected] | None = None,
) -> CaseResult:
    """Judge an outcome of the reference: the case's golden is its only witness."""
    problem, answer = outcome.problem, outcome.answer
    if answer is None:
        return judge_outcome(outcome, goldens, expected)
    golden = _golden(problem, goldens)
    if goldens is not None and golden is None:
        reason = goldens.left_out.get(
            problem.id, "it has no golden, which is the reference's only witness"
        )
        return CaseResult(problem.id, Verdict.INCONCLUSIVE, reason=reason)
    computed = (expected or {}).get(problem.id)
    return replace(reference_result(problem, answer, golden, computed), seconds=answer.seconds)


def _golden(problem: Problem, goldens: Goldens | None) -> Sequence[Tensor] | None:
    return None if goldens is None else goldens.outputs.get(problem.id)


def check_compared(report: Report) -> None:
    """Refuse a report without a comparison, which is not a pass.

    Raises:
        RequestError: with the most frequent reason.
    """
    if report.compared:
        return
    reasons = Counter(case.reason for result in report.subjects for case in result.cases)
    reason = next((f": {reason}" for reason, _ in reasons.most_common(1)), "")
    raise RequestError(
        "nothing was compared: no selected case is supported and conclusive; "
        f"most frequent reason{reason}"
    )


def self_check() -> None:
    """Judge a subject that is wrong on purpose.

    Raises:
        SelfCheckError: it passed.
    """
    problem = catalogue()[SELF_CHECK_CASE]
    if judge(problem, wrong_answer(problem)).verdict is not Verdict.DIVERGES:
        raise SelfCheckError(
            "self-check failed: discard this run; "
            f"a subject with two gates swapped passed {SELF_CHECK_CASE}"
        )
