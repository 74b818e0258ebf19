"""Configurations that are refused, each with the one line that says where and why."""

import re

import pytest
from _support.random_problems import SEQUENCES, STATE, spec_of, stack_of, two_ways

from rnnparity.problem.errors import LayerError, RequestError
from rnnparity.problem.keras_config import parse_layer
from rnnparity.problem.layers import ACTIVATIONS


def lstm(**config):
    return {"class_name": "LSTM", "config": {"units": 3, **config}}


def backward(kind="lstm", units=3, **config):
    return spec_of(kind, units, **{"go_backwards": True, **config})


# What is refused, and the whole message.
REFUSED = {
    "recurrent_dropout": (
        lstm(recurrent_dropout=0.3),
        "layer.config.recurrent_dropout is 0.3, which would change the outputs and is not computed here",
    ),
    "dropout": (
        lstm(dropout=0.1),
        "layer.config.dropout is 0.1, which would change the outputs and is not computed here",
    ),
    "time_major": (
        lstm(time_major=True),
        "layer.config.time_major is True, which would change the outputs and is not computed here",
    ),
    "no_object": (
        "LSTM",
        """layer should be an object {"class_name": ..., "config": ...}, but is 'LSTM'""",
    ),
    "no_class": ({"config": {}}, "layer.class_name is missing or no string"),
    "no_config": ({"class_name": "LSTM"}, "layer.config is missing or no object"),
    "unknown_key": ({**lstm(), "confg": 1}, "layer has the unknown key 'confg'"),
    "unknown_layer": (
        {"class_name": "Dense", "config": {}},
        "layer.class_name is 'Dense'; known are SimpleRNN, LSTM, GRU and Bidirectional, and around them one Sequential",
    ),
    "unknown_argument": (
        lstm(return_sequence=True),
        "layer.config.return_sequence is no argument of LSTM known here",
    ),
    "argument_of_another": (
        lstm(reset_after=True),
        "layer.config.reset_after is no argument of LSTM known here",
    ),
    "rnn_has_no_gates": (
        spec_of("simple_rnn", recurrent_activation="sigmoid"),
        "layer.config.recurrent_activation is no argument of SimpleRNN known here",
    ),
    "activation": (
        lstm(activation="mish"),
        f"layer.config.activation is 'mish'; known are {', '.join(ACTIVATIONS)}",
    ),
    "units_missing": ({"class_name": "GRU", "config": {}}, "layer.config.units is missing"),
    "units_0": (lstm(units=0), "layer.config.units is 0; should be a positive integer below 2**31"),
    "units_true": (
        lstm(units=True),
        "layer.config.units is True; should be a positive integer below 2**31",
    ),
    "units_1.5": (
        lstm(units=1.5),
        "layer.config.units is 1.5; should be a positive integer below 2**31",
    ),
    "units_huge": (
        lstm(units=2**31),
        "layer.config.units is 2147483648; should be a positive integer below 2**31",
    ),
    "units_text": (
        lstm(units="3"),
        "layer.config.units is '3'; should be a positive integer below 2**31",
    ),
    "flag_1": (lstm(return_state=1), "layer.config.return_state is 1; should be true or false"),
    "flag_null": (lstm(stateful=None), "layer.config.stateful is None; should be true or false"),
    "policy": (
        lstm(dtype="float8"),
        "layer.config.dtype is 'float8'; known are float16, bfloat16, float32, float64, mixed_float16, mixed_bfloat16",
    ),
    "merge_mode": (
        two_ways(lstm(), merge_mode="max"),
        "layer.config.merge_mode is 'max'; known are concat, sum, mul, ave and null",
    ),
    "no_layer": ({"class_name": "Bidirectional", "config": {}}, "layer.config.layer is missing"),
    "bidirectional_argument": (
        two_ways(lstm(), units=3),
        "layer.config.units is no argument of Bidirectional known here",
    ),
    "bidirectional_weights": (
        two_ways(lstm(), weights=[1]),
        "layer.config.weights belongs in the problem's own `weights`",
    ),
    "half_of_two": (
        two_ways(two_ways(lstm())),
        "layer.config.layer.class_name is 'Bidirectional'; a half is SimpleRNN, LSTM or GRU",
    ),
    "forward_backwards": (
        two_ways(lstm(go_backwards=True)),
        "layer.config.layer.config.go_backwards is true; the forward half reads forwards",
    ),
    "backward_forwards": (
        two_ways(lstm(), backward_layer=lstm()),
        "layer.config.backward_layer.config.go_backwards is false; the backward half reads backwards",
    ),
    "halves_sequences": (
        two_ways(lstm(**SEQUENCES), backward_layer=backward()),
        "layer.config.backward_layer.config.return_sequences differs from the forward half's",
    ),
    "halves_state": (
        two_ways(lstm(), backward_layer=backward(**STATE)),
        "layer.config.backward_layer.config.return_state differs from the forward half's",
    ),
    "halves_stateful": (
        two_ways(lstm(stateful=True), backward_layer=backward("gru")),
        "layer.config.backward_layer.config.stateful differs from the forward half's",
    ),
    **{
        f"{mode}_of_different_units": (
            two_ways(lstm(), merge_mode=mode, backward_layer=backward(units=4)),
            f"layer.config.backward_layer.config.units is 4, the forward half's 3; '{mode}' needs equal ones",
        )
        for mode in ("sum", "mul", "ave")
    },
    "half_s_argument": (
        two_ways(lstm(), backward_layer=backward("gru", dropout=0.5)),
        "layer.config.backward_layer.config.dropout is 0.5, which would change the outputs and is not computed here",
    ),
    "no_layers": (
        {"class_name": "Sequential", "config": {}},
        "layer.config.layers is missing or no list",
    ),
    "empty": (stack_of(), "layer.config.layers is empty"),
    "inputs_alone": (
        stack_of({"class_name": "InputLayer", "config": {}}),
        "layer.config.layers is empty",
    ),
    "sequential_argument": (
        {"class_name": "Sequential", "config": {"layers": [lstm()], "units": 3}},
        "layer.config.units is no argument of Sequential known here",
    ),
    "stack_without_sequences": (
        stack_of(lstm(), lstm()),
        "layer.config.layers[0] needs return_sequences true and return_state false: a layer follows it",
    ),
    "stack_with_state": (
        stack_of(lstm(**SEQUENCES), lstm(**SEQUENCES, **STATE), lstm()),
        "layer.config.layers[1] needs return_sequences true and return_state false: a layer follows it",
    ),
    "stack_of_two_outputs": (
        stack_of(two_ways(lstm(**SEQUENCES), merge_mode=None), lstm()),
        "layer.config.layers[0] has merge_mode null: the next layer takes one input",
    ),
    "inside_a_stack": (
        stack_of(lstm(**SEQUENCES), lstm(units=-1)),
        "layer.config.layers[1].config.units is -1; should be a positive integer below 2**31",
    ),
}


@pytest.mark.parametrize("label", REFUSED)
def test_refused_with_one_line(label):
    spec, message = REFUSED[label]
    with pytest.raises(LayerError, match=f"^{re.escape(message)}$") as caught:
        parse_layer(spec)
    assert isinstance(caught.value, RequestError)
    assert "\n" not in str(caught.value)


def test_the_place_is_named_by_the_caller():
    with pytest.raises(LayerError, match=r"^problem\.json: layer\.config\.units is missing$"):
        parse_layer({"class_name": "LSTM", "config": {}}, "problem.json: layer")


def test_refused_with_one_line_whatever_the_name():
    with pytest.raises(LayerError) as caught:
        parse_layer(lstm(**{"a\nb\x1b": 1}))
    assert str(caught.value) == "layer.config.a b\\x1b is no argument of LSTM known here"


@pytest.mark.parametrize(
    "spec",
    [lstm(units=[3] * 1000), {"class_name": "L" * 3000, "config": {}}],
    ids=["units", "class"],
)
def test_messages_have_an_end_whatever_the_value(spec):
    """And what was wrong stands at the end of the line also then."""
    with pytest.raises(LayerError, match=r"(below 2\*\*31|one Sequential)$") as caught:
        parse_layer(spec)
    assert len(str(caught.value)) <= 1000


def test_a_sequential_in_a_sequential_is_refused_with_a_true_sentence():
    with pytest.raises(LayerError) as caught:
        parse_layer(stack_of(stack_of(lstm())))
    assert "Bidirectional or Sequential" not in str(caught.value)
