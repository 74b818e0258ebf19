"""The subjects that run models which Keras and PyTorch export to ONNX."""

import sys

import numpy as np
import pytest

from rnnparity import check
from rnnparity.catalogue import catalogue
from rnnparity.problem.answer import Unsupported
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.subjects import conversion, exported, make_subject
from rnnparity.subjects.calls import join_outputs
from rnnparity.subjects.exporters import KerasExporter

FROM_TORCH = [
    "gru-spread-backwards-sequences-state",
    "stateful-lstm-concat-sequences-state",
]
FROM_KERAS = [
    "bi_lstm-spread-none-sequences-state-mask_left-initial",
    "stack-two_rnn_last",
]


def kinds_of(subject, names):
    report = check(subject, k=" or ".join(names), jobs=1).subjects[0]
    kinds = {verdict.id: verdict.verdict for verdict in report.cases}
    return {name: kinds[name] for name in names}


def test_models_that_pytorch_exports_agree():
    pytest.importorskip("onnxscript", reason="torch.onnx.export needs it: pip install onnxscript")
    pytest.importorskip(
        "onnxruntime", reason="ONNX Runtime is not installed: pip install onnxruntime"
    )
    assert kinds_of("onnxruntime:torch", FROM_TORCH) == dict.fromkeys(FROM_TORCH, Verdict.AGREES)


def test_models_that_keras_exports_agree():
    pytest.importorskip("tf2onnx", reason="Keras' export needs it: pip install tf2onnx")
    pytest.importorskip(
        "onnxruntime", reason="ONNX Runtime is not installed: pip install onnxruntime"
    )
    assert kinds_of("onnxruntime:keras", FROM_KERAS) == dict.fromkeys(FROM_KERAS, Verdict.AGREES)


class Recorder:
    """An exporter whose model adds one to its input, so that the outputs show the arguments."""

    def versions(self):
        return {"exporter": "2"}

    def outputs(self, problem, _):
        calls = conversion.call_arguments(problem)
        return join_outputs(problem, [[Tensor("", call["x"][..., :3] + 1)] for call in calls])

    def forget(self):
        self.forgotten = True


class Engine:
    def versions(self):
        return {"engine": "1"}


def test_a_stateful_run_is_split_into_calls_and_joined():
    subject = exported.ExportedSubject(Engine(), Recorder())
    problem = catalogue()["stateful-gru-forward-sequences"]
    assert [call["x"].shape[1] for call in conversion.call_arguments(problem)] == [3, 2, 1]
    (output,) = subject.answer(problem).outputs
    assert np.array_equal(output.data, problem.inputs.data[..., :3] + 1)
    assert subject.versions() == {"engine": "1", "exporter": "2"}


def test_memory_is_freed_after_some_exports(monkeypatch):
    monkeypatch.setattr(exported, "MAX_EXPORTS", 2)
    subject = exported.ExportedSubject(Engine(), Recorder())
    problem = catalogue()["simple_rnn-spread-last"]
    subject.answer(problem)
    assert not hasattr(subject.exporter, "forgotten")
    subject.answer(problem)
    assert subject.exporter.forgotten


def test_states_are_arguments_unless_the_layer_is_stateful():
    plain = catalogue()["lstm-spread-last-mask_left-initial"]
    assert [list(call) for call in conversion.call_arguments(plain)] == [
        ["x", "mask", "state_0", "state_1"]
    ]
    stateful = catalogue()["stateful-lstm-forward-last-state-mask-initial"]
    assert [list(call) for call in conversion.call_arguments(stateful)] == [["x", "mask"]] * 3
    assert [shape for _, _, shape in conversion.open_shapes(stateful)] == [
        [2, None, stateful.inputs.shape[2]],
        [2, None],
    ]


def test_surplus_outputs_are_kept():
    tensor = Tensor("", np.zeros((2, 3), np.float32))
    named = join_outputs(catalogue()["simple_rnn-spread-last"], [[tensor, tensor]])
    assert [tensor.name for tensor in named] == ["output", "extra_1"]


def test_keras_exports_only_the_policy_float32():
    exporter = KerasExporter.__new__(KerasExporter)
    for case in (
        "dtype-float16-lstm-forward",
        "dtype-float32_around_mixed_float16-gru",
        "stack-policies",
    ):
        with pytest.raises(Unsupported, match="only under the policy float32"):
            exporter.outputs(catalogue()[case], None)


@pytest.mark.parametrize(
    ("subject", "module"),
    [("onnx-reference:keras", "tf2onnx"), ("onnx-reference:torch", "onnxscript")],
)
def test_a_missing_converter_is_reported_with_its_extra(monkeypatch, subject, module):
    pytest.importorskip("onnx", reason="ONNX is not installed: pip install onnx")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        RequestError,
        match=rf"subject '{subject}': package {module} is missing; .*'rnnparity\[onnx-export\]'",
    ):
        make_subject(subject)
