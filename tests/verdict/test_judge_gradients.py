"""Verdicts on gradients: those of outputs, by the noise of gradients."""

from dataclasses import replace

import numpy as np
import pytest

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.cotangents import gradient_cases, with_cotangents
from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.answer import Answer
from rnnparity.problem.problem import Tensor
from rnnparity.problem.verdicts import DifferenceType, Verdict, Witness
from rnnparity.reference.gradients import compute_gradients
from rnnparity.verdict.judge import expect_answer, judge, judge_with_golden, reference_result

PROBLEM = with_cotangents(catalogue()["lstm-spread-last-mask_interior-initial"])
GOLDEN = golden_outputs(PROBLEM)
EXPECTED = expect_answer(PROBLEM)


def changed(name, change):
    return tuple(
        replace(tensor, data=change(tensor.data)) if tensor.name == name else tensor
        for tensor in GOLDEN
    )


def judged(gradients, problem=PROBLEM, expected=EXPECTED):
    return judge(problem, Answer(gradients=tuple(gradients)), expected)


def test_the_golden_agrees():
    result = judged(GOLDEN)
    assert (result.verdict, result.differences) == (Verdict.AGREES, ())


@pytest.mark.parametrize("name", [slot.name for slot in PROBLEM.gradient_slots()])
def test_a_thousandth_in_one_gradient_is_detected(name):
    result = judged(changed(name, lambda data: data * np.float32(1.001)))
    assert result.verdict is Verdict.DIVERGES
    assert [difference.output for difference in result.differences] == [name]


def test_outputs_are_no_gradients():
    answer = Answer(golden_outputs(catalogue()[PROBLEM.id]))
    result = judge(PROBLEM, answer, EXPECTED)
    assert result.difference_types == {DifferenceType.COUNT}


def test_structure_is_that_of_the_gradients():
    assert judged(GOLDEN[:-1]).difference_types == {DifferenceType.COUNT}
    assert judged(GOLDEN[::-1]).difference_types == {DifferenceType.NAMES}
    transposed = judged(changed("kernel", np.transpose))
    assert transposed.difference_types == {DifferenceType.SHAPE}
    wide = judged(changed("kernel", lambda data: data.astype(np.float64)))
    assert wide.difference_types == {DifferenceType.DTYPE}


def test_a_gradient_that_is_not_finite_is_found():
    result = judged(changed("bias", lambda data: data * np.float32("nan")))
    assert result.difference_types == {DifferenceType.FINITENESS}


def test_no_gradient_is_not_zeros():
    """None where something flows back is a missing gradient; zeros are wrong values."""
    without = [None if tensor.name == "bias" else tensor for tensor in GOLDEN]
    (difference,) = judged(without).differences
    assert difference.type is DifferenceType.COUNT
    assert set(difference.expected) - set(difference.actual) == {"bias"}
    zeros = judged(changed("bias", np.zeros_like))
    assert zeros.difference_types == {DifferenceType.VALUES}


def test_no_gradient_agrees_where_nothing_flows_back():
    """As in frameworks, which return None for what no output depends on."""
    problem = with_cotangents(catalogue()["lstm-spread-last-mask_interior-initial"])
    silent = tuple(
        replace(tensor, data=np.zeros_like(tensor.data)) for tensor in problem.cotangents
    )
    problem = replace(problem, cotangents=silent)
    expected = replace(expect_answer(problem), inconclusive="", unpredictable=False)
    nothing = [None] * len(problem.gradient_slots())
    assert judged(nothing, problem, expected).verdict is Verdict.AGREES


def test_noise_that_would_hide_a_fault_is_inconclusive():
    noisy = replace(EXPECTED, inconclusive="too much noise")
    assert judged(GOLDEN, expected=noisy).verdict is Verdict.INCONCLUSIVE


def test_the_outlier_is_found():
    wrong = changed("kernel", lambda data: data * np.float32(1.1))
    for golden, gradients, outlier in (
        (GOLDEN, wrong, Witness.SUBJECT),
        (wrong, GOLDEN, Witness.GOLDEN),
        (wrong, wrong, Witness.REFERENCE),
    ):
        answer = Answer(gradients=gradients)
        assert judge_with_golden(PROBLEM, answer, EXPECTED, golden).outlier is outlier


def test_the_reference_is_compared_with_its_golden():
    answer = Answer(gradients=compute_gradients(PROBLEM))
    assert reference_result(PROBLEM, answer, GOLDEN).verdict is Verdict.AGREES
    wrong = changed("kernel", lambda data: data * np.float32(1.1))
    assert reference_result(PROBLEM, answer, wrong).verdict is Verdict.DIVERGES


def test_facts_of_the_source_are_of_outputs():
    """The digits that a source prints are not compared with gradients."""
    problem = gradient_cases()["sources-004-bilstm-state"]
    golden = golden_outputs(problem)
    answer = Answer(gradients=tuple(Tensor(t.name, t.data.astype(np.float64)) for t in golden))
    assert reference_result(problem, answer, golden).verdict is Verdict.AGREES
