"""Findings that account for one case, tried on the next: the list of faults is not searched again."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.findings.finding_search import find_again
from rnnparity.explanation.location import first_mismatch
from rnnparity.explanation.patterns import location_findings
from rnnparity.explanation.picture import picture_of
from rnnparity.explanation.step_values import step_values
from rnnparity.problem.explanations import Cause, Explanation
from rnnparity.problem.findings import BlockChange, Finding, FindingType, accounts_for_values
from rnnparity.problem.problem import Problem
from rnnparity.problem.verdicts import DifferenceType, Verdict
from rnnparity.reference.tolerance import expect
from rnnparity.verdict.compare import compare_structure, compare_values

# What findings state, wherever in a layer and with whatever numbers: type, name and change of each.
Statement = frozenset[tuple[FindingType, str, BlockChange | None]]


def statement_of(findings: Iterable[Finding]) -> Statement:
    """Return what the findings state that account for values."""
    accounting = filter(accounts_for_values, findings)
    return frozenset((each.type, each.name, each.change) for each in accounting)


def accounted_again(problem: Problem, known: Collection[Statement]) -> Explanation | None:
    """Return the explanation of outputs that findings account for as they did in other cases."""
    actual = problem.outputs or ()
    structure = compare_structure(actual, problem.output_slots())
    if not known or any(difference.type is not DifferenceType.DTYPE for difference in structure):
        return None
    expected = expect(problem)
    if expected.unpredictable or problem.dropout_masks:
        return None
    evidence = Evidence(problem, actual, expected)
    for statement in known:
        found = find_again(evidence, {type_ for type_, _, _ in statement})
        if found.complete and statement_of(found.findings) == statement:
            return _explanation(evidence, found.findings)
    return None


def _explanation(evidence: Evidence, findings: tuple[Finding, ...]) -> Explanation:
    expected = evidence.expected
    threshold = expected.dtype.threshold
    compared = compare_values(evidence.actual, expected.outputs, expected.sigmas, threshold)
    first = first_mismatch(evidence, ())
    return Explanation(
        evidence.problem.id,
        Verdict.DIVERGES,
        compared.differences,
        cause=Cause(),
        first=first,
        step_values=step_values(evidence, first, None),
        findings=(*location_findings(evidence), *findings),
        accounted=True,
        sigma=compared.sigma,
        threshold=threshold,
        picture=picture_of(evidence),
    )
