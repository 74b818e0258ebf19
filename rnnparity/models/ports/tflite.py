"""TFLite models on LiteRT's interpreter, with all tensors of the main graph and of its loops kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from rnnparity.models.ports.port import Port, PortRequest, check_count, check_loop_bytes
from rnnparity.models.ports.tflite_bodies import tensors_of_steps, with_signatures
from rnnparity.models.worker import limit_memory
from rnnparity.problem.dtypes import Array
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
    interpreter = _load(path, make, model_path=path)
    slots = _in_order(interpreter, request.inputs)
    check_count(path, len(slots), len(request.inputs))
    try:
        for slot, tensor in zip(slots, request.inputs, strict=True):
            interpreter.resize_tensor_input(slot["index"], tensor.shape)
        interpreter.allocate_tensors()
        for slot, tensor in zip(slots, request.inputs, strict=True):
            interpreter.set_tensor(slot["index"], tensor.data.astype(slot["dtype"]))
        interpreter.invoke()
    except Exception as error:  # whatever an operator of the interpreter raises
        raise RequestError(f"{path}: does not run on these inputs: {error_line(error)}") from None
    main = _main_tensors(interpreter)
    bodies = _bodies(path, make, main, request) if interpreter.num_subgraphs() > 1 else {}
    tensors = tuple(_tensors(interpreter, slots, main, bodies, request))
    return Port(tensors, tuple(_final(interpreter, main)))


def _load(path: str, make: Any, **source: object) -> Interpreter:
    """Return an interpreter with a model; `source` is its file or its content."""
    try:
        return make(num_threads=1, experimental_preserve_all_tensors=True, **source)
    except Exception as error:  # whatever the interpreter raises for a damaged file
        raise RequestError(f"{path}: cannot be loaded as TFLite: {error_line(error)}") from None


def _bodies(
    path: str, make: Any, main: Mapping[int, Array], request: PortRequest
) -> dict[int, list[Tensor]]:
    """Return the tensors inside of each loop, by the first tensor that the loop returns.

    Of a loop whose body does not run by itself, with resources for example, there are none.

    Raises:
        RequestError: the tensors of a loop take too much memory.
    """
    content, loops = with_signatures(Path(path).read_bytes())
    try:
        interpreter = _load(path, make, model_content=content)
    except RequestError:  # the parts of its loops cannot be called by themselves
        return {}
    found: dict[int, list[Tensor]] = {}
    for loop in loops:
        # The interpreter raises RuntimeError and ValueError; a resource is no tensor of `main`.
        with suppress(KeyError, RuntimeError, ValueError):
            found[loop.outputs[0]] = [
                tensor
                for name, array in tensors_of_steps(
                    interpreter, loop, main, request.sizes, partial(check_loop_bytes, path)
                )
                for tensor in request.kept(name, array)
            ]
    return found


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
    interpreter: Interpreter,
    slots: Sequence[dict[str, Any]],
    main: Mapping[int, Array],
    bodies: Mapping[int, Sequence[Tensor]],
    request: PortRequest,
) -> Iterator[Tensor]:
    """Yield the inputs, then what each operator of the main graph returns, in their order.

    What a loop returns comes after what is computed in its body.
    """
    details = {detail["index"]: detail["name"] for detail in interpreter.get_tensor_details()}
    operators = interpreter._get_ops_details()  # public nowhere
    order = [slot["index"] for slot in slots]
    order += [int(index) for operator in operators for index in operator["outputs"]]
    for index in dict.fromkeys(order):
        yield from bodies.get(index, ())
        if index in main:
            yield from request.kept(details[index], main[index])


def _main_tensors(interpreter: Interpreter) -> dict[int, Array]:
    """Return the tensors of the main graph by their index."""
    tensors = {}
    for detail in interpreter.get_tensor_details():
        with suppress(ValueError):  # a tensor without data, such as a resource
            tensors[detail["index"]] = interpreter.get_tensor(detail["index"]).copy()
    return tensors


def _final(interpreter: Interpreter, main: Mapping[int, Array]) -> list[Tensor]:
    """Return the final outputs, in the order of the signature where there is one."""
    return [Tensor(slot["name"], main[slot["index"]]) for slot in interpreter.get_output_details()]
