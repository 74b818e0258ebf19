"""Sentences about results: differences, causes, and the commands that reproduce them."""

from __future__ import annotations

from collections.abc import Iterable
from shlex import quote

from rnnparity.catalogue import catalogue
from rnnparity.problem.answer_types import AnswerType
from rnnparity.problem.dtypes import FLOAT_TYPES, declared_precision
from rnnparity.problem.explanations import WHOLE, Cause, FaultId
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import CaseResult, Stale, StaleReason
from rnnparity.problem.verdicts import DifferenceType, Verdict, Witness
from rnnparity.report.groups import Group, accounting_findings
from rnnparity.report.text.differences import describe, element
from rnnparity.report.text.findings import finding_text

UNEXPLAINED = "unexplained"
# No fault fits, but findings account for what differs.
NOT_LISTED = "stated by the finding, no fault of the list"

_OUTLIERS = {
    Witness.SUBJECT: "golden and reference agree: the subject is wrong",
    Witness.REFERENCE: "golden and subject agree: the reference is wrong",
    Witness.GOLDEN: "subject and reference agree: the golden has drifted",
    Witness.NONE: "golden, reference and subject all differ",
}
# Variants of faults that have no other; a cause is not followed by their names.
_ONLY_VARIANTS = frozenset({"all of it", "whole"})
# What should be explained next where no fault fits, and why.
_NEXT = {
    AnswerType.GRADIENTS: "the gradients (--gradients): no listed fault of a training step fits",
    AnswerType.OUTPUTS: "the outputs, which were not compared: if they are wrong, so are their "
    "gradients (--gradients explains both in this order)",
}
_VERBS = {
    Verdict.ERROR: "errs",
    Verdict.INCONCLUSIVE: "is inconclusive",
    Verdict.UNSUPPORTED: "is unsupported",
}


def failure(
    problem: Problem, result: CaseResult, subject: str, *, importable: bool = True
) -> list[str]:
    """Return several lines about a result that is not a pass.

    `subject` is "" for outputs that were passed in. With a cause its fix is stated, and what
    explains it: a command where it knows the case and can import the subject, else Python.
    """
    verb = _VERBS.get(result.verdict, str(result.verdict))
    lines = [f"{result.id}: {subject} {verb}" if subject else f"{result.id}: {verb}"]
    if result.precision:
        lines.append(f"  declared precision: {result.precision}")
    if result.reason:
        lines.append(f"  {result.reason}")
    else:
        for difference in result.differences:
            lines += [f"  {line}" for line in describe(difference, _threshold(problem, result))]
    if result.known:
        lines.append(f"  known: {', '.join(result.known)}")
    if result.outlier:
        lines.append(f"  {_OUTLIERS[result.outlier]}")
    precision = precision_option(result.precision)
    words = f"{quote(result.id)} --subject {quote(subject)}{precision}"
    has_command = bool(subject) and importable and problem.case is not None
    if result.cause:
        found = accounting_findings(result)
        lines += [f"  finding: {finding_text(finding)}" for finding in found]
        lines.append(f"  cause: {NOT_LISTED if found else cause_text(result.cause)}")
        lines += [f"  fix: {fix}" for fix in fixes(result)]
        following = result.explanation.explain_next if result.explanation else None
        lines += [f"  explain next: {next_text(following)}"] if following else []
        command = explain_command(problem, result, subject, importable=importable)
        lines += [f"  explain: {command}"] if command else []
    if problem.case is not None:
        lines.append(f"  case: {problem.case.why}")
    if has_command and problem.answer_type is not AnswerType.GRADIENTS:
        lines.append(f"  rerun: rnnparity show {words}")
    elif has_command:
        lines.append(f"  rerun: {gradients_command(result.id, subject)}{precision}")
    return lines


def explain_command(
    problem: Problem, result: CaseResult, subject: str, *, importable: bool = True
) -> str:
    """Return the command that explains a result, or the call in Python, "" where there is none.

    The arguments are those of `failure`.
    """
    following = result.explanation.explain_next if result.explanation else None
    of_gradients = AnswerType.GRADIENTS in (problem.answer_type, following)
    if subject and importable and problem.case is not None:
        option = " --gradients" if of_gradients else ""
        words = f"{quote(result.id)} --subject {quote(subject)}"
        return f"rnnparity explain {words}{precision_option(result.precision)}{option}"
    if of_gradients and not subject:
        return ""
    outputs = "function" if subject else "outputs"
    option = ", gradients=True" if of_gradients else ""
    return f"rnnparity.explain(problem, {outputs}{option}) in Python"


def next_text(answer: AnswerType) -> str:
    """Return what should be explained next, and why."""
    return _NEXT[answer]


def precision_option(precision: str) -> str:
    """Return the option of a command that declares a precision, "" where there is none."""
    return f" --precision {quote(precision)}" if precision else ""


def gradients_command(case: str, subject: str) -> str:
    """Return the command that compares the gradients of a subject in one case."""
    return f"rnnparity check {quote(subject)} --gradients -k {quote(case)}"


def fixes(result: CaseResult) -> list[str]:
    """Return how the faults of a result's cause are fixed, nothing where that was not worked out."""
    explanation = result.explanation
    if explanation is None or _faults(explanation.cause) != _faults(result.cause):
        # Of several causes that fit another case has shown which one it is: its fix is not that here.
        return list(dict.fromkeys(fix for fix in result.fixes if fix))
    return list(dict.fromkeys(f.fix for f in explanation.descriptions if f.fix))


def _faults(cause: Cause | None) -> tuple[FaultId, ...]:
    return () if cause is None else tuple(cause.faults)


def verdict_line(result: CaseResult) -> str:
    """Return a case, its verdict, and the reason or the first difference."""
    # A random problem is not in the catalogue.
    problem = catalogue().get(result.id)
    reason = summary(result, problem) if problem else result.reason
    return f"{result.id}: {result.verdict}{f': {reason}' if reason else ''}"


def summary(result: CaseResult, problem: Problem) -> str:
    """Return a result in one line: its known entries, and its reason or first difference."""
    line = result.reason
    if not line and result.differences:
        difference = result.differences[0]
        threshold = _threshold(problem, result)
        line = element(difference) if difference.index else describe(difference, threshold)[0]
    return f"{', '.join(result.known)}: {line}" if result.known else line


def _threshold(problem: Problem, result: CaseResult) -> float:
    if result.precision:
        return declared_precision(result.precision).threshold
    return FLOAT_TYPES[problem.threshold_type].threshold


def fault_name(fault: FaultId) -> str:
    """Return the name of a fault: "gate-order: LSTM fico in all weights (forward)"."""
    where = "" if fault.location in ("", WHOLE) else f" ({fault.location.rstrip('/')})"
    return f"{variant_name(fault.cause, fault.variant)}{where}"


def variant_name(cause: str, variant: str) -> str:
    """Return a cause with its variant, if it has several."""
    return cause if variant in _ONLY_VARIANTS else f"{cause}: {variant}"


def faults_name(faults: Iterable[FaultId]) -> str:
    """Return the name of faults that act together."""
    return " + ".join(fault_name(fault) for fault in faults)


def cause_text(cause: Cause) -> str:
    """Return a cause in one line, with the number of causes that are equally consistent."""
    line = faults_name(cause.faults) if cause.explained else UNEXPLAINED
    if cause.also_fits:
        line += f", or {len(cause.also_fits)} more that are equally consistent"
    return line


def group_title(group: Group, result: CaseResult) -> str:
    """Return what the results of a group have in common; `result` is the plainest of them."""
    if group.rest:
        return "other reasons"
    if group.known:
        return " + ".join(group.known)
    if group.verdict is not Verdict.DIVERGES:
        return result.reason or "no reason given"
    if group.findings:
        return "; ".join(map(finding_text, accounting_findings(result)))
    return _divergence_title(group)


def _divergence_title(group: Group) -> str:
    if group.faults is not None:
        return " + ".join(variant_name(*fault) for fault in group.faults) or UNEXPLAINED
    if DifferenceType.DTYPE in group.difference_types:
        return "another dtype than specified"
    if group.difference_types:
        return "other facts than specified: symbolic shapes, parameter counts or printed digits"
    return "cause not searched"


def stale_text(stale: Stale) -> str:
    """Return why an entry of the known differences no longer holds."""
    if stale.reason is StaleReason.NO_CASE:
        return "it matches no case"
    if stale.cases == 1:
        return "its case agrees now"
    return f"all of its {stale.cases} cases agree now"
