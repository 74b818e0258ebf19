"""The verdict on one case: subject, reference and golden are compared.

With three witnesses a change names its culprit. Golden and reference agree, the subject differs:
the subject is wrong. Golden and subject agree, the reference differs: the reference broke.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rnnparity.golden import known_differences
from rnnparity.golden.goldens import golden_outputs
from rnnparity.golden.known_differences import KnownDifference
from rnnparity.problem.answer import Answer
from rnnparity.problem.answer_types import AnswerType
from rnnparity.problem.dtypes import FLOAT_TYPES, FloatType
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import FAILING, Difference, DifferenceType, Verdict, Witness
from rnnparity.reference.gradients.tolerance import expect_gradients, expect_training_step
from rnnparity.reference.tolerance import Expected, expect
from rnnparity.verdict.compare import (
    Comparison,
    compare_exactly,
    compare_structure,
    compare_values,
)
from rnnparity.verdict.expectations import check_expectations

_BY_VALUE = frozenset({DifferenceType.VALUES, DifferenceType.FINITENESS})


def expect_answer(
    problem: Problem, *, by_gate: bool = False, precision: FloatType | None = None
) -> Expected:
    """Return the expected answer with its noise, see `Problem.answer_slots`.

    The noise is that of the problem's own type, or of a declared precision that is coarser.

    Raises:
        RequestError: the problem does not fit in memory.
    """
    if problem.answer_type is AnswerType.TRAINED_WEIGHTS:
        return expect_training_step(problem, precision)
    if problem.answer_type is AnswerType.GRADIENTS:
        return expect_gradients(problem, precision)
    return expect(problem, by_gate=by_gate, precision=precision)


def judge(problem: Problem, answer: Answer, expected: Expected | None = None) -> CaseResult:
    """Compare an answer with the reference: structure, values and what the case's source states."""
    expected = expected or expect_answer(problem)
    return replace(_judged(problem, answer, expected), precision=expected.precision)


def _judged(problem: Problem, answer: Answer, expected: Expected) -> CaseResult:
    outputs = _asked_for(problem, answer, expected)
    slots = problem.answer_slots()
    of_gradients = problem.answer_type is AnswerType.GRADIENTS
    structure = compare_structure(outputs, slots, gradients=of_gradients)
    if not _comparable(structure, outputs):
        return _diverges(problem, structure, float("inf"))
    threshold = expected.dtype.threshold
    values = compare_values(outputs, expected.outputs, expected.sigmas, threshold)
    if structure:
        dtypes = with_value_counts(structure, outputs, values.differences)
        return _diverges(problem, (*dtypes, *values.differences), float("inf"))
    facts: tuple[Difference, ...] = ()
    if problem.answer_type is AnswerType.OUTPUTS:
        facts = check_expectations(problem, expected, outputs, answer.facts)
    if expected.unpredictable:
        values = Comparison((), 0.0)
    differences = values.differences + facts
    if differences:
        return _diverges(problem, differences, values.sigma)
    if expected.inconclusive:
        return CaseResult(problem.id, Verdict.INCONCLUSIVE, values.sigma, expected.inconclusive)
    return CaseResult(problem.id, Verdict.AGREES, values.sigma, blind_to=expected.blind_to)


def _asked_for(problem: Problem, answer: Answer, expected: Expected) -> tuple[Tensor, ...]:
    """Return the outputs of an answer, or its gradients where the problem has cotangents.

    No gradient (None) is as good as zeros where nothing flows back; elsewhere one is missing.
    """
    if problem.answer_type is not AnswerType.GRADIENTS:
        return answer.outputs
    gradients = answer.gradients or ()
    if len(gradients) != len(expected.outputs):
        return tuple(gradient for gradient in gradients if gradient is not None)
    slots = zip(problem.gradient_slots(), gradients, expected.outputs, strict=True)
    filled = [
        Tensor.of(slot.name, zeros.data, slot.dtype)
        if gradient is None and not zeros.data.any()
        else gradient
        for slot, gradient, zeros in slots
    ]
    return tuple(gradient for gradient in filled if gradient is not None)


def _comparable(structure: Sequence[Difference], outputs: Sequence[Tensor]) -> bool:
    """Whether values can be compared: at most the dtypes differ, and all are float dtypes."""
    only_dtypes = all(difference.type is DifferenceType.DTYPE for difference in structure)
    return only_dtypes and all(tensor.dtype in FLOAT_TYPES for tensor in outputs)


def with_value_counts(
    dtypes: Sequence[Difference], outputs: Sequence[Tensor], values: Sequence[Difference]
) -> tuple[Difference, ...]:
    """Return differences in dtype with the numbers of values compared and of those that differ."""
    totals = {tensor.name: tensor.data.size for tensor in outputs}
    differing = {difference.output: difference.differing for difference in values}
    return tuple(
        replace(dtype, total=totals[dtype.output], differing=differing.get(dtype.output, 0))
        for dtype in dtypes
    )


def _diverges(problem: Problem, differences: Sequence[Difference], sigma: float) -> CaseResult:
    return CaseResult(problem.id, Verdict.DIVERGES, sigma, differences=tuple(differences))


def judge_with_golden(
    problem: Problem, answer: Answer, expected: Expected, golden: Sequence[Tensor] | None
) -> CaseResult:
    """Judge an answer; where something differs, find which of the three witnesses is the outlier."""
    result = judge(problem, answer, expected)
    if golden is None:
        return result
    drift = golden_drift(golden, expected)
    if result.verdict is Verdict.DIVERGES:
        outlier = Witness.NONE if drift else Witness.SUBJECT
        outputs = _asked_for(problem, answer, expected)
        if result.difference_types <= _BY_VALUE and _agree(outputs, golden, expected):
            outlier = Witness.REFERENCE
        return replace(result, outlier=outlier)
    if drift:
        drifted = _diverges(problem, (drift,), result.sigma)
        return replace(drifted, outlier=Witness.GOLDEN, precision=result.precision)
    return result


def golden_drift(golden: Sequence[Tensor], expected: Expected) -> Difference | None:
    """Return the first difference of a golden from the reference, rounded to the golden's dtype.

    A golden of a float64 output comes from hundreds of digits: the float64 reference may be off by
    its noise there.
    """
    for tensor, reference, sigma in zip(golden, expected.outputs, expected.sigmas, strict=True):
        difference: Difference | None
        if tensor.dtype == "float64":
            comparison = compare_values([tensor], [reference], [sigma], expected.dtype.threshold)
            difference = next(iter(comparison.differences), None)
        else:
            rounded = Tensor.of(tensor.name, reference.data, tensor.dtype)
            difference = compare_exactly(tensor, rounded)
        if difference:
            return replace(difference, of=Witness.GOLDEN)
    return None


def _agree(outputs: Sequence[Tensor], golden: Sequence[Tensor], expected: Expected) -> bool:
    comparison = compare_values(outputs, golden, expected.sigmas, expected.dtype.threshold)
    return not comparison.differences


def with_known(
    result: CaseResult,
    entries: Sequence[KnownDifference],
    subject: str,
    versions: Mapping[str, str],
) -> CaseResult:
    """Return a failing result as `known` where listed entries cover all of its differences."""
    if result.verdict not in FAILING:
        return result
    types = result.difference_types or {"error"}
    names = known_differences.covering(entries, subject, versions, result.id, types)
    if not names:
        return result
    return replace(result, verdict=Verdict.KNOWN, known=names)


def reference_result(
    problem: Problem,
    answer: Answer,
    golden: Sequence[Tensor] | None,
    expected: Expected | None = None,
) -> CaseResult:
    """Compare the reference's answer with its golden, its only witness, and the case's source.

    No noise is computed where all outputs are equal to the golden to the last bit.
    """
    of_outputs = problem.answer_type is AnswerType.OUTPUTS
    gradients = [gradient for gradient in answer.gradients or () if gradient is not None]
    of_gradients = problem.answer_type is AnswerType.GRADIENTS
    rounded = rounded_outputs(problem, gradients if of_gradients else answer.outputs)
    source = problem.case.expect if problem.case and of_outputs else {}
    if golden is not None and not source and equal_outputs(rounded, golden):
        return CaseResult(problem.id, Verdict.AGREES)
    answer = replace(answer, outputs=rounded, gradients=rounded)
    return judge_with_golden(problem, answer, expected or expect_answer(problem), golden)


def rounded_outputs(problem: Problem, outputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the reference's answer, which is float64, in the dtypes that the layer has."""
    pairs = zip(outputs, problem.answer_slots(), strict=True)
    return tuple(Tensor.of(slot.name, tensor.data, slot.dtype) for tensor, slot in pairs)


def equal_outputs(outputs: Sequence[Tensor], golden: Sequence[Tensor]) -> bool:
    """Return whether all values are equal to the last bit; NaN equals NaN."""
    return all(
        np.array_equal(output.data, tensor.data, equal_nan=True)
        for output, tensor in zip(outputs, golden, strict=True)
    )


def wrong_answer(problem: Problem) -> Answer:
    """Return an answer that must not pass: the first two gates of the first kernel are swapped."""
    kernel, recurrent_kernel = problem.weights[:2]
    units = recurrent_kernel.shape[0]
    columns = np.arange(kernel.shape[1])
    first, second, rest = np.split(columns, [units, 2 * units])
    order = np.concatenate([second, first, rest])
    swapped = replace(kernel, data=kernel.data[:, order])
    return Answer(golden_outputs(replace(problem, weights=(swapped, *problem.weights[1:]))))
