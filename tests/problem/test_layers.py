"""Configurations: what is accepted, what it means, and that it can be written down again."""

import json
from dataclasses import replace

import pytest
from _support.random_problems import KINDS, SEQUENCES, spec_of, stack_of, two_ways

from rnnparity.catalogue import catalogue
from rnnparity.problem.cells import CELLS
from rnnparity.problem.keras_config import layer_spec, parse_layer
from rnnparity.problem.layers import ACTIVATIONS, Bidirectional, Recurrent, Stack, halves

# What Keras 3.15's LSTM(3, return_sequences=True, dtype="mixed_float16").get_config() prints.
PASTED = json.loads("""{
    "name": "lstm", "trainable": true,
    "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "mixed_float16"},
              "registered_name": null},
    "return_sequences": true, "return_state": false, "go_backwards": false, "stateful": false,
    "unroll": false, "zero_output_for_mask": false, "units": 3, "activation": "tanh",
    "recurrent_activation": "sigmoid", "use_bias": true, "kernel_initializer": {"module":
    "keras.initializers", "class_name": "GlorotUniform",
                           "config": {"seed": null, "input_axes": null, "output_axes": null},
                           "registered_name": null},
    "recurrent_initializer": {"module": "keras.initializers", "class_name": "Orthogonal",
                              "config": {"seed": null, "gain": 1.0}, "registered_name": null},
    "bias_initializer": {"module": "keras.initializers", "class_name": "Zeros", "config": {},
    "registered_name": null}, "unit_forget_bias": true, "kernel_regularizer": null,
    "recurrent_regularizer": null, "bias_regularizer": null, "activity_regularizer": null,
    "kernel_constraint": null, "recurrent_constraint": null, "bias_constraint": null, "dropout":
    0.0, "recurrent_dropout": 0.0, "seed": null
}""")


def lstm(**config):
    return {"class_name": "LSTM", "config": {"units": 3, **config}}


def pasted_model(**more):
    """What to_json() of a Sequential with one Bidirectional prints: Keras serializes both
    halves."""
    built = {"registered_name": None, "build_config": {"input_shape": [None, 4, 5]}}
    halves = {
        key: {
            "module": "keras.layers",
            "class_name": "LSTM",
            "config": {
                **PASTED,
                "name": key,
                "zero_output_for_mask": True,
                "go_backwards": key == "backward_layer",
            },
            **built,
        }
        for key in ("layer", "backward_layer")
    }
    config = {
        "name": "bidirectional",
        "trainable": True,
        "dtype": PASTED["dtype"],
        "merge_mode": "sum",
        **halves,
    }
    entry = {
        "batch_shape": [None, 4, 5],
        "dtype": "float32",
        "sparse": False,
        "ragged": False,
        "name": "input_layer",
    }
    model = {
        "name": "sequential",
        "trainable": True,
        "dtype": PASTED["dtype"],
        "layers": [
            {
                "module": "keras.layers",
                "class_name": "InputLayer",
                "config": entry,
                "registered_name": None,
            },
            {"module": "keras.layers", "class_name": "Bidirectional", "config": config, **built},
        ],
        "build_input_shape": [None, 4, 5],
    }
    return {"module": "keras", "class_name": "Sequential", "config": model, **built, **more}


def test_a_pasted_configuration_is_read():
    layer = parse_layer({"class_name": "LSTM", "config": PASTED})
    assert layer == Recurrent("LSTM", 3, return_sequences=True, dtype="mixed_float16")


def test_a_pasted_model_is_read():
    half = Recurrent(
        "LSTM", 3, return_sequences=True, zero_output_for_mask=True, dtype="mixed_float16"
    )
    right = Bidirectional(half, replace(half, go_backwards=True), "sum", "mixed_float16")
    assert parse_layer(pasted_model()) == Stack((right,))


def test_a_pasted_model_with_every_key_of_keras_is_read():
    assert parse_layer(pasted_model(compile_config={})) == parse_layer(pasted_model())


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("name", "my_layer"),
        ("unroll", True),
        ("implementation", 1),
        ("use_cudnn", "auto"),
        ("kernel_initializer", "zeros"),
        ("recurrent_regularizer", {"class_name": "L2", "config": {"l2": 0.01}}),
        ("unit_forget_bias", False),
        ("dropout", 0.2),
        ("recurrent_dropout", 0.5),
        ("time_major", False),
        ("seed", 3),
        ("dtype", None),
    ],
)
def test_what_changes_no_number_is_dropped(argument, value):
    assert parse_layer(lstm(**{argument: value})) == Recurrent("LSTM", 3)


@pytest.mark.parametrize("class_name", ["SimpleRNN", "LSTM", "GRU"])
def test_defaults_are_those_of_keras(class_name):
    flags = ("return_sequences", "return_state", "go_backwards", "stateful", "zero_output_for_mask")
    right = Recurrent(
        class_name,
        2,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        reset_after=True,
        dtype="float32",
        **dict.fromkeys(flags, False),
    )
    layer = parse_layer({"class_name": class_name, "config": {"units": 2}})
    assert layer == right
    assert parse_layer(two_ways(layer_spec(layer))).merge_mode == "concat"


def test_every_argument_is_read_into_its_field():
    config = {
        "units": 7,
        "activation": "relu",
        "recurrent_activation": "hard_sigmoid",
        "use_bias": False,
    }
    config |= {
        "reset_after": False,
        "return_sequences": True,
        "return_state": True,
        "go_backwards": True,
    }
    config |= {"stateful": True, "zero_output_for_mask": True, "dtype": "bfloat16"}
    layer = parse_layer({"class_name": "GRU", "config": config})
    assert {name: getattr(layer, name) for name in config} == config
    assert layer.class_name == "GRU"


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_known(activation):
    layer = parse_layer(lstm(activation=activation, recurrent_activation=activation))
    assert (layer.activation, layer.recurrent_activation) == (activation, activation)


def test_activation_null_is_linear():
    """Keras: `activation=None` applies none."""
    assert parse_layer(lstm(activation=None)).activation == "linear"


@pytest.mark.parametrize("sequences", [True, False])
def test_bidirectional_sets_zero_output_for_mask_as_keras_does(sequences):
    layer = parse_layer(
        two_ways(spec_of("gru", return_sequences=sequences, zero_output_for_mask=not sequences))
    )
    assert [half.go_backwards for half in (layer.forward, layer.backward)] == [False, True]
    assert [half.zero_output_for_mask for half in (layer.forward, layer.backward)] == [
        sequences
    ] * 2


def test_every_half_has_a_prefix():
    layer = parse_layer(stack_of(two_ways(spec_of("gru", 2, **SEQUENCES)), spec_of("lstm", 3)))
    assert [(prefix, half.units) for prefix, half in halves(layer)] == [
        ("0/forward/", 2),
        ("0/backward/", 2),
        ("1/", 3),
    ]


def test_layers_of_the_catalogue_survive_a_round_trip():
    """Through JSON, as in a problem file; different layers have different configurations."""
    layers = {problem.layer for problem in catalogue().values()}
    texts = {json.dumps(layer_spec(layer)) for layer in layers}
    assert len(texts) == len(layers) > 300
    assert {parse_layer(json.loads(text)) for text in texts} == layers
    for text in texts:
        assert json.dumps(layer_spec(parse_layer(json.loads(text)))) == text


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_written_with_its_default(kind):
    class_name, options = KINDS[kind]
    defaults = {"recurrent_activation": "sigmoid", "reset_after": True} | options
    config = {"units": 3, "activation": "tanh", "use_bias": True, "dtype": "float32"}
    config |= {key: defaults[key] for key in CELLS[class_name].options}
    flags = ("return_sequences", "return_state", "go_backwards", "stateful", "zero_output_for_mask")
    config |= dict.fromkeys(flags, False)
    assert layer_spec(parse_layer(spec_of(kind, 3))) == {
        "class_name": class_name,
        "config": config,
    }
    inner = {"class_name": class_name, "config": config | SEQUENCES}
    assert layer_spec(parse_layer(two_ways(inner, merge_mode=None))) == {
        "class_name": "Bidirectional",
        "config": {"layer": inner, "merge_mode": None, "dtype": "float32"},
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_config_with_and_without_defaults_is_the_same_layer(kind):
    for spec in (spec_of(kind, 3), two_ways(spec_of(kind, 3)), stack_of(spec_of(kind, 3))):
        assert parse_layer(layer_spec(parse_layer(spec))) == parse_layer(spec)


def test_bidirectional_writes_the_value_before_it_sets_zero_output_for_mask():
    layer = parse_layer(two_ways(spec_of("lstm", 3, **SEQUENCES)))
    assert layer.forward.zero_output_for_mask
    assert layer_spec(layer)["config"]["layer"]["config"]["zero_output_for_mask"] is False
