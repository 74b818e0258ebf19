"""A problem as a Python object: its repr, files, and the examples of the documentation."""

import doctest
import importlib

import numpy as np
import pytest
from _support.random_problems import random_problem, spec_of

from rnnparity.catalogue import catalogue
from rnnparity.problem.errors import FormatError, RequestError
from rnnparity.problem.format_writing import dump_line
from rnnparity.problem.problem import Problem
from rnnparity.reference import compute

MODULES = ("answer", "layers", "problem", "tensor")
REPRS = {
    "lstm-spread-last": "LSTM(5), B=2 T=4 D=6",
    "gru_before-spread-backwards-last-mask_row-initial": (
        "GRU(5, reset_after=False, go_backwards=True), B=2 T=4 D=6, mask, initial_state"
    ),
    "bi_lstm-spread-none-last": "Bidirectional(LSTM(5), merge_mode=None), B=2 T=4 D=6",
    "stack-two_rnn_last": (
        "Sequential([SimpleRNN(5, return_sequences=True), SimpleRNN(5)]), B=2 T=6 D=7"
    ),
    "stateful-lstm-forward-last-state": (
        "LSTM(5, return_state=True, stateful=True), B=2 T=6 D=7, calls=[3, 2, 1]"
    ),
    "dtype-mixed_float16-lstm-concat": (
        "Bidirectional(LSTM(5, return_sequences=True, return_state=True, dtype='mixed_float16'), "
        "dtype='mixed_float16'), B=2 T=6 D=7, initial_state"
    ),
}


@pytest.mark.parametrize("case", REPRS)
def test_repr_is_one_line(case):
    assert repr(catalogue()[case]) == f"Problem({case!r}, {REPRS[case]})"


def test_repr_mentions_outputs():
    problem = catalogue()["lstm-spread-last"]
    assert repr(problem.with_outputs(compute(problem))).endswith("D=6, outputs)")


def test_repr_of_different_halves_has_both():
    text = repr(catalogue()["halves-units-concat"])
    assert "LSTM(5, return_sequences=True, return_state=True), backward_layer=LSTM(8, " in text


@pytest.mark.parametrize(
    ("dtype", "of_weights"), [("mixed_bfloat16", "float32"), ("float16", "float16")]
)
def test_gradients_have_the_dtypes_of_what_they_belong_to(dtype, of_weights):
    problem = random_problem(spec_of("lstm", 2, dtype=dtype), 0, (2, 3, 2), initial=True)
    tensors = [problem.inputs, *problem.weights, *problem.initial_state]
    assert [s.dtype for s in problem.gradient_slots()] == [t.dtype for t in tensors]
    assert problem.gradient_slots()[1].dtype == of_weights


@pytest.mark.parametrize("case", ["gru-spread-last", "dtype-bfloat16-lstm-concat-mask"])
def test_a_saved_problem_is_loaded_unchanged(tmp_path, case):
    problem = catalogue()[case]
    for path in (tmp_path / "problem.json", str(tmp_path / "other.json")):
        problem.save(path)
        assert dump_line(Problem.load(path)) == dump_line(problem)


def test_a_path_that_cannot_be_used_is_named(tmp_path):
    with pytest.raises(RequestError, match=r"nowhere/x\.json: cannot be written"):
        catalogue()["gru-spread-last"].save(tmp_path / "nowhere" / "x.json")
    with pytest.raises(FormatError, match=r"nowhere\.json: cannot be read"):
        Problem.load(tmp_path / "nowhere.json")


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_the_documentation_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = doctest.testmod(importlib.import_module(f"rnnparity.problem.{name}"))
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize(("dtype", "kept"), [("float64", True), ("float32", False)])
def test_inputs_and_states_of_a_float64_layer_keep_their_digits(dtype, kept):
    problem = random_problem(spec_of("simple_rnn", 2, dtype=dtype), 0, (1, 3, 2))
    third = np.full((1, 3, 2), 1 / 3)
    spec, weights = spec_of("simple_rnn", 2, dtype=dtype), [t.data for t in problem.weights]
    found = Problem.from_arrays(spec, weights, third, initial_state=third[:, 0])
    assert found.inputs.dtype == dtype
    assert (found.inputs.data == third).all() == kept
    assert (found.initial_state[0].data == third[:, 0]).all() == kept
