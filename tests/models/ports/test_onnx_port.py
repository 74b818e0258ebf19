"""ONNX models: all tensors of a graph, fed with the inputs of the model."""

import numpy as np
import pytest
from _support.ported_models import dense, recorded_model, run_model

from rnnparity.models.comparing import compare_port
from rnnparity.models.ports.onnx import run_onnx
from rnnparity.models.ports.port import PortRequest
from rnnparity.problem.errors import RequestError
from rnnparity.problem.results import Verdict
from rnnparity.problem.tensor import Tensor

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
AGREES, DIVERGES = Verdict.AGREES, Verdict.DIVERGES
REQUEST = PortRequest.of(recorded_model())


def reordered(array, order, units):
    """Blocks of the last axis in another order, transposed as ONNX has them, with an axis of directions."""
    blocks = [array[..., index * units : (index + 1) * units] for index in order]
    return np.concatenate(blocks, -1).T[None]


def graph(order=(0, 3, 1, 2)):
    """The model's first layer, Dense and a head: LSTM reads the gates in ONNX's order i, o, f, c."""
    first, *_ = run_model()
    kernel, recurrent_kernel, bias = (tensor.data for tensor in first.weights)
    make = onnx.helper.make_node
    nodes = [
        make("Transpose", ["x"], ["x_time_major"], perm=[1, 0, 2]),
        make("LSTM", ["x_time_major", "W", "R", "B"], ["Y", "h"], hidden_size=6),
        make("Squeeze", ["Y", "one"], ["sequence"]),
        make("MatMul", ["sequence", "dense"], ["product"]),
        make("Tanh", ["product"], ["hidden"]),
        make("Transpose", ["hidden"], ["z"], perm=[1, 0, 2]),
    ]
    bias = np.concatenate([reordered(bias, order, 6), np.zeros((1, 24), "float32")], -1)
    arrays = {
        "W": reordered(kernel, order, 6),
        "R": reordered(recurrent_kernel, order, 6),
        "B": bias,
        "dense": np.random.default_rng(2).standard_normal((6, 5)),
    }
    constants = [
        onnx.numpy_helper.from_array(np.ascontiguousarray(array, "float32"), name)
        for name, array in arrays.items()
    ]
    constants.append(onnx.numpy_helper.from_array(np.array([1]), "one"))
    value = onnx.helper.make_tensor_value_info
    inputs = [value("x", onnx.TensorProto.FLOAT, [None, 7, 4])]
    outputs = [value("z", onnx.TensorProto.FLOAT, None)]
    made = onnx.helper.make_graph(nodes, "port", inputs, outputs, constants)
    opsets = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(made, opset_imports=opsets, ir_version=9)


def recording():
    """What is recorded of the model up to its Dense layer."""
    whole = recorded_model()
    _, outputs, *_ = run_model()
    final = Tensor("0", dense(outputs[0].data, 5, 2))
    return type(whole)(whole.calls[:1], whole.inputs, (final,))


def result_of(model, tmp_path):
    path = tmp_path / "port.onnx"
    onnx.save(model, path)
    port = run_onnx(str(path), PortRequest.of(recording()))
    return compare_port(str(path), recording(), port)


def test_layers_of_a_graph_are_found_by_value(tmp_path):
    result = result_of(graph(), tmp_path)
    assert [(call.tensor, call.result.verdict) for call in result.calls] == [("Y", AGREES)]
    assert [(output.name, output.differs) for output in result.outputs] == [("z", False)]


def test_fault_of_a_graph_is_explained(tmp_path):
    result = result_of(graph(order=(0, 1, 2, 3)), tmp_path)
    assert [(call.tensor, call.result.verdict) for call in result.calls] == [("Y", DIVERGES)]
    assert result.explanation.cause.names == ("gate-order",)


def test_graph_that_does_not_run_is_refused(tmp_path):
    path = tmp_path / "port.onnx"
    path.write_bytes(b"nothing")
    with pytest.raises(RequestError, match="cannot be loaded as ONNX"):
        run_onnx(str(path), REQUEST)
    model = graph()
    model.graph.node[1].op_type = "NoSuchOperator"
    onnx.save(model, path)
    with pytest.raises(RequestError, match=r"cannot be loaded as ONNX: .*NoSuchOperator"):
        run_onnx(str(path), REQUEST)
    onnx.save(graph(), path)
    with pytest.raises(RequestError, match="takes 1 inputs, the model 2"):
        run_onnx(str(path), PortRequest(REQUEST.inputs * 2, REQUEST.sizes))
    wrong = PortRequest((Tensor("x", np.zeros((3, 6, 4), "float32")),), REQUEST.sizes)
    with pytest.raises(RequestError, match=r"does not run on these inputs: .*index: 1 Got: 6"):
        run_onnx(str(path), wrong)
