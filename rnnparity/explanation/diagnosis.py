"""The search for the cause of wrong outputs in one problem, without asking the subject again.

A hypothesis is a fault at a location (see `rnnparity.faults`). It fits where the outputs lie within
the noise of what the reference computes under it. Where several fit, all are named; where none
does, the divergence is unexplained.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rnnparity.explanation.ends import both_ends
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.findings.half_questions import Findings
from rnnparity.explanation.findings.partial import partial_findings
from rnnparity.explanation.gradients import explain_gradients
from rnnparity.explanation.pairs import Progress
from rnnparity.explanation.patterns import value_findings
from rnnparity.explanation.reading_diagnosis import Diagnosis, diagnose_reading
from rnnparity.explanation.readings import Reading, readings
from rnnparity.explanation.slices import (
    CAUSES_OF_ORDER,
    ProblemSlice,
    fits_whole,
    is_huge,
    slice_of,
)
from rnnparity.explanation.training import explain_training_step
from rnnparity.problem.answer_types import AnswerType
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.errors import RequestError
from rnnparity.problem.explanations import Cause, Explanation
from rnnparity.problem.findings import (
    Finding,
    FindingType,
    accounts_for_values,
    is_undetermined,
)
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.verdicts import DifferenceType, Verdict
from rnnparity.verdict.compare import compare_structure
from rnnparity.verdict.judge import with_value_counts


def diagnose(
    problem: Problem, *, thorough: bool = True, progress: Progress | None = None
) -> Diagnosis:
    """Search the cause of what is wrong with `problem.outputs`, or with its gradients.

    The gradients are explained where it has cotangents, the weights after a step where it has a
    training step; these are its outputs. Not `thorough`: only single faults are
    tried and findings looked for, no pairs of faults and no faults in a coarser dtype. `progress` is
    called while pairs are tried.

    Raises:
        RequestError: the problem has no outputs, or no gradients.
    """
    if problem.answer_type is AnswerType.GRADIENTS:
        return explain_gradients(problem)
    if not problem.outputs:
        raise RequestError(
            f"{problem.id}: has no outputs to explain; pass those of the other implementation "
            "(--outputs FILE), or name it (--subject S)"
        )
    structure = compare_structure(problem.outputs, problem.answer_slots())
    actual = tuple(_as_float(tensor, problem.threshold_type) for tensor in problem.outputs)
    problem = problem.with_outputs(actual)
    if all(difference.type is DifferenceType.DTYPE for difference in structure):
        if problem.answer_type is AnswerType.TRAINED_WEIGHTS:
            diagnosis = explain_training_step(problem, actual)
        else:
            diagnosis = _diagnose_values(Reading(problem, actual, (), thorough, progress))
        structure = with_value_counts(structure, actual, diagnosis.explanation.differences)
    elif problem.answer_type is AnswerType.TRAINED_WEIGHTS:  # weights have one reading
        diagnosis = _of_wrong_structure(problem, actual)
    else:
        diagnosis = _diagnose_readings(problem, actual, thorough, progress)
    explanation = diagnosis.explanation
    if _agrees_as_printed(explanation):
        structure = ()  # only dtypes, which printed numbers have not
    if structure:  # a wrong dtype diverges also where the values agree or cannot be judged
        differences = (*structure, *explanation.differences)
        explanation = replace(
            explanation, verdict=Verdict.DIVERGES, differences=differences, reason=""
        )
    return replace(diagnosis, problem=problem, explanation=explanation)


def _agrees_as_printed(explanation: Explanation) -> bool:
    """Return whether numbers are the expected ones up to the digits that were printed."""
    types = {finding.type for finding in explanation.findings}
    return explanation.verdict is Verdict.AGREES and FindingType.PRINTED_DIGITS in types


def _as_float(tensor: Tensor, dtype: str) -> Tensor:
    """Convert integers and other dtypes that cannot be compared to `dtype`."""
    return tensor if tensor.dtype in FLOAT_TYPES else Tensor.of(tensor.name, tensor.data, dtype)


def _diagnose_readings(
    problem: Problem, actual: tuple[Tensor, ...], thorough: bool, progress: Progress | None
) -> Diagnosis:
    """Diagnose outputs of wrong structure by the best of the readings that give their shapes."""
    diagnoses = [
        _diagnose_values(replace(reading, thorough=thorough, progress=progress))
        for reading in readings(problem, actual)
    ]
    if not diagnoses:
        return _of_wrong_structure(problem, actual, partial_findings(problem, actual))
    explained = [diagnosis for diagnosis in diagnoses if not _is_unexplained(diagnosis)]
    partial = Findings() if explained else partial_findings(problem, actual)
    if partial.complete:
        return _of_wrong_structure(problem, actual, partial)
    # A reading that leaves nothing to explain comes before one that needs a second fault.
    best = min(explained, key=_fault_count, default=diagnoses[0])
    explanation = best.explanation
    if explanation.verdict is Verdict.AGREES:  # only the names differ
        finding = Finding(FindingType.OTHER_ORDER_AGREES)
        explanation = replace(
            explanation, verdict=Verdict.DIVERGES, cause=Cause(), findings=(finding,)
        )
    return replace(best, explanation=explanation)


def _of_wrong_structure(
    problem: Problem, actual: tuple[Tensor, ...], partial: Findings | None = None
) -> Diagnosis:
    """Return the diagnosis of an answer whose values cannot be compared."""
    partial = partial or Findings()
    explanation = Explanation(
        problem.id,
        Verdict.DIVERGES,
        cause=Cause(),
        findings=(*value_findings(actual), *partial.findings),
        accounted=partial.complete,
        sigma=np.inf,
        threshold=FLOAT_TYPES[problem.threshold_type].threshold,
    )
    return Diagnosis(problem, explanation)


def _is_unexplained(diagnosis: Diagnosis) -> bool:
    cause = diagnosis.explanation.cause
    return cause is not None and not cause.explained


def _fault_count(diagnosis: Diagnosis) -> int:
    return len(diagnosis.fits[0].placed) if diagnosis.fits else 0


def _diagnose_values(reading: Reading) -> Diagnosis:
    """Diagnose outputs whose shapes are right under a reading; of a huge problem on a slice."""
    if not is_huge(reading.problem):
        return diagnose_reading(reading)
    part = slice_of(reading.problem, reading.actual)
    expected = part.evidence.expected
    sigma = max(float(sigmas[np.isfinite(sigmas)].max()) for sigmas in expected.sigmas)
    moved = part.moved(sigma, expected.dtype.threshold)
    whole = Findings(moved, complete=True) if moved else part.by_half()
    searched = part.steps.cut and not whole.complete
    ends = both_ends(part.every_step) if searched else None
    found = _ordered(reading, part) if ends and _order_fits(reading, ends) else None
    if found is None:
        thorough = reading.thorough and not whole.complete
        diagnosis = diagnose_reading(_read(replace(reading, thorough=thorough), part.evidence))
        if diagnosis.explanation.verdict is not Verdict.DIVERGES:
            # The rows that are furthest off agree: the verdict must be that on all of them.
            return diagnose_reading(reading, diagnosis.explanation.blind_to)
        rest_fits = _rest_fits(reading, diagnosis, sigma)
        found = _ordered(reading, part) if searched and ends is None and not rest_fits else None
    if found is not None:
        diagnosis, part = found, part.with_every_step()
        rest_fits = _rest_fits(reading, diagnosis, sigma)
    explanation = diagnosis.explanation
    if not whole.complete and not (explanation.cause and explanation.cause.unambiguous):
        whole = whole.joined(part.by_step())
    return replace(
        diagnosis,
        problem=reading.problem,
        explanation=_on_slice(explanation, part, rest_fits, whole),
    )


def _order_fits(reading: Reading, ends: Evidence) -> bool:
    """Return whether a fault of the order of steps gives what is seen of both ends of a sequence."""
    part = replace(_read(reading, ends), causes=CAUSES_OF_ORDER)
    return bool(diagnose_reading(part, blind_to=()).fits)


def _ordered(reading: Reading, part: ProblemSlice) -> Diagnosis | None:
    """Return the diagnosis by a fault of the order of steps, on all steps; None where none fits."""
    every = replace(_read(reading, part.every_step), causes=CAUSES_OF_ORDER)
    diagnosis = diagnose_reading(every, blind_to=())
    return None if _is_unexplained(diagnosis) else diagnosis


def _read(reading: Reading, evidence: Evidence) -> Reading:
    """Return a reading of a part of a problem."""
    return replace(
        reading,
        problem=evidence.problem,
        actual=evidence.actual,
        expected=evidence.expected,
    )


def _rest_fits(reading: Reading, diagnosis: Diagnosis, sigma: float) -> bool | None:
    """Return whether the cause found on a slice explains the whole; None without a cause."""
    if not diagnosis.fits:
        return None
    placed = diagnosis.fits[0].placed[len(reading.placed) :]
    return fits_whole(reading.problem, reading.actual, placed, sigma)


def _on_slice(
    explanation: Explanation, part: ProblemSlice, rest_fits: bool | None, whole: Findings
) -> Explanation:
    """Return the explanation of a slice with the indices of the whole problem.

    `whole` is what was found on more than the slice.
    """
    findings = part.whole_findings(explanation.findings)
    accounted = explanation.accounted and any(map(accounts_for_values, findings))
    if not (explanation.cause and explanation.cause.explained):
        types = {finding.type for finding in whole.findings}
        findings = (*(each for each in findings if each.type not in types), *whole.findings)
    accounted = accounted or whole.complete
    if accounted:
        findings = tuple(finding for finding in findings if not is_undetermined(finding))
    first, picture = explanation.first, explanation.picture
    if picture is not None and picture.across == "time":
        picture = replace(picture, start=part.steps.start)
    return replace(
        explanation,
        picture=picture,
        slice=part.description(rest_fits),
        first=None if first is None else part.whole_mismatch(first),
        differences=part.whole_differences(explanation.differences),
        findings=findings,
        accounted=accounted,
    )
