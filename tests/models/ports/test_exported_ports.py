"""What Keras exports, healthy and sabotaged, against the model that it was exported from."""

import numpy as np
import pytest
from _support.frameworks import keras
from validation.port_artifacts import SABOTAGES, each, keras_model

from rnnparity import from_model
from rnnparity.models.ports import port as ports
from rnnparity.models.ports import tflite
from rnnparity.models.ports.port import PortRequest
from rnnparity.models.ports.tflite import run_tflite
from rnnparity.models.recording import record
from rnnparity.problem.errors import RequestError
from rnnparity.problem.verdicts import Verdict

__all__ = ["keras"]

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def exported(keras, tmp_path):
    """Write the TFLite file of a model."""
    import tensorflow as tf

    def write(model):
        path = tmp_path / "port.tflite"
        path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
        return path

    return write


def test_layers_of_a_tflite_model_are_found_by_value(keras, exported):
    model = keras_model(keras)
    result = from_model(model, against=exported(model))
    assert [call.result.verdict for call in result.port.calls] == [Verdict.AGREES] * 3
    assert [output.differs for output in result.port.outputs] == [False]
    sabotage = next(item for item in SABOTAGES if item.causes == ("bias-row-repeated",))
    result = from_model(model, against=exported(keras_model(keras, sabotage)))
    assert result.port.first_difference.call.id == sabotage.layer
    assert result.port.explanation.cause.names == sabotage.causes
    assert result.status == 1


def test_file_that_is_no_tflite_model_is_refused(tmp_path):
    path = tmp_path / "port.tflite"
    path.write_bytes(b"nothing")
    with pytest.raises(RequestError, match="cannot be loaded as TFLite"):
        run_tflite(str(path), PortRequest((), frozenset()))


def fused(keras):
    """Return an LSTM and a GRU, and a port with both in one loop and the LSTM's gates in another order."""
    layers = keras.layers
    start = keras.Input(batch_shape=(3, 7, 4))
    first, second = (
        layers.LSTM(5, return_sequences=True),
        layers.GRU(6, return_sequences=True),
    )
    model = keras.Sequential([start, first, second])
    cells = [layers.LSTMCell(5), layers.GRUCell(6)]
    port = keras.Sequential([start, layers.RNN(cells, return_sequences=True)])
    weights = model.get_weights()
    weights[:3] = each(4, (0, 2, 1, 3))(weights[:3])
    port.set_weights(weights)
    port(np.zeros((3, 7, 4), "float32"))  # Keras exports what has been called
    return model, port


def test_layers_in_one_loop_of_a_tflite_model_are_found(keras, exported, monkeypatch):
    model, port = fused(keras)
    path = exported(port)
    result = from_model(model, against=path).port
    assert [call.result.verdict for call in result.calls] == [Verdict.DIVERGES, Verdict.AGREES]
    assert "lstm_cell" in result.calls[0].tensor
    assert result.explanation.cause.names == ("gate-order",)

    request = PortRequest.of(record(model, np.ones((3, 7, 4), "float32")))
    with monkeypatch.context() as patch:
        patch.setattr(ports, "LOOP_MIB", 0)
        with pytest.raises(RequestError, match=r"inside of its loops take \d+ MiB"):
            run_tflite(str(path), request)

    def refuse(*_):
        raise RuntimeError

    monkeypatch.setattr(tflite, "tensors_of_steps", refuse)
    names = [tensor.name for tensor in run_tflite(str(path), request).tensors]
    assert names
    assert not any("lstm_cell" in name for name in names)


def nested(keras, weights=None):
    """Return a model that calls a layer in a loop, for each of three parts of the inputs."""
    import tensorflow as tf

    class Outer(keras.layers.Layer):
        def __init__(self):
            super().__init__(name="outer")
            self.lstm = keras.layers.LSTM(6, return_sequences=True, name="inner")

        def call(self, x):
            return tf.map_fn(self.lstm, x)

    start = keras.Input(batch_shape=(3, 2, 5, 4))
    model = keras.Model(start, Outer()(start))
    model.set_weights(weights or model.get_weights())
    model(np.zeros((3, 2, 5, 4), "float32"))
    return model


@pytest.mark.parametrize("is_healthy", [pytest.param(True, marks=pytest.mark.slow), False])
def test_layer_in_a_loop_in_a_loop_of_a_tflite_model_is_found(keras, exported, is_healthy):
    model = nested(keras)
    weights = model.get_weights() if is_healthy else each(4, (0, 2, 1, 3))(model.get_weights())
    result = from_model(model, against=exported(nested(keras, weights))).port
    verdict = Verdict.AGREES if is_healthy else Verdict.DIVERGES
    assert [call.result.verdict for call in result.calls] == [verdict] * 3
    assert [call.tensor[-3:] for call in result.calls] == ["[0]", "[1]", "[2]"]
    if not is_healthy:
        assert result.explanation.cause.names == ("gate-order",)


@pytest.mark.slow
def test_layers_in_one_loop_of_an_onnx_model_are_found(keras, tmp_path):
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    model, port = fused(keras)
    path = tmp_path / "port.onnx"
    port.export(str(path), format="onnx", verbose=False)
    result = from_model(model, against=path).port
    assert [call.result.verdict for call in result.calls] == [Verdict.DIVERGES, Verdict.AGREES]
    assert result.explanation.cause.names == ("gate-order",)
