"""Names, shapes, types and parameter counts against tables written by hand from Keras'
documentation."""

import pytest
from _support.random_problems import BOTH, SEQUENCES, STATE, spec_of, stack_of, two_ways

from rnnparity.problem.keras_config import parse_layer
from rnnparity.problem.shapes import (
    axis_letters,
    output_slots,
    parameter_count,
    state_slots,
    weight_slots,
)


def shapes(slots):
    return {slot.name: slot.shape for slot in slots}


def different(forward, backward, **config):
    return two_ways(forward, backward_layer=backward, **config)


# What a layer gives for inputs of (B, T) = (2, 7).
OUTPUTS = {
    "last": (spec_of("lstm", 3), {"output": (2, 3)}),
    "sequences": (spec_of("lstm", 3, **SEQUENCES), {"output": (2, 7, 3)}),
    "rnn-state": (spec_of("simple_rnn", 3, **STATE), {"output": (2, 3), "h": (2, 3)}),
    "gru-state": (spec_of("gru", 3, **STATE), {"output": (2, 3), "h": (2, 3)}),
    "lstm-state": (spec_of("lstm", 3, **STATE), {"output": (2, 3), "h": (2, 3), "c": (2, 3)}),
    "lstm-both": (spec_of("lstm", 3, **BOTH), {"output": (2, 7, 3), "h": (2, 3), "c": (2, 3)}),
    "backwards": (spec_of("gru", 3, go_backwards=True, **BOTH), {"output": (2, 7, 3), "h": (2, 3)}),
    "concat": (two_ways(spec_of("gru", 3)), {"output": (2, 6)}),
    "sum": (two_ways(spec_of("gru", 3), merge_mode="sum"), {"output": (2, 3)}),
    "mul-sequences": (
        two_ways(spec_of("gru", 3, **SEQUENCES), merge_mode="mul"),
        {"output": (2, 7, 3)},
    ),
    "ave-state": (
        two_ways(spec_of("gru", 3, **STATE), merge_mode="ave"),
        {"output": (2, 3), "forward_h": (2, 3), "backward_h": (2, 3)},
    ),
    "none": (
        two_ways(spec_of("gru", 3), merge_mode=None),
        {"forward_output": (2, 3), "backward_output": (2, 3)},
    ),
    "none-both": (
        two_ways(spec_of("lstm", 3, **BOTH), merge_mode=None),
        {
            "forward_output": (2, 7, 3),
            "backward_output": (2, 7, 3),
            "forward_h": (2, 3),
            "forward_c": (2, 3),
            "backward_h": (2, 3),
            "backward_c": (2, 3),
        },
    ),
    "different-concat": (
        different(spec_of("lstm", 3, **BOTH), spec_of("gru", 5, go_backwards=True, **BOTH)),
        {"output": (2, 7, 8), "forward_h": (2, 3), "forward_c": (2, 3), "backward_h": (2, 5)},
    ),
    "different-none": (
        different(spec_of("gru", 5), spec_of("simple_rnn", 3, go_backwards=True), merge_mode=None),
        {"forward_output": (2, 5), "backward_output": (2, 3)},
    ),
    "stack": (
        stack_of(spec_of("gru", 4, **SEQUENCES), spec_of("lstm", 3, **STATE)),
        {"output": (2, 3), "1/h": (2, 3), "1/c": (2, 3)},
    ),
    "stack-two_ways": (
        stack_of(
            spec_of("gru", 4, **SEQUENCES), two_ways(spec_of("gru", 3, **BOTH), merge_mode=None)
        ),
        {
            "forward_output": (2, 7, 3),
            "backward_output": (2, 7, 3),
            "1/forward_h": (2, 3),
            "1/backward_h": (2, 3),
        },
    ),
}


@pytest.mark.parametrize("label", OUTPUTS)
def test_outputs_have_the_names_and_shapes_of_keras(label):
    spec, right = OUTPUTS[label]
    slots = output_slots(parse_layer(spec), 2, 7)
    assert list(shapes(slots).items()) == list(right.items())  # the order counts
    assert {slot.dtype for slot in slots} == {"float32"}


@pytest.mark.parametrize("label", OUTPUTS)
@pytest.mark.parametrize(
    ("batch", "steps"), [(None, None), (None, 7), (2, None)], ids=["none", "no_batch", "no_steps"]
)
def test_axes_that_are_not_known_stay_unknown(label, batch, steps):
    spec, right = OUTPUTS[label]
    unknown = {
        name: (batch, steps, shape[2]) if len(shape) == 3 else (batch, shape[1])
        for name, shape in right.items()
    }
    assert shapes(output_slots(parse_layer(spec), batch, steps)) == unknown


def test_symbolic_shapes_are_those_of_the_sources():
    """Source 001: (None, 3), (8, 3), (8, 2, 3) and (None, 10, 16)."""
    three = parse_layer(spec_of("simple_rnn", 3))
    assert output_slots(three, None, 2)[0].shape == (None, 3)
    assert output_slots(three, 8, 2)[0].shape == (8, 3)
    assert output_slots(parse_layer(spec_of("simple_rnn", 3, **SEQUENCES)), 8, 2)[0].shape == (
        8,
        2,
        3,
    )
    deep = parse_layer(two_ways(spec_of("simple_rnn", 8, **SEQUENCES)))
    assert output_slots(deep, None, 10)[0].shape == (None, 10, 16)


# The weights for D = 5 in the order of get_weights().
WEIGHTS = {
    "simple_rnn": (
        spec_of("simple_rnn", 3),
        {"kernel": (5, 3), "recurrent_kernel": (3, 3), "bias": (3,)},
    ),
    "lstm": (spec_of("lstm", 3), {"kernel": (5, 12), "recurrent_kernel": (3, 12), "bias": (12,)}),
    "gru": (spec_of("gru", 3), {"kernel": (5, 9), "recurrent_kernel": (3, 9), "bias": (2, 9)}),
    "gru_before": (
        spec_of("gru_before", 3),
        {"kernel": (5, 9), "recurrent_kernel": (3, 9), "bias": (9,)},
    ),
    "no_bias": (spec_of("gru", 3, use_bias=False), {"kernel": (5, 9), "recurrent_kernel": (3, 9)}),
    "two_ways": (
        two_ways(spec_of("simple_rnn", 3)),
        {
            "forward/kernel": (5, 3),
            "forward/recurrent_kernel": (3, 3),
            "forward/bias": (3,),
            "backward/kernel": (5, 3),
            "backward/recurrent_kernel": (3, 3),
            "backward/bias": (3,),
        },
    ),
    "different": (
        different(spec_of("lstm", 2, use_bias=False), spec_of("gru", 4, go_backwards=True)),
        {
            "forward/kernel": (5, 8),
            "forward/recurrent_kernel": (2, 8),
            "backward/kernel": (5, 12),
            "backward/recurrent_kernel": (4, 12),
            "backward/bias": (2, 12),
        },
    ),
    "stack": (
        stack_of(spec_of("lstm", 3, **SEQUENCES), spec_of("simple_rnn", 4)),
        {
            "0/kernel": (5, 12),
            "0/recurrent_kernel": (3, 12),
            "0/bias": (12,),
            "1/kernel": (3, 4),
            "1/recurrent_kernel": (4, 4),
            "1/bias": (4,),
        },
    ),
    "stack-two_ways": (
        stack_of(
            two_ways(spec_of("simple_rnn", 3, use_bias=False, **SEQUENCES)),
            two_ways(spec_of("simple_rnn", 2, use_bias=False, **SEQUENCES), merge_mode="ave"),
            spec_of("simple_rnn", 4, use_bias=False),
        ),
        {
            "0/forward/kernel": (5, 3),
            "0/forward/recurrent_kernel": (3, 3),
            "0/backward/kernel": (5, 3),
            "0/backward/recurrent_kernel": (3, 3),
            "1/forward/kernel": (6, 2),
            "1/forward/recurrent_kernel": (2, 2),
            "1/backward/kernel": (6, 2),
            "1/backward/recurrent_kernel": (2, 2),
            "2/kernel": (2, 4),
            "2/recurrent_kernel": (4, 4),
        },
    ),
}


@pytest.mark.parametrize("label", WEIGHTS)
def test_weights_have_the_names_and_shapes_of_keras(label):
    spec, right = WEIGHTS[label]
    assert list(shapes(weight_slots(parse_layer(spec), 5)).items()) == list(right.items())


EIGHT = spec_of("simple_rnn", 8, **SEQUENCES)
COUNTS = {
    "001-three_units": (spec_of("simple_rnn", 3), 10, 42),
    "001-eight_units": (EIGHT, 5, 112),
    "001-second_layer": (EIGHT, 8, 136),
    "001-deep": (stack_of(EIGHT, EIGHT), 5, 248),
    "001-two_ways": (two_ways(EIGHT), 5, 224),
    "001-two_ways-second_layer": (two_ways(EIGHT), 16, 400),
    "001-two_ways-deep": (stack_of(*[two_ways(EIGHT)] * 4), 5, 1424),
    # 4 * (5 * 3 + 3 * 3 + 3), 3 * (5 * 3 + 3 * 3 + 2 * 3), 3 * (5 * 3 + 3 * 3 + 3)
    "lstm": (spec_of("lstm", 3), 5, 108),
    "gru": (spec_of("gru", 3), 5, 90),
    "gru_before": (spec_of("gru_before", 3), 5, 81),
    "lstm-no_bias": (spec_of("lstm", 3, use_bias=False), 5, 96),
    "different": (different(spec_of("lstm", 3), spec_of("gru", 3, go_backwards=True)), 5, 198),
    # A layer of 128 on 64 features, as Keras' guide on RNNs prints its LSTM.
    "guide": (spec_of("lstm", 128), 64, 98816),
}


@pytest.mark.parametrize("label", COUNTS)
def test_parameter_counts_are_those_of_keras(label):
    spec, features, right = COUNTS[label]
    assert parameter_count(parse_layer(spec), features) == right


def test_states_have_the_names_and_shapes_of_keras():
    """h, or h and c, half by half and layer by layer, also where none is returned."""
    inner = different(
        spec_of("lstm", 3, **SEQUENCES), spec_of("gru", 5, go_backwards=True, **SEQUENCES)
    )
    slots = state_slots(parse_layer(stack_of(inner, spec_of("simple_rnn", 4))), 2)
    assert list(shapes(slots).items()) == [
        ("0/forward_h", (2, 3)),
        ("0/forward_c", (2, 3)),
        ("0/backward_h", (2, 5)),
        ("1/h", (2, 4)),
    ]


@pytest.mark.parametrize(
    ("policy", "kept", "computed"),
    [
        ("float16", "float16", "float16"),
        ("bfloat16", "bfloat16", "bfloat16"),
        ("float32", "float32", "float32"),
        ("float64", "float64", "float64"),
        ("mixed_float16", "mixed_float16", "float16"),
        ("mixed_bfloat16", "mixed_bfloat16", "bfloat16"),
    ],
)
def test_dtypes_follow_from_the_policy(policy, kept, computed):
    """Weights carry the policy, which determines in what they are kept; outputs and states come in the
    compute type."""
    single = spec_of("lstm", 3, dtype=policy, **BOTH)
    for layer in map(parse_layer, (single, two_ways(single, merge_mode="sum"), stack_of(single))):
        assert {slot.dtype for slot in weight_slots(layer, 5)} == {kept}
        assert {slot.dtype for slot in output_slots(layer, 2, 7)} == {computed}
        assert {slot.dtype for slot in state_slots(layer, 2)} == {computed}


def test_output_of_bidirectional_has_its_own_policy():
    layer = parse_layer(two_ways(spec_of("gru", 3, **BOTH), dtype="mixed_float16"))
    types = {slot.name: slot.dtype for slot in output_slots(layer, 2, 7)}
    assert types == {"output": "float16", "forward_h": "float32", "backward_h": "float32"}


@pytest.mark.parametrize(
    ("name", "rank", "letters"),
    [
        ("output", 3, "BTH"),
        ("output", 2, "BH"),
        ("h", 2, "BH"),
        ("inputs", 3, "BTD"),
        ("mask", 2, "BT"),
    ],
)
def test_axis_letters_name_every_axis(name, rank, letters):
    assert axis_letters(name, rank) == letters
