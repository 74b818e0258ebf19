"""Inputs of models: generated from specs, read from files, checked."""

import json

import numpy as np
import pytest
from _support.frameworks import keras

from rnnparity.models.inputs import generated_inputs, prepared_inputs
from rnnparity.models.recording import record
from rnnparity.problem.array_files import read_arrays
from rnnparity.problem.errors import RequestError

__all__ = ["keras"]


@pytest.fixture(scope="module")
def two_inputs(keras):
    """A model of ids through a nested model, and of a state."""
    inner = keras.Sequential([keras.Input((None,)), keras.layers.Embedding(3, 4, mask_zero=True)])
    ids, h = keras.Input((None,), name="ids"), keras.Input((5,), name="h")
    shifted = keras.ops.reshape(ids, (-1, 7))
    return keras.Model([ids, h], keras.layers.GRU(5)(inner(shifted), initial_state=h))


def test_generated_ids_are_below_the_vocabulary_and_end_with_padding(two_inputs):
    ids, h = generated_inputs(two_inputs)
    assert ids.shape == (3, 7)
    assert set(ids.ravel()) == {0, 1, 2}
    assert ids[-1, -1] == 0
    assert ids[0].all()
    assert (h.shape, h.dtype) == ((3, 5), np.float32)
    assert np.array_equal(generated_inputs(two_inputs)[0], ids)


def test_generated_values_have_masked_steps_where_the_model_masks(keras):
    inputs = keras.Input((6, 2), name="x")
    model = keras.Model({"x": inputs}, keras.layers.LSTM(3)(keras.layers.Masking(-9.0)(inputs)))
    generated = generated_inputs(model)
    assert generated["x"].shape == (3, 6, 2)
    assert (generated["x"][-1, -2:] == -9).all()


def test_inputs_by_name_or_order_are_those_of_the_model(two_inputs):
    ids, h = np.ones((2, 7)), np.ones((2, 5))
    for inputs in ([ids, h], (ids, h), {"h": h, "ids": ids}, [ids.tolist(), h.tolist()]):
        first, second = prepared_inputs(two_inputs, inputs)
        assert (first.shape, second.shape) == ((2, 7), (2, 5))


def test_single_input_may_be_nested_lists_or_a_list_of_one_array(keras):
    model = keras.Sequential([keras.Input((None, 2)), keras.layers.GRU(1)])
    for inputs in ([[[1, 2], [3, 4]]], [np.ones((1, 2, 2))], np.ones((1, 2, 2))):
        assert prepared_inputs(model, inputs).shape == (1, 2, 2)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.ones((2, 7)), "got 1 arrays, expected 2: ids, h"),
        ([np.ones((2, 7))] * 3, "got 3 arrays, expected 2: ids, h"),
        ({"ids": [[1]]}, "got the names ids, expected ids, h"),
        ([np.ones((2, 7)), np.ones((2, 6))], r"inputs h: got shape \(2, 6\), expected \(any, 5\)"),
        ([np.ones((2, 7)), [[1, 2], [3]]], "inputs h: got lists of different lengths"),
        ([np.ones((2, 7)), [{}]], "inputs h: got an array of object, expected numbers"),
        ([np.ones((0, 7)), np.ones((0, 5))], "expected no empty axis"),
    ],
)
def test_inputs_of_wrong_number_or_shape_are_refused(two_inputs, inputs, message):
    with pytest.raises(RequestError, match=message):
        prepared_inputs(two_inputs, inputs)


@pytest.mark.parametrize("id", [1.5, np.nan])
def test_ids_that_are_not_whole_are_refused(two_inputs, id):
    ids = np.full((2, 7), id, "float32")
    with pytest.raises(RequestError, match=f"got id {id}, expected whole ids"):
        record(two_inputs, [ids, np.ones((2, 5))])


@pytest.mark.parametrize("id", [3, -1])
def test_ids_beyond_the_vocabulary_are_refused(two_inputs, id):
    ids = np.full((2, 7), id)
    with pytest.raises(RequestError, match=f"got id {id}, expected ids from 0 to 2"):
        record(two_inputs, [ids, np.ones((2, 5))])


def test_files_of_inputs(tmp_path):
    array = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", ids=array)
    np.savez(tmp_path / "plain.npz", array, array)
    (tmp_path / "x.json").write_text(json.dumps({"ids": array.tolist()}))
    assert np.array_equal(read_arrays(tmp_path / "x.npy"), array)
    assert list(read_arrays(tmp_path / "x.npz")) == ["ids"]
    assert len(read_arrays(tmp_path / "plain.npz")) == 2
    assert read_arrays(tmp_path / "x.json") == {"ids": array.tolist()}


def test_unreadable_inputs_are_refused(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04")
    (tmp_path / "text.npy").write_text("1 2 3")
    (tmp_path / "torn.json").write_text("[1")
    (tmp_path / "x.csv").write_text("1")
    for name in ("objects.npy", "torn.npz", "text.npy", "torn.json", "x.csv", "absent.npy"):
        with pytest.raises(RequestError, match=name):
            read_arrays(tmp_path / name)
