"""Verdicts: structure, dtypes, values, facts, noise, and the outlier of three witnesses."""

from dataclasses import replace

import numpy as np
import pytest

from rnnparity.catalogue import catalogue
from rnnparity.golden.goldens import golden_outputs
from rnnparity.golden.known_differences import KnownDifference
from rnnparity.problem.answer import Answer
from rnnparity.problem.problem import Tensor
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import DifferenceType, Verdict, Witness
from rnnparity.reference import compute
from rnnparity.reference.tolerance import expect
from rnnparity.verdict.judge import (
    golden_drift,
    judge,
    judge_with_golden,
    reference_result,
    with_known,
    wrong_answer,
)

PROBLEM = catalogue()["lstm-spread-sequences-state"]
EXPECTED = expect(PROBLEM)


def outputs(change=0.0, dtype="float32"):
    """Return the golden outputs with the first value changed."""
    found = [Tensor.of(tensor.name, tensor.data, dtype) for tensor in golden_outputs(PROBLEM)]
    found[0].data[0, 0, 0] += change
    return tuple(found)


def verdict_types(answer, expected=EXPECTED):
    result = judge(PROBLEM, answer, expected)
    return result.verdict, result.difference_types


def test_the_golden_agrees():
    assert verdict_types(Answer(outputs())) == (Verdict.AGREES, frozenset())


def test_structure_hides_values():
    expected = (Verdict.DIVERGES, {DifferenceType.COUNT})
    assert verdict_types(Answer(outputs(change=1.0)[:2])) == expected


@pytest.mark.parametrize(("change", "differing"), [(0.0, 0), (1.0, 1)])
def test_a_wrong_dtype_does_not_hide_values(change, differing):
    result = judge(PROBLEM, Answer(outputs(change, "float64")), EXPECTED)
    dtype = result.differences[0]
    assert (dtype.type, dtype.differing, dtype.total) == (
        DifferenceType.DTYPE,
        differing,
        outputs()[0].data.size,
    )
    assert (DifferenceType.VALUES in result.difference_types) == bool(differing)


def test_values_of_an_integer_dtype_are_not_compared():
    tensors = [Tensor(tensor.name, tensor.data.astype(np.int64)) for tensor in outputs()]
    result = judge(PROBLEM, Answer(tuple(tensors)), EXPECTED)
    assert result.difference_types == {DifferenceType.DTYPE}
    assert {difference.total for difference in result.differences} == {0}


def test_facts_come_after_values():
    result = judge(PROBLEM, Answer(outputs(1.0), {"parameters": 1}), EXPECTED)
    assert [difference.type for difference in result.differences] == ["values", "fact"]


def test_noise_that_would_hide_a_fault_is_inconclusive():
    noisy = replace(EXPECTED, inconclusive="too much noise")
    result = judge(PROBLEM, Answer(outputs()), noisy)
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, "too much noise")
    assert verdict_types(Answer(outputs(1.0)), noisy)[0] is Verdict.DIVERGES


def test_values_that_cannot_be_predicted_are_not_judged():
    chaotic = replace(EXPECTED, inconclusive="chaos", unpredictable=True)
    assert verdict_types(Answer(outputs(1.0)), chaotic)[0] is Verdict.INCONCLUSIVE


def moved_reference(change):
    first, *others = EXPECTED.outputs
    data = first.data.copy()
    data[0, 0, 0] += change
    return replace(EXPECTED, outputs=(replace(first, data=data), *others))


@pytest.mark.parametrize(
    ("subject", "reference", "golden", "outlier"),
    [
        (0, 0, 0, None),
        (1, 0, 0, Witness.SUBJECT),
        (0, 1, 0, Witness.REFERENCE),
        (0, 0, 1, Witness.GOLDEN),
        (1, 2, 3, Witness.NONE),
    ],
)
def test_the_witness_that_differs_from_the_other_two_is_the_outlier(
    subject, reference, golden, outlier
):
    expected = moved_reference(float(reference))
    answer = Answer(outputs(float(subject)))
    result = judge_with_golden(PROBLEM, answer, expected, outputs(float(golden)))
    assert result.outlier is outlier
    assert (result.verdict is Verdict.AGREES) == (outlier is None)


def test_the_reference_is_the_outlier_where_values_and_finiteness_differ():
    moved, second, *others = moved_reference(1.0).outputs
    broken = replace(second, data=np.full_like(second.data, np.nan))
    expected = replace(EXPECTED, outputs=(moved, broken, *others))
    result = judge_with_golden(PROBLEM, Answer(outputs()), expected, outputs())
    assert result.difference_types == {DifferenceType.VALUES, DifferenceType.FINITENESS}
    assert result.outlier is Witness.REFERENCE


FLOAT64 = catalogue()["dtype-float64-gru-forward"]


@pytest.mark.parametrize(("digits", "drifts"), [(15, False), (9, True)])
def test_a_golden_of_float64_may_be_off_by_the_noise_of_the_reference(digits, drifts):
    """It has more digits than the reference computes with."""
    expected = expect(FLOAT64)
    golden = [
        replace(tensor, data=tensor.data * (1 + 10.0**-digits)) for tensor in expected.outputs
    ]
    assert bool(golden_drift(golden, expected)) == drifts


def test_the_reference_is_judged_without_noise_where_it_equals_its_golden(monkeypatch):
    answer = Answer(compute(PROBLEM))
    assert reference_result(PROBLEM, answer, None).verdict is Verdict.AGREES
    assert reference_result(PROBLEM, answer, outputs(1.0)).verdict is Verdict.DIVERGES
    monkeypatch.setattr("rnnparity.verdict.judge.expect", None)
    assert reference_result(PROBLEM, answer, outputs()).verdict is Verdict.AGREES


@pytest.mark.parametrize("types", [("values",), ("error",)])
def test_a_listed_difference_covers_its_types_only(types):
    entry = KnownDifference("x", "engine", ("lstm-*",), types, {}, "", "", "", "")
    differs = judge(PROBLEM, Answer(outputs(1.0)), EXPECTED)
    fails = CaseResult(PROBLEM.id, Verdict.ERROR)
    for result, difference_type in ((differs, "values"), (fails, "error")):
        known = with_known(result, [entry], "engine", {})
        assert (known.verdict is Verdict.KNOWN) == (difference_type in types)
        assert known.known == (("x",) if difference_type in types else ())
        assert with_known(result, [entry], "another", {}) == result


def test_without_a_golden_there_is_no_outlier():
    assert judge_with_golden(PROBLEM, Answer(outputs(1.0)), EXPECTED, None).outlier is None


@pytest.mark.parametrize("case", ["lstm-spread-last", "gru-spread-last", "bi_lstm-spread-sum-last"])
def test_two_swapped_gates_diverge(case):
    problem = catalogue()[case]
    assert judge(problem, wrong_answer(problem)).verdict is Verdict.DIVERGES
    assert np.isfinite(wrong_answer(problem).outputs[0].data).all()
