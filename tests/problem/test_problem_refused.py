"""Problems that are none: a wrong key, type, name, shape, count or number is refused in one line
that names it."""

import copy
import json

import numpy as np
import pytest
from _support.valid_problem import VALID, put, refusal_of

from rnnparity.problem.errors import FormatError
from rnnparity.problem.problem import Problem

TOO_LARGE = "expected at most 3 sizes that fit into a file"
HUGE = int("9" * 4300)
WRONG = {
    # keys and their types
    "no_id": (put("id", ...), "id: is missing"),
    "empty_id": (put("id", ""), "id: got 0 characters, expected at least 1"),
    "long_id": (put("id", "x" * 201), "id: got 201 characters, expected at most 200"),
    "number_id": (put("id", 3), "id: got 3, expected a string"),
    "surrogate": (
        put("id", "\ud800"),
        r"id: got '\ud800', expected a string of valid Unicode",
    ),
    "extra": (put("extra", None), "extra: unknown key"),
    "extra_in_array": (put("inputs", "name", "x"), "inputs.name: unknown key"),
    "extra_in_case": (put("case", "id", "x"), "case.id: unknown key"),
    "line_break": (put("a\nb\x1b[31m", 1), "a b\\x1b[31m: unknown key"),
    "format": (
        put("format", "rnnparity/3"),
        "format: got 'rnnparity/3', expected 'rnnparity/1' or 'rnnparity/2'",
    ),
    "format_1": (
        put("format", "rnnparity/1"),
        "format: got 'rnnparity/1', expected 'rnnparity/2', which has cotangents",
    ),
    "no_format": (put("format", ...), "format: is missing"),
    "no_weights": (put("weights", None), "weights: got null, expected a list"),
    "two_wrong": (
        lambda f: f.update(id=3, mask=3),
        "id: got 3, expected a string (and 1 more)",
    ),
    "no_case_tags": (put("case", "tags", "a"), "case.tags: got 'a', expected a list"),
    "initializer": (
        put("case", "initializers", "kernel", "1"),
        "case.initializers.kernel: got '1', expected a number",
    ),
    "initializer_2": (
        put("case", "initializers", "seed", 1),
        "case.initializers.seed: unknown key",
    ),
    "expect": (
        put("case", "expect", "sum", 1),
        "case.expect.sum: unknown key; did you mean summary?",
    ),
    "batch_shape": (
        put("case", "expect", "batch_shape", 5),
        "case.expect.batch_shape: got 5, expected a list",
    ),
    "batch_shape_2": (
        put("case", "expect", "batch_shape", [1, 2]),
        "case.expect.batch_shape: got 2 items, expected at least 3",
    ),
    # the layer
    "argument": (
        put("layer", "config", "cell", 1),
        "layer.config.cell: unsupported argument for LSTM",
    ),
    "not_computed": (
        put("layer", "config", "time_major", True),
        "layer.config.time_major: got true, expected false: another value changes the outputs and is not computed",
    ),
    "units": (
        put("layer", "config", "units", HUGE),
        f"layer.config.units: got {'9' * 60}, expected a positive integer below 2**31",
    ),
    # shapes, counts, types
    "weight_shape": (
        put("weights", 0, "shape", [8, 1]),
        "problem: weights: kernel: got shape (8, 1), expected (1, 8)",
    ),
    "flat_weight": (
        put("weights", 0, "shape", [8]),
        "problem: weights: kernel: got shape (8,), expected (1, 8)",
    ),
    "count": (
        put("weights", 0, "data", [0.0] * 7),
        "weights: kernel: got 7 elements, expected 8 for shape [1, 8]",
    ),
    "no_numbers": (
        put("inputs", "data", []),
        "inputs: got 0 elements, expected 6 for shape [2, 3, 1]",
    ),
    "negative": (
        put("inputs", "shape", [-2, -3, 1]),
        f"inputs: got shape [-2, -3, 1], {TOO_LARGE}",
    ),
    "four_axes": (
        put("inputs", "shape", [2, 3, 1, 1]),
        f"inputs: got shape [2, 3, 1, 1], {TOO_LARGE}",
    ),
    "many_axes": (
        put("mask", "shape", [1] * 100),
        f"mask: got shape [{'1, ' * 19}1,, {TOO_LARGE}",
    ),
    "huge_axis": (
        put("inputs", "shape", [0, 10**30, 5]),
        f"inputs: got shape [0, {10**30}, 5], {TOO_LARGE}",
    ),
    "huge_axes": (
        put("inputs", "shape", [HUGE, HUGE]),
        f"inputs: got shape [{'9' * 59}, {TOO_LARGE}",
    ),
    "axis_true": (
        put("inputs", "shape", [2, 3, True]),
        "inputs.shape.2: got true, expected an integer",
    ),
    "axis_float": (
        put("inputs", "shape", [2, 3, 1.0]),
        "inputs.shape.2: got 1.0, expected an integer",
    ),
    "two_axes": (
        put("inputs", "shape", [2, 3]),
        "problem: inputs: got shape (2, 3), expected the axes B, T, D",
    ),
    "type": (
        put("weights", 1, "dtype", "int8"),
        "weights: recurrent_kernel: got dtype 'int8', expected one of float16, bfloat16, float32, float64",
    ),
    "boolean": (
        put("weights", 0, "data", 3, True),
        "weights: kernel: data must be numbers",
    ),
    "null": (put("inputs", "data", 3, None), "inputs: data must be numbers"),
    "nested": (put("inputs", "data", 3, [1]), "inputs: data must be numbers"),
    "word": (
        put("inputs", "data", 3, "nan"),
        'inputs: got the string \'nan\', expected "NaN", "Infinity" or "-Infinity"',
    ),
    "long_integer": (
        put("inputs", "data", 3, 10**400),
        "inputs: an integer is beyond the range of float64",
    ),
    "large": (put("inputs", "data", 3, 3.5e38), "inputs: a number is beyond the range of float32"),
    "large_output": (
        put("outputs", 0, "data", 0, -1e39),
        "outputs: output: a number is beyond the range of float32",
    ),
    # numbers
    "nan_weight": (
        put("weights", 0, "data", 3, "NaN"),
        "problem: weights: kernel[0, 3]: got nan, expected a finite number",
    ),
    "infinite_input": (
        put("inputs", "data", 5, "-Infinity"),
        "problem: inputs[1, 2, 0]: got -inf, expected a finite number",
    ),
    "nan_state": (
        put("initial_state", 1, "data", 0, "NaN"),
        "problem: initial_state: c[0, 0]: got nan, expected a finite number",
    ),
    # names
    "weight_name": (
        put("weights", 0, "name", "W"),
        "problem: weights: got W, recurrent_kernel, bias, expected kernel, recurrent_kernel, bias",
    ),
    "weight_order": (
        lambda f: f["weights"].reverse(),
        "problem: weights: got bias, recurrent_kernel, kernel, expected kernel, recurrent_kernel, bias",
    ),
    "weights": (
        put("weights", []),
        "problem: weights: got none, expected kernel, recurrent_kernel, bias",
    ),
    "state": (put("initial_state", 1, ...), "problem: initial_state: got h, expected h, c"),
    # dropout masks
    "no_dropout_masks": (
        put("dropout_masks", []),
        "problem: dropout_masks: got none, expected some of inputs, recurrent, in this order",
    ),
    "dropout_name": (
        put("dropout_masks", 1, "name", "h"),
        "problem: dropout_masks: got inputs, h, expected some of inputs, recurrent, in this order",
    ),
    "dropout_order": (
        lambda f: f["dropout_masks"].reverse(),
        "problem: dropout_masks: got recurrent, inputs, "
        "expected some of inputs, recurrent, in this order",
    ),
    "dropout_shape": (
        put("dropout_masks", 1, "shape", [2, 4, 2]),
        "problem: dropout_masks: recurrent: got (2, 4, 2), expected (1, 2, 2) or (4, 2, 2)",
    ),
    "dropout_nan": (
        put("dropout_masks", 0, "data", 1, "NaN"),
        "problem: dropout_masks: inputs[0, 1, 0]: got nan, expected a finite number",
    ),
    # cotangents and gradients
    "cotangents": (
        put("cotangents", 2, ...),
        "problem: cotangents: got output, h, expected output, h, c",
    ),
    "cotangent_shape": (
        put("cotangents", 1, "shape", [4]),
        "problem: cotangents: h: got shape (4,), expected (2, 2)",
    ),
    "cotangent_nan": (
        put("cotangents", 1, "data", 1, "NaN"),
        "problem: cotangents: h[0, 1]: got nan, expected a finite number",
    ),
    "cotangent_null": (put("cotangents", 1, None), "cotangents.1: got null, expected an object"),
    "no_cotangents": (
        put("cotangents", None),
        "problem: gradients: got gradients without cotangents, expected both",
    ),
    "gradients": (
        put("gradients", 5, ...),
        "problem: gradients: got 5, expected 6: inputs, kernel, recurrent_kernel, bias, "
        "initial_state/h, initial_state/c",
    ),
    "gradient_name": (
        put("gradients", 5, "name", "c"),
        "problem: gradients: got c, expected initial_state/c",
    ),
    "gradient_shape": (
        put("gradients", 1, "shape", [8, 1]),
        "problem: gradients: kernel: got shape (8, 1), expected (1, 8)",
    ),
    "gradient_zeros": (put("gradients", 0, 0), "gradients.0: got 0, expected an object"),
    # empty axes
    "no_batch": (
        lambda f: f["inputs"].update(shape=[0, 3, 1], data=[]),
        "problem: inputs: got shape (0, 3, 1), expected at least 1 along the batch axis B",
    ),
    "no_time": (
        lambda f: f["inputs"].update(shape=[2, 0, 1], data=[]),
        "problem: inputs: got shape (2, 0, 1), expected at least 1 along the time axis T",
    ),
    "no_feature": (
        lambda f: f["inputs"].update(shape=[2, 3, 0], data=[]),
        "problem: inputs: got shape (2, 3, 0), expected at least 1 along the feature axis D",
    ),
    # the mask
    "mask_type": (
        put("mask", "dtype", "float32"),
        "mask: must have dtype bool and data of true and false",
    ),
    "mask_numbers": (
        put("mask", "data", [1, 0, 1, 0, 1, 1]),
        "mask: must have dtype bool and data of true and false",
    ),
    "mask_count": (
        put("mask", "data", [True]),
        "mask: got 1 elements, expected 6 for shape [2, 3]",
    ),
    "mask_shape": (
        put("mask", "shape", [3, 2]),
        "problem: mask: got bool of shape (3, 2), expected bool of shape (2, 3)",
    ),
    # calls
    "calls": (
        put("calls", [2, 2]),
        "problem: calls: got [2, 2], expected positive numbers of sum T=3",
    ),
    "no_calls": (put("calls", []), "problem: calls: got [], expected positive numbers of sum T=3"),
    "calls_0": (
        put("calls", [3, 0]),
        "problem: calls: got [3, 0], expected positive numbers of sum T=3",
    ),
    "calls_true": (put("calls", [True, 2]), "calls.0: got true, expected an integer"),
    "calls_of_one": (
        put("layer", "config", "stateful", False),
        "problem: calls: got [2, 1], expected a stateful layer",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_invalid_problem_is_refused(tmp_path, name):
    change, expected = WRONG[name]
    fields = copy.deepcopy(VALID)
    change(fields)
    assert refusal_of(tmp_path, json.dumps(fields)) == expected


@pytest.mark.parametrize("place", ["weights", "inputs", "outputs"])
def test_a_literal_that_overflows_in_json_is_refused(tmp_path, place):
    fields = copy.deepcopy(VALID)
    array = fields[place] if place == "inputs" else fields[place][0]
    array["data"][0] = 123456
    what = "inputs" if place == "inputs" else f"{place}: {array['name']}"
    for number in ("1e999", "-1e999", "1" + "0" * 400 + ".0"):
        text = json.dumps(fields).replace("123456", number)
        assert refusal_of(tmp_path, text) == f"{what}: a number is beyond the range of float32"


def test_keras_layer_of_another_class_names_the_way_for_models():
    class TimeDistributed:
        def get_config(self):
            return {"layer": {}}

        def get_weights(self):
            return []

    expected = r"layer.class_name: got 'TimeDistributed', .*; rnnparity.from_model\(model, inputs\)"
    with pytest.raises(FormatError, match=expected):
        Problem.from_keras(TimeDistributed(), np.zeros((2, 3, 4)))
