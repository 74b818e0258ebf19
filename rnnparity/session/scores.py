"""What the compared cases of a report are worth: mutation scores and coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

from rnnparity.catalogue import catalogue, digest
from rnnparity.catalogue.core import core
from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.catalogue.features import every_option_value, option_values
from rnnparity.faults import detecting_cases, gradient_detecting_cases
from rnnparity.problem.dtypes import declared_precision
from rnnparity.problem.explanations import FaultId
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import OptionValue, Report, Score, SubjectResult
from rnnparity.session.session import REFERENCE


def with_scores(report: Report) -> Report:
    """Return a report with the mutation scores of its compared cases and each subject's coverage.

    The scores are those of the cases that any subject but the reference was compared on, together;
    `score_constant` is that of the cases with constant weights only. In a report of gradients the
    faults are those of the backward pass. A report of another catalogue is returned unchanged.
    """
    if report.catalogue != digest():
        return report
    report = replace(
        report,
        subjects=tuple(
            replace(result, not_covered=_not_covered(result)) for result in report.subjects
        ),
    )
    answered = _precisions(report)
    cases = [catalogue()[id_] for id_ in answered]
    constant = [problem for problem in cases if problem.case and problem.case.initializers]
    return replace(
        report,
        score=_score(cases, answered, report.gradients),
        score_constant=_score(constant, answered, report.gradients),
    )


def _precisions(report: Report) -> dict[str, str]:
    """Return the compared cases by id, each with the finest precision that an engine declared.

    It is "" where an engine computes in the case's own type.
    """
    answered: dict[str, str] = {}
    for result in report.subjects:
        if result.name == REFERENCE:
            continue
        for case in result.cases:
            if case.outputs_compared:
                declared = (case.precision, answered.get(case.id, case.precision))
                answered[case.id] = max(declared, key=_bits)
    return answered


def _bits(precision: str) -> float:
    return declared_precision(precision).bits if precision else inf


def _not_covered(result: SubjectResult) -> tuple[OptionValue, ...]:
    """Return the option values of the catalogue that no compared case of a subject had."""
    compared = [case.id for case in result.cases if case.outputs_compared]
    missing = dict.fromkeys(every_option_value())
    # The cases of the core set come first: they have all values.
    first = set(core())
    for case in sorted(compared, key=lambda case: case not in first):
        for value in option_values(catalogue()[case]):
            missing.pop(value, None)
        if not missing:
            break
    return tuple(missing)


def _score(
    cases: Sequence[Problem], precisions: Mapping[str, str], gradients: bool
) -> Score | None:
    """Return the mutation score of cases; None where no fault applies to any of them."""
    declared = {id_: declared_precision(name) for id_, name in precisions.items() if name}
    if gradients:
        problems = [with_cotangents(problem) for problem in cases]
        detecting = gradient_detecting_cases(problems, declared)
    else:
        detecting = detecting_cases(cases, declared)
    if not detecting:
        return None
    missed = tuple(
        FaultId(fault.cause, fault.variant) for fault, case in detecting.items() if not case
    )
    return Score(len(detecting) - len(missed), len(detecting), missed)
