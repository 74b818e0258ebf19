"""Files that are no problem are refused, each with one line that names the file, the place and what is wrong."""

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_problems import BOTH, random_problem, spec_of

from rnnparity import wire
from rnnparity.errors import LONGEST, FormatError

PROBLEM = random_problem(
    spec_of("lstm", 2, stateful=True, **BOTH), 0, (2, 3, 1), mask=("011", "110"), initial=True, calls=(2, 1)
)
OUTPUTS = {
    "name": "output",
    "shape": [2, 3, 2],
    "dtype": "float32",
    "data": [0.25, "NaN", "Infinity", "-Infinity", *[0] * 8],
}
RIGHT = {
    **json.loads(wire.dump_line(PROBLEM)),
    "outputs": [OUTPUTS],
    "case": {
        "tags": ["a"],
        "source": "s",
        "why": "w",
        "initializers": {"kernel": 0.1, "recurrent_kernel": 0.1, "bias": 0.0, "unit_forget_bias": True},
        "expect": {
            "digits": {"output": [[["0.25"]]]},
            "shapes": {"output": [2, 3, 2]},
            "relations": ["output[:, -1] == h"],
            "returned": 3,
            "parameters": 32,
            "summary": [["(None, 3, 2)", 32]],
            "batch_shape": [None, 3, 1],
        },
    },
}


def refusal(path):
    with pytest.raises(FormatError) as caught:
        wire.read_problem(path)
    line = str(caught.value)
    assert line.isprintable()
    assert line.startswith(f"{path}: ")
    return line.removeprefix(f"{path}: ")


def refusal_of(tmp_path, text):
    path = tmp_path / "problem.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return refusal(path)


def test_the_right_one_is_read(tmp_path):
    path = tmp_path / "problem.json"
    path.write_text(json.dumps(RIGHT))
    problem = wire.read_problem(path)
    assert problem.case.expect == RIGHT["case"]["expect"]
    assert problem.case.initializers == RIGHT["case"]["initializers"]
    assert np.isnan(problem.outputs[0].data).sum() == 1


# ------------------------------------------------------------------------------------------------------ no JSON


def test_a_missing_file(tmp_path):
    assert refusal(tmp_path / "gone.json") == "cannot be read: No such file or directory"


def test_a_directory(tmp_path):
    assert refusal(tmp_path) == "cannot be read: Is a directory"


def test_a_path_below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    assert refusal(tmp_path / "file" / "x.json") == "cannot be read: Not a directory"


def test_an_oversized_file(tmp_path, monkeypatch):
    monkeypatch.setattr(wire, "MAX_BYTES", 2**20)
    text = json.dumps(RIGHT)
    path = tmp_path / "large.json"
    path.write_text(text + " " * (2**20 - len(text)))
    assert wire.read_problem(path).id == "problem"
    path.write_text(text + " " * (2**20 - len(text) + 1))
    assert refusal(path) == "is larger than 1 MiB, too large for a problem file"


TEXT = json.dumps(RIGHT)
LINES = json.dumps(RIGHT, indent=1)
NO_JSON = {
    "empty": ("", "line 1, column 1: no JSON: Expecting value"),
    "no_json": ("units: 3", "line 1, column 1: no JSON: Expecting value"),
    "two": (TEXT + TEXT, f"line 1, column {len(TEXT) + 1}: no JSON: Extra data"),
    "nul": (TEXT + "\0", f"line 1, column {len(TEXT) + 1}: no JSON: Extra data"),
    "mark": ("\ufeff" + TEXT, "line 1, column 1: no JSON: Unexpected UTF-8 BOM (decode using utf-8-sig)"),
    "cut": (TEXT[:80], "line 1, column 76: no JSON: Unterminated string starting at"),
    "cut_lines": (LINES[:-1], f"line {LINES.count(chr(10)) + 1}, column 1: no JSON: Expecting ',' delimiter"),
    "latin": (TEXT.replace('"w"', '"\xfc"').encode("latin-1"), f"byte {TEXT.index('w' + chr(34))} is no UTF-8"),
    "utf16": (TEXT.encode("utf-16"), "byte 0 is no UTF-8"),
    "twice": (TEXT.replace('"id"', '"id": "other", "id"'), "the key 'id' stands twice in one object"),
    "deep_twice": (TEXT.replace('"units"', '"units": 3, "units"'), "the key 'units' stands twice in one object"),
    "nan": (TEXT.replace("0.25", "NaN", 1), 'the literal NaN is no JSON; write the string "NaN"'),
    "infinity": (TEXT.replace("0.25", "-Infinity", 1), 'the literal -Infinity is no JSON; write the string "-Infinity"'),
    "deep": ("[" * 100_000, "is nested too deeply"),
    "deep_object": ('{"a":' * 100_000, "is nested too deeply"),
    "deep_list": (TEXT.replace('"units"', f'"name": {"[" * 64}{"]" * 64}, "units"'), "is nested too deeply"),
    "long_number": (
        TEXT.replace("0.25", "1" * 1_000_000),
        "Exceeds the limit (4300 digits) for integer string conversion: value has 1000000 digits",
    ),
}


@pytest.mark.parametrize("name", NO_JSON)
def test_no_json(tmp_path, name):
    text, expected = NO_JSON[name]
    assert refusal_of(tmp_path, text) == expected


@pytest.mark.parametrize("length", range(0, len(TEXT), 23))
def test_every_truncation(tmp_path, length):
    assert "no JSON" in refusal_of(tmp_path, TEXT[:length])


@pytest.mark.parametrize("depth", [40, 900, 960, 970, 980, 985, 990, 995, 1000])
@pytest.mark.parametrize("key", ["name", "units", "activation", "dtype"])
def test_no_depth_is_too_much_for_a_message(tmp_path, key, depth):
    text = TEXT.replace('"units": 2', f'"{key}": {"[" * depth}{"]" * depth}')
    expected = "is nested too deeply" if depth > 64 else "layer.config."
    assert refusal_of(tmp_path, text).startswith(expected)


# ------------------------------------------------------------------------------------------------ another problem


def put(*path):
    """A change of one place: all but the last word are the way there, the last one is what to put, ... to delete it."""

    def change(fields):
        *way, last, value = path
        for key in way:
            fields = fields[key]
        if value is ...:
            del fields[last]
        else:
            fields[last] = value

    return change


TOO_LARGE = "should be at most three sizes that fit a file"
HUGE = int("9" * 4300)
WRONG = {
    # keys and their types
    "no_id": (put("id", ...), "id: Field required"),
    "empty_id": (put("id", ""), "id: String should have at least 1 character"),
    "long_id": (put("id", "x" * 201), "id: String should have at most 200 characters"),
    "number_id": (put("id", 3), "id: Input should be a valid string"),
    "surrogate": (put("id", "\ud800"), "id: Input should be a valid string, unable to parse raw data as a unicode string"),
    "extra": (put("extra", None), "extra: Extra inputs are not permitted"),
    "extra_in_array": (put("inputs", "name", "x"), "inputs.name: Extra inputs are not permitted"),
    "extra_in_case": (put("case", "id", "x"), "case.id: Extra inputs are not permitted"),
    "line_break": (put("a\nb\x1b[31m", 1), r"a b\x1b[31m: Extra inputs are not permitted"),
    "format": (put("format", "rnnparity/2"), "format: Input should be 'rnnparity/1'"),
    "no_format": (put("format", ...), "format: Field required"),
    "no_weights": (put("weights", None), "weights: Input should be a valid list"),
    "two_wrong": (lambda f: f.update(id=3, mask=3), "id: Input should be a valid string (and 1 more)"),
    "no_case_tags": (put("case", "tags", "a"), "case.tags: Input should be a valid list"),
    "initializer": (put("case", "initializers", "kernel", "1"), "case.initializers.kernel: Input should be a valid number"),
    "initializer_2": (put("case", "initializers", "seed", 1), "case.initializers.seed: Extra inputs are not permitted"),
    "expect": (put("case", "expect", "sum", 1), "case.expect.sum: Extra inputs are not permitted"),
    "batch_shape": (put("case", "expect", "batch_shape", 5), "case.expect.batch_shape: Input should be a valid list"),
    "batch_shape_2": (
        put("case", "expect", "batch_shape", [1, 2]),
        "case.expect.batch_shape: List should have at least 3 items after validation, not 2",
    ),
    # the layer
    "class": (
        put("layer", "class_name", "RNN"),
        "layer.class_name is 'RNN'; known are SimpleRNN, LSTM, GRU, Bidirectional or Sequential",
    ),
    "argument": (put("layer", "config", "cell", 1), "layer.config.cell is no argument of LSTM known here"),
    "not_computed": (
        put("layer", "config", "recurrent_dropout", 0.3),
        "layer.config.recurrent_dropout is 0.3, which would change the outputs and is not computed here",
    ),
    "units": (
        put("layer", "config", "units", HUGE),
        f"layer.config.units is {'9' * 60}; should be a positive integer below 2**31",
    ),
    # shapes, counts, types
    "weight_shape": (put("weights", 0, "shape", [8, 1]), "problem: weights: kernel has shape (8, 1); should have (1, 8)"),
    "flat_weight": (put("weights", 0, "shape", [8]), "problem: weights: kernel has shape (8,); should have (1, 8)"),
    "count": (put("weights", 0, "data", [0.0] * 7), "weights: kernel has 7 numbers, but its shape [1, 8] wants 8"),
    "no_numbers": (put("inputs", "data", []), "inputs has 0 numbers, but its shape [2, 3, 1] wants 6"),
    "negative": (put("inputs", "shape", [-2, -3, 1]), f"inputs has the shape [-2, -3, 1]; {TOO_LARGE}"),
    "four_axes": (put("inputs", "shape", [2, 3, 1, 1]), f"inputs has the shape [2, 3, 1, 1]; {TOO_LARGE}"),
    "many_axes": (put("mask", "shape", [1] * 100), f"mask has the shape [{'1, ' * 19}1,; {TOO_LARGE}"),
    "huge_axis": (put("inputs", "shape", [0, 10**30, 5]), f"inputs has the shape [0, {10**30}, 5]; {TOO_LARGE}"),
    "huge_axes": (put("inputs", "shape", [HUGE, HUGE]), f"inputs has the shape [{'9' * 59}; {TOO_LARGE}"),
    "axis_true": (put("inputs", "shape", [2, 3, True]), "inputs.shape.2: Input should be a valid integer"),
    "axis_float": (put("inputs", "shape", [2, 3, 1.0]), "inputs.shape.2: Input should be a valid integer"),
    "two_axes": (put("inputs", "shape", [2, 3]), "inputs has 6 numbers, but its shape [2, 3] wants 6"),
    "type": (
        put("weights", 1, "dtype", "int8"),
        "weights: recurrent_kernel has dtype 'int8'; known are float16, bfloat16, float32, float64",
    ),
    "boolean": (put("weights", 0, "data", 3, True), "weights: kernel holds data that are no numbers"),
    "null": (put("inputs", "data", 3, None), "inputs holds data that are no numbers"),
    "nested": (put("inputs", "data", 3, [1]), "inputs holds data that are no numbers"),
    "word": (
        put("inputs", "data", 3, "nan"),
        """inputs holds the string 'nan'; allowed are "NaN", "Infinity", "-Infinity\"""",
    ),
    "long_integer": (put("inputs", "data", 3, 10**400), "inputs holds an integer beyond all float types"),
    "large": (put("inputs", "data", 3, 3.5e38), "inputs holds a number beyond float32"),
    "large_output": (put("outputs", 0, "data", 0, -1e39), "outputs: output holds a number beyond float32"),
    # numbers
    "nan_weight": (put("weights", 0, "data", 3, "NaN"), "problem: weights: kernel[0, 3] is nan; every number given must be finite"),
    "infinite_input": (put("inputs", "data", 5, "-Infinity"), "problem: inputs[1, 2, 0] is -inf; every number given must be finite"),
    "nan_state": (put("initial_state", 1, "data", 0, "NaN"), "problem: initial_state: c[0, 0] is nan; every number given must be finite"),
    # names
    "weight_name": (
        put("weights", 0, "name", "W"),
        "problem: weights are W, recurrent_kernel, bias; should be kernel, recurrent_kernel, bias",
    ),
    "weight_order": (
        lambda f: f["weights"].reverse(),
        "problem: weights are bias, recurrent_kernel, kernel; should be kernel, recurrent_kernel, bias",
    ),
    "weights": (put("weights", []), "problem: weights are nothing; should be kernel, recurrent_kernel, bias"),
    "state": (put("initial_state", 1, ...), "problem: initial_state are h; should be h, c"),
    # empty axes
    "no_batch": (
        lambda f: f["inputs"].update(shape=[0, 3, 1], data=[]),
        "problem: inputs has shape (0, 3, 1): its batch axis B is empty",
    ),
    "no_time": (
        lambda f: f["inputs"].update(shape=[2, 0, 1], data=[]),
        "problem: inputs has shape (2, 0, 1): its time axis T is empty",
    ),
    "no_feature": (
        lambda f: f["inputs"].update(shape=[2, 3, 0], data=[]),
        "problem: inputs has shape (2, 3, 0): its feature axis D is empty",
    ),
    # the mask
    "mask_type": (put("mask", "dtype", "float32"), "mask should have dtype bool and hold true and false"),
    "mask_numbers": (put("mask", "data", [1, 0, 1, 0, 1, 1]), "mask should have dtype bool and hold true and false"),
    "mask_count": (put("mask", "data", [True]), "mask has 1 numbers, but its shape [2, 3] wants 6"),
    "mask_shape": (put("mask", "shape", [3, 2]), "problem: mask is bool of shape (3, 2); should be bool of (2, 3)"),
    # calls
    "calls": (put("calls", [2, 2]), "problem: calls is [2, 2]; should be positive and sum to T=3"),
    "no_calls": (put("calls", []), "problem: calls is []; should be positive and sum to T=3"),
    "calls_0": (put("calls", [3, 0]), "problem: calls is [3, 0]; should be positive and sum to T=3"),
    "calls_true": (put("calls", [True, 2]), "calls.0: Input should be a valid integer"),
    "calls_of_one": (
        put("layer", "config", "stateful", False),
        "problem: calls is given, but the layer is not stateful",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_another_problem(tmp_path, name):
    change, expected = WRONG[name]
    fields = copy.deepcopy(RIGHT)
    change(fields)
    if name == "two_axes":
        expected = "problem: inputs has shape (2, 3); should have the axes B, T, D"
    assert refusal_of(tmp_path, json.dumps(fields)) == expected


@pytest.mark.parametrize("place", ["weights", "inputs", "outputs"])
def test_a_literal_that_overflows_in_json_itself(tmp_path, place):
    fields = copy.deepcopy(RIGHT)
    array = fields[place] if place == "inputs" else fields[place][0]
    array["data"][0] = 123456
    what = "inputs" if place == "inputs" else f"{place}: {array['name']}"
    for number in ("1e999", "-1e999", "1" + "0" * 400 + ".0"):
        text = json.dumps(fields).replace("123456", number)
        assert refusal_of(tmp_path, text) == f"{what} holds a number beyond float32"


@pytest.mark.parametrize("text", ["null", "3", '"x"', "[]", "[{}]", "{}", "true"])
def test_another_thing(tmp_path, text):
    refused = refusal_of(tmp_path, text)
    assert refused.startswith("format: Field required" if text == "{}" else "the whole file: Input should be")


def test_a_line_stays_short(tmp_path):
    line = refusal_of(tmp_path, json.dumps({**RIGHT, "x" * 100_000: 1}))
    assert len(line) < LONGEST
    assert line.endswith("x: Extra inputs are not permitted")


@pytest.mark.parametrize("key", [key for key in RIGHT if key not in ("mask", "initial_state", "calls", "outputs", "case")])
def test_every_key_is_needed(tmp_path, key):
    fields = {other: value for other, value in RIGHT.items() if other != key}
    assert refusal_of(tmp_path, json.dumps(fields)) == f"{key}: Field required"


# ------------------------------------------------------------------------------------------------ anything at all

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["NaN", "float16", "LSTM"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(sorted(RIGHT)), inner),
    max_leaves=8,
)


def places(value, way=()):
    """Every place in nested JSON."""
    yield way
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*way, key))


PLACES = [way for way in places(RIGHT) if way]


@given(st.sampled_from(PLACES), ANYTHING)
@settings(derandomize=True, max_examples=1500, deadline=None, database=None)
def test_anything_anywhere_is_read_or_refused(way, value):
    fields = copy.deepcopy(RIGHT)
    put(*way, value)(fields)
    content = json.dumps(fields).encode()
    try:
        problem = wire.parse_problem(wire.load_json(content, "FILE"), "FILE")
    except FormatError as error:
        assert str(error).startswith("FILE: ")
        assert str(error).isprintable()
    else:
        wire.dump_line(problem).encode()


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:0123456789.eE+-NaInfity \\u', max_size=200).map(str.encode))
@settings(derandomize=True, max_examples=1500, deadline=None, database=None)
def test_any_bytes_are_refused(content):
    with pytest.raises(FormatError) as caught:
        wire.parse_problem(wire.load_json(content, "FILE"), "FILE")
    assert str(caught.value).startswith("FILE: ")
    assert str(caught.value).isprintable()
