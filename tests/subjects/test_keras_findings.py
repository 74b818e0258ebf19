"""Where tf.keras (3.15.1 on TensorFlow 2.21) contradicts its own documentation, one test a finding.

Each test asserts the wrong behaviour, so it fails once Keras is fixed; another test checks that
the quotations are still in the documentation. A finding that is fixed is removed here and from
fixtures/known_differences.toml. The body of a test is the whole reproduction in at most 15 lines,
with `keras` and the imports below; the weights are Keras' own random ones, since the findings hold
for any weights.

A: values, B: shapes and types, C: errors, D: configurations.
"""

import ast
import inspect
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest

LONGEST_BODY = 15

every_layer = pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU"])


@pytest.fixture(scope="module")
def keras():
    """Import Keras here, so that collecting the tests does not load TensorFlow."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    return keras


@pytest.fixture(autouse=True)
def same_random_weights(request):
    """Seed Keras, so that a failure can be repeated."""
    if "keras" in request.fixturenames:
        request.getfixturevalue("keras").utils.set_random_seed(0)


# A: values


@pytest.mark.parametrize(("name", "states"), [("SimpleRNN", 1), ("LSTM", 2), ("GRU", 1)])
def test_the_mask_of_the_inputs_is_dropped_if_there_is_an_initial_state(keras, name, states):
    """A1. Masking: the step "will be masked (skipped) in all downstream layers (as long as they
    support masking)".

    Trigger: the mask comes from Masking, Embedding or the layer before, not as `mask=`, and
    `initial_state` is given.
    """
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    x[:, 3:] = 0
    masked_x = keras.layers.Masking()(x)
    state = [np.full((2, 4), 0.5, "float32")] * states
    layer = getattr(keras.layers, name)(4)
    actual = layer(masked_x, initial_state=state)
    without_mask = layer(x, initial_state=state)
    documented = layer(x, initial_state=state, mask=np.any(x != 0, axis=-1))
    assert np.allclose(actual, without_mask, atol=1e-6)
    assert not np.allclose(actual, documented, atol=1e-2)


@every_layer
def test_unrolled_outputs_are_zeroed_by_a_mask_that_is_not_reversed(keras, name):
    """A2. RNN, zero_output_for_mask: "Whether the output should use zeros for the masked
    timesteps".

    Trigger: unroll, go_backwards, return_sequences, zero_output_for_mask and a mask that is not its
    own mirror image.
    """
    x = np.random.default_rng(0).normal(size=(1, 4, 3)).astype("float32")
    mask = np.array([[True, False, True, True]])
    options = {"go_backwards": True, "return_sequences": True, "zero_output_for_mask": True}
    for unroll, steps_shown in ((False, mask[:, ::-1]), (True, mask)):
        layer = getattr(keras.layers, name)(2, unroll=unroll, **options)
        output = np.array(layer(x, mask=mask))
        assert np.array_equal(np.any(output != 0, axis=-1), steps_shown)


@every_layer
def test_the_backward_half_of_an_unrolled_bidirectional_is_zeroed_at_the_wrong_steps(keras, name):
    """A2. Bidirectional, layer: "When return_sequences is True, the output of the masked timestep
    will be zero".

    Trigger: unroll, return_sequences and a mask that is not its own mirror image.
    """
    x = np.random.default_rng(0).normal(size=(1, 4, 3)).astype("float32")
    mask = np.array([[True, False, True, True]])
    half = getattr(keras.layers, name)(2, return_sequences=True, unroll=True)
    forward, backward = keras.layers.Bidirectional(half, merge_mode=None)(x, mask=mask)
    assert np.array_equal(np.any(np.array(forward) != 0, axis=-1), mask)
    assert np.array_equal(np.any(np.array(backward) != 0, axis=-1), mask[:, ::-1])


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("unroll", [False, True])
@every_layer
def test_zero_output_for_mask_zeroes_the_last_output_without_return_sequences(
    keras, name, unroll, go_backwards
):
    """A3. RNN, zero_output_for_mask: "only used when return_sequences is True and mask is
    provided".

    Trigger: return_sequences=False and a mask that hides the step processed last. Known, there for
    go_backwards only: https://github.com/keras-team/keras/issues/17596
    """
    x = np.random.default_rng(0).normal(size=(1, 4, 3)).astype("float32")
    mask = np.array([[not go_backwards, True, True, go_backwards]])
    options = {"unroll": unroll, "go_backwards": go_backwards, "return_state": True}
    layer = getattr(keras.layers, name)(2, zero_output_for_mask=True, **options)
    output, h = layer(x, mask=mask)[:2]
    assert np.all(np.array(h) != 0)
    assert np.all(np.array(output) == 0)


def test_unit_forget_bias_does_not_set_the_other_biases_to_zero(keras):
    """A4. LSTM, unit_forget_bias: setting it to True "will also force bias_initializer" to be
    zeros.

    Trigger: unit_forget_bias=True, the default, and any other bias_initializer.
    """
    layer = keras.layers.LSTM(2, bias_initializer=keras.initializers.Constant(0.5))
    layer.build((None, 4, 3))
    assert layer.unit_forget_bias
    assert layer.get_weights()[2].tolist() == [
        0.5,
        0.5,
        1,
        1,
        0.5,
        0.5,
        0.5,
        0.5,
    ]  # documented: 0 0 1 1 0 0 0 0


def test_gelu_in_float64_has_the_precision_of_float32(keras):
    """A5. gelu: "gelu(x) = 0.5 * x * (1 + erf(x / sqrt(2)))".

    Trigger: float64; the square root of one half is rounded to float32.
    """
    x = -1.47
    actual = float(keras.activations.gelu(keras.ops.convert_to_tensor(x, "float64")))
    documented = 0.5 * x * (1 + math.erf(x / math.sqrt(2)))
    root_of_half = float(np.float32(math.sqrt(0.5)))
    assert 1e-9 < abs(actual - documented) < 1e-8
    assert actual == pytest.approx(0.5 * x * math.erfc(-x * root_of_half), rel=1e-14)


def test_leaky_relu_in_float64_has_a_slope_rounded_to_float32(keras):
    """A5. leaky_relu, negative_slope=0.2: "A float that controls the slope for values lower than
    the threshold".

    Trigger: float64.
    """
    actual = float(keras.activations.leaky_relu(keras.ops.convert_to_tensor(-1.0, "float64")))
    assert actual == -float(np.float32(0.2))
    assert 1e-9 < abs(actual + 0.2) < 1e-8


def test_a_built_backward_layer_keeps_its_weights_in_a_bidirectional(keras):
    """A6. Bidirectional: it "will not reuse the weights state of the RNN layer instance", but have
    "freshly initialized weights".

    Trigger: backward_layer is given and built.
    """
    backward = keras.layers.GRU(2, go_backwards=True)
    backward.build((None, 4, 3))
    weights = backward.get_weights()
    both = keras.layers.Bidirectional(keras.layers.GRU(2), backward_layer=backward)
    both.build((None, 4, 3))
    assert both.backward_layer is backward
    assert all(
        np.array_equal(was, now) for was, now in zip(weights, both.get_weights()[3:], strict=True)
    )


def test_a_bidirectional_changes_its_backward_layer_in_place(keras):
    """A6. Bidirectional, backward_layer: an "instance to be used to handle backwards input
    processing"; a change of its own outputs is not documented.

    Trigger: backward_layer is used on its own too, with a mask.
    """
    x = np.random.default_rng(0).normal(size=(1, 4, 3)).astype("float32")
    mask = np.array([[True, False, True, True]])
    backward = keras.layers.GRU(2, go_backwards=True, return_sequences=True)
    before = np.array(backward(x, mask=mask))
    keras.layers.Bidirectional(keras.layers.GRU(2, return_sequences=True), backward_layer=backward)
    after = np.array(backward(x, mask=mask))
    assert backward.zero_output_for_mask
    assert np.all(before[0, 2] != 0)
    assert np.all(after[0, 2] == 0)


@pytest.mark.parametrize("name", ["SimpleRNN", "GRU"])
def test_a_mask_in_its_documented_position_is_used_as_the_initial_state(keras, name):
    """A7. SimpleRNN and GRU, call arguments: the sequence, then `mask`, `training`,
    `initial_state`.

    Trigger: `layer(x, mask)` with as many steps as units; else the shapes clash, and an LSTM raises
    IndexError.
    """
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    mask = np.array([[True, True, True, False], [True, True, False, False]])
    layer = getattr(keras.layers, name)(4)
    actual = layer(x, mask)
    assert np.allclose(actual, layer(x, initial_state=[mask.astype("float32")]), atol=1e-6)
    assert not np.allclose(actual, layer(x, mask=mask), atol=1e-2)


# B: shapes and types


@pytest.mark.parametrize(
    ("merge_mode", "inferred", "documented"),
    [("concat", [(2, 4)], [(2, 5)]), (None, [(2, 2), (2, 2)], [(2, 2), (2, 3)])],
)
def test_bidirectional_infers_the_shape_of_both_halves_from_the_forward_one(
    keras, merge_mode, inferred, documented
):
    """B1. Bidirectional, backward_layer: "the same values for stateful, return_states,
    return_sequences, etc.", none of which says how many units.

    Trigger: halves of different units. Known: https://github.com/keras-team/keras/issues/23688
    """
    halves = {
        "layer": keras.layers.LSTM(2),
        "backward_layer": keras.layers.LSTM(3, go_backwards=True),
    }
    layer = keras.layers.Bidirectional(merge_mode=merge_mode, **halves)
    symbolic = keras.tree.flatten(layer(keras.Input((4, 3), batch_size=2)))
    real = keras.tree.flatten(layer(np.ones((2, 4, 3), "float32")))
    assert [tuple(output.shape) for output in symbolic] == inferred
    assert [tuple(output.shape) for output in real] == documented


def test_no_dense_layer_can_follow_halves_of_different_units(keras):
    """B1. Bidirectional, backward_layer: "the same values for stateful, return_states,
    return_sequences, etc.", none of which says how many units.

    Trigger: a layer with weights after them. Known:
    https://github.com/keras-team/keras/issues/23688
    """
    halves = {
        "layer": keras.layers.LSTM(2),
        "backward_layer": keras.layers.LSTM(3, go_backwards=True),
    }
    model = keras.Sequential(
        [keras.Input((4, 3)), keras.layers.Bidirectional(**halves), keras.layers.Dense(1)]
    )
    with pytest.raises(
        ValueError, match=r"expected axis -1 of input shape to have value 4, .* shape \(2, 5\)"
    ):
        model(np.ones((2, 4, 3), "float32"))


def test_a_model_of_gru_and_lstm_halves_loses_the_last_state(keras):
    """B2. RNN, output shape: with return_state "the remaining tensors are the last states", here h,
    then h and c.

    Trigger: a Functional model, return_state, and a backward half with more states than the forward
    one.
    """
    x = np.ones((2, 4, 3), "float32")
    forward = keras.layers.GRU(2, return_state=True)
    backward = keras.layers.LSTM(2, return_state=True, go_backwards=True)
    layer = keras.layers.Bidirectional(forward, backward_layer=backward)
    inputs = keras.Input((4, 3))
    assert len(layer(x)) == 4
    assert len(keras.Model(inputs, layer(inputs))(x)) == 3


def test_a_model_of_lstm_and_gru_halves_expects_a_state_too_many(keras):
    """B2. RNN, output shape: with return_state "the remaining tensors are the last states", here h
    and c, then h.

    Trigger: a Functional model, return_state, and a backward half with fewer states than the
    forward one.
    """
    x = np.ones((2, 4, 3), "float32")
    forward = keras.layers.LSTM(2, return_state=True)
    backward = keras.layers.GRU(2, return_state=True, go_backwards=True)
    layer = keras.layers.Bidirectional(forward, backward_layer=backward)
    inputs = keras.Input((4, 3))
    model = keras.Model(inputs, layer(inputs))
    assert len(layer(x)) == 4
    assert len(model.outputs) == 5
    with pytest.raises(ValueError, match="Output with path `4` is not connected to `inputs`"):
        model(x)


def test_three_initial_states_are_split_so_that_an_lstm_gets_one(keras):
    """B2. Bidirectional, call arguments: "the first half in the list" to forward, "the last half"
    to backward; three states have no half, and a single one starts no LSTM.

    Trigger: initial_state for an LSTM forward and a GRU or SimpleRNN backward.
    """
    x = np.ones((2, 4, 3), "float32")
    backward = keras.layers.GRU(2, go_backwards=True)
    layer = keras.layers.Bidirectional(keras.layers.LSTM(2), backward_layer=backward)
    with pytest.raises(IndexError, match="list index out of range"):
        layer(x, initial_state=[np.zeros((2, 2), "float32")] * 3)


def test_outputs_that_are_documented_as_a_list_are_a_tuple(keras):
    """B3. Bidirectional, merge_mode None: "they will be returned as a list"; RNN, return_state: "a
    list of tensors".

    Trigger: either of the two.
    """
    x = np.ones((2, 4, 3), "float32")
    assert type(keras.layers.Bidirectional(keras.layers.GRU(2), merge_mode=None)(x)) is tuple
    assert type(keras.layers.GRU(2, return_state=True)(x)) is tuple


# C: errors


@pytest.mark.parametrize("merge_mode", ["concat", None])
@every_layer
def test_a_stateful_bidirectional_with_return_state_cannot_be_called(keras, name, merge_mode):
    """C1. Bidirectional, layer: "return_state attribute (with the same semantics as for the RNN
    class)".

    Trigger: both flags, with or without a mask. `layer.call` works; compute_mask multiplies a
    generator.
    """
    x = keras.ops.ones((2, 4, 3))
    half = getattr(keras.layers, name)(2, stateful=True, return_state=True)
    layer = keras.layers.Bidirectional(half, merge_mode=merge_mode)
    with pytest.raises(TypeError, match="'generator' and 'int'"):
        layer(x)
    assert len(layer.call(x)) == (2 if merge_mode is None else 1) + (4 if name == "LSTM" else 2)


def test_a_model_has_no_reset_state(keras):
    """C2. RNN, statefulness: "call .reset_state() on either a specific layer, or on your entire
    model".

    Trigger: any model.
    """
    model = keras.Sequential(
        [keras.Input((4, 3), batch_size=2), keras.layers.GRU(2, stateful=True)]
    )
    model.layers[0].reset_state()
    with pytest.raises(AttributeError, match="no attribute 'reset_state'"):
        model.reset_state()


@every_layer
def test_reset_state_takes_no_states(keras, name):
    """C2. RNN, initial state: set it numerically by "calling reset_state() with the keyword
    argument states".

    Trigger: any stateful layer.
    """
    layer = getattr(keras.layers, name)(2, stateful=True)
    layer.build((2, 4, 3))
    with pytest.raises(TypeError, match="unexpected keyword argument 'states'"):
        layer.reset_state(states=[np.ones((2, 2), "float32")])


@pytest.mark.parametrize(
    ("name", "argument"), [("LSTM", "inputs"), ("GRU", "inputs"), ("SimpleRNN", "sequence")]
)
def test_the_documented_name_of_the_call_argument_is_not_accepted(keras, name, argument):
    """C3. LSTM and GRU, call arguments: "inputs: A 3D tensor"; SimpleRNN: "sequence: A 3D tensor".

    Trigger: the argument by that name; the code's is `sequences`.
    """
    layer = getattr(keras.layers, name)(2)
    with pytest.raises(TypeError, match="missing a required argument: 'sequences'"):
        layer(**{argument: np.ones((2, 4, 3), "float32")})


def test_the_example_of_lstm_cell_unpacks_two_of_three_values(keras):
    """C4. LSTMCell, example: "whole_sequence_output, final_state = rnn(inputs)".

    Trigger: the example, unchanged.
    """
    inputs = np.random.default_rng(0).random((32, 10, 8), "float32")
    rnn = keras.layers.RNN(keras.layers.LSTMCell(4), return_sequences=True, return_state=True)
    with pytest.raises(ValueError, match="too many values to unpack"):
        _whole_sequence_output, _final_state = rnn(inputs)


@every_layer
def test_bfloat16_weights_cannot_be_built_with_the_default_initializers(keras, name):
    """C5. Layer, dtype: "The dtype of the layer's computations and weights".

    Trigger: dtype="bfloat16" and recurrent_initializer="orthogonal", the default, whose Qr does not
    take bfloat16.
    """
    import tensorflow as tf

    layer = getattr(keras.layers, name)
    layer(2, dtype="bfloat16", recurrent_initializer="glorot_uniform").build((None, 4, 3))
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"bfloat16 is not in the list of allowed values(.|\n)*Qr",
    ):
        layer(2, dtype="bfloat16").build((None, 4, 3))


# D: configurations


def test_simple_rnn_ignores_activity_regularizer(keras):
    """D1. SimpleRNN, activity_regularizer: "Regularizer function applied to the output of the
    layer".

    Trigger: SimpleRNN; an LSTM and a GRU apply it.
    """
    for name, losses in (("SimpleRNN", 0), ("LSTM", 1), ("GRU", 1)):
        layer = getattr(keras.layers, name)(2, activity_regularizer=keras.regularizers.L2(1.0))
        layer(np.ones((2, 4, 3), "float32"))
        assert len(layer.losses) == losses
        assert (layer.get_config()["activity_regularizer"] is None) == (losses == 0)


def test_seed_is_missing_in_the_config_of_simple_rnn(keras):
    """D2. Layer, get_config: "containing the information needed to re-instantiate it".

    Trigger: SimpleRNN with a seed for its dropout; an LSTM and a GRU keep theirs.
    """
    assert "seed" not in keras.layers.SimpleRNN(2, dropout=0.5, seed=3).get_config()
    assert keras.layers.LSTM(2, dropout=0.5, seed=3).get_config()["seed"] == 3
    assert keras.layers.GRU(2, dropout=0.5, seed=3).get_config()["seed"] == 3


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
@pytest.mark.parametrize("use_cudnn", [True, False])
def test_use_cudnn_is_missing_in_the_config(keras, name, use_cudnn):
    """D3. Layer, get_config: "containing the information needed to re-instantiate it".

    Trigger: use_cudnn set to True or False, then from_config, clone_model or saving and loading.
    """
    layer = getattr(keras.layers, name)(2, use_cudnn=use_cudnn)
    assert layer.use_cudnn is use_cudnn
    assert type(layer).from_config(layer.get_config()).use_cudnn == "auto"


# The tests themselves


def body_length(function):
    """The number of lines of a function below its docstring, with blank ones and comments."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1


def all_tests():
    nodes = ast.parse(Path(__file__).read_text("utf-8")).body
    return [
        node
        for node in nodes
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def in_one_line(text):
    """Text without line breaks, backquotes and capitals, to search quotations in."""
    return " ".join(text.replace("`", "").split()).casefold()


def documentation_of(keras):
    layers, activations = keras.layers, keras.activations
    sources = [layers.Masking, layers.RNN, layers.SimpleRNN, layers.LSTM, layers.LSTMCell]
    sources += [layers.GRU, layers.Bidirectional, layers.Layer, layers.Layer.get_config]
    sources += [activations.gelu, activations.leaky_relu]
    return "\n".join(in_one_line(inspect.getdoc(source)) for source in sources)


def test_the_documentation_still_contains_the_quotations(keras):
    documentation = documentation_of(keras)
    docstrings = [ast.get_docstring(function) or "" for function in all_tests()]
    findings = [text.split("\n\n")[0] for text in docstrings if re.match(r"[A-D]\d\. ", text)]
    quotations = {text: re.findall('"([^"]+)"', text) for text in findings}
    # A7 is about the order of arguments, which is no sentence.
    assert {text[:2] for text in findings if not quotations[text]} == {"A7"}
    flat = [quotation for text in findings for quotation in quotations[text]]
    assert [text for text in flat if in_one_line(text) not in documentation] == []


def test_every_reproduction_is_short():
    lengths = {function.name: body_length(function) for function in all_tests()}
    assert lengths
    assert {name: length for name, length in lengths.items() if length > LONGEST_BODY} == {}


def test_a_long_body_is_detected():
    lines = ["    x = 1"] * LONGEST_BODY
    longest, too_long = ast.parse(
        "\n".join(["def f():", "    '''Word.'''", *lines, "def g():", *lines, "    x = 2"])
    ).body
    assert body_length(longest) == LONGEST_BODY
    assert body_length(too_long) == LONGEST_BODY + 1
