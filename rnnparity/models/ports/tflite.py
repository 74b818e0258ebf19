"""TFLite models on LiteRT's interpreter, with all tensors of the main graph kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from rnnparity.models.ports.port import Port, PortRequest, check_count
from rnnparity.models.worker import limit_memory
from rnnparity.problem.errors import RequestError
from rnnparity.problem.tensor import Tensor
from rnnparity.session.outcome import error_line
from rnnparity.subjects.litert import interpreter_class

Interpreter: TypeAlias = Any


def run_tflite(path: str, request: PortRequest) -> Port:
    """Run a TFLite model.

    Raises:
        RequestError: it is not a model, takes other inputs, or does not run.
    """
    make: Any = interpreter_class()
    limit_memory()
    try:
        interpreter = make(path, num_threads=1, experimental_preserve_all_tensors=True)
    except Exception as error:  # whatever the interpreter raises for a damaged file
        raise RequestError(f"{path}: cannot be loaded as TFLite: {error_line(error)}") from None
    slots = _in_order(interpreter, request.inputs)
    check_count(path, len(slots), len(request.inputs))
    try:
        for slot, tensor in zip(slots, request.inputs, strict=True):
            interpreter.resize_tensor_input(slot["index"], tensor.shape)
        interpreter.allocate_tensors()
        for slot, tensor in zip(slots, request.inputs, strict=True):
            interpreter.set_tensor(slot["index"], tensor.data.astype(slot["dtype"]))
        interpreter.invoke()
    except Exception as error:  # likewise
        raise RequestError(f"{path}: does not run on these inputs: {error_line(error)}") from None
    return Port(tuple(_tensors(interpreter, slots, request)), tuple(_final(interpreter)))


def _in_order(interpreter: Interpreter, inputs: Sequence[Tensor]) -> list[dict[str, Any]]:
    """Return the model's inputs in the order of these, which have the names of its signature."""
    slots = list(interpreter.get_input_details())
    signatures = interpreter.get_signature_list()
    names = [tensor.name for tensor in inputs]
    for key, signature in signatures.items():
        if sorted(signature["inputs"]) == sorted(names):
            details = interpreter.get_signature_runner(key).get_input_details()
            return [details[name] for name in names]
    return slots


def _tensors(
    interpreter: Interpreter, slots: Sequence[dict[str, Any]], request: PortRequest
) -> list[Tensor]:
    """Return the inputs, then what each operator of the main graph returns, in their order."""
    details = {detail["index"]: detail["name"] for detail in interpreter.get_tensor_details()}
    operators = interpreter._get_ops_details()  # public nowhere
    order = [slot["index"] for slot in slots]
    order += [index for operator in operators for index in operator["outputs"]]
    tensors: list[Tensor] = []
    for index in dict.fromkeys(order):
        try:
            array = interpreter.get_tensor(index)
        except ValueError:  # a tensor without data, such as a resource
            continue
        tensors += request.kept(details[index], array.copy())
    return tensors


def _final(interpreter: Interpreter) -> list[Tensor]:
    """Return the final outputs, in the order of the signature where there is one."""
    slots = interpreter.get_output_details()
    return [Tensor(slot["name"], interpreter.get_tensor(slot["index"])) for slot in slots]
