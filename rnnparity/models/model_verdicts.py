"""From a model to the verdicts on its recurrent layers, and the cause of the first difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rnnparity.models.call_causes import with_causes
from rnnparity.models.calls import Call, CallResult, ModelResult, Recording, not_compared
from rnnparity.models.inputs import generated_inputs, prepared_inputs
from rnnparity.models.layers import KerasLayer
from rnnparity.models.port_comparison import compare_port
from rnnparity.models.ports.naming import check_port
from rnnparity.models.ports.opening import PortLike, open_port
from rnnparity.models.recording import record
from rnnparity.models.saved import record_file
from rnnparity.problem.answer import Answer
from rnnparity.problem.errors import RequestError
from rnnparity.session.processes import one_blas_thread
from rnnparity.verdict.judge import judge


def from_model(
    model: KerasLayer | str | Path,
    inputs: object = None,
    *,
    against: PortLike | None = None,
    mapping: Mapping[str, str] | None = None,
) -> ModelResult:
    """Return the verdicts on all calls of a model's recurrent layers, each with its problem.

    `model` is a live Keras model or the path of a `.keras` or `.h5` file, `inputs` what the model
    is called with; None generates them from the model's specs. The model runs once, at inference.
    Every layer is judged on the inputs that it really got, so that one fault is one difference.

    `against` is a port of the model, which is compared with it: the path of an `.onnx`, `.tflite`,
    `.npz` or `.pt` file, "package.module:object", a function, an nn.Module, or a state dict.
    `mapping` names the tensor of the port that is the output of a layer, where that is ambiguous,
    or the module of a state dict with its weights.

    Raises:
        RequestError: the file is unreadable, the model or the port cannot be run with the inputs,
        the model has no recurrent layer, or a layer's tensor in the port is ambiguous.
    """
    if isinstance(against, str | Path):
        check_port(str(against))
    return judge_recording(_recording(model, inputs), against, mapping)


def _recording(model: KerasLayer | str | Path, inputs: object) -> Recording:
    if isinstance(model, str | Path):
        return record_file(Path(model), inputs)
    if not hasattr(model, "_flatten_layers"):
        raise RequestError(f"model: got {type(model).__name__}, expected a Keras model or a path")
    # A Sequential builds itself without a call of its layers, a subclass calls them without numbers.
    if not model.built and type(model).__name__ != "Sequential":
        raise RequestError(f"model {model.name!r}: it is not built; call it once with inputs")
    if inputs is None:
        inputs = generated_inputs(model)
    return record(model, prepared_inputs(model, inputs))


def judge_recording(
    recording: Recording, against: PortLike | None = None, mapping: Mapping[str, str] | None = None
) -> ModelResult:
    """Judge what was recorded of a model, and compare it with a port."""
    result = judge_calls(recording.calls)
    if against is None:
        return result
    name, port = open_port(against, recording, mapping)
    return replace(result, port=compare_port(name, recording, port, mapping))


def judge_calls(calls: Sequence[Call]) -> ModelResult:
    """Judge recorded calls, and search the causes of the differences."""
    with one_blas_thread():
        return ModelResult(with_causes(list(map(_judge, calls))))


def _judge(call: Call) -> CallResult:
    if call.problem is None:
        return not_compared(call)
    try:
        result = judge(call.problem, Answer(call.outputs))
        return CallResult(call, result, call.problem.with_outputs(call.outputs))
    except RequestError as refusal:  # it does not fit in memory
        return not_compared(replace(call, reason=str(refusal)))
