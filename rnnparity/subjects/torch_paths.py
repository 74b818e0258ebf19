"""PyTorch's modules as other paths run them: traced, exported, compiled, or with quantized weights.

Dynamic quantization keeps weights in 8 bits and rounds inputs and states to 8 bits of their range
at each product: https://docs.pytorch.org/docs/stable/quantization.html.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from rnnparity.problem.answer import Unsupported
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Bidirectional, Recurrent
from rnnparity.problem.problem import Problem
from rnnparity.subjects.adapters import layer_outputs
from rnnparity.subjects.declarations import MissingFrameworkError, Registration
from rnnparity.subjects.functions import FunctionSubject
from rnnparity.subjects.torch_layers import Torch, TorchLayers, TorchModule, first_half
from rnnparity.subjects.torch_limits import check_supported

# What makes of PyTorch and of a module of x and its states, with both, what is called with them.
Change: TypeAlias = Callable[[Torch, TorchModule, tuple[Any, ...]], Callable[..., object]]

PATHS = {
    "jit": "traced by torch.jit.trace",
    "export": "exported by torch.export",
    "compile": "compiled by torch.compile (TorchInductor)",
    "quantized": "dynamic quantization to qint8",
}
# Numbers between -1 and 1 in 8 bits have steps of 2**-7; rounding to them is off by the root mean
# square of 2**-7 / sqrt(12), about 2**-9.
# One of these compiles what TorchInductor generates.
COMPILERS = ("g++", "c++", "clang++", "cl")
QUANTIZED_PRECISION = "2**-9"


def make(path: str) -> FunctionSubject:
    """Return the subject `torch` on a path.

    Raises:
        ImportError: PyTorch is missing.
        MissingFrameworkError: the compiler that TorchInductor needs is missing.
    """
    if path == "compile" and not any(map(shutil.which, COMPILERS)):
        raise MissingFrameworkError("torch:compile", f"a C++ compiler is missing: {COMPILERS[0]}")
    return subject_of(f"torch:{path}", _CHANGES[path], ("torch",))


def subject_of(
    name: str,
    change: Change,
    packages: Sequence[str],
    dtypes: Sequence[str] = ("float32", "float64"),
) -> FunctionSubject:
    """Return the subject that runs PyTorch's modules of some types as changed by `change`.

    Raises:
        ImportError: PyTorch is missing.
    """
    import torch

    torch.set_num_threads(1)
    layers = TorchLayers(torch, "cpu")
    wrapper = _wrapper(torch)

    def run(
        layer: Recurrent | Bidirectional,
        weights: Mapping[str, Array],
        x: Array,
        mask: Array | None,
        states: Sequence[Array],
    ) -> tuple[list[Array], list[Array]]:
        _check(name, first_half(layer), mask, dtypes)
        module = layers.module(layer, weights)

        def changed(*arguments: object) -> object:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # two of the three are deprecated
                return change(torch, wrapper(module), arguments)(*arguments)

        tensors = [layers.tensor(state) for state in states]
        outputs, last = layers.run(layer, changed, layers.tensor(x), None, tensors)
        return [output.numpy() for output in outputs], [state.numpy() for state in last]

    def answer(problem: Problem) -> list[Array]:
        check_supported(problem)
        with torch.no_grad():
            return [tensor.data for tensor in layer_outputs(problem, run)]

    return FunctionSubject(answer, packages)


def _check(name: str, half: Recurrent, mask: Array | None, dtypes: Sequence[str]) -> None:
    quantized = name == "torch:quantized"
    if mask is not None:
        raise Unsupported(f"{name} is run without masks")
    if half.compute_dtype not in dtypes:
        raise Unsupported(f"{name} is run in {' and '.join(dtypes)} only")
    if quantized and (half.class_name == "SimpleRNN" or half.compute_dtype == "float64"):
        raise Unsupported("only nn.LSTM and nn.GRU of float32 are quantized dynamically")
    if quantized and not half.use_bias:
        raise Unsupported("only layers with biases are quantized dynamically")


def _wrapper(torch: Torch) -> type[TorchModule]:
    """Return a module around another one: quantization replaces modules inside of others."""

    class Wrapper(torch.nn.Module):  # type: ignore[misc]  # PyTorch's types are not checked
        def __init__(self, module: TorchModule) -> None:
            super().__init__()
            self.module = module

        def forward(self, x: object, start: object) -> object:
            return self.module(x, start)

    return Wrapper


def _compiled(torch: Torch, module: TorchModule, _: object) -> TorchModule:
    """Return a module that is compiled as one graph; by default PyTorch leaves these modules out."""

    def run(*arguments: object) -> object:
        torch.compiler.reset()  # what was compiled for other cases
        with torch._dynamo.config.patch(allow_rnn=True):
            return torch.compile(module, fullgraph=True)(*arguments)

    return run


_CHANGES: Mapping[str, Change] = {
    "jit": lambda torch, module, arguments: torch.jit.trace(module, arguments, check_trace=False),
    "export": lambda torch, module, arguments: torch.export.export(module, arguments).module(),
    "compile": _compiled,
    "quantized": lambda torch, module, _: torch.ao.quantization.quantize_dynamic(
        module, {torch.nn.LSTM, torch.nn.GRU}, dtype=torch.qint8
    ),
}

SUBJECTS = tuple(
    Registration(
        f"torch:{path}",
        partial(make, path),
        f"PyTorch, {what}",
        packages=("torch",),
        extra="torch",
        rank=31,
        precision=QUANTIZED_PRECISION if path == "quantized" else "",
    )
    for path, what in PATHS.items()
)
