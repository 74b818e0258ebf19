"""The subject torch, on PyTorch's own modules."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from rnnparity import assert_parity, check
from rnnparity.catalogue import catalogue
from rnnparity.problem.errors import RequestError
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.text.messages import faults_name
from rnnparity.session.ask import explain_subject
from rnnparity.subjects import make_subject, torch_layers
from rnnparity.subjects import torch as pytorch

pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
PART = "not mask and spread and (sequences or last) or stateful or stack or dtype or mask_right and concat"


@pytest.fixture(scope="module")
def report():
    return check("torch", k=PART, jobs=1).subjects[0]


def test_all_layers_that_pytorch_can_express_agree(report):
    assert report.failing == ()
    agreeing = {case.id for case in report.cases if case.verdict is Verdict.AGREES}
    for name in ("simple_rnn", "lstm", "gru"):
        for flags in ("last", "sequences", "sequences-state-initial"):
            assert f"{name}-spread-{flags}" in agreeing
            assert f"{name}-spread-backwards-{flags}" in agreeing
            assert f"bi_{name}-spread-concat-{flags}" in agreeing


def test_layers_that_pytorch_cannot_express_are_unsupported_with_the_reason(report):
    reasons = {verdict.reason for verdict in report.cases if verdict.verdict is Verdict.UNSUPPORTED}
    assert "nn.GRU computes only reset_after=True" in reasons
    assert "lengths express only right padding, and no empty row" in reasons


def test_packed_sequences_agree_in_both_directions_over_right_padding(report):
    masked = [v for v in report.cases if "mask_right" in v.id and v.verdict is Verdict.AGREES]
    assert any("bi_gru" in verdict.id for verdict in masked)
    assert any("bi_lstm" in verdict.id for verdict in masked)


def test_each_type_is_returned_unchanged(report):
    kinds = {
        verdict.id: verdict.verdict for verdict in report.cases if verdict.id.startswith("dtype-")
    }
    assert Verdict.DIVERGES not in kinds.values()
    assert any("float64" in name for name, kind in kinds.items() if kind is Verdict.AGREES)


def onnx_order(array):
    i, f, c, o = np.split(np.asarray(array), 4, axis=-1)
    return np.concatenate([i, o, f, c], axis=-1)


@pytest.mark.parametrize(
    ("edit", "case", "cause"),
    [
        (
            np.asarray,
            "gru-spread-sequences-state",
            "gate-order: GRU rzh (PyTorch, cuDNN) in all weights",
        ),
        (onnx_order, "lstm-spread-sequences-state", "gate-order: LSTM "),
    ],
)
def test_a_wrong_gate_order_is_explained(monkeypatch, edit, case, cause):
    """Keras' own order in PyTorch's GRU, ONNX' order in its LSTM."""
    monkeypatch.setattr(torch_layers, "_gates", lambda _, array: edit(array))
    subject = pytorch.make("cpu")
    diagnosis = explain_subject(
        catalogue()[case],
        lambda problem: [tensor.data for tensor in subject.answer(problem).outputs],
    )
    name = faults_name(diagnosis.explanation.cause.faults)
    assert name.startswith(cause)
    assert name.endswith("in all weights")


def test_missing_pytorch_is_reported_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        RequestError,
        match=r"subject 'torch': package torch is missing; run pip install 'rnnparity\[torch\]'",
    ):
        make_subject("torch")


def test_inputs_that_are_a_reversed_view_are_computed_in_this_process():
    problem = catalogue()["lstm-spread-last"]
    data = np.ascontiguousarray(problem.inputs.data[:, ::-1])[:, ::-1]
    assert data.strides[1] < 0
    reversed_view = replace(problem, inputs=replace(problem.inputs, data=data))
    (output,) = make_subject("torch").answer(reversed_view).outputs
    assert_parity([output.data], problem)
