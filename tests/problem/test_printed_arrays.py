"""Arrays as frameworks print them."""

from time import process_time

import numpy as np
import pytest

from rnnparity.problem.errors import RequestError
from rnnparity.problem.printed_arrays import parse_printed

ARRAY = np.array([[0.125, -2.5e-7, 3.0], [np.nan, 1e10, 0.0]], np.float32)


@pytest.mark.parametrize(
    "text",
    [
        str(ARRAY),
        repr(ARRAY),
        f"tf.Tensor(\n{ARRAY}, shape=(2, 3), dtype=float32)",
        f"<tf.Tensor: shape=(2, 3), dtype=float32, numpy=\n{ARRAY!r}>",
        "tensor([[ 1.2500e-01, -2.5000e-07,  3.0000e+00],\n        [nan,  1.0000e+10, 0.]],"
        " device='cuda:0', grad_fn=<SqueezeBackward1>)",
        "torch.Size([2, 3])\ntensor([[.125, -2.5e-7, 3], [NaN, 1E10, 0]])",
        "[[0.125, -2.5e-07, 3.0], [nan, 1e10, 0]]",
        ".125 -2.5e-7 3\nnan, 1e10, 0\n",
    ],
)
def test_one_array_is_read_as_it_is_printed(text):
    np.testing.assert_array_equal(np.array(parse_printed(text, "a.txt"), np.float32), ARRAY)


def test_arrays_with_three_axes_are_read():
    values = np.linspace(-1, 1, 24).reshape(2, 3, 4)
    for printed in (str(values), repr(values)):
        np.testing.assert_allclose(parse_printed(printed, "a.txt"), values, atol=1e-4)


def test_several_arrays_are_a_list_and_have_names_where_each_has_one():
    assert parse_printed("[1. 2.]\n\n[3. 4.]", "a") == [[1.0, 2.0], [3.0, 4.0]]
    assert parse_printed("output = tensor([1.])\nh: [2.]", "a") == {"output": [1.0], "h": [2.0]}
    assert parse_printed("x = [1.] [2.]", "a") == [[1.0], [2.0]]


@pytest.mark.parametrize(
    "text", ["1" * 200_000 + "x", "[" + "1" * 200_000 + "x]", "a" * 200_000 + "["]
)
def test_long_words_take_no_longer_than_short_ones(text):
    start = process_time()
    with pytest.raises(RequestError):
        parse_printed(text, "a.txt")
    assert process_time() - start < 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[1. 2. ...\n 3.]]", r"a.txt: line 1: got '...'; print the whole array"),
        ("[1, 2\n two]", r"a.txt: line 2: got 'two'; expected numbers and brackets only"),
        ("h =\n[[1, 2]", r"a.txt: line 2: the bracket is not closed"),
        ("[[[[[[1]]]]]]", r"a.txt: line 1: nested too deeply"),
        ("loss: 0.3", r"a.txt: line 1: got 'loss:', expected numbers"),
        (" \n", r"a.txt: no numbers in it"),
        ("[1.2.3]", r"got '1.2.3'"),
    ],
)
def test_other_text_is_refused_with_its_line(text, message):
    with pytest.raises(RequestError, match=message):
        parse_printed(text, "a.txt")


@pytest.mark.parametrize(
    "label", ["y = ", "LSTM = ", "lstm_out: ", "output of LSTM: ", "Out[3]: array(", "numpy=\n"]
)
def test_one_array_that_is_called_anything_is_one_array(label):
    parsed = parse_printed(f"{label}[[1. 2.]]", "a")
    assert parsed in ([[1.0, 2.0]], {"output": [[1.0, 2.0]]})


def test_outputs_are_known_by_the_names_of_programs():
    text = "out = tensor([[[1.]]])\nh_n = tensor([2.])\nC_n: [3.]"
    assert parse_printed(text, "a") == {"output": [[[1.0]]], "h": [2.0], "c": [3.0]}
    assert parse_printed("enc/h = [1.] enc/forward_output = [2.]", "a") == {
        "enc/h": [1.0],
        "enc/forward_output": [2.0],
    }
