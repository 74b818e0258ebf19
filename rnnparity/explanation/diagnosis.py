"""The search for the cause of wrong outputs in one problem, without asking the subject again.

A hypothesis is a fault at a location (see `rnnparity.faults`). It fits where the outputs lie within
the noise of what the reference computes under it. Where several fit, all are named; where none
does, the divergence is unexplained.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rnnparity.explanation.digits import printed_digits
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.findings.partial import partial_findings
from rnnparity.explanation.findings.search import Findings
from rnnparity.explanation.fits import Search
from rnnparity.explanation.location import first_mismatch
from rnnparity.explanation.patterns import (
    is_constant,
    location_findings,
    numeric_findings,
    value_findings,
)
from rnnparity.explanation.picture import picture_of
from rnnparity.explanation.precision import is_low_precision
from rnnparity.explanation.readings import Reading, readings
from rnnparity.explanation.search import find_cause
from rnnparity.explanation.slices import ProblemSlice, fits_whole, is_huge, slice_of
from rnnparity.explanation.step_values import step_values
from rnnparity.faults import Mutant, PlacedFault, fault_coverage
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.errors import RequestError
from rnnparity.problem.findings import Finding, FindingType
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import (
    Cause,
    DifferenceType,
    Explanation,
    FaultDescription,
    FaultId,
    Verdict,
)
from rnnparity.reference.tolerance import Expected, expect
from rnnparity.verdict.compare import Comparison, compare_structure, compare_values
from rnnparity.verdict.judge import with_value_counts


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


def diagnose(problem: Problem, *, thorough: bool = True) -> Diagnosis:
    """Search the cause of what is wrong with `problem.outputs`.

    Not `thorough`: only single faults are tried and findings looked for, no pairs of faults and no
    faults in a coarser dtype.

    Raises:
        RequestError: the problem has no outputs.
    """
    if not problem.outputs:
        raise RequestError(
            f"{problem.id}: has no outputs to explain; add those of the other implementation"
        )
    structure = compare_structure(problem.outputs, problem.output_slots())
    actual = tuple(_as_float(tensor, problem.threshold_type) for tensor in problem.outputs)
    problem = problem.with_outputs(actual)
    if all(difference.type is DifferenceType.DTYPE for difference in structure):
        diagnosis = _diagnose_values(Reading(problem, actual, thorough=thorough))
        structure = with_value_counts(structure, actual, diagnosis.explanation.differences)
    else:
        diagnosis = _diagnose_readings(problem, actual, thorough)
    explanation = diagnosis.explanation
    if structure:  # a wrong dtype diverges also where the values agree or cannot be judged
        differences = (*structure, *explanation.differences)
        explanation = replace(
            explanation, verdict=Verdict.DIVERGES, differences=differences, reason=""
        )
    return replace(diagnosis, problem=problem, explanation=explanation)


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


def _as_float(tensor: Tensor, dtype: str) -> Tensor:
    """Convert integers and other dtypes that cannot be compared to `dtype`."""
    return tensor if tensor.dtype in FLOAT_TYPES else Tensor.of(tensor.name, tensor.data, dtype)


def _diagnose_readings(problem: Problem, actual: tuple[Tensor, ...], thorough: bool) -> Diagnosis:
    """Diagnose outputs of wrong structure by the best of the readings that give their shapes."""
    diagnoses = [
        _diagnose_values(replace(reading, thorough=thorough))
        for reading in readings(problem, actual)
    ]
    if not diagnoses:
        partial = tuple(partial_findings(problem, actual))
        findings = (*value_findings(actual), *partial)
        explanation = Explanation(
            problem.id,
            Verdict.DIVERGES,
            cause=Cause(),
            findings=findings,
            accounted=bool(partial) and len(actual) == 1,
            sigma=np.inf,
            threshold=FLOAT_TYPES[problem.threshold_type].threshold,
        )
        return Diagnosis(problem, explanation)
    explained = [diagnosis for diagnosis in diagnoses if not _is_unexplained(diagnosis)]
    # A reading that leaves nothing to explain comes before one that needs a second fault.
    best = min(explained, key=_fault_count, default=diagnoses[0])
    explanation = best.explanation
    if explanation.verdict is Verdict.AGREES:  # only the names differ
        finding = Finding(FindingType.OTHER_ORDER_AGREES)
        explanation = replace(
            explanation, verdict=Verdict.DIVERGES, cause=Cause(), findings=(finding,)
        )
    return replace(best, explanation=explanation)


def _is_unexplained(diagnosis: Diagnosis) -> bool:
    cause = diagnosis.explanation.cause
    return cause is not None and not cause.explained


def _fault_count(diagnosis: Diagnosis) -> int:
    return len(diagnosis.fits[0].placed) if diagnosis.fits else 0


def _diagnose_values(reading: Reading) -> Diagnosis:
    """Diagnose outputs whose shapes are right under a reading; of a huge problem on a slice."""
    if not is_huge(reading.problem):
        return _diagnose_whole(reading)
    part = slice_of(reading.problem, reading.actual)
    diagnosis = _diagnose_whole(replace(reading, problem=part.problem, actual=part.actual))
    explanation = diagnosis.explanation
    if explanation.verdict is not Verdict.DIVERGES:
        # The rows that are furthest off agree: the verdict must be that on all of them.
        return _diagnose_whole(reading, explanation.blind_to)
    return replace(
        diagnosis,
        problem=reading.problem,
        explanation=_on_slice(explanation, part, _rest_fits(reading, part, diagnosis)),
    )


def _rest_fits(reading: Reading, part: ProblemSlice, diagnosis: Diagnosis) -> bool | None:
    """Return whether the cause found on a slice explains the whole; None without a cause."""
    if not diagnosis.fits:
        return None
    placed = diagnosis.fits[0].placed[len(reading.placed) :]
    sigma = max(float(sigmas.max()) for sigmas in expect(part.problem).sigmas)
    return fits_whole(reading.problem, reading.actual, placed, sigma)


def _on_slice(explanation: Explanation, part: ProblemSlice, rest_fits: bool | None) -> Explanation:
    """Return the explanation of a slice with row indices of the whole problem."""
    first = explanation.first
    if first is not None:
        first = replace(first, row=part.whole_row(first.row))
    return replace(
        explanation,
        slice=part.description(rest_fits),
        first=first,
        differences=part.whole_differences(explanation.differences),
        findings=part.whole_findings(explanation.findings),
    )


def _diagnose_whole(reading: Reading, blind_to: tuple[FaultId, ...] | None = None) -> Diagnosis:
    problem, actual = reading.problem, reading.actual
    expected = expect(problem)
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
    if not agrees and not tiny and not constant:
        search, found = find_cause(evidence, reading.thorough)
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
    return tuple(finding for finding in findings if finding.type not in repeated)


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
