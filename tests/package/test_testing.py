"""`assert_parity` in a user's test."""

import traceback
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from _support import subject_functions

from rnnparity import assert_parity
from rnnparity.catalogue import catalogue
from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.errors import RequestError
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference import compute
from rnnparity.subjects import importing
from rnnparity.testing import ParityError

PROBLEM = catalogue()["lstm-spread-sequences-state"]
OUTPUTS = [tensor.data for tensor in golden_outputs(PROBLEM)]
NAMED = dict(zip(["output", "h", "c"], OUTPUTS, strict=True))


@pytest.mark.parametrize(
    "actual", [OUTPUTS, tuple(OUTPUTS), NAMED, subject_functions.right, "reference"]
)
def test_outputs_functions_and_names_agree(actual):
    assert assert_parity(actual, PROBLEM).verdict is Verdict.AGREES


def test_one_array_is_the_only_output():
    problem = catalogue()["lstm-spread-last"]
    (output,) = golden_outputs(problem)
    assert assert_parity(output.data, problem).verdict is Verdict.AGREES


def test_outputs_that_differ_are_described_without_a_command():
    with pytest.raises(AssertionError) as raised:
        assert_parity([OUTPUTS[0] + np.float32(0.1), *OUTPUTS[1:]], PROBLEM)
    lines = str(raised.value).splitlines()
    assert lines[0] == "lstm-spread-sequences-state: diverges"
    assert "values differ" in lines[1]
    assert not any("rerun" in line for line in lines)


def swapped_rows(problem):
    return [tensor.data[::-1] for tensor in golden_outputs(problem)]


def test_the_cause_of_wrong_outputs_is_stated_with_its_fix():
    i, f, c, o = np.split(PROBLEM.weights[1].data, 4, axis=-1)
    other = replace(PROBLEM.weights[1], data=np.concatenate([f, i, c, o], axis=-1))
    wrong = replace(PROBLEM, weights=(PROBLEM.weights[0], other, PROBLEM.weights[2]), case=None)
    outputs = [tensor.data.astype(np.float32) for tensor in compute(wrong)]
    with pytest.raises(ParityError) as raised:
        assert_parity(outputs, PROBLEM)
    lines = str(raised.value).splitlines()
    assert "  cause: gate-order: LSTM fico in the recurrent kernel" in lines
    assert "  explain: rnnparity.explain(problem, outputs) in Python" in lines
    (fix,) = (line for line in lines if line.startswith("  fix: "))
    assert "f, i, c, o" in fix
    assert raised.value.result.cause.explained


def test_what_a_function_raised_keeps_its_traceback():
    with pytest.raises(ParityError, match="no such gate") as raised:
        assert_parity(subject_functions.raises, PROBLEM)
    cause = raised.value.__cause__
    assert isinstance(cause, ValueError)
    assert traceback.extract_tb(cause.__traceback__)[-1].name == "raises"


@pytest.mark.parametrize(
    "function", [swapped_rows, lambda _: [7, 7, 7]], ids=["in a test", "lambda"]
)
def test_a_function_that_no_command_can_import_is_explained_in_python(function, monkeypatch):
    # What the folder of this test has is found only by pytest.
    monkeypatch.chdir(Path(__file__).parents[2] / "docs")
    with pytest.raises(ParityError) as raised:
        assert_parity(function, PROBLEM)
    text = str(raised.value)
    assert "explain: rnnparity.explain(problem, function) in Python" in text
    assert "--subject" not in text


def test_a_function_that_differs_is_named_with_the_command_to_rerun(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    importing._new_process_finds.cache_clear()
    with pytest.raises(AssertionError, match=r"--subject _support\.subject_functions:wrong"):
        assert_parity(subject_functions.wrong, PROBLEM)


def test_an_inconclusive_problem_is_not_a_pass():
    zeros = replace(PROBLEM.weights[0], data=np.zeros_like(PROBLEM.weights[0].data))
    others = [replace(tensor, data=0 * tensor.data) for tensor in PROBLEM.weights[1:]]
    problem = replace(PROBLEM, weights=(zeros, *others), case=None, id="zeros")
    with pytest.raises(AssertionError, match=r"zeros: .* is inconclusive"):
        assert_parity("reference", problem)


def test_an_unknown_subject_is_refused():
    with pytest.raises(RequestError, match="kreas"):
        assert_parity("kreas", PROBLEM)


def test_swapped_arguments_are_refused():
    with pytest.raises(TypeError, match="the second argument must be a Problem, got list"):
        assert_parity(PROBLEM, OUTPUTS)


WITH_COTANGENTS = with_cotangents(PROBLEM)
GRADIENTS = {tensor.name: tensor.data for tensor in golden_outputs(WITH_COTANGENTS)}


def with_gradients(problem):
    return OUTPUTS


def exact_gradients(problem):
    return [tensor.data for tensor in golden_outputs(problem)]


with_gradients.gradients = exact_gradients


@pytest.mark.parametrize(
    ("actual", "gradients"),
    [
        (OUTPUTS, GRADIENTS),
        (OUTPUTS, list(GRADIENTS.values())),
        (OUTPUTS, exact_gradients),
        (with_gradients, True),
        ("reference", True),
    ],
)
def test_gradients_agree(actual, gradients):
    result = assert_parity(actual, WITH_COTANGENTS, gradients=gradients)
    assert (result.verdict, result.sigma < 1) == (Verdict.AGREES, True)


def test_a_function_gets_cotangents_for_its_gradients():
    assert assert_parity(with_gradients, PROBLEM, gradients=True).verdict is Verdict.AGREES
    assert assert_parity(OUTPUTS, PROBLEM, gradients=exact_gradients).verdict is Verdict.AGREES


def test_gradients_that_differ_are_described():
    wrong = {**GRADIENTS, "bias": 2 * GRADIENTS["bias"]}
    with pytest.raises(ParityError) as raised:
        assert_parity(OUTPUTS, WITH_COTANGENTS, gradients=wrong)
    assert str(raised.value).splitlines()[:2] == [
        "lstm-spread-sequences-state: diverges",
        "  bias (GH=20): 20 of 20 values differ",
    ]
    with pytest.raises(ParityError, match=r"output \(B=2, T=4, H=5\)"):  # which come first
        assert_parity([2 * array for array in OUTPUTS], WITH_COTANGENTS, gradients=wrong)


@pytest.mark.parametrize(
    ("gradients", "message"),
    [
        ({**GRADIENTS, "bias": None}, "gradients: got 3"),
        ([1.0], "gradients: got 1, expected 4: inputs, kernel, recurrent_kernel, bias"),
        ({"kernel": 1.0}, "gradients: got kernel, expected inputs, kernel, recurrent_kernel, bias"),
        (1.0, "gradients: got no sequence, expected 4: inputs"),
        ({**GRADIENTS, "bias": GRADIENTS["bias"][:3]}, "bias: got shape"),
        ({**GRADIENTS, "bias": GRADIENTS["bias"] * np.float32("nan")}, "not finite"),
    ],
)
def test_gradients_of_the_wrong_form_are_described(gradients, message):
    with pytest.raises(ParityError, match=message):
        assert_parity(OUTPUTS, WITH_COTANGENTS, gradients=gradients)


def test_gradients_need_cotangents_and_a_subject_to_ask():
    with pytest.raises(RequestError, match="cotangents: got none, expected those of the gradients"):
        assert_parity(OUTPUTS, PROBLEM, gradients=GRADIENTS)
    with pytest.raises(TypeError, match="the first argument must be a subject"):
        assert_parity(OUTPUTS, WITH_COTANGENTS, gradients=True)
    with pytest.raises(ParityError, match="is unsupported"):
        assert_parity(subject_functions.right, PROBLEM, gradients=True)
