"""Calls of the recurrent layers of live models: each kind of model, recorded and judged."""

import numpy as np
import pytest
from _support.frameworks import keras

from rnnparity import from_model
from rnnparity.models.calls import Note
from rnnparity.models.recording import NO_NUMBERS
from rnnparity.problem.errors import RequestError
from rnnparity.problem.layers import describe_layer
from rnnparity.problem.verdicts import Verdict

# Keras saves its variables through an __array__ of NumPy 1's form.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

__all__ = ["keras"]


@pytest.fixture(autouse=True)
def same_weights(keras):
    keras.utils.set_random_seed(1)


@pytest.fixture(scope="module")
def layers(keras):
    return keras.layers


@pytest.fixture(scope="module")
def ports(keras):
    from _support import keras_models

    return keras_models


FLOATS = np.random.default_rng(1).standard_normal((2, 5, 4)).astype("float32")


def agreeing(model, inputs=None):
    """The calls of a model, all of which must agree."""
    result = from_model(model, inputs)
    assert [(call.call.id, call.result.verdict, call.result.reason) for call in result.calls] == [
        (call.call.id, Verdict.AGREES, "") for call in result.calls
    ]
    assert result.status == 0
    assert result.first_difference is None
    return [compared.call for compared in result.calls]


def described(calls):
    return [(call.id, describe_layer(call.problem.layer)) for call in calls]


def test_layers_of_a_sequential_get_the_mask_of_an_embedding(keras, layers):
    model = keras.Sequential(
        [
            keras.Input((None,)),
            layers.Embedding(50, 4, mask_zero=True),
            layers.Bidirectional(layers.LSTM(5, return_sequences=True), name="both"),
            layers.GRU(6, dropout=0.5, name="gru"),
            layers.Dense(2),
        ]
    )
    both, gru = agreeing(model, np.array([[1, 2, 3], [4, 5, 0]]))
    assert described([both, gru]) == [
        ("both", "Bidirectional(LSTM(5, return_sequences=True))"),
        ("gru", "GRU(6)"),
    ]
    assert both.problem.mask.tolist() == [[True, True, True], [True, True, False]]
    assert gru.mask_shape == (2, 3)
    assert (gru.input_shape, gru.output_shape) == ((2, 3, 10), (2, 6))


def encoder_decoder(keras):
    layers = keras.layers
    source, target = keras.Input((None,), name="source"), keras.Input((None,), name="target")
    embedding = layers.Embedding(30, 4, mask_zero=True)
    _, *states = layers.LSTM(3, return_state=True, name="encoder")(embedding(source))
    decoder = layers.LSTM(3, return_sequences=True, name="decoder")
    outputs = decoder(embedding(target), initial_state=states)
    return keras.Model([source, target], layers.Dense(30)(outputs))


def test_decoder_gets_the_states_of_the_encoder_and_ignores_its_mask(keras):
    inputs = [np.array([[1, 2, 3, 0]]), np.array([[5, 6, 0]])]
    encoder, decoder = agreeing(encoder_decoder(keras), inputs)
    assert encoder.notes == ()
    assert decoder.notes == (Note.MASK_IGNORED,)
    assert decoder.problem.mask is None
    state = decoder.problem.initial_state[1].data
    assert np.array_equal(state, encoder.outputs[2].data)


def test_mask_that_is_passed_to_a_call_with_states_counts(keras, layers):
    x, h = keras.Input((5, 4)), keras.Input((3,))
    mask = keras.Input((5,), dtype="bool")
    outputs = layers.GRU(3)(x, initial_state=h, mask=mask)
    masks = np.array([[True, True, False, False, False], [True] * 5])
    model = keras.Model([x, h, mask], outputs)
    (call,) = agreeing(model, [FLOATS, np.ones((2, 3), "float32"), masks])
    assert (call.problem.mask.tolist(), call.notes) == (masks.tolist(), ())


def test_layers_of_nested_models_have_paths(keras, layers):
    inner = [keras.Input((None, 4)), layers.Masking(), layers.GRU(3, name="gru")]
    outer = keras.Sequential(
        [keras.Input((None, 4)), keras.Sequential(inner, name="inner")], name="outer"
    )
    model = keras.Sequential([keras.Input((None, 4)), outer], name="whole")
    (call,) = agreeing(model)
    assert call.id == "outer/inner/gru"
    assert not call.problem.mask.all()


def test_shared_layer_has_an_entry_for_each_call(keras, layers):
    shared = layers.LSTM(3, name="shared")
    left, right = keras.Input((None, 4)), keras.Input((None, 4))
    merged = layers.Concatenate()([shared(left), shared(right)])
    first, second = agreeing(keras.Model([left, right], merged), [FLOATS, FLOATS + 1])
    assert [first.id, second.id] == ["shared", "shared#2"]
    assert second.layer == "shared"
    assert second.number == 2
    assert np.array_equal(second.problem.inputs.data, FLOATS + 1)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_states_of_a_stateful_layer_are_read_before_the_call(keras, layers, bidirectional):
    layer = layers.GRU(3, stateful=True, name="kept")
    if bidirectional:
        layer = layers.Bidirectional(layer, name="kept")
    model = keras.Sequential([keras.Input(batch_shape=(2, None, 4)), layer])
    agreeing(model, FLOATS)
    (call,) = agreeing(model, FLOATS)
    names = ["forward_h", "backward_h"] if bidirectional else ["h"]
    assert [state.name for state in call.problem.initial_state] == names
    assert all(np.abs(state.data).min() > 0 for state in call.problem.initial_state)


def test_time_distributed_layer_is_a_larger_batch(keras, layers):
    model = keras.Sequential(
        [keras.Input((2, 5, 4)), layers.TimeDistributed(layers.LSTM(3), name="each")]
    )
    (call,) = agreeing(model, np.stack([FLOATS, -FLOATS], axis=1))
    assert call.class_name == "TimeDistributed"
    assert call.input_shape == (2, 2, 5, 4)
    assert call.problem.inputs.shape == (4, 5, 4)
    assert describe_layer(call.problem.layer) == "LSTM(3)"


def test_rnn_of_a_cell_is_the_layer_of_that_cell(keras, layers):
    model = keras.Sequential(
        [
            keras.Input((None, 4)),
            layers.RNN(layers.LSTMCell(5), return_sequences=True, go_backwards=True, name="rnn"),
            layers.Bidirectional(layers.RNN(layers.SimpleRNNCell(3)), name="both"),
        ]
    )
    assert described(agreeing(model)) == [
        ("rnn", "LSTM(5, return_sequences=True, go_backwards=True)"),
        ("both", "Bidirectional(SimpleRNN(3))"),
    ]


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_stacked_cells_are_a_stack(keras, layers, go_backwards, return_sequences):
    inputs = keras.Input((None, 4))
    cells = [layers.LSTMCell(5), layers.GRUCell(3), layers.SimpleRNNCell(2)]
    rnn = layers.RNN(
        cells,
        return_sequences=return_sequences,
        return_state=True,
        go_backwards=go_backwards,
        zero_output_for_mask=return_sequences,
        name="rnn",
    )
    model = keras.Model(inputs, rnn(layers.Masking()(inputs)))
    (call,) = agreeing(model)
    assert not call.problem.mask.all()
    first = "LSTM(5, return_sequences=True), GRU(3, return_sequences=True), SimpleRNN(2, "
    assert describe_layer(call.problem.layer).startswith(f"Sequential([{first}")
    assert [output.name for output in call.outputs] == ["output", "2/h"]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_layers_have_the_policy_that_they_were_built_with(keras, layers, policy):
    model = keras.Sequential(
        [
            keras.Input((None, 4)),
            layers.LSTM(3, return_sequences=True, dtype=policy),
            layers.GRU(3),
        ]
    )
    first, second = agreeing(model)
    assert first.problem.layer.dtype == policy
    assert first.outputs[0].dtype == policy.removeprefix("mixed_")
    assert second.outputs[0].dtype == "float32"


def test_layers_in_attributes_of_a_subclass_are_found(ports):
    model = ports.Encoder()
    model(np.ones((2, 5), "int32"))
    assert [call.class_name for call in agreeing(model)] == ["GRU", "LSTM"]


def test_branches_are_listed_in_the_order_of_execution(keras, layers):
    inputs = keras.Input((None, 4))
    left = layers.GRU(3, name="left")(inputs)
    right = layers.LSTM(3, go_backwards=True, name="right")(inputs)
    calls = agreeing(keras.Model(inputs, layers.Add()([left, right])))
    assert {call.id for call in calls} == {"left", "right"}
    assert np.array_equal(calls[0].problem.inputs.data, calls[1].problem.inputs.data)


NOT_COMPUTED = {
    "ConvLSTM2D": ((3, 6, 6, 2), lambda layers, cell: layers.ConvLSTM2D(2, 3)),
    "MinimalCell": ((None, 4), lambda layers, cell: layers.RNN(cell)),
    "Bidirectional": ((None, 4), lambda layers, cell: layers.Bidirectional(layers.RNN(cell))),
    "activation": ((None, 4), lambda layers, cell: layers.GRU(3, activation=lambda x: x)),
    "stateful": (
        (2, 5, 4),
        lambda layers, cell: layers.TimeDistributed(layers.GRU(3, stateful=True)),
    ),
}
REASONS = {"Bidirectional": "MinimalCell"}


@pytest.mark.parametrize("reason", NOT_COMPUTED)
def test_layer_that_is_not_computed_is_listed_with_the_reason(keras, layers, ports, reason):
    shape, layer = NOT_COMPUTED[reason]
    inputs = keras.Input(batch_shape=(2, *shape))
    result = from_model(keras.Model(inputs, layer(layers, ports.MinimalCell(3))(inputs)))
    (compared,) = result.calls
    assert compared.call.problem is None
    assert compared.result.verdict is Verdict.UNSUPPORTED
    assert REASONS.get(reason, reason) in compared.result.reason
    assert result.status == 2


def test_cell_that_is_called_step_by_step_has_an_entry_for_each_step(ports):
    model = ports.Decoder()
    model(FLOATS)
    first, *_, last = agreeing(model, FLOATS)
    assert (first.id, last.id) == ("cell", "cell#5")
    assert (first.class_name, first.input_shape) == ("GRUCell", (2, 4))
    assert describe_layer(last.problem.layer) == "GRU(3, return_state=True)"
    assert np.abs(last.problem.initial_state[0].data).min() > 0


def test_call_inside_a_vectorized_function_is_listed(ports):
    model = ports.Vectorized()
    model(FLOATS)
    (compared,) = from_model(model, FLOATS).calls
    assert compared.result.verdict is Verdict.UNSUPPORTED
    assert compared.result.reason == NO_NUMBERS


def test_model_with_several_arguments_takes_them_by_order_or_name(ports):
    model = ports.Sum()
    model(FLOATS, FLOATS)
    with pytest.raises(RequestError, match="pass inputs for x, y"):
        from_model(model)
    for inputs in ([FLOATS, FLOATS], {"x": FLOATS, "y": FLOATS}):
        (call,) = agreeing(model, inputs)
        assert np.array_equal(call.problem.inputs.data, FLOATS + FLOATS)


def test_fault_of_a_layer_is_the_first_difference_with_its_cause(keras, layers, ports):
    model = keras.Sequential(
        [
            keras.Input((None, 4)),
            layers.GRU(3, return_sequences=True),
            ports.LSTM(5, return_sequences=True, name="port"),
            layers.LSTM(6),
        ]
    )
    result = from_model(model)
    verdicts = [compared.result.verdict for compared in result.calls]
    assert verdicts == [Verdict.AGREES, Verdict.DIVERGES, Verdict.AGREES]
    assert result.first_difference.call.id == "port"
    assert result.explanation.cause.names == ("gate-order",)
    assert result.status == 1


def test_model_without_recurrent_layer_is_refused(keras, layers):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with pytest.raises(RequestError, match="no recurrent layer"):
        from_model(model)


def test_subclass_that_is_not_built_is_refused(ports):
    for inputs in (None, FLOATS):
        with pytest.raises(RequestError, match="it is not built; call it once with inputs"):
            from_model(ports.Decoder(), inputs)


def test_inputs_with_unequal_numbers_of_rows_are_one_line(keras, layers):
    a, b = keras.Input((None, 4), name="a"), keras.Input((None, 4), name="b")
    both = layers.Concatenate()([layers.GRU(3)(a), layers.GRU(3)(b)])
    with pytest.raises(RequestError, match=r"unequal numbers of rows \(a: 2, b: 1\); use as many"):
        from_model(keras.Model([a, b], both), [FLOATS, FLOATS[:1]])


def test_model_that_runs_out_of_memory_is_one_line(keras, layers, monkeypatch):
    def refused(self, inputs):
        raise MemoryError

    monkeypatch.setattr(layers.Dense, "call", refused)
    model = keras.Sequential([layers.GRU(3), layers.Dense(2)])
    with pytest.raises(RequestError, match="out of memory; use fewer rows or steps"):
        from_model(model, FLOATS)


def test_model_is_unchanged_after_it_ran(keras, layers):
    layer = layers.GRU(3)
    model = keras.Sequential([keras.Input((None, 4)), layer])
    agreeing(model)
    assert "call" not in vars(layer)
