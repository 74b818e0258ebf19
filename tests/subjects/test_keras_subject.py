"""The subject keras and its paths, and problems made of live layers."""

import itertools
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import BOTH, MASK, SHAPE, random_problem, spec_of, stack_of, two_ways

from rnnparity import Problem, assert_parity
from rnnparity.catalogue import catalogue
from rnnparity.catalogue.cross import WEIGHTS
from rnnparity.problem.keras_config import layer_spec
from rnnparity.problem.problem import Tensor
from rnnparity.problem.verdicts import DifferenceType, Verdict
from rnnparity.subjects import make_subject, registered_names
from rnnparity.verdict.judge import judge

# Keras saves its variables through an __array__ of NumPy 1's form.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

PATHS = [name for name in registered_names() if name.startswith("keras:")]


@pytest.fixture(scope="module")
def eager():
    return make_subject("keras")


@pytest.fixture(scope="module")
def keras(eager):
    return eager.keras


@pytest.mark.parametrize(
    "case", ["lstm-spread-sequences-state", "gru-spread-sequences-state", "simple_rnn-spread-last"]
)
def test_constant_initializers_and_set_weights_give_the_same_outputs(eager, keras, case):
    problem = catalogue()[case]
    arrays = [tensor.data for tensor in problem.weights]
    config = layer_spec(problem.layer)["config"]
    make = getattr(keras.layers, problem.layer.class_name)
    constants = dict(
        zip(
            ("kernel_initializer", "recurrent_initializer", "bias_initializer"),
            map(keras.initializers.Constant, arrays),
            strict=True,
        )
    )
    if problem.layer.class_name == "LSTM":
        constants["unit_forget_bias"] = False
    by_constant, by_set_weights = make(**config, **constants), make(**config)
    for layer in (by_constant, by_set_weights):
        layer.build(problem.inputs.shape)
    by_set_weights.set_weights(arrays)
    one, other = (
        np.asarray(keras.tree.flatten(layer(problem.inputs.data))[0])
        for layer in (by_constant, by_set_weights)
    )
    assert np.array_equal(one, other)
    assert_parity(lambda _: keras.tree.flatten(by_constant(problem.inputs.data)), problem)


def test_both_halves_have_equal_weights_only_if_these_are_constant():
    constant, spread = (
        catalogue()[f"bi_lstm-{weights}-sum-sequences"] for weights in WEIGHTS[::-1]
    )
    forward, backward = (
        [t.data for t in constant.weights[half]] for half in (slice(0, 3), slice(3, 6))
    )
    assert all(np.array_equal(a, b) for a, b in zip(forward, backward, strict=True))
    forward, backward = (
        [t.data for t in spread.weights[half]] for half in (slice(0, 3), slice(3, 6))
    )
    assert not any(np.array_equal(a, b) for a, b in zip(forward, backward, strict=True))


@pytest.mark.parametrize("path", PATHS)
def test_every_path_computes_a_masked_bidirectional_lstm(path):
    problem = catalogue()["bi_lstm-spread-concat-last-mask_interior-initial"]
    assert judge(problem, make_subject(path).answer(problem)).verdict is Verdict.AGREES


@pytest.mark.parametrize("path", [path for path in PATHS if path != "keras:predict"])
def test_each_path_sets_its_own_option(path):
    subject = make_subject(path)
    problem = catalogue()["bi_lstm-spread-concat-last"]
    subject.answer(problem)
    (model,) = subject.models.values()
    halves = (model.forward_layer, model.backward_layer)
    assert all(half.unroll is (path == "keras:unroll") for half in halves)
    assert all(
        half.cell.implementation == (1 if path == "keras:implementation1" else 2) for half in halves
    )
    for function in subject.compiled.values():
        assert function._jit_compile is (path == "keras:xla")
    assert bool(subject.compiled) is (path in ("keras:graph", "keras:xla"))


S = {"return_sequences": True}
MIXED_TYPES = {
    "layer": spec_of("lstm", dtype="float64", **BOTH),
    "stack": stack_of(
        spec_of("simple_rnn", dtype="float64", **S), spec_of("simple_rnn", dtype="float64")
    ),
    "stack of two types": stack_of(
        spec_of("gru", dtype="mixed_float16", **S), spec_of("lstm", dtype="float64")
    ),
    "Bidirectional below": stack_of(
        two_ways(spec_of("gru", dtype="float64", **S), merge_mode="sum"),
        spec_of("lstm", dtype="float64"),
    ),
    "float32 around float64": {
        "class_name": "Bidirectional",
        "config": {"layer": spec_of("lstm", dtype="float64", **BOTH), "dtype": "float32"},
    },
}


@pytest.mark.parametrize("name", ["keras", "keras:predict", "keras:reloaded", "tf-keras"])
@pytest.mark.parametrize("layer", MIXED_TYPES)
# Keras warns so of a Sequential, which passes the mask on nevertheless.
@pytest.mark.filterwarnings("ignore:Layer .* does not support masking")
def test_inputs_and_states_keep_their_digits_up_to_the_layer(name, layer):
    if name == "tf-keras":
        pytest.importorskip("tf_keras", reason="Keras 2 is not installed: pip install tf-keras")
    subject = make_subject(name)
    rng = np.random.default_rng(3)
    every = list(itertools.product((None, MASK), (False, True)))
    # Where each is compiled or saved, all at once.
    for mask, initial in every if name in ("keras", "tf-keras") else every[-1:]:
        problem = random_problem(MIXED_TYPES[layer], 1, SHAPE, mask=mask, initial=initial)
        # None of these is a float32 number.
        inputs = Tensor("inputs", rng.standard_normal(SHAPE))
        states = [Tensor(t.name, rng.standard_normal(t.shape)) for t in problem.initial_state or ()]
        problem = replace(problem, inputs=inputs, initial_state=tuple(states) or None)
        result = judge(problem, subject.answer(problem))
        types = {difference.type for difference in result.differences}
        # Keras 2 returns the type of the inner layer: `keras2-bidirectional-keeps-the-inner-type`.
        is_known = (name, layer) == ("tf-keras", "float32 around float64")
        assert types == ({DifferenceType.DTYPE} if is_known else set()), (mask, initial, result)
        assert is_known or result.verdict is Verdict.AGREES


def test_a_stack_in_float64_agrees_on_a_tenth(eager):
    problem = random_problem(MIXED_TYPES["stack"], 1, (2, 4, 3))
    problem = replace(problem, inputs=Tensor("inputs", np.full((2, 4, 3), 0.1)))
    assert judge(problem, eager.answer(problem)).verdict is Verdict.AGREES


def layers_of(keras):
    layers = keras.layers
    both = {"return_sequences": True, "return_state": True}
    yield "lstm", layers.LSTM(3, **both)
    yield "gru", layers.GRU(4, reset_after=False, dropout=0.0)
    yield "rnn", layers.SimpleRNN(5, activation="relu", unroll=True)
    yield "bidirectional", layers.Bidirectional(layers.GRU(3, **both), merge_mode=None)
    yield "mixed", layers.SimpleRNN(3, dtype="mixed_float16", **both)
    yield (
        "halves",
        layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(2, go_backwards=True)),
    )
    yield (
        "stack",
        keras.Sequential(
            [layers.LSTM(3, return_sequences=True), layers.Bidirectional(layers.GRU(2))]
        ),
    )


@pytest.mark.parametrize(
    "name", ["lstm", "gru", "rnn", "bidirectional", "mixed", "halves", "stack"]
)
# Keras warns so of a Sequential, which passes the mask on nevertheless.
@pytest.mark.filterwarnings("ignore:Layer .* does not support masking")
def test_from_keras_reads_a_live_layer(keras, name):
    keras.utils.set_random_seed(3)
    layer = dict(layers_of(keras))[name]
    inputs = np.random.default_rng(1).normal(size=(2, 6, 4)).astype(np.float32)
    mask = np.array([[1, 1, 0, 1, 1, 0], [0, 1, 1, 1, 1, 1]], bool)
    outputs = keras.tree.flatten(layer(inputs, mask=mask))
    problem = Problem.from_keras(layer, inputs, mask)
    assert_parity([np.asarray(output) for output in outputs], problem)
    with pytest.raises(AssertionError, match="values differ"):
        assert_parity([np.asarray(output) + 0.01 for output in outputs], problem)


@pytest.mark.parametrize("framework", ["keras", "tf_keras"])
def test_from_keras_takes_the_mask_that_comes_with_the_inputs(framework):
    keras = pytest.importorskip(framework)
    inputs = np.random.default_rng(1).normal(size=(3, 5, 4)).astype(np.float32)
    inputs[0, 3:] = inputs[1, :2] = inputs[2] = 0
    layer = keras.layers.GRU(3, return_sequences=True)
    masked = keras.layers.Masking()(inputs)
    outputs = np.asarray(layer(masked))
    problem = Problem.from_keras(layer, masked)
    assert np.array_equal(problem.mask, inputs.any(axis=-1))
    assert_parity(outputs, problem)
    # An argument counts more, and NumPy's arrays have no mask.
    given = np.ones((3, 5), bool)
    assert np.array_equal(Problem.from_keras(layer, masked, given).mask, given)
    assert Problem.from_keras(layer, inputs).mask is None


def test_from_keras_takes_the_mask_of_a_tensor_without_attributes(keras):
    """Keras keeps it elsewhere, as for every tensor of JAX."""
    layer = keras.layers.SimpleRNN(2)
    inputs = np.ones((2, 3, 4), np.float32)
    layer(inputs)
    mask = np.array([[True, False, True], [True, True, False]])
    keras.src.backend.set_keras_mask(inputs, mask)
    assert np.array_equal(Problem.from_keras(layer, inputs).mask, mask)


def test_from_keras_accepts_dropout_which_does_nothing_at_inference(keras):
    layer = keras.layers.Bidirectional(keras.layers.LSTM(3, dropout=0.2, recurrent_dropout=0.3))
    inputs = np.random.default_rng(1).normal(size=(2, 4, 3)).astype(np.float32)
    outputs = np.asarray(layer(inputs))
    assert_parity(outputs, Problem.from_keras(layer, inputs))


def test_from_keras_takes_initial_states(keras):
    layer = keras.layers.LSTM(3, return_state=True)
    inputs, states = (
        np.ones((2, 4, 5), np.float32),
        [np.full((2, 3), 0.5, np.float32), np.full((2, 3), -0.5, np.float32)],
    )
    outputs = layer(inputs, initial_state=states)
    assert_parity(
        [np.asarray(output) for output in outputs],
        Problem.from_keras(layer, inputs, initial_state=states),
    )


def test_reused_layers_keep_memory_flat(eager):
    problems = [case for case in catalogue().values() if case.id.startswith("simple_rnn-spread")][
        :20
    ]
    for _ in range(2):
        for problem in problems:
            eager.answer(problem)
    tracemalloc.start()
    try:
        for problem in problems:
            eager.answer(problem)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept / len(problems) < 20_000
