"""The diagnosis of outputs that have the right shapes under one reading of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np

from rnnparity.explanation.digits import printed_digits
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.fault_search import find_cause, find_cause_among, find_cause_of_zeros
from rnnparity.explanation.findings.half_questions import Findings
from rnnparity.explanation.location import first_mismatch
from rnnparity.explanation.patterns import (
    is_constant,
    location_findings,
    numeric_findings,
)
from rnnparity.explanation.picture import picture_of
from rnnparity.explanation.precision import is_low_precision
from rnnparity.explanation.readings import Reading
from rnnparity.explanation.search import Search
from rnnparity.explanation.step_values import step_values
from rnnparity.faults import Mutant, PlacedFault, fault_coverage
from rnnparity.problem.explanations import Cause, Explanation, FaultDescription, FaultId
from rnnparity.problem.findings import (
    LOCATING,
    PATTERNS,
    AfterLayer,
    Finding,
    FindingType,
    accounts_for_values,
    is_undetermined,
    undetermined_last,
)
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


class _Outcome(Enum):
    """How the outputs compare with the expected ones."""

    AGREE = auto()
    # Where there is hardly any noise, values may be off by less than is usual beside them. No
    # hypothesis can be compared with that.
    BELOW_USUAL_NOISE = auto()
    ZERO = auto()
    CONSTANT = auto()
    DIFFER = auto()


def diagnose_reading(reading: Reading, blind_to: tuple[FaultId, ...] | None = None) -> Diagnosis:
    """Search the cause of what is wrong with the outputs under a reading of their shapes.

    `blind_to` are the faults that the inputs cannot reveal, where that is known already.
    """
    problem, actual = reading.problem, reading.actual
    expected = reading.expected or expect(problem)
    compared = _compared(actual, expected)
    printed = printed_digits(actual, expected.outputs) if compared.differences else None
    if printed is not None:
        expected = printed.widened(expected, actual)
        compared = _compared(actual, expected)
    evidence = Evidence(problem, actual, expected)
    outcome = _outcome(evidence, compared)
    search, found = _search(outcome, evidence, reading)
    if search.candidates:
        blind_to = search.invisible
    elif blind_to is None:  # where nothing can be judged, no fault is seen
        blind_to = () if expected.unpredictable else fault_coverage(problem, expected).undetected
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
    if outcome is _Outcome.DIFFER and reading.causes and not search.fits:
        return replace(diagnosis, explanation=replace(explanation, cause=Cause()))
    if outcome in (_Outcome.AGREE, _Outcome.BELOW_USUAL_NOISE):
        if reading.placed:
            return _explained_by_reading(diagnosis, reading.placed, expected)
        return replace(diagnosis, explanation=_within_noise(explanation, outcome, expected))
    return _diverging(diagnosis, evidence, search, reading.placed)


def _compared(actual: tuple[Tensor, ...], expected: Expected) -> Comparison:
    return compare_values(actual, expected.outputs, expected.sigmas, expected.dtype.threshold)


def _outcome(evidence: Evidence, compared: Comparison) -> _Outcome:
    expected = evidence.expected
    if expected.unpredictable or not compared.differences:
        return _Outcome.AGREE
    if evidence.largest_distance(expected.outputs) <= evidence.noise.threshold:
        return _Outcome.BELOW_USUAL_NOISE
    if all(map(is_constant, evidence.actual)) and not all(map(is_constant, expected.outputs)):
        is_zero = not any(tensor.data.any() for tensor in evidence.actual)
        return _Outcome.ZERO if is_zero else _Outcome.CONSTANT
    return _Outcome.DIFFER


def _search(outcome: _Outcome, evidence: Evidence, reading: Reading) -> tuple[Search, Findings]:
    if outcome is _Outcome.ZERO:
        return find_cause_of_zeros(evidence)
    if outcome is _Outcome.DIFFER and reading.causes:
        return find_cause_among(evidence, reading.causes), Findings()
    if outcome is _Outcome.DIFFER:
        return find_cause(evidence, reading.thorough, reading.progress)
    return Search(), Findings()


def _within_noise(explanation: Explanation, outcome: _Outcome, expected: Expected) -> Explanation:
    """Return the explanation of outputs that agree, or are off by less than is usual noise."""
    if outcome is _Outcome.AGREE:
        reason = expected.inconclusive
        verdict = Verdict.INCONCLUSIVE if reason else Verdict.AGREES
        return replace(explanation, verdict=verdict, differences=(), reason=reason)
    finding = Finding(FindingType.BELOW_USUAL_NOISE)
    return replace(explanation, cause=Cause(), findings=(*explanation.findings, finding))


def _explained_by_reading(
    diagnosis: Diagnosis, reading_faults: tuple[PlacedFault, ...], expected: Expected
) -> Diagnosis:
    """Return the diagnosis of outputs that are explained once they are read under its faults."""
    explanation = diagnosis.explanation
    explanation = replace(explanation, sigma=np.inf, sigma_with_cause=explanation.sigma)
    mutant = Mutant(reading_faults, expected.outputs)
    return with_fits(replace(diagnosis, explanation=explanation), (mutant,), certain=True)


# A finding that states more than a pattern, and the pattern.
_REPEATS = {
    FindingType.ONE_DIRECTION_ONLY: {FindingType.HALF_AGREES},
    FindingType.QUANTIZED: {FindingType.NUMBERS_OF_TYPE, FindingType.PRINTED_DIGITS},
    FindingType.COARSE_STORAGE: {FindingType.NUMBERS_OF_TYPE, FindingType.WITHIN_NOISE_OF},
    FindingType.RESTARTS_EVERY_STEP: {FindingType.FIRST_STEP_AGREES},
    FindingType.RECURRENCE: {FindingType.FIRST_STEP_AGREES, FindingType.STEP_FOLLOWS},
}
# What was done to all steps: the output has no axis T whatever the layer returns.
_POOLED = {
    AfterLayer.MEAN,
    AfterLayer.MAXIMUM,
    AfterLayer.SUM,
    AfterLayer.MEAN_OF_UNMASKED,
    AfterLayer.MAXIMUM_OF_UNMASKED,
}
# More guesses than this that account for the values rule each other out.
_MOST_GUESSES = 3


def _is_guess(finding: Finding) -> bool:
    """Return whether a finding accounts for the values, but may do so by chance."""
    describes = finding.type in PATTERNS | LOCATING or is_undetermined(finding)
    return not finding.certain and not describes


def _without_guesses(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Leave out findings that may be chance where there are many of them: at most one is right."""
    if sum(map(_is_guess, findings)) <= _MOST_GUESSES:
        return findings
    return tuple(finding for finding in findings if not _is_guess(finding))


def _without_repetition(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Leave out what another finding states as well, and more."""
    repeated = {type_ for finding in findings for type_ in _REPEATS.get(finding.type, ())}
    zero = {finding.name for finding in findings if finding.type is FindingType.ZERO}
    starts = {f.half for f in findings if f.type is FindingType.INITIAL_STATE and f.certain}
    return undetermined_last(
        finding
        for finding in findings
        if finding.type not in repeated
        and not (finding.type is FindingType.CONSTANT and finding.name in zero)
        # With another initial h the c of the first step is not the one that h = o * act(c) gives, and
        # the second step seems not to follow from it.
        and not (
            finding.type is FindingType.STEP_FOLLOWS
            and finding.half in starts
            and finding.numbers != (0,)
        )
    )


def _diverging(
    diagnosis: Diagnosis,
    evidence: Evidence,
    search: Search,
    reading_faults: tuple[PlacedFault, ...],
) -> Diagnosis:
    """Add the nearest hypothesis, those that fit as well, and where the outputs differ."""
    explanation = diagnosis.explanation
    best = search.fits[0] if search.fits else None
    placed = best.mutant.placed if best else ()
    precision = explanation.precision
    if reading_faults and placed and is_low_precision(placed[0]):  # the reading explains the rest
        precision = placed[0].fault.variant
        placed = ()
    patterns = (*location_findings(evidence), *numeric_findings(evidence, search))
    findings = _without_guesses(_without_repetition((*patterns, *explanation.findings)))
    if best and search.certain(best):
        # What chance has not been ruled out for is no evidence beside it.
        findings = tuple(finding for finding in findings if finding.certain)
    first = first_mismatch(evidence, placed)
    explanation = replace(
        explanation,
        cause=Cause(),
        first=first,
        step_values=step_values(evidence, first, best.mutant if best and placed else None),
        findings=findings,
        sigma_with_cause=best.sigma if best else None,
        precision=precision,
        picture=picture_of(evidence),
    )
    diagnosis = replace(diagnosis, explanation=explanation)
    if best is None:
        if not explanation.accounted or not reading_faults or any(map(_is_pooled, findings)):
            return diagnosis
        # A finding accounts for the rest.
        explained = _explained_by_reading(diagnosis, reading_faults, evidence.expected)
        sigma = max((f.sigma or 0.0 for f in findings if accounts_for_values(f)), default=0.0)
        explanation = replace(explained.explanation, sigma_with_cause=sigma)
        return replace(explained, explanation=explanation)
    mutants = [
        replace(fit.mutant, placed=(*reading_faults, *fit.mutant.placed)) for fit in search.fits
    ]
    if not placed:
        mutants[0] = replace(best.mutant, placed=reading_faults)
    return with_fits(diagnosis, tuple(mutants), search.certain(best), search.rivals)


def _is_pooled(finding: Finding) -> bool:
    return finding.type is FindingType.AFTER_LAYER and finding.name in _POOLED


def with_fits(
    diagnosis: Diagnosis,
    fits: tuple[Mutant, ...],
    certain: bool,
    rivals: tuple[Finding, ...] = (),
) -> Diagnosis:
    """Return the diagnosis with the first of `fits` as its cause."""
    if not fits:
        return replace(diagnosis, fits=())
    first, *others = fits
    cause = Cause(first.faults, tuple(mutant.faults for mutant in others), certain, rivals)
    descriptions = tuple(_description(placed, diagnosis.problem) for placed in first.placed)
    explanation = replace(diagnosis.explanation, cause=cause, descriptions=descriptions)
    return replace(diagnosis, explanation=explanation, fits=fits)


def _description(placed: PlacedFault, problem: Problem) -> FaultDescription:
    fault = placed.fault
    return FaultDescription(fault.description, placed.fix(problem), fault.seen_in, fault.in_file)
