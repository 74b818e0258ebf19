"""to_keras: the layer computes what the reference computes from the problem; and streaming."""

import doctest
import sys
from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import random_problem, spec_of, stack_of, two_ways

from rnnparity import Problem, assert_parity
from rnnparity.catalogue import catalogue
from rnnparity.catalogue.core import core
from rnnparity.models import keras_layer, to_keras
from rnnparity.problem.errors import FormatError, RequestError
from rnnparity.problem.keras_config import layer_spec
from rnnparity.problem.layers import Stack, called_layers, halves, policies
from rnnparity.problem.problem import Tensor
from rnnparity.subjects.calls import calls_of, join_outputs
from rnnparity.subjects.keras_layers import apply, flat

pytest.importorskip("keras", reason="Keras is not installed: pip install tensorflow")
# A Sequential with a mask: there is no layer above it.
pytestmark = pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")


def kind(layer):
    """Classes, directions and how they are composed; sizes and activations left out."""
    inside = [
        (half.class_name, half.reset_after, half.go_backwards, half.stateful)
        for _, half in halves(layer)
    ]
    modes = [getattr(called, "merge_mode", "") for called in called_layers(layer)]
    return isinstance(layer, Stack), *inside, *modes


def keras_runs(layer):
    """Keras raises in its own compute_mask otherwise (fixtures/known_differences.toml)."""
    return policies(layer) == {"float32"} and not (layer.stateful and layer.return_state)


# Dropout masks and steps belong to a call in training, not to a layer.
CORE = [
    case
    for case in map(catalogue().get, core())
    if case.dropout_masks is None and case.training_step is None
]
KINDS = {kind(case.layer): case for case in CORE if keras_runs(case.layer)}


def called(layer, problem):
    """The outputs of a layer, or of the calls of a stateful one."""
    outputs = []
    for call in calls_of(problem):
        tensors = flat(apply(layer, call.inputs, call.mask, call.initial_state))
        outputs.append([Tensor("", np.asarray(tensor)) for tensor in tensors])
    return {tensor.name: tensor.data for tensor in join_outputs(problem, outputs)}


@pytest.mark.parametrize("case", KINDS.values(), ids=lambda case: case.id)
def test_layer_of_every_kind_in_the_core_agrees(case):
    assert_parity(called(to_keras(case), case), case)


@pytest.mark.parametrize(
    "spec",
    [
        spec_of("gru_before"),
        two_ways(spec_of("lstm")),
        stack_of(spec_of("gru", return_sequences=True), spec_of("lstm")),
    ],
    ids=["layer", "bidirectional", "stack"],
)
def test_problem_of_the_layer_is_the_problem(spec):
    problem = random_problem(spec)
    found = Problem.from_keras(to_keras(problem), problem.inputs.data)
    assert layer_spec(found.layer) == layer_spec(problem.layer)
    for weight, expected in zip(found.weights, problem.weights, strict=True):
        assert np.array_equal(weight.data, expected.data)


def test_missing_keras_is_reported_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(RequestError, match=r"run pip install 'rnnparity\[keras\]'"):
        to_keras(CORE[0])


def test_calls_of_a_streamed_layer_are_compared_as_one_run():
    problem = random_problem(spec_of("gru", stateful=True, return_sequences=True), calls=(3, 1, 2))
    layer = to_keras(problem)
    parts = [np.asarray(layer(part)) for part in np.split(problem.inputs.data, [3, 4], axis=1)]
    streamed = Problem.from_keras(layer, problem.inputs.data, calls=[3, 1, 2])
    assert_parity(np.concatenate(parts, axis=1), streamed)


@pytest.mark.parametrize("stateful", [True, False])
def test_calls_that_do_not_fit_are_refused(stateful):
    layer = to_keras(random_problem(spec_of("gru", stateful=stateful)))
    expected = "positive numbers of sum T=6" if stateful else "a stateful layer"
    with pytest.raises(FormatError, match=f"calls: got \\[2, 2\\], expected {expected}"):
        Problem.from_keras(layer, np.ones((3, 6, 5)), calls=[2, 2])


def test_float64_layer_keeps_the_digits_of_its_inputs_and_states():
    problem = random_problem(spec_of("gru", dtype="float64"), initial=True)
    states = [state.data for state in problem.initial_state]
    found = Problem.from_keras(to_keras(problem), problem.inputs.data, None, states)
    assert np.array_equal(found.inputs.data, problem.inputs.data)
    assert np.array_equal(found.initial_state[0].data, states[0])


def test_examples_of_the_docstrings_run():
    assert doctest.testmod(keras_layer).failed == 0


def test_dropout_masks_are_refused():
    problem = next(case for case in catalogue().values() if case.dropout_masks is not None)
    with pytest.raises(RequestError, match=r"cannot hold dropout_masks; remove them"):
        to_keras(problem)
    to_keras(replace(problem, dropout_masks=None))
