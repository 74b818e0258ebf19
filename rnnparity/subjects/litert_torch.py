"""LiteRT Torch: PyTorch's modules converted to LiteRT (TFLite) models, on LiteRT's interpreter.

Each case is converted for its own shapes: https://github.com/google-ai-edge/litert-torch.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import Any

from rnnparity.subjects.declarations import Registration
from rnnparity.subjects.functions import FunctionSubject
from rnnparity.subjects.keras_backend import quiet
from rnnparity.subjects.torch_layers import Torch, TorchModule
from rnnparity.subjects.torch_paths import Change, subject_of


def make() -> FunctionSubject:
    """Return the subject `litert:torch`.

    Raises:
        ImportError: PyTorch or LiteRT Torch is missing.
    """
    with quiet():
        import litert_torch
    # LiteRT has no operators of float64.
    return subject_of(
        "litert:torch", _converter(litert_torch), ("torch", "litert-torch"), ("float32",)
    )


def _converter(litert_torch: Any) -> Change:
    """Return the conversion of a module of x (B, T, D) and its states, a tensor or a tuple of them."""

    def converted(torch: Torch, module: TorchModule, arguments: tuple[Any, ...]) -> TorchModule:
        x, start = arguments
        flat = (x, *start) if isinstance(start, tuple) else arguments

        class Flat(torch.nn.Module):  # type: ignore[misc]  # PyTorch's types are not checked
            """The module with every state as an argument: a LiteRT model has no tuples."""

            def __init__(self) -> None:
                super().__init__()
                self.module = module

            def forward(self, x: object, *states: object) -> object:
                return self.module(x, states if isinstance(start, tuple) else states[0])

        with quiet(), redirect_stdout(io.StringIO()):  # it prints every stage
            model = litert_torch.convert(Flat().eval(), flat)

        def run(*_: object) -> object:
            y, *last = [torch.from_numpy(array) for array in model(*flat)]
            return y, tuple(last) if isinstance(start, tuple) else last[0]

        return run

    return converted


SUBJECTS = (
    Registration(
        "litert:torch",
        make,
        "models that LiteRT Torch converts from PyTorch, on LiteRT",
        packages=("torch", "litert_torch"),
        extra="litert-torch",
        rank=61,
    ),
)
