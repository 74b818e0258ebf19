"""The format `rnnparity/1`: what is written is read back unchanged, to the last bit."""

import json
from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import (
    BOTH,
    KINDS,
    SEQUENCES,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
    with_dropout,
)
from _support.valid_problem import BACKWARD
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnparity.catalogue import catalogue
from rnnparity.golden.goldens import default_folder, golden_outputs
from rnnparity.problem.case import Case
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.format_reading import parse_problem
from rnnparity.problem.format_writing import dump_line, dump_pretty
from rnnparity.problem.json_text import load_json
from rnnparity.problem.problem import Tensor


def form(problem):
    """Return what a file writes differently: the kind of layer, the dtype and the keys."""
    keys = ("mask", "initial_state", "calls", "dropout_masks")
    present = tuple(getattr(problem, key) is not None for key in keys)
    return type(problem.layer), problem.layer.compute_dtype, present, bool(problem.case.expect)


# The last case of each form, and one of forty.
SAMPLE = list(
    {
        problem.id: problem
        for problem in (
            *{form(problem): problem for problem in catalogue().values()}.values(),
            *list(catalogue().values())[::40],
        )
    }.values()
)
FORMS = {"pretty": dump_pretty, "line": dump_line}

both_forms = pytest.mark.parametrize("dump", FORMS.values(), ids=FORMS)


def read_back(problem, dump):
    return parse_problem(load_json(dump(problem).encode(), "back"), "back")


def assert_same_tensor(one, other):
    assert (one.name, one.dtype, one.shape, one.data.dtype) == (
        other.name,
        other.dtype,
        other.shape,
        other.data.dtype,
    )
    assert one.data.tobytes() == other.data.tobytes(), one.name


def assert_same_tensors(ones, others):
    assert (ones is None) == (others is None)
    for one, other in zip(ones or (), others or (), strict=True):
        assert_same_tensor(one, other)


def assert_same_problem(one, other):
    assert (one.id, one.layer, one.calls, one.case) == (
        other.id,
        other.layer,
        other.calls,
        other.case,
    )
    assert_same_tensors(one.weights, other.weights)
    assert_same_tensor(one.inputs, other.inputs)
    assert_same_tensors(one.initial_state, other.initial_state)
    assert_same_tensors(one.outputs, other.outputs)
    assert (one.mask is None) == (other.mask is None)
    if one.mask is not None:
        np.testing.assert_array_equal(one.mask, other.mask, strict=True)


def assert_round_trip(problem):
    for dump in FORMS.values():
        back = read_back(problem, dump)
        assert_same_problem(back, problem)
        assert dump(back) == dump(problem)


def test_the_sample_contains_every_family():
    assert {type(problem.layer).__name__ for problem in SAMPLE} == {
        "Recurrent",
        "Bidirectional",
        "Stack",
    }
    assert {problem.layer.compute_dtype for problem in SAMPLE} == set(FLOAT_TYPES)
    for has in ("mask", "initial_state", "calls"):
        assert {getattr(problem, has) is None for problem in SAMPLE} == {True, False}
    assert any(problem.case.initializers for problem in SAMPLE)
    assert any(problem.case.expect for problem in SAMPLE)


@pytest.mark.parametrize("problem", SAMPLE, ids=lambda problem: problem.id)
def test_cases_of_the_catalogue_survive_a_round_trip(problem):
    assert_round_trip(problem)
    # Goldens of 64 bits come from 50 digits, which takes its time; any 64-bit numbers do here.
    outputs = [
        Tensor.of(slot.name, np.random.default_rng(0).standard_normal(slot.shape) / 3, slot.dtype)
        for slot in problem.output_slots()
    ]
    assert_round_trip(problem.with_outputs(outputs))


LAYERS = {
    **{kind: spec_of(kind, **BOTH) for kind in KINDS},
    "stateful": spec_of(
        "gru", stateful=True, go_backwards=True, zero_output_for_mask=True, **SEQUENCES
    ),
    "two_ways": two_ways(spec_of("lstm", dtype="float64", **BOTH), merge_mode=None),
    "halves": two_ways(
        spec_of("lstm", 3),
        backward_layer=spec_of("gru_before", 5, go_backwards=True),
        merge_mode="concat",
    ),
    "stack": stack_of(
        two_ways(spec_of("gru", dtype="mixed_float16", **SEQUENCES)), spec_of("lstm", **BOTH)
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_random_problems_survive_a_round_trip(name):
    calls = (3, 2, 1) if name == "stateful" else None
    problem = random_problem(
        LAYERS[name], 1, (3, 6, 2), mask=("011011", "110100", "000000"), initial=True, calls=calls
    )
    assert_round_trip(problem)
    assert_round_trip(random_problem(LAYERS[name], 2))


@given(st.integers(0, 2**32 - 1))
@settings(derandomize=True, max_examples=500, deadline=None, database=None)
def test_every_float32_survives(bits):
    value = np.array([bits], np.uint32).view(np.float32)
    assert_survives(value, "float32")


def assert_survives(values, dtype):
    """Every value but NaN (whose payload is no number) comes back bit for bit; -0.0 and infinity
    too."""
    with np.errstate(invalid="ignore"):  # among all bits are NaN that signal
        values = np.where(np.isnan(values), values.dtype.type(np.nan), values)
    problem = replace(BASE, outputs=(Tensor("output", values),))
    for dump in FORMS.values():
        assert_same_tensor(read_back(problem, dump).outputs[0], problem.outputs[0])


BASE = random_problem(spec_of("simple_rnn", 2), 0, (1, 1, 1))
CORNERS = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.1,
    1e-45,
    -1e-45,
    1.1754942e-38,
    1.1754944e-38,
    3.4028235e38,
    np.inf,
    -np.inf,
    np.nan,
]


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_corners_of_every_type_survive(dtype):
    assert_survives(FLOAT_TYPES[dtype].round(np.array(CORNERS)), dtype)


def test_random_bits_of_every_type_survive():
    rng = np.random.default_rng(20)
    assert_survives(rng.integers(0, 2**32, 20_000, np.uint32).view(np.float32), "float32")
    assert_survives(
        rng.integers(0, 2**23, 5_000, np.uint32).view(np.float32), "float32"
    )  # denormals
    assert_survives(np.arange(2**16, dtype=np.uint16).view(np.float16), "float16")
    bfloat16 = FLOAT_TYPES["bfloat16"].storage
    assert_survives(np.arange(2**16, dtype=np.uint16).view(bfloat16), "bfloat16")
    assert_survives(rng.integers(0, 2**63, 10_000, np.uint64).view(np.float64), "float64")


def test_nan_and_infinity_are_written_as_strings():
    problem = replace(
        BASE, outputs=(Tensor("output", np.array([[np.nan, np.inf, -np.inf, -0.0]])),)
    )
    line = dump_line(problem)
    assert '"data": ["NaN", "Infinity", "-Infinity", -0.0]' in line
    assert json.loads(line)["outputs"][0]["data"] == ["NaN", "Infinity", "-Infinity", 0.0]


def test_numbers_are_written_with_the_digits_of_their_dtype():
    third = [1 / 3]
    outputs = tuple(Tensor.of(dtype, [third], dtype) for dtype in FLOAT_TYPES)
    written = json.loads(dump_line(replace(BASE, outputs=outputs)), parse_float=str)["outputs"]
    assert {fields["name"]: fields["data"] for fields in written} == {
        "float16": ["0.333251953"],
        "bfloat16": ["0.333984375"],
        "float32": ["0.333333343"],
        "float64": ["0.33333333333333331"],
    }


def test_line_and_file_have_the_documented_form():
    data = np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    layer = random_problem(spec_of("simple_rnn", 1, use_bias=False), 0, (1, 3, 2))
    problem = replace(
        layer,
        weights=tuple(
            replace(tensor, data=np.full_like(tensor.data, 0.5)) for tensor in layer.weights
        ),
        inputs=Tensor("inputs", data),
        mask=np.array([[True, False, True]]),
        id="tiny",
        case=Case(("a", "b:c"), "Überall.", "seed 1"),
    )
    assert dump_line(problem) == (
        '{"format": "rnnparity/1", "id": "tiny", '
        '"layer": {"class_name": "SimpleRNN", "config": {"units": 1, "activation": "tanh", '
        '"use_bias": false, "return_sequences": false, "return_state": false, "go_backwards": false, '
        '"stateful": false, "zero_output_for_mask": false, "dtype": "float32"}}, '
        '"weights": [{"name": "kernel", "shape": [2, 1], "dtype": "float32", "data": [0.5, 0.5]}, '
        '{"name": "recurrent_kernel", "shape": [1, 1], "dtype": "float32", "data": [0.5]}], '
        '"inputs": {"shape": [1, 3, 2], "dtype": "float32", "data": [0, 1, 2, 3, 4, 5]}, '
        '"mask": {"shape": [1, 3], "dtype": "bool", "data": [true, false, true]}, "initial_state": null, '
        '"case": {"tags": ["a", "b:c"], "source": "seed 1", "why": "Überall."}}'
    )
    pretty = dump_pretty(problem)
    assert json.loads(pretty) == json.loads(dump_line(problem))
    assert (
        '"inputs": {"shape": [1, 3, 2], "dtype": "float32", "data": [\n0, 1,\n2, 3,\n4, 5\n]}'
        in pretty
    )


def test_a_layer_as_keras_gives_it_is_read():
    fields = json.loads(dump_line(BASE))
    plain = parse_problem(fields, "plain")
    policy = {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": {"name": "float32"},
        "registered_name": None,
    }
    fields["layer"]["module"] = "keras.layers"
    fields["layer"]["config"] |= {
        "name": "rnn",
        "trainable": True,
        "dtype": policy,
        "unroll": False,
        "dropout": 0.0,
    }
    fields["layer"]["config"]["kernel_initializer"] = {
        "class_name": "GlorotUniform",
        "config": {"seed": None},
    }
    assert_same_problem(parse_problem(fields, "pasted"), plain)


def test_optional_keys_may_be_missing():
    fields = json.loads(dump_line(BASE))
    assert set(fields) == {"format", "id", "layer", "weights", "inputs", "mask", "initial_state"}
    del fields["mask"], fields["initial_state"]
    assert_same_problem(parse_problem(fields, "short"), BASE)


@both_forms
def test_cotangents_and_gradients_survive(dump):
    """No gradient stays apart from one of zeros and from NaN."""
    missing, first, *rest = BACKWARD.gradients
    problem = replace(
        BACKWARD,
        gradients=(missing, replace(first, data=np.full_like(first.data, np.nan)), *rest),
    )
    text = dump(problem)
    assert json.loads(text)["format"] == "rnnparity/2"
    read = parse_problem(json.loads(text), "x")
    assert read.gradients[0] is None
    assert np.isnan(read.gradients[1].data).all()
    assert dump(read) == text


@both_forms
@pytest.mark.parametrize("shared", [True, False])
def test_dropout_masks_survive(dump, shared):
    problem = with_dropout(random_problem(two_ways(spec_of("gru", **BOTH))), shared=shared)
    text = dump(problem)
    assert json.loads(text)["format"] == "rnnparity/2"
    read = parse_problem(json.loads(text), "x")
    for mask, other in zip(read.dropout_masks, problem.dropout_masks, strict=True):
        assert_same_tensor(mask, other)
    assert dump(read) == text


@both_forms
def test_fixtures_contain_the_text_of_dump_pretty(dump):
    """The committed files are what the library writes today."""
    text = (default_folder() / "edge.json").read_text(encoding="utf-8")
    row = next(problem for problem in catalogue().values() if problem.id.startswith("edge-"))
    written = dump(row.with_outputs(golden_outputs(row)))
    assert (written in text) == (dump is dump_pretty)


def test_brackets_in_a_text_are_not_nesting():
    text = "[" * 1000
    assert load_json(json.dumps([text]).encode(), "FILE") == [text]
