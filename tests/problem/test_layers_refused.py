"""Configurations that are refused, each with the line that states where and why."""

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
    "time_major": (
        lstm(time_major=True),
        "layer.config.time_major: got true, expected false: another value changes the outputs and is not computed",
    ),
    "no_object": (
        "LSTM",
        'layer: got \'LSTM\', expected an object {"class_name": ..., "config": ...}',
    ),
    "no_class": ({"config": {}}, "layer.class_name: must be a string"),
    "no_config": ({"class_name": "LSTM"}, "layer.config: must be an object"),
    "unknown_key": ({**lstm(), "confg": 1}, "layer: unknown key 'confg'; did you mean config?"),
    "unknown_layer": (
        {"class_name": "Dense", "config": {}},
        "layer.class_name: got 'Dense', expected SimpleRNN, LSTM, GRU, Bidirectional, or a Sequential of them",
    ),
    "unknown_argument": (
        lstm(return_sequence=True),
        "layer.config.return_sequence: unsupported argument for LSTM; did you mean return_sequences?",
    ),
    "argument_of_another": (
        lstm(reset_after=True),
        "layer.config.reset_after: unsupported argument for LSTM",
    ),
    "rnn_has_no_gates": (
        spec_of("simple_rnn", recurrent_activation="sigmoid"),
        "layer.config.recurrent_activation: unsupported argument for SimpleRNN",
    ),
    "activation": (
        lstm(activation="mish"),
        f"layer.config.activation: got 'mish', expected one of {', '.join(ACTIVATIONS)}",
    ),
    "units_missing": ({"class_name": "GRU", "config": {}}, "layer.config.units: is missing"),
    "units_0": (
        lstm(units=0),
        "layer.config.units: got 0, expected a positive integer below 2**31",
    ),
    "units_true": (
        lstm(units=True),
        "layer.config.units: got true, expected a positive integer below 2**31",
    ),
    "units_1.5": (
        lstm(units=1.5),
        "layer.config.units: got 1.5, expected a positive integer below 2**31",
    ),
    "units_huge": (
        lstm(units=2**31),
        "layer.config.units: got 2147483648, expected a positive integer below 2**31",
    ),
    "units_text": (
        lstm(units="3"),
        "layer.config.units: got '3', expected a positive integer below 2**31",
    ),
    "flag_1": (lstm(return_state=1), "layer.config.return_state: got 1, expected true or false"),
    "flag_null": (lstm(stateful=None), "layer.config.stateful: got null, expected true or false"),
    "policy": (
        lstm(dtype="float8"),
        "layer.config.dtype: "
        "got 'float8', expected one of float16, bfloat16, float32, float64, mixed_float16, mixed_bfloat16",
    ),
    "merge_mode": (
        two_ways(lstm(), merge_mode="max"),
        "layer.config.merge_mode: got 'max', expected concat, sum, mul, ave or null",
    ),
    "no_layer": ({"class_name": "Bidirectional", "config": {}}, "layer.config.layer: is missing"),
    "bidirectional_argument": (
        two_ways(lstm(), units=3),
        "layer.config.units: unsupported argument for Bidirectional",
    ),
    "bidirectional_weights": (
        two_ways(lstm(), weights=[1]),
        "layer.config.weights: unsupported; put the arrays into `weights`",
    ),
    "half_of_two": (
        two_ways(two_ways(lstm())),
        "layer.config.layer.class_name: got 'Bidirectional', expected SimpleRNN, LSTM or GRU as a half",
    ),
    "forward_backwards": (
        two_ways(lstm(go_backwards=True)),
        "layer.config.layer.config.go_backwards: got true, expected false for the forward half",
    ),
    "backward_forwards": (
        two_ways(lstm(), backward_layer=lstm()),
        "layer.config.backward_layer.config.go_backwards: got false, expected true for the backward half",
    ),
    "halves_sequences": (
        two_ways(lstm(**SEQUENCES), backward_layer=backward()),
        "layer.config.backward_layer.config.return_sequences: got false, expected true as in the forward half",
    ),
    "halves_state": (
        two_ways(lstm(), backward_layer=backward(**STATE)),
        "layer.config.backward_layer.config.return_state: got true, expected false as in the forward half",
    ),
    "halves_stateful": (
        two_ways(lstm(stateful=True), backward_layer=backward("gru")),
        "layer.config.backward_layer.config.stateful: got false, expected true as in the forward half",
    ),
    **{
        f"{mode}_of_different_units": (
            two_ways(lstm(), merge_mode=mode, backward_layer=backward(units=4)),
            "layer.config.backward_layer.config.units: got 4, expected 3 as in the forward half",
        )
        for mode in ("sum", "mul", "ave")
    },
    "half_s_argument": (
        two_ways(lstm(), backward_layer=backward("gru", time_major=True)),
        "layer.config.backward_layer.config.time_major: "
        "got true, expected false: another value changes the outputs and is not computed",
    ),
    "no_layers": (
        {"class_name": "Sequential", "config": {}},
        "layer.config.layers: must be a list",
    ),
    "empty": (stack_of(), "layer.config.layers: must hold at least one layer"),
    "inputs_alone": (
        stack_of({"class_name": "InputLayer", "config": {}}),
        "layer.config.layers: must hold at least one layer",
    ),
    "sequential_argument": (
        {"class_name": "Sequential", "config": {"layers": [lstm()], "units": 3}},
        "layer.config.units: unsupported argument for Sequential",
    ),
    "stack_without_sequences": (
        stack_of(lstm(), lstm()),
        "layer.config.layers[0].config.return_sequences: got false, expected true because a layer follows",
    ),
    "stack_with_state": (
        stack_of(lstm(**SEQUENCES), lstm(**SEQUENCES, **STATE), lstm()),
        "layer.config.layers[1].config.return_state: got true, expected false because a layer follows",
    ),
    "stack_of_two_outputs": (
        stack_of(two_ways(lstm(**SEQUENCES), merge_mode=None), lstm()),
        "layer.config.layers[0].config.merge_mode: got null, expected a single output because a layer follows",
    ),
    "inside_a_stack": (
        stack_of(lstm(**SEQUENCES), lstm(units=-1)),
        "layer.config.layers[1].config.units: got -1, expected a positive integer below 2**31",
    ),
}


@pytest.mark.parametrize("label", REFUSED)
def test_an_invalid_layer_is_refused_with_one_line(label):
    spec, message = REFUSED[label]
    with pytest.raises(LayerError, match=f"^{re.escape(message)}$") as caught:
        parse_layer(spec)
    assert isinstance(caught.value, RequestError)
    assert "\n" not in str(caught.value)


def test_the_caller_names_the_path_in_the_message():
    with pytest.raises(LayerError, match=r"^problem\.json: layer\.config\.units: is missing$"):
        parse_layer({"class_name": "LSTM", "config": {}}, "problem.json: layer")


def test_control_characters_in_a_name_do_not_break_the_line():
    with pytest.raises(LayerError) as caught:
        parse_layer(lstm(**{"a\nb\x1b": 1}))
    assert str(caught.value) == "layer.config.a b\\x1b: unsupported argument for LSTM"


@pytest.mark.parametrize(
    "spec",
    [lstm(units=[3] * 1000), {"class_name": "L" * 3000, "config": {}}],
    ids=["units", "class"],
)
def test_a_huge_value_is_cut_off_in_the_message(spec):
    """And what was wrong stands at the end of the line also then."""
    with pytest.raises(LayerError, match=r"(below 2\*\*31|a Sequential of them)$") as caught:
        parse_layer(spec)
    assert len(str(caught.value)) <= 1000


def test_a_sequential_in_a_sequential_is_not_offered_in_the_message():
    with pytest.raises(LayerError) as caught:
        parse_layer(stack_of(stack_of(lstm())))
    assert "Bidirectional or Sequential" not in str(caught.value)
