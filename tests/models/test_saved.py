"""Models in files: loaded in safe mode, refused in one line where they are dangerous or damaged."""

import json
import zipfile

import numpy as np
import pytest
from _support.frameworks import keras

from rnnparity import from_model
from rnnparity.models import model_files, saved
from rnnparity.models.calls import Note
from rnnparity.models.model_files import check_model_file
from rnnparity.models.saved import record_file, recorded
from rnnparity.problem.errors import RequestError
from rnnparity.problem.verdicts import Verdict

# Keras saves its variables through an __array__ of NumPy 1's form.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",
    "ignore:You are saving your model as an HDF5 file:UserWarning",
)

__all__ = ["keras"]


@pytest.fixture
def save(keras, tmp_path):
    """Saves a Sequential of layers; returns the path."""

    def save(*parts, suffix=".keras", shape=(None, 4)):
        path = tmp_path / f"model{suffix}"
        keras.Sequential([keras.Input(shape), *parts]).save(path)
        return path

    return save


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_calls_of_a_saved_model_are_recorded(keras, save, suffix):
    layers = keras.layers
    embedding = layers.Embedding(9, 4, mask_zero=True)
    path = save(embedding, layers.LSTM(3), suffix=suffix, shape=(None,))
    (call,) = recorded(keras, path).calls
    assert call.class_name == "LSTM"
    assert not call.problem.mask.all()
    assert call.notes == ()


def test_saved_model_is_judged_from_a_worker_process(keras, save):
    layers = keras.layers
    both = layers.Bidirectional(layers.GRU(3, return_sequences=True), name="both")
    path = save(both, layers.LSTM(2, name="last"))
    result = from_model(str(path), np.ones((2, 5, 4), "float32"))
    assert [(call.call.id, call.result.verdict) for call in result.calls] == [
        ("both", Verdict.AGREES),
        ("last", Verdict.AGREES),
    ]
    with pytest.raises(RequestError, match="timed out after 1 s; worker killed"):
        record_file(path, timeout_s=1)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("shape", [(None,), (None, 4)])
def test_saved_functional_model_has_its_masks(keras, tmp_path, suffix, shape):
    layers, path = keras.layers, tmp_path / f"model{suffix}"
    inputs = keras.Input(shape)
    masked = layers.Masking() if len(shape) == 2 else layers.Embedding(9, 4, mask_zero=True)
    keras.Model(inputs, layers.LSTM(3)(masked(inputs))).save(path)
    (call,) = recorded(keras, path).calls
    assert not call.problem.mask.all()


BOMB = "lambda x: [__import__('pathlib').Path('bomb').touch(), x][1]"


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_lambda_in_a_file_is_not_executed(keras, save, tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    bomb = keras.layers.Lambda(eval(BOMB))  # noqa: S307
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.layers.Lambda, "call", lambda self, x, mask=None: x)
        path = save(bomb, keras.layers.LSTM(2), suffix=suffix)
    assert not (tmp_path / "bomb").exists()
    with pytest.raises(RequestError, match="pass --unsafe if you trust the file") as caught:
        recorded(keras, path)
    assert "\n" not in str(caught.value)
    assert "--import" not in str(caught.value)
    assert not (tmp_path / "bomb").exists()
    recorded(keras, path, unsafe=True)
    assert (tmp_path / "bomb").exists()


def test_file_that_needs_too_much_memory_is_no_other_error(keras, save, monkeypatch):
    """TensorFlow itself refuses it after ten seconds, with this error and one before it."""
    tf = pytest.importorskip("tensorflow")
    path = save(keras.layers.LSTM(5, name="port"))

    def refused(self, shape):
        try:
            raise ValueError("status")
        except ValueError:
            raise tf.errors.ResourceExhaustedError(
                None, None, "OOM when allocating tensor"
            ) from None

    monkeypatch.setattr(keras.layers.LSTM, "build", refused)
    with pytest.raises(MemoryError):
        recorded(keras, path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_custom_object_is_imported_or_missed(keras, save, monkeypatch, suffix):
    from _support import keras_models

    path = save(keras_models.LSTM(5, name="port"), suffix=suffix)
    monkeypatch.setattr(saved, "_layer_classes", lambda keras, module: {})
    custom = keras.saving.get_custom_objects()
    kept = dict(custom)
    custom.clear()
    try:
        with pytest.raises(RequestError, match="port>LSTM: not in Keras; pass --import PKG"):
            recorded(keras, path)
    finally:
        custom.update(kept)
    monkeypatch.undo()
    (call,) = recorded(keras, path, imports=["_support.keras_models"]).calls
    assert call.id == "port"


def test_h5_file_of_keras_2_is_opened_without_time_major(keras, save):
    h5py = pytest.importorskip("h5py")
    layers = keras.layers
    first = layers.LSTM(2, recurrent_activation="hard_sigmoid", return_sequences=True)
    path = save(first, layers.GRU(3), suffix=".h5")

    def with_time_major(config):
        return {**config, "time_major": False} if "units" in config else config

    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"], object_hook=with_time_major)
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(RequestError, match="time_major"):
        recorded(keras, path)
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = "2.15.0"
    call, other = recorded(keras, path).calls
    assert (call.notes, other.notes) == ((Note.HARD_SIGMOID_KERAS_2,), ())
    assert call.problem.layer.recurrent_activation == "hard_sigmoid"


def test_decoder_of_an_h5_file_of_keras_2_gets_its_initial_states(keras, tmp_path):
    tf_keras = pytest.importorskip("tf_keras")
    layers = tf_keras.layers
    source, target = layers.Input((5, 4)), layers.Input((6, 4))
    _, *states = layers.LSTM(3, return_state=True)(source)
    decoded = layers.LSTM(3, return_sequences=True)(target, initial_state=states)
    model = tf_keras.Model([source, target], decoded)
    model.save(tmp_path / "old.h5")
    recording = recorded(keras, tmp_path / "old.h5")
    encoder, decoder = recording.calls
    assert [state.name for state in decoder.problem.initial_state] == ["h", "c"]
    for state, output in zip(decoder.problem.initial_state, encoder.outputs[1:], strict=True):
        np.testing.assert_array_equal(state.data, output.data)
    expected = model([tensor.data for tensor in recording.inputs])
    np.testing.assert_allclose(recording.outputs[0].data, expected, atol=1e-6)


def archive(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)


def test_file_that_is_not_a_model_is_refused(tmp_path):
    whole = {"config.json": "{}", "metadata.json": "{}"}
    contents = {
        "text.keras": (b"hello", "not a .keras archive"),
        "text.h5": (b"hello", "not an HDF5 file"),
        "torn.keras": (b"PK\x03\x04", "damaged .keras archive"),
        "model.onnx": (b"", "got suffix '.onnx', expected a .keras or .h5 file"),
        "old.keras": (
            {**whole, "metadata.json": '{"keras_version": "2.15.0"}'},
            r"of Keras 2.15.0, which Keras 3 cannot open; save it as .h5: tf_keras.models.load_model\(",
        ),
        "numbers.keras": ({**whole, "metadata.json": "1 2"}, "damaged .keras archive: Extra data"),
        "plain.keras": ({"a": "b"}, "config.json is missing"),
        "outside.keras": ({**whole, "../evil": ""}, "points outside the archive"),
        "absolute.keras": ({**whole, "/etc/evil": ""}, "points outside the archive"),
        "drive.keras": ({**whole, "C:\\evil": ""}, "points outside the archive"),
    }
    for name, (content, message) in contents.items():
        path = tmp_path / name
        if isinstance(content, dict):
            archive(path, content)
        else:
            path.write_bytes(content)
        with pytest.raises(RequestError, match=message):
            check_model_file(path)
    with pytest.raises(RequestError, match="cannot be read: No such file"):
        check_model_file(tmp_path / "absent.keras")


def test_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(model_files, "MEMORY_LIMIT", 10_000)
    path = tmp_path / "bomb.keras"
    archive(path, {"config.json": "0" * 10**6, "metadata.json": "{}"})
    with pytest.raises(RequestError, match="unpacks to"):
        check_model_file(path)


def test_damaged_configuration_is_one_line(keras, tmp_path):
    path = tmp_path / "damaged.keras"
    archive(path, {"config.json": "{", "metadata.json": "{}", "model.weights.h5": "x"})
    with pytest.raises(RequestError, match="cannot be loaded"):
        recorded(keras, path)


def test_damaged_h5_file_is_one_line(keras, save, tmp_path):
    layers = keras.layers
    content = save(layers.LSTM(3), suffix=".h5").read_bytes()
    path = tmp_path / "torn.h5"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(RequestError, match=r"torn.h5: damaged HDF5 file: .*truncated"):
        recorded(keras, path)


def test_h5_file_without_a_model_is_refused(keras, tmp_path):
    inputs = keras.Input((4, 3))
    path = tmp_path / "model.weights.h5"
    keras.Model(inputs, keras.layers.LSTM(2)(inputs)).save_weights(path)
    with pytest.raises(RequestError, match="has no model, only weights"):
        recorded(keras, path)


def test_only_names_that_are_not_in_keras_need_an_import(keras, save):
    class Doubled(keras.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    for suffix in (".keras", ".h5"):
        path = save(Doubled(), keras.layers.LSTM(3), suffix=suffix)
        with pytest.raises(
            RequestError, match=r"cannot be loaded: Doubled: not in Keras; pass --import"
        ):
            recorded(keras, path)


def test_error_of_a_file_without_custom_objects_advises_no_import(keras, tmp_path):
    path = tmp_path / "damaged.keras"
    config = {"module": "keras", "class_name": "Sequential", "config": {"layers": 1}}
    archive(
        path, {"config.json": json.dumps(config), "metadata.json": "{}", "model.weights.h5": "x"}
    )
    with pytest.raises(RequestError, match="cannot be loaded") as refused:
        recorded(keras, path)
    assert "--import" not in str(refused.value)
