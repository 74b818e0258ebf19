"""from_onnx: the reference computes from a node's problem what an engine computes."""

import doctest

import numpy as np
import pytest

from rnnparity import Problem, Verdict
from rnnparity.models import from_onnx, onnx_model
from rnnparity.problem.answer import Answer
from rnnparity.problem.errors import FormatError, RequestError
from rnnparity.problem.problem import Tensor
from rnnparity.reference.tolerance import expect
from rnnparity.verdict.judge import judge

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install onnx")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is missing: pip install onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from rnnparity.subjects.onnx_engines import ENGINES  # noqa: E402
from rnnparity.subjects.onnx_models.branches import with_taken_branches  # noqa: E402

B, T, D, H = 3, 6, 4, 5
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
FLOAT = TensorProto.FLOAT


def model_of(
    operator, seed=0, *, lengths=None, states=("h", "c"), bias=True, layout=0, **attributes
):
    """A model with one random node over x, whose outputs are the node's: Y, Y_h and Y_c."""
    rng = np.random.default_rng(seed)
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    rows = GATES[operator] * H
    arrays = {
        "W": rng.standard_normal((directions, rows, D)) / 2,
        "R": rng.standard_normal((directions, rows, H)) / 2,
    }
    if bias:
        arrays["B"] = rng.standard_normal((directions, 2 * rows)) / 2
    for name in ("h", "c") if operator == "LSTM" else ("h",):
        if name in states:
            shape = (B, directions, H) if layout else (directions, B, H)
            arrays[f"initial_{name}"] = rng.standard_normal(shape)
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    if lengths is not None:
        arrays["sequence_lens"] = np.array(lengths, np.int32)
    order = ("W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
    inputs = ["x", *(name if name in arrays else "" for name in order)]
    inputs = inputs if operator == "LSTM" else inputs[:6]
    outputs = ["Y", "Y_h", "Y_c"] if operator == "LSTM" else ["Y", "Y_h"]
    if layout:
        attributes["layout"] = layout
    node = helper.make_node(operator, inputs, outputs, "node", hidden_size=H, **attributes)
    return graph_of([node], arrays, outputs)


def graph_of(nodes, arrays, outputs):
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    x = helper.make_tensor_value_info("x", FLOAT, [None, None, D])
    infos = [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs]
    opset = helper.make_opsetid("", 14)
    graph = helper.make_graph(nodes, "graph", [x], infos, weights)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def assert_same_outputs(problem, model, x, engine="onnxruntime", layout=0):
    """Compare what the engine returns for the node with the reference's outputs."""
    run = ENGINES[engine]()
    Y, *ends = run.run(run.load(model.SerializeToString()), {"x": x})
    if layout:
        Y, ends = Y.transpose(1, 2, 0, 3), [end.transpose(1, 0, 2) for end in ends]
    y = np.concatenate([Y[:, side] for side in range(Y.shape[1])], axis=-1).transpose(1, 0, 2)
    if getattr(problem.layer, "go_backwards", False):
        y = y[:, ::-1]
    arrays = [y, *(end[side] for side in range(Y.shape[1]) for end in ends)]
    slots = problem.output_slots()
    tensors = [Tensor(slot.name, array) for slot, array in zip(slots, arrays, strict=True)]
    result = judge(problem, Answer(tuple(tensors)), expect(problem))
    assert result.differences == ()
    assert result.verdict is Verdict.AGREES


def inputs_of(seed, shape=(T, B, D)):
    return np.random.default_rng([1, seed]).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(
    ("operator", "options"),
    [
        ("RNN", {}),
        ("LSTM", {}),
        ("GRU", {"linear_before_reset": 1}),
        ("GRU", {"linear_before_reset": 0}),
    ],
)
def test_random_node_of_every_operator(operator, options, direction, seed):
    states = [(), ("h", "c"), ("c",)][seed]
    lengths = [None, (6, 2, 4), (6, 6, 6)][seed]
    model = model_of(
        operator,
        seed,
        direction=direction,
        lengths=lengths,
        states=states,
        bias=seed != 2,
        **options,
    )
    x = inputs_of(seed)
    (problem,) = from_onnx(model, x)
    assert problem.id == "node"
    assert (problem.mask is None) == (seed != 1)
    assert_same_outputs(problem, model, x)


def in_branches(first, second):
    """A model with an If in an If; the branch taken is the GRU of one of two models of equal names."""

    def branch(graph, outputs):
        del graph.input[:], graph.output[:]
        graph.output.extend(helper.make_tensor_value_info(name, FLOAT, None) for name in outputs)
        return graph

    def choice(name, then, otherwise, outputs):
        return helper.make_node(
            "If", ["flag"], outputs, name, then_branch=then, else_branch=otherwise
        )

    names = ["Y", "Y_h"]
    inner = choice("inner", branch(first.graph, names), branch(second.graph, names), ["z", "z_h"])
    nodes = [helper.make_node("Greater", ["total", "zero"], ["flag"]), inner]
    outer = helper.make_graph(nodes, "body", [], [])
    other = graph_of([helper.make_node("Identity", ["x"], [name]) for name in "zh"], {}, "zh").graph
    outer = choice("outer", branch(outer, ["z", "z_h"]), branch(other, "zh"), ["Y", "Y_h"])
    outer.input[0] = "always"
    total = helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0)
    arrays = {"zero": np.float32(0), "always": np.array(True), "W": np.zeros(1, np.float32)}
    return graph_of([total, outer], arrays, ["Y", "Y_h"])


@pytest.mark.parametrize("sign", [1, -1])
def test_node_of_the_branch_that_is_taken(sign):
    models = [model_of("GRU", seed, linear_before_reset=1) for seed in (1, 2)]
    x = sign * np.abs(inputs_of(3))
    model = in_branches(*(type(model).FromString(model.SerializeToString()) for model in models))
    (problem,) = from_onnx(model, x)
    assert problem.id == "node"
    assert_same_outputs(problem, models[sign < 0], x)
    assert_same_outputs(problem, model, x)


@pytest.mark.parametrize(
    ("operator", "options", "activation", "recurrent_activation"),
    [
        ("RNN", {"activations": ["Relu"]}, "relu", "sigmoid"),
        (
            "RNN",
            {"activations": ["Affine"], "activation_alpha": [1.0], "activation_beta": [0.0]},
            "linear",
            "sigmoid",
        ),
        (
            "LSTM",
            {"activations": ["HardSigmoid", "Softsign", "Softsign"]},
            "softsign",
            "hard_sigmoid_keras2",
        ),
        (
            "GRU",
            {
                "activations": ["HardSigmoid", "Elu"],
                "activation_alpha": [1 / 6, 1.0],
                "activation_beta": [0.5],
            },
            "elu",
            "hard_sigmoid",
        ),
    ],
)
def test_functions_are_those_of_keras(operator, options, activation, recurrent_activation):
    model = model_of(operator, 5, **options)
    x = inputs_of(5)
    (problem,) = from_onnx(model, x)
    layer = problem.layer
    assert (layer.activation, layer.recurrent_activation) == (activation, recurrent_activation)
    assert_same_outputs(problem, model, x)


def test_directions_may_have_different_functions():
    model = model_of("RNN", 6, direction="bidirectional", activations=["Tanh", "Relu"])
    (problem,) = from_onnx(model, inputs_of(6))
    assert problem.layer.backward.activation == "relu"
    assert_same_outputs(problem, model, inputs_of(6))


@pytest.mark.parametrize("operator", ["RNN", "LSTM", "GRU"])
def test_batch_first_layout(operator):
    """Only ONNX' own evaluator runs it; the node itself need not run."""
    model = model_of(operator, 7, layout=1, states=())
    x = inputs_of(7, (B, T, D))
    (problem,) = from_onnx(model, x)
    assert problem.inputs.shape == (B, T, D)
    assert_same_outputs(problem, model, x, "onnx-reference", layout=1)


def test_every_node_has_the_inputs_that_it_gets():
    """Weights come from nodes too, and what follows the last recurrent node does not run."""
    rng = np.random.default_rng(8)
    arrays = {
        "W": rng.standard_normal((1, H, D)).astype(np.float32),
        "R": rng.standard_normal((1, H, H)).astype(np.float32),
        "axis": np.array([1]),
    }
    nodes = [
        helper.make_node("RNN", ["x", "W", "R"], ["Y"], "first", hidden_size=H),
        helper.make_node("Squeeze", ["Y", "axis"], ["y"]),
        helper.make_node("Neg", ["R"], ["S"]),
        helper.make_node("RNN", ["y", "S", "R"], ["", "end"], hidden_size=H),
        helper.make_node("NoSuchOperator", ["end"], ["z"], domain="elsewhere"),
    ]
    model = graph_of(nodes, arrays, ["z"])
    model.opset_import.append(helper.make_opsetid("elsewhere", 1))
    x = inputs_of(8)
    first, second = from_onnx(model, {"x": x})
    assert (first.id, second.id) == ("first", "RNN_1")
    assert np.array_equal(second.weights[0].data, -arrays["R"][0].T)
    from rnnparity import run

    expected = run(first).outputs[0].data
    assert np.allclose(second.inputs.data, expected, atol=1e-5)


def test_model_is_read_from_a_file(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(model_of("GRU"), path)
    (problem,) = from_onnx(path, inputs_of(0))
    assert isinstance(problem, Problem)


def with_peepholes():
    model = model_of("LSTM")
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 3 * H), np.float32), "P"))
    model.graph.node[0].input[7] = "P"
    return model


def in_a_loop():
    body = model_of("GRU").graph
    flag = helper.make_tensor_value_info("flag", TensorProto.BOOL, [])
    del body.input[:]
    body.input.extend([helper.make_tensor_value_info("i", TensorProto.INT64, []), flag])
    body.output.insert(0, helper.make_tensor_value_info("flag_out", TensorProto.BOOL, []))
    body.node.append(helper.make_node("Identity", ["flag"], ["flag_out"]))
    node = helper.make_node("Loop", ["count", ""], ["z", "z_h"], "loop", body=body)
    return graph_of([node], {"count": np.array(2)}, ["z"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: model_of("LSTM", clip=3.0), "node 'node': clip: got 3.0, expected none"),
        (lambda: model_of("LSTM", input_forget=1), "node 'node': input_forget: got 1, expected 0"),
        (with_peepholes, "node 'node': P: got weights, expected none"),
        (
            lambda: model_of("RNN", activations=["LeakyRelu"]),
            "node 'node': activations: got LeakyRelu, which no activation of Keras equals",
        ),
        (
            lambda: model_of("LSTM", activations=["Sigmoid", "Tanh", "Relu"]),
            "node 'node': activations: got tanh for c and relu for h, expected one for both",
        ),
        (
            lambda: model_of("RNN", activations=["Elu"], activation_alpha=[0.5]),
            "activations: got Elu, which no activation",
        ),
        (
            lambda: model_of("GRU", direction="bidirectional", activations=["Sigmoid", "Tanh"]),
            "node 'node': activations: got 2, expected 4 for 2 directions",
        ),
        (
            lambda: graph_of([helper.make_node("Neg", ["x"], ["y"])], {}, ["y"]),
            "model: no node RNN",
        ),
        (in_a_loop, "node 'loop': GRU in the body of Loop"),
        (lambda: b"no model", "model: cannot be read as an ONNX model"),
        (lambda: b"\x89HDF\r\n\x1a\nxxxx", "cannot be read as an ONNX model: it has no nodes"),
        (lambda: "missing.onnx", "missing.onnx: cannot be read as an ONNX model"),
        (lambda: 7, "model: got int, expected a path or a ModelProto"),
    ],
)
def test_what_keras_cannot_express_is_refused_in_one_line(make, message):
    with pytest.raises(FormatError, match=message):
        from_onnx(make(), inputs_of(0))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"y": inputs_of(0)}, "inputs: got y, expected x"),
        ({"x": np.array([["a"]])}, "inputs: x: got <U1, expected float32"),
        ({"x": np.ones((T, B, D + 1))}, "kernel: got shape"),
    ],
)
def test_wrong_inputs_are_refused(inputs, message):
    with pytest.raises(FormatError, match=message):
        from_onnx(model_of("GRU"), inputs)


def test_missing_onnx_and_unknown_engine_are_reported(monkeypatch):
    with pytest.raises(
        RequestError, match=r"engine: got 'tvm', expected onnxruntime or .*onnx-ref"
    ):
        from_onnx(model_of("GRU"), inputs_of(0), engine="tvm")
    monkeypatch.setattr(onnx_model, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"run pip install 'rnnparity\[onnx\]'"):
        from_onnx(b"", inputs_of(0))


def test_examples_of_the_docstrings_run():
    assert doctest.testmod(onnx_model).failed == 0


def test_names_of_two_branches_stay_apart():
    """The first branch has `a`; the second has `a`, which gets another name, and `a_1`."""

    def branch(*nodes):
        return helper.make_graph(nodes, "branch", [], [out("r")])

    def out(name):
        return helper.make_tensor_value_info(name, FLOAT, None)

    first = branch(
        helper.make_node("Add", ["x", "x"], ["a"]), helper.make_node("Neg", ["a"], ["r"])
    )
    second = branch(
        helper.make_node("Mul", ["x", "x"], ["a"]),
        helper.make_node("Exp", ["x"], ["a_1"]),
        helper.make_node("Sub", ["a", "a_1"], ["r"]),
    )
    nodes = [
        helper.make_node("If", ["flag"], [name], name, then_branch=each, else_branch=each)
        for name, each in (("y", first), ("z", second))
    ]
    model = graph_of(nodes, {"flag": np.array(True)}, ["y", "z"])
    x = inputs_of(3)
    for name in ("onnxruntime", "onnx-reference"):
        engine = ENGINES[name]()
        expected = engine.run(engine.load(model.SerializeToString()), {"x": x})
        inlined = with_taken_branches(model, {"x": x}, engine)
        actual = engine.run(engine.load(inlined.SerializeToString()), {"x": x})
        assert all(map(np.array_equal, actual, expected))
