"""Numbers that were pasted from text are judged to the digits that were printed."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import random_problem

from rnnparity.catalogue import catalogue
from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.digits import PrintedDigits, printed_digits
from rnnparity.problem.findings import FindingType
from rnnparity.problem.problem import Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference import compute

PROBLEM = catalogue()["lstm-spread-sequences-state"]
FORMATS = [("%.3f", 3, False), ("%.6f", 6, False), ("%.3e", 4, True), ("%.5g", 5, True)]


def printed(outputs, form, dtype="float32"):
    """Return outputs as they are read from text."""
    return tuple(
        Tensor.of(tensor.name, np.vectorize(lambda x: float(form % x))(tensor.data), dtype)
        for tensor in outputs
    )


@pytest.mark.parametrize(("form", "count", "significant"), FORMATS)
def test_the_digits_are_counted(form, count, significant):
    assert printed_digits(printed(compute(PROBLEM), form)) == PrintedDigits(count, significant)


@pytest.mark.parametrize("form", [form for form, *_ in FORMATS])
def test_correct_numbers_agree_to_the_printed_digits(form):
    explanation = diagnose(PROBLEM.with_outputs(printed(compute(PROBLEM), form))).explanation
    assert explanation.verdict is Verdict.AGREES
    assert [finding.type for finding in explanation.findings] == [FindingType.PRINTED_DIGITS]


@pytest.mark.parametrize("form", [form for form, *_ in FORMATS])
def test_printed_numbers_have_no_dtype(form):
    # Numbers that are typed into Python are float64.
    outputs = printed(compute(PROBLEM), form, "float64")
    explanation = diagnose(PROBLEM.with_outputs(outputs)).explanation
    assert explanation.verdict is Verdict.AGREES
    assert not explanation.differences
    assert [finding.type for finding in explanation.findings] == [FindingType.PRINTED_DIGITS]


def test_a_digit_that_is_one_off_diverges():
    outputs = printed(compute(PROBLEM), "%.4f")
    outputs[0].data[0, 0, 0] += np.float32(1e-4)
    assert diagnose(PROBLEM.with_outputs(outputs)).explanation.verdict is Verdict.DIVERGES


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_numbers_of_any_type_are_not_taken_for_printed_ones(dtype):
    rng = np.random.default_rng(0)
    for scale in (1e-3, 0.1, 1, 30):
        values = Tensor.of("output", scale * rng.standard_normal((4, 5, 6)), dtype)
        assert printed_digits([values]) is None


def test_round_numbers_are_no_evidence():
    # Sums of a few ones are integers, and a clipped gate is 0.5.
    assert printed_digits([Tensor.of("output", [[0.5, 1.5, -0.5, 3]], "float32")]) is None


def test_numbers_on_a_binary_grid_are_not_taken_for_printed_ones():
    values = np.random.default_rng(0).standard_normal((4, 5, 6))
    for bits in (4, 6):
        assert printed_digits([Tensor.of("output", np.rint(values * 2**bits) / 2**bits)]) is None


def test_the_cause_of_wrong_printed_numbers_is_found():
    i, f, c, o = np.split(PROBLEM.weights[0].data, 4, axis=-1)
    kernel = replace(PROBLEM.weights[0], data=np.concatenate([f, i, c, o], axis=-1))
    wrong = compute(replace(PROBLEM, weights=(kernel, *PROBLEM.weights[1:])))
    explanation = diagnose(PROBLEM.with_outputs(printed(wrong, "%.5f"))).explanation
    assert [fault.cause for fault in explanation.cause.faults] == ["gate-order"]
    assert FindingType.PRINTED_DIGITS in [finding.type for finding in explanation.findings]


def test_digits_are_those_of_the_actual_numbers():
    """With significant digits the unit is that of each number: wrong ones may be larger."""
    problem = catalogue()["bi_lstm-spread-concat-sequences"]
    output = compute(problem)[0].data
    forward, backward = np.split(output, 2, axis=-1)
    wrong = np.concatenate([forward, backward[:, ::-1]], axis=-1)
    actual = printed([Tensor.of("output", wrong)], "%.4e")
    explanation = diagnose(problem.with_outputs(actual)).explanation
    assert [fault.cause for fault in explanation.cause.faults] == ["reverse-output-order"]


def test_printed_numbers_are_recognized_up_to_noise():
    values = np.array([0.123449999, 2.0, -0.5], np.float32)
    digits = PrintedDigits(4, False)
    assert digits.is_printed_from(np.array([0.1234, 2.0, -0.5], np.float32), values)
    # The other implementation had 0.12345001, which is rounded up.
    assert digits.is_printed_from(np.array([0.1235, 2.0, -0.5], np.float32), values)
    assert not digits.is_printed_from(np.array([0.1233, 2.0, -0.5], np.float32), values)
    assert not digits.is_printed_from(np.array([0.1236, 2.0, -0.5], np.float32), values)


def few(count):
    """A problem with so many outputs: one row and one step of as many units."""
    spec = {"class_name": "SimpleRNN", "config": {"units": count, "return_sequences": True}}
    return random_problem(spec, 1, (1, 1, 4))


@pytest.mark.parametrize("form", ["%.3f", "%.5f", "%.4g"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_printed_numbers_agree_where_they_are_correct(count, form):
    problem = few(count)
    outputs = printed(compute(problem), form)
    explanation = diagnose(problem.with_outputs(outputs)).explanation
    assert explanation.verdict is Verdict.AGREES
    assert [finding.type for finding in explanation.findings] == [FindingType.PRINTED_DIGITS]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_printed_numbers_that_are_a_digit_off_diverge(count):
    problem = few(count)
    outputs = printed(compute(problem), "%.4f")
    outputs[0].data[0, 0, 0] += np.float32(1e-4)
    explanation = diagnose(problem.with_outputs(outputs)).explanation
    assert explanation.verdict is Verdict.DIVERGES
    assert FindingType.PRINTED_DIGITS not in [finding.type for finding in explanation.findings]


def test_few_numbers_with_one_or_two_digits_or_of_a_coarse_type_are_no_evidence():
    for text, value in (("0.3", 0.28), ("0.28", 0.2771)):
        actual = Tensor.of("output", [[float(text)]], "float32")
        assert printed_digits([actual], [Tensor("output", np.array([[value]]))]) is None
    half = Tensor.of("output", [[0.1234]], "float16")
    assert printed_digits([half], [Tensor("output", np.array([[0.12341]]))]) is None
