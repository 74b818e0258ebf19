"""Problems that are none: a wrong key, type, name, shape, count or number is refused in one line
that names it."""

import copy
import json

import pytest
from _support.right_problem import RIGHT, put, refusal_of

TOO_LARGE = "should be at most three sizes that fit a file"
HUGE = int("9" * 4300)
WRONG = {
    # keys and their types
    "no_id": (put("id", ...), "id: Field required"),
    "empty_id": (put("id", ""), "id: String should have at least 1 character"),
    "long_id": (put("id", "x" * 201), "id: String should have at most 200 characters"),
    "number_id": (put("id", 3), "id: Input should be a valid string"),
    "surrogate": (
        put("id", "\ud800"),
        "id: Input should be a valid string, unable to parse raw data as a unicode string",
    ),
    "extra": (put("extra", None), "extra: Extra inputs are not permitted"),
    "extra_in_array": (put("inputs", "name", "x"), "inputs.name: Extra inputs are not permitted"),
    "extra_in_case": (put("case", "id", "x"), "case.id: Extra inputs are not permitted"),
    "line_break": (put("a\nb\x1b[31m", 1), r"a b\x1b[31m: Extra inputs are not permitted"),
    "format": (put("format", "rnnparity/2"), "format: Input should be 'rnnparity/1'"),
    "no_format": (put("format", ...), "format: Field required"),
    "no_weights": (put("weights", None), "weights: Input should be a valid list"),
    "two_wrong": (
        lambda f: f.update(id=3, mask=3),
        "id: Input should be a valid string (and 1 more)",
    ),
    "no_case_tags": (put("case", "tags", "a"), "case.tags: Input should be a valid list"),
    "initializer": (
        put("case", "initializers", "kernel", "1"),
        "case.initializers.kernel: Input should be a valid number",
    ),
    "initializer_2": (
        put("case", "initializers", "seed", 1),
        "case.initializers.seed: Extra inputs are not permitted",
    ),
    "expect": (put("case", "expect", "sum", 1), "case.expect.sum: Extra inputs are not permitted"),
    "batch_shape": (
        put("case", "expect", "batch_shape", 5),
        "case.expect.batch_shape: Input should be a valid list",
    ),
    "batch_shape_2": (
        put("case", "expect", "batch_shape", [1, 2]),
        "case.expect.batch_shape: List should have at least 3 items after validation, not 2",
    ),
    # the layer
    "argument": (
        put("layer", "config", "cell", 1),
        "layer.config.cell is no argument of LSTM known here",
    ),
    "not_computed": (
        put("layer", "config", "recurrent_dropout", 0.3),
        "layer.config.recurrent_dropout is 0.3, which would change the outputs and is not computed here",
    ),
    "units": (
        put("layer", "config", "units", HUGE),
        f"layer.config.units is {'9' * 60}; should be a positive integer below 2**31",
    ),
    # shapes, counts, types
    "weight_shape": (
        put("weights", 0, "shape", [8, 1]),
        "problem: weights: kernel has shape (8, 1); should have (1, 8)",
    ),
    "flat_weight": (
        put("weights", 0, "shape", [8]),
        "problem: weights: kernel has shape (8,); should have (1, 8)",
    ),
    "count": (
        put("weights", 0, "data", [0.0] * 7),
        "weights: kernel has 7 numbers, but its shape [1, 8] wants 8",
    ),
    "no_numbers": (
        put("inputs", "data", []),
        "inputs has 0 numbers, but its shape [2, 3, 1] wants 6",
    ),
    "negative": (
        put("inputs", "shape", [-2, -3, 1]),
        f"inputs has the shape [-2, -3, 1]; {TOO_LARGE}",
    ),
    "four_axes": (
        put("inputs", "shape", [2, 3, 1, 1]),
        f"inputs has the shape [2, 3, 1, 1]; {TOO_LARGE}",
    ),
    "many_axes": (
        put("mask", "shape", [1] * 100),
        f"mask has the shape [{'1, ' * 19}1,; {TOO_LARGE}",
    ),
    "huge_axis": (
        put("inputs", "shape", [0, 10**30, 5]),
        f"inputs has the shape [0, {10**30}, 5]; {TOO_LARGE}",
    ),
    "huge_axes": (
        put("inputs", "shape", [HUGE, HUGE]),
        f"inputs has the shape [{'9' * 59}; {TOO_LARGE}",
    ),
    "axis_true": (
        put("inputs", "shape", [2, 3, True]),
        "inputs.shape.2: Input should be a valid integer",
    ),
    "axis_float": (
        put("inputs", "shape", [2, 3, 1.0]),
        "inputs.shape.2: Input should be a valid integer",
    ),
    "two_axes": (
        put("inputs", "shape", [2, 3]),
        "inputs has 6 numbers, but its shape [2, 3] wants 6",
    ),
    "type": (
        put("weights", 1, "dtype", "int8"),
        "weights: recurrent_kernel has dtype 'int8'; known are float16, bfloat16, float32, float64",
    ),
    "boolean": (
        put("weights", 0, "data", 3, True),
        "weights: kernel holds data that are no numbers",
    ),
    "null": (put("inputs", "data", 3, None), "inputs holds data that are no numbers"),
    "nested": (put("inputs", "data", 3, [1]), "inputs holds data that are no numbers"),
    "word": (
        put("inputs", "data", 3, "nan"),
        """inputs holds the string 'nan'; allowed are "NaN", "Infinity", "-Infinity\"""",
    ),
    "long_integer": (
        put("inputs", "data", 3, 10**400),
        "inputs holds an integer beyond all float types",
    ),
    "large": (put("inputs", "data", 3, 3.5e38), "inputs holds a number beyond float32"),
    "large_output": (
        put("outputs", 0, "data", 0, -1e39),
        "outputs: output holds a number beyond float32",
    ),
    # numbers
    "nan_weight": (
        put("weights", 0, "data", 3, "NaN"),
        "problem: weights: kernel[0, 3] is nan; every number given must be finite",
    ),
    "infinite_input": (
        put("inputs", "data", 5, "-Infinity"),
        "problem: inputs[1, 2, 0] is -inf; every number given must be finite",
    ),
    "nan_state": (
        put("initial_state", 1, "data", 0, "NaN"),
        "problem: initial_state: c[0, 0] is nan; every number given must be finite",
    ),
    # names
    "weight_name": (
        put("weights", 0, "name", "W"),
        "problem: weights are W, recurrent_kernel, bias; should be kernel, recurrent_kernel, bias",
    ),
    "weight_order": (
        lambda f: f["weights"].reverse(),
        "problem: weights are bias, recurrent_kernel, kernel; should be kernel, recurrent_kernel, bias",
    ),
    "weights": (
        put("weights", []),
        "problem: weights are nothing; should be kernel, recurrent_kernel, bias",
    ),
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
    "mask_type": (
        put("mask", "dtype", "float32"),
        "mask should have dtype bool and hold true and false",
    ),
    "mask_numbers": (
        put("mask", "data", [1, 0, 1, 0, 1, 1]),
        "mask should have dtype bool and hold true and false",
    ),
    "mask_count": (put("mask", "data", [True]), "mask has 1 numbers, but its shape [2, 3] wants 6"),
    "mask_shape": (
        put("mask", "shape", [3, 2]),
        "problem: mask is bool of shape (3, 2); should be bool of (2, 3)",
    ),
    # calls
    "calls": (put("calls", [2, 2]), "problem: calls is [2, 2]; should be positive and sum to T=3"),
    "no_calls": (put("calls", []), "problem: calls is []; should be positive and sum to T=3"),
    "calls_0": (
        put("calls", [3, 0]),
        "problem: calls is [3, 0]; should be positive and sum to T=3",
    ),
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
