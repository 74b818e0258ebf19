"""ONNX models: all tensors of a graph, fed with the inputs of the model."""

from dataclasses import replace

import numpy as np
import pytest
from _support.ported_models import call_of, dense, outputs_of, recorded_model, run_model
from _support.random_problems import random_problem

from rnnparity.models.calls import Recording
from rnnparity.models.port_comparison import compare_port
from rnnparity.models.ports import port as ports
from rnnparity.models.ports.onnx import run_onnx
from rnnparity.models.ports.port import PortRequest
from rnnparity.problem.errors import RequestError
from rnnparity.problem.tensor import Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.subjects.onnx_engines import OnnxRuntime

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


def saved(model, tmp_path):
    path = tmp_path / "port.onnx"
    onnx.save(model, path)
    return path


def result_of(model, tmp_path):
    path = saved(model, tmp_path)
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


@pytest.mark.parametrize(("size", "verdict"), [(-7, AGREES), (-6, DIVERGES)])
def test_sigmoid_of_the_engine_is_coarse_near_zero(tmp_path, size, verdict):
    # Trained models have closed output gates, whose small values are off by more than rounding.
    (layer,) = (call.problem for call in recording().calls)
    kernel, recurrent_kernel, bias = layer.weights
    closed = np.concatenate([bias.data[:18], np.full(2, -9, "float32"), bias.data[20:]])
    layer = replace(layer, weights=(kernel, recurrent_kernel, Tensor("bias", closed)))
    (output,) = outputs_of(layer)
    port = run_onnx(str(saved(graph(), tmp_path)), PortRequest.of(recording()))
    off = Tensor("Y", (output.data + 10.0**size).astype("float32"))
    port = replace(port, tensors=(Tensor("x", layer.inputs.data), off), outputs=())
    found = compare_port("port", Recording((call_of(layer, (output,)),), (), ()), port)
    assert [call.result.verdict for call in found.calls] == [verdict]
    exact = compare_port(
        "port", Recording((call_of(layer, (output,)),), (), ()), replace(port, absolute=0.0)
    )
    assert [call.result.verdict for call in exact.calls] == [DIVERGES]


RNN = {"class_name": "SimpleRNN", "config": {"units": 4, "return_sequences": True}}


def two_layers():
    """Problems and outputs of two SimpleRNN layers, of which the second gets the first's sequence."""
    first = replace(random_problem(RNN, 1, (3, 7, 4)), id="first", initial_state=None)
    second = replace(random_problem(RNN, 2, (3, 7, 4)), id="second", initial_state=None)
    outputs = outputs_of(first)
    second = replace(second, inputs=Tensor("inputs", outputs[0].data))
    return call_of(first, outputs), call_of(second, outputs_of(second))


def step_nodes(name, source):
    make = onnx.helper.make_node
    return [
        make("MatMul", [source, f"{name}_W"], [f"{name}_x"]),
        make("MatMul", [name, f"{name}_R"], [f"{name}_h"]),
        make("Sum", [f"{name}_x", f"{name}_h", f"{name}_c"], [f"{name}_sum"]),
        make("Tanh", [f"{name}_sum"], [f"{name}_new"]),
    ]


def loop_node(operator):
    """A Loop or Scan node in which both layers make a step; it returns the sequence of the second."""
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    real, flag = onnx.TensorProto.FLOAT, onnx.TensorProto.BOOL
    states = [value(name, real, [3, 4]) for name in "ab"]
    ends = [value(name, real, None) for name in ("a_new", "b_new", "y")]
    nodes = [*step_nodes("a", "x_t"), *step_nodes("b", "a_new"), make("Identity", ["b_new"], ["y"])]
    outputs = ["a_T", "b_T", "Y"]
    if operator == "Scan":
        starts = [*states, value("x_t", real, [3, 4])]
        body = onnx.helper.make_graph(nodes, "body", starts, ends)
        names, axes = ["zeros", "zeros", "x_major"], [0]
        return make("Scan", names, outputs, body=body, num_scan_inputs=1, scan_output_axes=axes)
    nodes = [make("Gather", ["x_major", "i"], ["x_t"], axis=0), *nodes]
    nodes.append(make("Identity", ["go"], ["go_on"]))
    starts = [value("i", onnx.TensorProto.INT64, []), value("go", flag, []), *states]
    body = onnx.helper.make_graph(nodes, "body", starts, [value("go_on", flag, []), *ends])
    return make("Loop", ["T", "", "zeros", "zeros"], outputs, body=body)


def looped(tmp_path, operator):
    """What is recorded of two layers, and the file of an ONNX model with both in one loop."""
    calls = two_layers()
    arrays = {"zeros": np.zeros((3, 4), "float32"), "T": np.array(7)}
    for name, call in zip("ab", calls, strict=True):
        for weight, tensor in zip("WRc", call.problem.weights, strict=True):
            arrays[f"{name}_{weight}"] = tensor.data
    made = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Transpose", ["x"], ["x_major"], perm=[1, 0, 2]),
            loop_node(operator),
        ],
        "port",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [3, 7, 4])],
        [onnx.helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opsets = [onnx.helper.make_opsetid("", 17)]
    path = tmp_path / "port.onnx"
    onnx.save(onnx.helper.make_model(made, opset_imports=opsets, ir_version=9), path)
    final = Tensor("0", np.swapaxes(calls[1].outputs[0].data, 0, 1))
    return Recording(calls, (Tensor("x", calls[0].problem.inputs.data),), (final,)), path


@pytest.mark.parametrize("operator", ["Loop", "Scan"])
def test_layers_inside_of_a_loop_are_found(tmp_path, operator):
    recording, path = looped(tmp_path, operator)
    port = run_onnx(str(path), PortRequest.of(recording))
    names = [tensor.name for tensor in port.tensors]
    assert names.index("a_T/a_new") < names.index("Y")  # the order of execution
    result = compare_port("port", recording, port)
    assert [call.result.verdict for call in result.calls] == [AGREES, AGREES]
    assert result.calls[0].tensor == "a_T/a_new"
    assert not result.outputs[0].differs


def edited(path, edit):
    model = onnx.load(path)
    edit(model.graph)
    onnx.save(model, path)


def test_loop_whose_tensors_cannot_be_collected_still_runs(tmp_path):
    recording, path = looped(tmp_path, "Loop")

    def add_sequence(graph):
        (body,) = (attribute.g for attribute in graph.node[1].attribute)
        body.node.append(onnx.helper.make_node("SequenceConstruct", ["a_new"], ["list"]))

    edited(path, add_sequence)
    result = compare_port("port", recording, run_onnx(str(path), PortRequest.of(recording)))
    assert [call.result.verdict for call in result.calls] == [Verdict.UNSUPPORTED, AGREES]
    assert result.calls[1].tensor == "Y"


def test_only_tensors_of_a_loop_that_may_be_compared_are_collected(tmp_path, monkeypatch):
    recording, path = looped(tmp_path, "Loop")
    counts = []
    run = OnnxRuntime.run

    def counted(engine, session, feeds):
        arrays = run(engine, session, feeds)
        counts.append(sum(array.size for array in arrays))
        return arrays

    def add_large_tensor(graph):
        (body,) = (attribute.g for attribute in graph.node[1].attribute)
        shape = onnx.numpy_helper.from_array(np.array([1000]), "shape")
        body.initializer.append(shape)
        body.node.append(onnx.helper.make_node("ConstantOfShape", ["shape"], ["large"]))

    edited(path, add_large_tensor)
    monkeypatch.setattr(OnnxRuntime, "run", counted)
    port = run_onnx(str(path), PortRequest.of(recording))
    assert "a_T/a_new" in [tensor.name for tensor in port.tensors]
    assert len(counts) == 2
    assert max(counts) < 7 * 1000


def called_in_a_loop(tmp_path):
    """What is recorded of two calls of a layer, and a model with the RNN operator in a loop over both."""
    make, value, types = onnx.helper.make_node, onnx.helper.make_tensor_value_info, onnx.TensorProto
    first = replace(random_problem(RNN, 1, (3, 7, 4)), id="first", initial_state=None)
    other = random_problem(RNN, 2, (3, 7, 4)).inputs
    problems = first, replace(first, inputs=other)
    calls = [
        replace(call_of(problem, outputs_of(problem)), number=number)
        for number, problem in enumerate(problems, start=1)
    ]
    kernel, recurrent_kernel, bias = (tensor.data for tensor in first.weights)
    x = np.stack([problem.inputs.data for problem in problems])
    arrays = {
        "W": kernel.T[None],
        "R": recurrent_kernel.T[None],
        "B": np.concatenate([bias, 0 * bias])[None],
        "count": np.array(2),
    }
    nodes = [
        make("Gather", ["x", "i"], ["part"], axis=0),
        make("Transpose", ["part"], ["time_major"], perm=[1, 0, 2]),
        make("RNN", ["time_major", "W", "R", "B"], ["Y"], hidden_size=4),
        make("ReduceSum", ["Y"], ["total"]),
        make("Identity", ["go"], ["go_on"]),
    ]
    starts = [value("i", types.INT64, []), value("go", types.BOOL, [])]
    ends = [value("go_on", types.BOOL, []), value("total", types.FLOAT, None)]
    body = onnx.helper.make_graph(nodes, "body", starts, ends)
    made = onnx.helper.make_graph(
        [make("Loop", ["count", ""], ["totals"], name="loop", body=body)],
        "port",
        [value("x", types.FLOAT, list(x.shape))],
        [value("totals", types.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(a), n) for n, a in arrays.items()],
    )
    opsets = [onnx.helper.make_opsetid("", 17)]
    path = tmp_path / "port.onnx"
    onnx.save(onnx.helper.make_model(made, opset_imports=opsets, ir_version=9), path)
    return Recording(tuple(calls), (Tensor("x", x),), ()), path


def test_layer_that_a_loop_calls_at_each_step_is_found(tmp_path):
    recording, path = called_in_a_loop(tmp_path)
    port = run_onnx(str(path), PortRequest.of(recording))
    result = compare_port("port", replace(recording, outputs=()), replace(port, outputs=()))
    assert [call.call.id for call in result.calls] == ["first", "first#2"]
    assert [call.result.verdict for call in result.calls] == [AGREES, AGREES]
    assert [call.tensor for call in result.calls] == ["loop/Y[0]", "loop/Y[1]"]


def test_loop_whose_tensors_take_too_much_memory_is_refused(tmp_path, monkeypatch):
    recording, path = looped(tmp_path, "Loop")
    monkeypatch.setattr(ports, "LOOP_MIB", 0)
    with pytest.raises(
        RequestError, match=r"inside of its loops take \d+ MiB, expected at most 0;"
    ):
        run_onnx(str(path), PortRequest.of(recording))


def test_layer_in_a_branch_is_found(tmp_path):
    whole = graph()
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    *inner, last = whole.graph.node
    branches = {
        f"{name}_branch": onnx.helper.make_graph(
            nodes, name, [], [value(output, onnx.TensorProto.FLOAT, None)]
        )
        for name, nodes, output in (
            ("then", inner, "hidden"),
            ("else", [make("Identity", ["x"], ["same"])], "same"),
        )
    }
    del whole.graph.node[:]
    whole.graph.node.extend([make("If", ["flag"], ["taken"], **branches), last])
    last = whole.graph.node[1]
    last.input[0] = "taken"
    whole.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "flag"))
    result = result_of(whole, tmp_path)
    assert [(call.tensor, call.result.verdict) for call in result.calls] == [("Y", AGREES)]
    assert [(output.name, output.differs) for output in result.outputs] == [("z", False)]


def test_graph_that_does_not_run_is_refused(tmp_path):
    path = tmp_path / "port.onnx"
    path.write_bytes(b"nothing")
    with pytest.raises(RequestError, match="cannot be loaded as ONNX"):
        run_onnx(str(path), REQUEST)
    path.write_bytes(b"\x89HDF\r\n\x1a\nxxxx")  # an empty model to protobuf
    with pytest.raises(RequestError, match="cannot be loaded as ONNX: it has no nodes"):
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
