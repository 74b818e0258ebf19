"""Sentences about results: differences, causes, and the commands that reproduce them."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from shlex import quote

from rnnparity.problem.dtypes import FLOAT_TYPES, declared_precision
from rnnparity.problem.explanations import WHOLE, Cause, FaultId
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import CaseResult, Stale, StaleReason
from rnnparity.problem.shapes import axis_letters
from rnnparity.problem.verdicts import Difference, DifferenceType, FactType, Value, Verdict, Witness
from rnnparity.report.groups import Group

UNEXPLAINED = "unexplained"

_OUTLIERS = {
    Witness.SUBJECT: "golden and reference agree: the subject is wrong",
    Witness.REFERENCE: "golden and subject agree: the reference is wrong",
    Witness.GOLDEN: "subject and reference agree: the golden has drifted",
    Witness.NONE: "golden, reference and subject all differ",
}
# Variants of faults that have no other; a cause is not followed by their names.
_ONLY_VARIANTS = frozenset({"all of it", "whole"})
_VERBS = {
    Verdict.ERROR: "errs",
    Verdict.INCONCLUSIVE: "is inconclusive",
    Verdict.UNSUPPORTED: "is unsupported",
}
_FACTS = {
    FactType.PARAMETERS: "count_params()",
    FactType.SYMBOLIC_SHAPES: "symbolic shapes",
    FactType.SUMMARY: "summary()",
    FactType.RETURNED: "number of returned values",
    FactType.SHAPE: "shape",
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
    words = f"{quote(result.id)} --subject {quote(subject)}"
    has_command = bool(subject) and importable and problem.case is not None
    if result.cause:
        lines.append(f"  cause: {cause_text(result.cause)}")
        lines += [f"  fix: {fix}" for fix in fixes(result)]
        lines += _explain_commands(problem, words if has_command else "", subject)
    if problem.case is not None:
        lines.append(f"  case: {problem.case.why}")
    if has_command and problem.cotangents is None:
        lines.append(f"  rerun: rnnparity show {words}")
    elif has_command:
        lines.append(f"  rerun: {gradients_command(result.id, subject)}")
    return lines


def _explain_commands(problem: Problem, words: str, subject: str) -> list[str]:
    """Return the line with the command that explains a failure; without `words` it is Python."""
    of_gradients = problem.cotangents is not None
    if words:
        option = " --gradients" if of_gradients else ""
        return [f"  explain: rnnparity explain {words}{option}"]
    if of_gradients and not subject:
        return []
    outputs = "function" if subject else "outputs"
    option = ", gradients=True" if of_gradients else ""
    return [f"  explain: rnnparity.explain(problem, {outputs}{option}) in Python"]


def gradients_command(case: str, subject: str) -> str:
    """Return the command that compares the gradients of a subject in one case."""
    return f"rnnparity check {quote(subject)} --gradients -k {quote(case)}"


def fixes(result: CaseResult) -> list[str]:
    """Return how each fault of a result's cause is fixed, where it was searched in full."""
    if result.explanation is None:
        return []
    return [fault.fix for fault in result.explanation.descriptions if fault.fix]


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


def describe(difference: Difference, threshold: float) -> list[str]:
    """Return one to three lines about a difference; `threshold` is the allowed one in sigma."""
    if difference.type in (DifferenceType.VALUES, DifferenceType.FINITENESS):
        return _values(difference, threshold)
    if difference.type is DifferenceType.FACT:
        return [_fact(difference)]
    return [_structure(difference)]


def _values(difference: Difference, threshold: float) -> list[str]:
    letters = axis_letters(difference.output, len(difference.shape))
    sizes = zip(letters, difference.shape, strict=True)
    shape = ", ".join(f"{letter}={size}" if letter else str(size) for letter, size in sizes)
    counts = f"{difference.differing} of {difference.total} values differ"
    distance = f"{sigma_text(difference.sigma)} sigma ({threshold:g} allowed)"
    if difference.type is DifferenceType.FINITENESS:
        distance = "not finite"
    lines = [
        f"{difference.output} ({shape}): {counts}",
        f"worst: {element(difference)}{_off_by(difference)}; {distance}",
    ]
    if difference.first_step is not None:
        lines.append(f"first mismatch: index {difference.first_step} of axis T")
    return lines


def _off_by(difference: Difference) -> str:
    """Return the absolute difference of the worst element, where it is a number."""
    actual, expected = difference.actual, difference.expected
    if not isinstance(actual, float | int) or not isinstance(expected, float | int):
        return ""
    size = abs(actual - expected)
    return f", off by {size:.2g}" if isfinite(size) else ""


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


def cause_name(faults: Iterable[FaultId]) -> str:
    """Return the causes of faults that act together, without their variants and locations."""
    return " + ".join(dict.fromkeys(fault.cause for fault in faults))


def element(difference: Difference) -> str:
    """Return the worst element of an output with its actual and its expected value."""
    owner = "golden " if difference.of is Witness.GOLDEN else ""
    index = ", ".join(map(str, difference.index))
    # With fewer digits two values that differ may look alike.
    digits = ".17g" if difference.dtype == "float64" else ".9g"
    actual = _value(difference.actual, digits)
    expected = _value(difference.expected, digits)
    source = " (source)" if difference.fact else ""
    return f"{owner}{difference.output}[{index}]: got {actual}, expected {expected}{source}"


def _structure(difference: Difference) -> str:
    actual, expected = difference.actual, difference.expected
    what = "gradients" if difference.gradients else "outputs"
    if difference.type is DifferenceType.COUNT:
        names = f" ({_names(actual)})" if actual else ""
        return (
            f"{what}: got {_count(actual)}{names}, expected {_count(expected)}: {_names(expected)}"
        )
    if difference.type is DifferenceType.NAMES:
        return f"{what}: got {_names(actual)}; expected {_names(expected)}"
    line = (
        f"{difference.output}: got {difference.type} {_value(actual)}, expected {_value(expected)}"
    )
    values_agree = difference.total and not difference.differing
    return f"{line}; its values agree" if values_agree else line


def _fact(difference: Difference) -> str:
    if difference.fact is FactType.DIGITS:
        return element(difference)
    if difference.fact is FactType.RELATION:
        return f"relation {difference.expected}: does not hold"
    name = _FACTS[difference.fact or FactType.SHAPE]
    owner = f"{difference.output}: " if difference.output else ""
    printed = difference.fact in (FactType.RETURNED, FactType.SHAPE)
    source = " (source)" if printed else ""
    actual, expected = _value(difference.actual), _value(difference.expected)
    return f"{owner}{name}: got {actual}, expected {expected}{source}"


def _count(names: Value) -> int:
    return len(names) if isinstance(names, tuple) else 0


def _names(names: Value) -> str:
    return ", ".join(map(str, names)) if isinstance(names, tuple) else str(names)


def _value(value: Value, digits: str = ".9g") -> str:
    return f"{value:{digits}}" if isinstance(value, float) else str(value)


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


def sigma_text(sigma: float) -> str:
    """Return a distance in sigma: 0.42, 12, 3.1e5; any error of an exact value is over 1e9."""
    if sigma > 1e9:
        return "over 1e9"
    if 10 <= sigma < 1e5:
        return f"{sigma:.0f}"
    mantissa, exponent_sign, exponent = f"{sigma:.2g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent_sign else mantissa
