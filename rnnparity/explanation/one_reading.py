"""The diagnosis of outputs that have the right shapes under one reading of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rnnparity.explanation.digits import printed_digits
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.findings.search import Findings
from rnnparity.explanation.fits import Search
from rnnparity.explanation.location import first_mismatch
from rnnparity.explanation.patterns import (
    is_constant,
    location_findings,
    numeric_findings,
)
from rnnparity.explanation.picture import picture_of
from rnnparity.explanation.precision import is_low_precision
from rnnparity.explanation.readings import Reading
from rnnparity.explanation.search import find_cause, find_cause_of_zeros
from rnnparity.explanation.step_values import step_values
from rnnparity.faults import Mutant, PlacedFault, fault_coverage
from rnnparity.problem.explanations import Cause, Explanation, FaultDescription, FaultId
from rnnparity.problem.findings import Finding, FindingType
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference.tolerance import Expected, expect
from rnnparity.verdict.compare import Comparison, compare_values


@dataclass(frozen=True)
class Diagnosis:
    """An explanation with what further questions to the subject need.

    `problem` has the actual outputs. `fits` are the mutants whose outputs fit, that of the cause
    first. `separating` is a problem on which they would give different outputs, where one was
    found.
    """

    problem: Problem
    explanation: Explanation
    fits: tuple[Mutant, ...] = ()
    separating: Problem | None = None


def diagnose_reading(reading: Reading, blind_to: tuple[FaultId, ...] | None = None) -> Diagnosis:
    """Search the cause of what is wrong with the outputs under a reading of their shapes.

    `blind_to` are the faults that the inputs cannot reveal, where that is known already.
    """
    problem, actual = reading.problem, reading.actual
    expected = reading.expected or expect(problem)
    compared = _compared(actual, expected)
    printed = printed_digits(actual) if compared.differences else None
    if printed is not None:
        expected = printed.widened(expected)
        compared = _compared(actual, expected)
    agrees = expected.unpredictable or not compared.differences
    evidence = Evidence(problem, actual, expected)
    # Where there is hardly any noise, values may be off by less than is usual beside them. No
    # hypothesis can be compared with that.
    tiny = not agrees and evidence.largest_distance(expected.outputs) <= evidence.noise.threshold
    search, found = Search(), Findings()
    constant = all(map(is_constant, actual)) and not all(map(is_constant, expected.outputs))
    if constant and not any(tensor.data.any() for tensor in actual):
        search, found = find_cause_of_zeros(evidence)
    elif not agrees and not tiny and not constant:
        search, found = find_cause(evidence, reading.thorough, reading.progress)
    if search.candidates:
        blind_to = search.invisible
    elif blind_to is None:
        blind_to = fault_coverage(problem, expected).undetected
    explanation = Explanation(
        problem.id,
        Verdict.DIVERGES,
        compared.differences,
        sigma=compared.sigma,
        threshold=expected.dtype.threshold,
        candidates=search.candidates,
        precision=search.precision,
        blind_to=blind_to,
        findings=(*found.findings, *([printed.finding] if printed else [])),
        accounted=found.complete,
    )
    diagnosis = Diagnosis(problem, explanation)
    if (agrees or tiny) and reading.placed:
        return _explained_by_reading(diagnosis, reading, expected)
    if agrees:
        reason = expected.inconclusive
        verdict = Verdict.INCONCLUSIVE if reason else Verdict.AGREES
        explanation = replace(explanation, verdict=verdict, differences=(), reason=reason)
        return replace(diagnosis, explanation=explanation)
    if tiny:
        finding = Finding(FindingType.BELOW_USUAL_NOISE)
        findings = (*explanation.findings, finding)
        explanation = replace(explanation, cause=Cause(), findings=findings)
        return replace(diagnosis, explanation=explanation)
    return _diverging(diagnosis, evidence, search, reading.placed)


def _compared(actual: tuple[Tensor, ...], expected: Expected) -> Comparison:
    return compare_values(actual, expected.outputs, expected.sigmas, expected.dtype.threshold)


def _explained_by_reading(diagnosis: Diagnosis, reading: Reading, expected: Expected) -> Diagnosis:
    """Return the diagnosis of outputs that agree once they are read under the reading's faults."""
    explanation = diagnosis.explanation
    explanation = replace(explanation, sigma=np.inf, sigma_with_cause=explanation.sigma)
    mutant = Mutant(reading.placed, expected.outputs)
    return with_fits(replace(diagnosis, explanation=explanation), (mutant,), certain=True)


# A finding that states more than a pattern, and the pattern.
_REPEATS = {
    FindingType.ONE_DIRECTION_ONLY: {FindingType.HALF_AGREES},
    FindingType.QUANTIZED: {FindingType.NUMBERS_OF_TYPE, FindingType.PRINTED_DIGITS},
    FindingType.COARSE_STORAGE: {FindingType.NUMBERS_OF_TYPE, FindingType.WITHIN_NOISE_OF},
    FindingType.RESTARTS_EVERY_STEP: {FindingType.FIRST_STEP_AGREES},
}


def _without_repetition(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Leave out what another finding states as well, and more."""
    repeated = {type_ for finding in findings for type_ in _REPEATS.get(finding.type, ())}
    zero = {finding.name for finding in findings if finding.type is FindingType.ZERO}
    return tuple(
        finding
        for finding in findings
        if finding.type not in repeated
        and not (finding.type is FindingType.CONSTANT and finding.name in zero)
    )


def _diverging(
    diagnosis: Diagnosis, evidence: Evidence, search: Search, read: tuple[PlacedFault, ...]
) -> Diagnosis:
    """Add the nearest hypothesis, those that fit as well, and where the outputs differ."""
    best = search.fits[0] if search.fits else None
    placed = best.mutant.placed if best else ()
    explanation = replace(
        diagnosis.explanation,
        cause=Cause(),
        findings=_without_repetition(
            (
                *location_findings(evidence),
                *numeric_findings(evidence, search),
                *diagnosis.explanation.findings,
            )
        ),
        picture=picture_of(evidence),
    )
    if read and placed and is_low_precision(placed[0]):  # the reading explains the rest
        explanation = replace(explanation, precision=placed[0].fault.variant)
        placed = ()
    first = first_mismatch(evidence, placed)
    values = step_values(evidence, first, best.mutant if best and placed else None)
    explanation = replace(explanation, first=first, step_values=values)
    diagnosis = replace(diagnosis, explanation=explanation)
    if best is None:
        if read and explanation.accounted:  # a finding accounts for what the reading leaves
            explanation = replace(explanation, sigma=np.inf, sigma_with_cause=explanation.sigma)
            diagnosis = replace(diagnosis, explanation=explanation)
            return with_fits(diagnosis, (Mutant(read, evidence.expected.outputs),), certain=True)
        return diagnosis
    mutants_that_fit = [
        replace(fit.mutant, placed=(*read, *fit.mutant.placed)) for fit in search.fits
    ]
    if not placed:
        mutants_that_fit[0] = replace(best.mutant, placed=read)
    findings = explanation.findings
    if search.certain(best):  # what chance has not been ruled out for is no evidence beside it
        findings = tuple(finding for finding in findings if finding.certain)
    explanation = replace(explanation, sigma_with_cause=best.sigma, findings=findings)
    diagnosis = replace(diagnosis, explanation=explanation)
    return with_fits(diagnosis, tuple(mutants_that_fit), search.certain(best))


def with_fits(diagnosis: Diagnosis, fits: tuple[Mutant, ...], certain: bool) -> Diagnosis:
    """Return the diagnosis with the first of `fits` as its cause."""
    if not fits:
        return replace(diagnosis, fits=())
    first, *others = fits
    cause = Cause(first.faults, tuple(mutant.faults for mutant in others), certain)
    descriptions = tuple(_description(placed, diagnosis.problem) for placed in first.placed)
    explanation = replace(diagnosis.explanation, cause=cause, descriptions=descriptions)
    return replace(diagnosis, explanation=explanation, fits=fits)


def _description(placed: PlacedFault, problem: Problem) -> FaultDescription:
    fault = placed.fault
    return FaultDescription(fault.description, placed.fix(problem), fault.seen_in, fault.in_file)
