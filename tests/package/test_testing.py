"""`assert_parity` in a user's test."""

from dataclasses import replace

import numpy as np
import pytest
from _support import subject_functions

from rnnparity import assert_parity
from rnnparity.catalogue import catalogue
from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.errors import RequestError
from rnnparity.problem.results import Verdict

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


def test_a_function_that_differs_is_named_with_the_command_to_rerun():
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
