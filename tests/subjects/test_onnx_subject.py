"""The subjects onnxruntime and onnx-reference, which run ONNX' recurrent operators."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import (
    BOTH,
    MASK,
    SEQUENCES,
    SHAPE,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
)

from rnnparity import check
from rnnparity.catalogue import catalogue
from rnnparity.problem.answer import Unsupported
from rnnparity.problem.errors import RequestError
from rnnparity.problem.layers import halves
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.text.messages import faults_name
from rnnparity.session.ask import explain_subject
from rnnparity.session.judging import judge_outcome
from rnnparity.session.outcome import ask_in_this_process
from rnnparity.subjects import make_subject
from rnnparity.subjects.onnx import MAX_MODELS
from rnnparity.subjects.onnx_engines import ENGINES

onnx = pytest.importorskip("onnx", reason="ONNX is not installed: pip install onnx")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed: pip install onnxruntime")

from onnx import TensorProto, helper  # noqa: E402

from rnnparity.subjects.onnx_models import layers as onnx_layers  # noqa: E402
from rnnparity.subjects.onnx_models import operators  # noqa: E402
from rnnparity.subjects.onnx_models import weights as onnx_weights  # noqa: E402

# tract is tested by itself: it lacks masks, types and reading backwards.
CONFORMING = ("onnxruntime", "onnx-reference")


def verdict_on(subject, problem):
    return judge_outcome(ask_in_this_process(subject, problem)).verdict


def answers(subject):
    return lambda problem: [tensor.data for tensor in subject.answer(problem).outputs]


def is_expressible(problem):
    """Whether ONNX has the activations, and ONNX Runtime the types, of a problem."""
    for _, half in halves(problem.layer):
        activations = {half.activation, half.recurrent_activation if half.cell.gated else "tanh"}
        types = {half.compute_dtype, problem.layer.compute_dtype}
        if not activations <= set(operators.ACTIVATIONS) or types & {"float64", "bfloat16"}:
            return False
    return True


def test_all_layers_that_onnx_can_express_agree():
    """The core set: directions, flags, masks, states, stacks, activations and types."""
    (result,) = check(
        "onnxruntime", k="core and not (saturation or dropout or training_step)", jobs=1
    ).subjects
    assert result.failing == ()
    unsupported = {
        case.id: case.reason for case in result.cases if case.verdict is Verdict.UNSUPPORTED
    }
    assert [name for name in unsupported if is_expressible(catalogue()[name])] == []
    reasons = set(unsupported.values())
    assert "ONNX' recurrent operators have no selu" in reasons
    assert "ONNX Runtime: LSTM operator does not support double yet" in reasons
    assert "ONNX Runtime: Could not find an implementation for LSTM(22)" in reasons


@pytest.mark.parametrize("engine_name", CONFORMING)
def test_each_type_that_an_engine_has_is_returned_unchanged(engine_name):
    subject = make_subject(engine_name)
    names = [name for name in catalogue() if name.startswith("dtype-") and "mask" not in name]
    seen = {name: verdict_on(subject, catalogue()[name]) for name in names}
    assert set(seen.values()) <= {Verdict.AGREES, Verdict.INCONCLUSIVE, Verdict.UNSUPPORTED}
    agree = {name.split("-")[1] for name, verdict in seen.items() if verdict is Verdict.AGREES}
    assert {"float16", "mixed_float16"} <= agree
    assert ("bfloat16" in agree, "float64" in agree) == (engine_name == "onnx-reference",) * 2


@pytest.mark.parametrize("kind", ["simple_rnn", "lstm", "gru", "gru_before"])
@pytest.mark.parametrize("direction", ["forward", "backwards", "two_ways", "zero"])
@pytest.mark.parametrize("initial", [False, True])
def test_masked_steps_are_skipped_wherever_they_are(kind, direction, initial):
    """Also of a row in which nothing is used: ONNX does not say what such a row's state is, and
    none is read."""
    options = {"backwards": {"go_backwards": True}, "zero": {"zero_output_for_mask": True}}.get(
        direction, {}
    )
    subject = make_subject("onnxruntime")
    for flags in ({}, BOTH):
        layer = spec_of(kind, **flags, **options)
        problem = random_problem(
            two_ways(layer) if direction == "two_ways" else layer,
            3,
            SHAPE,
            mask=MASK,
            initial=initial,
        )
        assert verdict_on(subject, problem) is Verdict.AGREES


def operators_of(spec):
    """The recurrent operators of the model: their types, directions and whether they have a
    bias."""
    layer = random_problem(spec).layer
    model = onnx.load_from_string(
        onnx_layers.model_of([("", layer)], "float32", False, [False]).code
    )
    nodes = [node for node in model.graph.node if node.op_type in operators.OPERATORS.values()]
    return [
        (
            node.op_type,
            next(a.s.decode() for a in node.attribute if a.name == "direction"),
            bool(node.input[3]),
        )
        for node in nodes
    ]


def test_halves_with_equal_options_are_one_operator():
    lstm, gru = spec_of("lstm"), spec_of("gru", go_backwards=True, use_bias=False)
    assert operators_of(two_ways(lstm)) == [("LSTM", "bidirectional", True)]
    assert operators_of(two_ways(lstm, backward_layer=gru)) == [
        ("LSTM", "forward", True),
        ("GRU", "reverse", False),
    ]
    wide = spec_of("lstm", 5, go_backwards=True)
    assert operators_of(two_ways(lstm, backward_layer=wide)) == [
        ("LSTM", "forward", True),
        ("LSTM", "reverse", True),
    ]


def test_parameters_of_activations_are_in_the_order_of_the_activations():
    """Two directions whose functions take 1, 2 and no parameters; a wrong list is a wrong
    number."""
    back = spec_of(
        "gru", go_backwards=True, recurrent_activation="hard_sigmoid_keras2", activation="linear"
    )
    layer = two_ways(
        spec_of("gru", recurrent_activation="hard_sigmoid", activation="elu"), backward_layer=back
    )
    problem = random_problem(layer, 1)
    given = onnx_layers.attributes(onnx_weights.operators_of(problem.layer, "")[0])
    assert given["activations"] == ["HardSigmoid", "Elu", "HardSigmoid", "Affine"]
    assert given["activation_alpha"] == [1 / 6, 1.0, 0.2, 1.0]
    assert given["activation_beta"] == [0.5, 0.5, 0.0]
    assert verdict_on(make_subject("onnxruntime"), problem) is Verdict.AGREES


def pytorch_order(array):
    """Return the blocks z, r, h in PyTorch's order r, z, h."""
    z, r, h = np.split(np.asarray(array), 3, axis=-1)
    return np.concatenate([r, z, h], axis=-1)


@pytest.mark.parametrize("engine_name", CONFORMING)
@pytest.mark.parametrize(
    ("edit", "case", "cause"),
    [
        (np.asarray, "lstm-spread-sequences-state", "gate-order: LSTM iofc (ONNX) in all weights"),
        (
            pytorch_order,
            "gru-spread-sequences-state",
            "gate-order: GRU rzh (PyTorch, cuDNN) in all weights",
        ),
    ],
)
def test_a_wrong_gate_order_is_explained(monkeypatch, engine_name, edit, case, cause):
    monkeypatch.setattr(onnx_weights, "_gates", lambda _, array: edit(array))
    diagnosis = explain_subject(catalogue()[case], answers(make_subject(engine_name)))
    assert faults_name(diagnosis.explanation.cause.faults) == cause


@pytest.mark.parametrize(
    ("case", "cause"),
    [
        ("activation-relu-gru-values", "activation: tanh"),
        ("activation-hard_sigmoid-lstm-gates", "recurrent-activation: sigmoid"),
        ("lstm-spread-last-mask_right", "mask-ignored: every step counts"),
    ],
)
def test_attributes_that_the_reference_evaluator_ignores_are_explained(case, cause):
    """`activations` of LSTM and GRU and `sequence_lens` of all three: accepted, and without
    effect."""
    diagnosis = explain_subject(catalogue()[case], answers(make_subject("onnx-reference")))
    assert faults_name(diagnosis.explanation.cause.faults) == cause
    assert verdict_on(make_subject("onnxruntime"), catalogue()[case]) is Verdict.AGREES


def test_a_specified_activation_that_an_engine_refuses_is_an_error():
    """ONNX specifies Relu for RNN and does not make it optional, so it is not "unsupported"."""
    outcome = ask_in_this_process(
        make_subject("onnx-reference"), catalogue()["activation-relu-simple_rnn-values"]
    )
    assert outcome.error.startswith("RuntimeError: Unknown activation function 'Relu'")


def test_one_model_serves_all_problems_of_a_structure():
    subject = make_subject("onnxruntime")
    first = random_problem(spec_of("lstm", **BOTH), 1)
    for problem in (first, replace(first, inputs=random_problem(spec_of("lstm"), 2).inputs)):
        assert verdict_on(subject, problem) is Verdict.AGREES
    longer = random_problem(spec_of("lstm", 5, **BOTH), 3, (2, 9, 4))
    assert verdict_on(subject, longer) is Verdict.AGREES
    assert subject.model.cache_info().misses == 2
    assert subject.model.cache_info().maxsize == MAX_MODELS


def test_the_layers_of_a_stack_have_their_own_weights_and_states():
    layers = [
        spec_of("gru", 3, **SEQUENCES),
        two_ways(spec_of("lstm", 4, **SEQUENCES)),
        spec_of("simple_rnn", 5, **BOTH),
    ]
    problem = random_problem(stack_of(*layers), 1, SHAPE, mask=MASK, initial=True)
    assert verdict_on(make_subject("onnxruntime"), problem) is Verdict.AGREES


def added(dtype=TensorProto.FLOAT):
    """A model x + x, 2 x."""
    info = [helper.make_tensor_value_info(name, dtype, [None]) for name in ("x", "sum", "product")]
    nodes = [
        helper.make_node("Add", ["x", "x"], ["sum"]),
        helper.make_node("Mul", ["x", "sum"], ["product"]),
    ]
    graph = helper.make_graph(nodes, "added", info[:1], info[1:])
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10
    ).SerializeToString()


@pytest.mark.parametrize("engine_name", CONFORMING)
def test_an_engine_runs_any_model(engine_name):
    engine = ENGINES[engine_name]()
    outputs = engine.run(engine.load(added()), {"x": np.float32([1, 3])})
    assert [array.tolist() for array in outputs] == [[2, 6], [2, 18]]
    assert engine.versions()["onnx"] == onnx.__version__


def test_a_model_that_onnx_runtime_refuses_is_unsupported_only_for_its_type():
    engine = ENGINES["onnxruntime"]()
    with pytest.raises(
        Unsupported, match=r"^ONNX Runtime: Could not find an implementation for \w+\(\d+\)$"
    ):
        engine.load(added(TensorProto.BFLOAT16))
    loaded = engine.load(added())
    with pytest.raises(engine.errors.InvalidArgument):
        engine.run(loaded, {"x": np.float64([1, 3])})


@pytest.mark.parametrize(
    ("subject", "package"),
    [("onnxruntime", "onnx"), ("onnxruntime", "onnxruntime"), ("onnx-reference", "onnx")],
)
def test_a_missing_package_is_reported_with_its_extra(monkeypatch, subject, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        RequestError,
        match=rf"'{subject}': package {package} is missing; run pip install 'rnnparity\[onnx\]'",
    ):
        make_subject(subject)


@pytest.mark.parametrize("initial", [False, True])
def test_only_stateful_layers_continue_from_the_last_call(initial):
    layers = stack_of(spec_of("lstm", 3, stateful=True, **SEQUENCES), spec_of("gru", 4, **BOTH))
    problem = random_problem(layers, 1, SHAPE, initial=initial, calls=(3, 1, 2))
    assert verdict_on(make_subject("onnxruntime"), problem) is Verdict.AGREES


def test_tanh_of_the_operator_rnn_is_coarse_near_zero():
    """A finding of fuzzing: the operator Tanh is exact there. ONNX documents both as the same."""
    x = np.array([1e-9, 1e-6, 1e-3], np.float32)
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("Tanh", ["x"], ["tanh"]),
            helper.make_node("RNN", ["x", "W", "R"], ["rnn"], hidden_size=1),
        ],
        "tanh of each number, and an RNN whose recurrent weight is 0",
        [helper.make_tensor_value_info("x", kind, [1, 3, 1])],
        [helper.make_tensor_value_info(name, kind, None) for name in ("tanh", "rnn")],
        [
            helper.make_tensor(name, kind, [1, 1, 1], [value])
            for name, value in (("W", 1.0), ("R", 0.0))
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    engine = ENGINES["onnxruntime"]()
    session = engine.load(model.SerializeToString())
    tanh, rnn = (y.ravel() for y in engine.run(session, {"x": x.reshape(1, 3, 1)}))
    assert np.allclose(tanh, np.tanh(x.astype(float)), rtol=1e-6, atol=0)
    assert rnn[0] == 0
    assert 1e-8 < np.abs(rnn - np.tanh(x.astype(float))).max() < 2e-7
