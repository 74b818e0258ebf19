"""Dropout in training: Keras computes with the masks that it draws, and with those of a problem."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from _support.frameworks import keras  # noqa: F401 - a fixture
from _support.random_problems import (
    BOTH,
    EXACT,
    KINDS,
    MASK,
    SHAPE,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
    with_dropout,
)

from rnnparity import assert_parity
from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.problem.answer_types import TrainingStep
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import compute
from rnnparity.reference.gradients import compute_gradients
from rnnparity.session.ask import run
from rnnparity.session.outcome import ask_in_this_process
from rnnparity.subjects import make_subject

PATHS = (
    "keras",
    "keras:implementation1",
    *(pytest.param(f"keras:{path}", marks=pytest.mark.slow) for path in ("unroll", "graph", "xla")),
)
SPECS = {
    **{kind: spec_of(kind, **EXACT, **BOTH) for kind in KINDS},
    "backwards": spec_of("lstm", **EXACT, return_sequences=True, go_backwards=True),
    "two ways": two_ways(spec_of("lstm", **EXACT, **BOTH), merge_mode="mul"),
    "stack": stack_of(
        spec_of("lstm", 3, **EXACT, return_sequences=True), two_ways(spec_of("gru", 2, **EXACT))
    ),
    "stateful": spec_of("gru", **EXACT, **BOTH, stateful=True),
}
DRAWN = {
    "inputs": {"dropout": 0.5},
    "recurrent": {"recurrent_dropout": 0.4},
    "both": {"dropout": 0.3, "recurrent_dropout": 0.2},
    "each gate": {"dropout": 0.3, "implementation": 1, "use_cudnn": False},
}


def problem_of(name, *masks, shared, **options):
    calls = [4, 2] if name == "stateful" else None
    problem = random_problem(SPECS[name], 0, SHAPE, calls=calls, **options)
    return with_dropout(problem, *masks, shared=shared)


@pytest.fixture(scope="module", params=PATHS)
def subject(request):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    return make_subject(request.param)


def assert_exact(actual, expected):
    for tensor, right in zip(actual, expected, strict=True):
        np.testing.assert_allclose(tensor.data, right.data, atol=1e-13, strict=True)


def ask(subject, problem):
    outcome = ask_in_this_process(subject, problem)
    if outcome.unsupported:
        pytest.skip(outcome.unsupported)
    assert not outcome.error, outcome.error
    return outcome.answer


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("name", SPECS)
def test_keras_computes_with_the_masks_of_a_problem(subject, name, shared):
    # Keras warns where a Sequential gets a mask, and unrolls a mask wrongly (known differences).
    mask = None if name == "stack" or (name == "two ways" and subject.path == "unroll") else MASK
    problem = problem_of(name, shared=shared, mask=mask)
    assert_exact(ask(subject, problem).outputs, compute(problem))
    if name != "stateful":
        problem = with_cotangents(problem)
        assert_exact(ask(subject, problem).gradients, compute_gradients(problem))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("mask", ["inputs", "recurrent"])
@pytest.mark.parametrize("name", ["simple_rnn", "gru_before", "two ways"])
def test_one_of_the_masks_is_enough(subject, name, mask, shared):
    problem = problem_of(name, mask, shared=shared)
    assert_exact(ask(subject, problem).outputs, compute(problem))
    other = with_dropout(problem, mask, seed=1)  # one layer after another, of one configuration
    assert_exact(ask(subject, other).outputs, compute(other))
    plain = replace(problem, dropout_masks=None)
    assert_exact(ask(subject, plain).outputs, compute(plain))


@pytest.mark.parametrize("drawn", DRAWN)
@pytest.mark.parametrize("kind", KINDS)
def test_keras_draws_masks_of_these_shapes(keras, kind, drawn):  # noqa: F811 - the fixture
    """The outputs of a layer in training are those of the masks that it has drawn."""
    spec = spec_of(kind, 5, **BOTH)
    options = {**spec["config"], **DRAWN[drawn]}
    if kind == "simple_rnn" and "implementation" in options:
        pytest.skip("SimpleRNN has no argument implementation")
    layer = getattr(keras.layers, spec["class_name"])(**options, bias_initializer="random_normal")
    x = random_problem(spec).inputs.data
    layer.build(x.shape)
    masks = recorded_masks(layer)
    outputs = [np.asarray(output) for output in layer(x, training=True)]
    problem = Problem.from_keras(layer, x)
    gates = len(problem.layer.cell.gates)
    by_gate = kind != "simple_rnn" and drawn != "inputs"
    assert {len(mask.data) for mask in masks} == {gates if by_gate else 1}
    assert_parity(outputs, replace(problem, dropout_masks=tuple(masks)))
    with pytest.raises(AssertionError):
        assert_parity(outputs, problem)


def recorded_masks(layer):
    """A list that is filled with the masks which a call of the layer has used."""
    masks, cell, reset = [], layer.cell, layer.cell.reset_dropout_mask

    def keep():
        kept = (("inputs", cell._dropout_mask), ("recurrent", cell._recurrent_dropout_mask))
        for name, mask in kept:
            if mask is not None:
                parts = mask if isinstance(mask, list) else [mask]
                masks.append(Tensor(name, np.stack([np.asarray(part) for part in parts])))
        reset()

    cell.reset_dropout_mask = keep
    return masks


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_keras_raises_for_a_mask_a_gate_on_the_way_to_cudnn(keras, name):  # noqa: F811
    """A finding: implementation=1 with dropout cannot be trained with the default use_cudnn."""
    layer = getattr(keras.layers, name)(5, dropout=0.5, implementation=1)
    with pytest.raises(Exception, match="Rank of input"):
        layer(np.ones((2, 3, 4), np.float32), training=True)
    layer(np.ones((2, 3, 4), np.float32))


@pytest.mark.parametrize("name", ["keras:predict", "keras:reloaded", "torch", "tf-keras"])
def test_others_do_not_support_them(name):
    package = {"torch": "torch", "tf-keras": "tf_keras"}.get(name, "tensorflow")
    pytest.importorskip(package)
    outcome = ask_in_this_process(make_subject(name), problem_of("lstm", shared=True))
    reasons = ("it takes no dropout masks", "this path does not run in training")
    assert outcome.unsupported in reasons


def test_a_program_is_not_sent_what_it_may_not_know():
    """`false` would exit at once."""
    problem = random_problem(SPECS["lstm"])
    step = TrainingStep(1.0, tuple(compute(problem)))
    with closing(make_subject("cmd:false")) as subject:
        outcome = ask_in_this_process(subject, with_dropout(problem))
        assert outcome.unsupported == "it takes no dropout masks"
        outcome = ask_in_this_process(subject, replace(problem, training_step=step))
        assert outcome.unsupported == "it does no training steps"


def test_a_function_gets_them_if_it_says_so():
    problem = problem_of("gru", shared=True)

    def with_masks(problem):
        return [tensor.data for tensor in compute(problem)]

    with pytest.raises(RequestError, match="it takes no dropout masks"):
        run(problem, with_masks)
    with_masks.takes_dropout_masks = True
    assert_exact(run(problem, with_masks).outputs, compute(problem))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["keras-jax", "keras-jax:jit", "keras-torch"])
@pytest.mark.parametrize("shared", [True, False])
def test_other_backends_compute_the_same(name, shared):
    pytest.importorskip("jax" if "jax" in name else "torch")
    gru = spec_of("gru_before", return_sequences=True)
    for spec in (spec_of("lstm", **BOTH), two_ways(gru), stack_of(gru, spec_of("simple_rnn"))):
        problem = with_dropout(random_problem(spec, 0, SHAPE), shared=shared)
        assert_parity(name, problem, gradients=True)
