"""OpenVINO and OpenCV, where they are installed: what they compute, and what differs from ONNX."""

from importlib.util import find_spec

import numpy as np
import pytest

from rnnparity import check
from rnnparity.catalogue import catalogue
from rnnparity.problem.answer import Unsupported
from rnnparity.problem.verdicts import Verdict
from rnnparity.subjects import make_subject

MODULES = {"openvino": "openvino", "opencv": "cv2"}
# A case of each known difference.
KNOWN = {
    "opencv-ignores-sequence-lens": "gru-spread-last-mask_right",
    "opencv-gru-ignores-direction": "gru-spread-backwards-last",
    "opencv-lstm-reverse-returns-the-first-state": "lstm-spread-backwards-last",
    "opencv-lstm-with-lengths-needs-initial-states": "lstm-spread-last-mask_right",
    "opencv-bidirectional-takes-no-activations": "halves-activations-sum-last",
    "openvino-leaves-out-casts-to-float16": "dtype-mixed_float16_around_float32-lstm",
    "openvino-gru-without-bias-needs-shapes": "bias-off-gru-forward-last",
    "openvino-directions-share-activations": "halves-activations-sum-last",
}
AGREEING = [
    *(f"{kind}-spread-sequences-state-initial" for kind in ("lstm", "gru", "gru_before")),
    *(f"bi_{kind}-spread-{mode}-last" for kind in ("lstm", "gru") for mode in ("concat", "none")),
    "stack-two_lstm",
    "stateful-gru-forward-last-state",
]


@pytest.fixture(scope="module", params=MODULES)
def engine(request):
    module = MODULES[request.param]
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    return request.param


def test_cases_agree_and_listed_differences_are_known(engine):
    known = {name: case for name, case in KNOWN.items() if name.startswith(engine)}
    (result,) = check(engine, k=" or ".join([*AGREEING, *known.values()])).subjects
    assert result.failing == ()
    verdicts = {case.id: case for case in result.cases}
    for name, case in known.items():
        assert name in verdicts[case].known
    assert {verdicts[case].verdict for case in AGREEING} == {Verdict.AGREES}


@pytest.mark.parametrize(
    ("name", "case", "reason"),
    [
        ("openvino", "activation-elu-lstm-values-last", "Unknown activation function: elu"),
        ("openvino", "dtype-float64-lstm-forward", "no inputs of float64"),
        ("opencv", "simple_rnn-spread-last", "no operator RNN"),
        ("opencv", "dtype-float64-lstm-forward", "in float32 only"),
        ("opencv", "activation-relu-gru-values-last", "not implemented"),
        ("opencv", "lstm-spread-sequences-mask_right", "not specified by ONNX"),
    ],
)
def test_what_an_engine_does_not_compute_is_unsupported(name, case, reason):
    if find_spec(MODULES[name]) is None:
        pytest.skip(f"{MODULES[name]} is not installed")
    with pytest.raises(Unsupported, match=reason):
        make_subject(name).answer(catalogue()[case])


def test_a_model_of_one_operator_has_its_weights_as_constants():
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    from rnnparity.subjects.onnx_models.constant import Call, constant_model
    from rnnparity.subjects.onnx_models.weights import operators_of

    problem = catalogue()["gru-spread-backwards-sequences"]
    weights = {tensor.name: tensor.data for tensor in problem.weights}
    states = [np.zeros((len(problem.inputs.data), problem.layer.units), np.float32)]
    (directions,) = operators_of(problem.layer, "")
    call = Call(problem.inputs.shape, None, [states], reversed=True)
    graph = onnx.load_from_string(constant_model(directions, weights, call)).graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    assert [each.name for each in graph.input] == ["x"]
    assert constants.keys() >= {"W", "R", "B"}
    assert "h" not in constants  # zeros, ONNX's default
    assert constants["order"][0] == problem.inputs.shape[1] - 1


def test_masked_cases_agree_on_openvino():
    pytest.importorskip("openvino", reason="openvino is not installed")
    cases = "gru-spread-sequences-mask_interior or bi_lstm-spread-concat-sequences-mask_right_empty"
    (result,) = check("openvino", k=cases).subjects
    assert [case.verdict for case in result.cases] == [Verdict.AGREES] * 2


def test_topk_of_openvino_changes_the_order_of_equal_values():
    """ONNX: the element with the lower index appears first; OpenVINO sees to it in known shapes only."""
    pytest.importorskip("openvino", reason="openvino is not installed")
    from onnx import TensorProto, helper

    values = np.array([[0, 0, 1, 1, 0, 1]], np.int32)
    orders = []
    for shape in (list(values.shape), [None, None]):
        nodes = [
            helper.make_node("Shape", ["x"], ["k"], start=1, end=2),
            helper.make_node("TopK", ["x", "k"], ["", "order"], axis=1),
        ]
        x = helper.make_tensor_value_info("x", TensorProto.INT32, shape)
        order = helper.make_tensor_value_info("order", TensorProto.INT64, shape)
        graph = helper.make_graph(nodes, "topk", [x], [order])
        opsets = [helper.make_opsetid("", 22)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        engine = make_subject("openvino").engine
        orders += engine.run(engine.load(model.SerializeToString()), {"x": values})
    assert orders[0].tolist() == [[2, 3, 5, 0, 1, 4]]
    assert sorted(orders[1][0]) == list(range(6))
    assert orders[1].tolist() != orders[0].tolist()


def test_tanh_of_a_gru_in_opencv_is_coarse_in_groups_of_four_units():
    """GRUs whose units are tanh(1e-9): the update gate is closed, there is no recurrence."""
    pytest.importorskip("cv2", reason="cv2 is not installed")
    from onnx import TensorProto, helper, numpy_helper

    outputs = {}
    for units in (3, 4):
        W, B = np.zeros((1, 3 * units, 1), "f"), np.zeros((1, 6 * units), "f")
        W[0, 2 * units :], B[0, :units] = 1e-9, -50
        arrays = {"W": W, "R": np.zeros((1, 3 * units, units), "f"), "B": B}
        tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
        node = helper.make_node("GRU", ["x", *arrays], ["", "h"], hidden_size=units)
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 1])
        h = helper.make_tensor_value_info("h", TensorProto.FLOAT, [1, 1, units])
        graph = helper.make_graph([node], "gru", [x], [h], tensors)
        opsets = [helper.make_opsetid("", 22)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        engine = make_subject("opencv").engine
        session = engine.load(model.SerializeToString())
        (outputs[units],) = engine.run(session, {"x": np.ones((1, 1, 1), "f")})
    np.testing.assert_allclose(outputs[3], 1e-9, rtol=1e-6)
    np.testing.assert_array_equal(outputs[4], 0)


def coupled_lstm():
    """Return an LSTM in ONNX with input_forget=1, its inputs, and its last output without that."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    x, W, R = (rng.standard_normal(s).astype("f") for s in ((4, 2, 3), (1, 20, 3), (1, 20, 5)))
    tensors = [numpy_helper.from_array(array, name) for name, array in (("W", W), ("R", R))]
    node = helper.make_node("LSTM", ["x", "W", "R"], ["", "h"], hidden_size=5, input_forget=1)
    sequence = helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)
    last = helper.make_tensor_value_info("h", TensorProto.FLOAT, [1, 2, 5])
    graph = helper.make_graph([node], "coupled", [sequence], [last], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    h = c = np.zeros((2, 5))
    for step in x:
        z = step @ W[0].T + h @ R[0].T
        i, o, f = (1 / (1 + np.exp(-z[:, k : k + 5])) for k in (0, 5, 10))
        c = f * c + i * np.tanh(z[:, 15:])
        h = o * np.tanh(c)
    return model.SerializeToString(), {"x": x}, h[None]


def test_input_forget_is_ignored(engine):
    """ONNX documents it: "Couple the input and forget gates if 1."."""
    model, feeds, uncoupled = coupled_lstm()
    runner = make_subject(engine).engine
    (h,) = runner.run(runner.load(model), feeds)
    np.testing.assert_allclose(h.reshape(uncoupled.shape), uncoupled, atol=1e-5)
