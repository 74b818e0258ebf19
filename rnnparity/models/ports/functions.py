"""Python functions and PyTorch modules, live or by name ("package.module:object")."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from inspect import signature
from typing import Any, TypeAlias

import numpy as np

from rnnparity.models.ports.naming import class_error
from rnnparity.models.ports.port import Port, PortRequest, named_port
from rnnparity.models.ports.torch_stacks import check_not_projected, inner_outputs
from rnnparity.models.worker import limit_memory
from rnnparity.problem.arrays import as_array
from rnnparity.problem.errors import RequestError
from rnnparity.problem.tensor import Tensor
from rnnparity.session.outcome import error_line
from rnnparity.subjects.importing import imported, is_module, user_location

# A module or a tensor of PyTorch: its types are not checked.
TorchModule: TypeAlias = Any
TorchValue: TypeAlias = Any

Function = Callable[..., object]


def run_object(name: str, request: PortRequest) -> Port:
    """Import a function or a module, the current folder included, and run it.

    Raises:
        RequestError: it cannot be imported, or raises.
    """
    is_module(name.partition(":")[0])  # puts the current folder on the path
    function = imported(name, name)
    limit_memory()
    return run_function(name, function, request)


def run_function(name: str, function: Function, request: PortRequest) -> Port:
    """Run a function on the inputs of the model.

    A function returns the final output, a sequence of them, or a mapping of arrays by layer; one
    without parameters makes the function or module that is run. The tensors of a PyTorch module are
    what enters and leaves every submodule, and what leaves each layer of one with several layers.

    Raises:
        RequestError: it raises, or returns something else.
    """
    if isinstance(function, type):
        raise class_error(name)
    try:
        if _makes_a_port(function):
            function = _made(name, function)
        run = _run_module if is_torch_module(function) else _run_plain
        return run(name, function, request)
    except (RequestError, MemoryError):
        raise
    except Exception as error:  # whatever a user's function may raise
        raise RequestError(
            f"{name}: does not run on the model's inputs: {error_line(error)}{user_location(error)}"
        ) from error


def _makes_a_port(function: Function) -> bool:
    """Return whether a function takes no arguments, so that it cannot be the port itself."""
    if is_torch_module(function):
        return False
    try:
        return not signature(function).parameters
    except ValueError:  # some functions in C have no signature
        return False


def _made(name: str, make: Function) -> Function:
    made = make()
    if callable(made):
        return made
    found = type(made).__name__
    raise RequestError(f"{name}: made {found}, expected a function or an nn.Module")


def is_torch_module(value: object) -> bool:
    """Return whether a value is an nn.Module, without an import of PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _run_plain(name: str, function: Function, request: PortRequest) -> Port:
    result = function(*(tensor.data for tensor in request.inputs))
    if result is None:
        raise RequestError(f"{name}: returned None, expected the model's output")
    if isinstance(result, Mapping):
        return named_port(name, result)
    outputs = result if isinstance(result, list | tuple) else [result]
    if len(outputs) == 1:
        return named_port(name, {"output": outputs[0]})
    return named_port(name, {f"output_{index}": value for index, value in enumerate(outputs)})


def _run_module(name: str, module: TorchModule, request: PortRequest) -> Port:
    torch = sys.modules["torch"]
    check_not_projected(torch, name, module)
    tensors: list[Tensor] = []

    def keep(
        path: str,
        inner: TorchModule,
        args: tuple[TorchValue, ...],
        kwargs: dict[str, TorchValue],
        outputs: TorchValue,
    ) -> None:
        values = [("input", (*args, *kwargs.values()))]
        for index, value in enumerate(inner_outputs(torch, inner, args, kwargs, outputs)):
            values.append((f"l{index}.output", value))
        for side, value in [*values, ("output", outputs)]:
            for key, tensor in _tensors(torch, f"{path}.{side}".removeprefix("."), value):
                tensors.extend(request.kept(key, as_array(tensor)))

    handles = [
        inner.register_forward_hook(partial(keep, path), with_kwargs=True)
        for path, inner in module.named_modules()
        if path or not any(module.children())
    ]
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            result = module(*(_tensor(torch, tensor) for tensor in request.inputs))
    finally:
        module.train(was_training)
        for handle in handles:
            handle.remove()
    final = [Tensor(key, as_array(value)) for key, value in _tensors(torch, "output", result)]
    fed = [kept for tensor in request.inputs for kept in request.kept(tensor.name, tensor.data)]
    last = [kept for tensor in final for kept in request.kept(tensor.name, tensor.data)]
    return Port((*fed, *tensors, *last), tuple(final))


def _tensor(torch: Any, tensor: Tensor) -> TorchValue:
    """Return an input as a tensor; ids are int64, as PyTorch's Embedding takes them."""
    data = tensor.data
    return torch.from_numpy(data.astype(np.int64) if data.dtype.kind in "iu" else data.copy())


def _tensors(torch: Any, key: str, value: TorchValue) -> Iterator[tuple[str, TorchValue]]:
    """Yield the tensors in a value, a packed sequence padded, and the parts of stacked states."""
    if isinstance(value, torch.nn.utils.rnn.PackedSequence):
        value, _ = torch.nn.utils.rnn.pad_packed_sequence(value, batch_first=True)
    if isinstance(value, torch.Tensor):
        yield key, value
        if value.ndim == 3 and key.rpartition(".")[2].isdigit():  # h_n: (layers and halves, B, H)
            yield from ((f"{key}[{index}]", part) for index, part in enumerate(value))
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _tensors(torch, f"{key}.{name}", part)
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _tensors(torch, f"{key}.{index}" if len(value) > 1 else key, part)
