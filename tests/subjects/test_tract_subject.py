"""tract against the reference, and what it does otherwise than ONNX specifies."""

import numpy as np
import pytest

from rnnparity import check
from rnnparity.catalogue import catalogue
from rnnparity.problem.answer import Unsupported
from rnnparity.problem.verdicts import Verdict

pytest.importorskip("tract", reason="tract is not installed: pip install tract")
from rnnparity.subjects import make_subject
from rnnparity.subjects.tract_engine import TractRunError


@pytest.fixture(scope="module")
def tract():
    return make_subject("tract")


def test_a_part_of_the_core_agrees_or_is_known():
    (result,) = check("tract", k="core and (edge or saturation or halves) and not mask").subjects
    assert result.failing == ()
    assert result.counts[Verdict.AGREES] > 10
    assert result.counts[Verdict.KNOWN] > 10


def test_direction_reverse_is_computed_forward(tract):
    backwards = catalogue()["gru_before-spread-backwards-last"]
    forward = catalogue()["gru_before-spread-last"]
    for ours, theirs in zip(backwards.weights, forward.weights, strict=True):
        assert np.array_equal(ours.data, theirs.data)
    (output,), (expected,) = tract.answer(backwards).outputs, tract.answer(forward).outputs
    assert np.array_equal(output.data, expected.data)


def test_sigmoid_of_a_large_negative_number_is_not_nearly_zero(tract):
    import onnx
    from onnx import TensorProto, helper

    values = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    node = helper.make_node("Sigmoid", ["x"], ["y"])
    graph = helper.make_graph([node], "sigmoid", [values], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)])
    session = tract.engine.load(onnx.ModelProto.SerializeToString(model))
    (y,) = tract.engine.run(session, {"x": np.array([-40], np.float32)})
    assert 1e-8 < y[0] < 1e-6  # 4e-18


def test_lstm_without_initial_states_raises(tract):
    with pytest.raises(TractRunError, match="Clashing resolution") as raised:
        tract.answer(catalogue()["lstm-spread-last"])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("gru-spread-sequences-mask_right", "Non constant seq_len"),
        ("dtype-bfloat16-gru-forward", "no inputs of bfloat16"),
        ("dtype-float64-gru-forward", "F64"),
    ],
)
def test_what_tract_lacks_is_unsupported(tract, case, reason):
    with pytest.raises(Unsupported, match=reason):
        tract.answer(catalogue()[case])
