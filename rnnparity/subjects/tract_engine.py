"""tract, an inference engine in Rust, which runs ONNX models."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from rnnparity.problem.answer import Unsupported
from rnnparity.problem.dtypes import Array

if TYPE_CHECKING:
    from rnnparity.subjects.onnx_engines import Session


class OutputTensor(Protocol):
    """An output of tract."""

    def to_numpy(self) -> Array:
        """Return its numbers, which belong to tract."""


class Runnable(Protocol):
    """A compiled model of tract."""

    def run(self, inputs: list[Array]) -> list[OutputTensor]:
        """Return the outputs."""


class TractSession:
    """A model in tract, which is compiled for each set of shapes and types of inputs."""

    # tract's names of types.
    TYPES: Mapping[str, str] = {
        "float16": "f16", "float32": "f32", "float64": "f64", "int32": "i32", "int64": "i64",
        "bool": "bool",
    }  # fmt: skip

    def __init__(self, tract: ModuleType, model: bytes) -> None:
        self.tract = tract
        self.model = model
        self.compiled: dict[tuple[str, ...], Runnable] = {}

    def run(self, _output_names: None, feeds: dict[str, Array], /) -> list[Array]:
        """Return all outputs of the model.

        Raises:
            Unsupported: an array is in a type that tract does not have.
        """
        missing = {str(array.dtype) for array in feeds.values()} - self.TYPES.keys()
        if missing:
            raise Unsupported(f"no inputs of {min(missing)} in tract")
        facts = tuple(
            ",".join([*map(str, array.shape), self.TYPES[str(array.dtype)]])
            for array in feeds.values()
        )
        if facts not in self.compiled:
            self.compiled[facts] = self._compile(dict(zip(feeds, facts, strict=True)))
        return [tensor.to_numpy().copy() for tensor in self.compiled[facts].run([*feeds.values()])]

    def _compile(self, facts: Mapping[str, str]) -> Runnable:
        # It reads files only.
        with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
            file.write(self.model)
            file.flush()
            model = self.tract.onnx().load(file.name)
        for index in range(model.input_count()):
            model.set_input_fact(index, facts[model.input_name(index)])
        runnable: Runnable = model.into_model().into_runnable()
        return runnable


class Tract:
    """tract, an inference engine in Rust.

    Raises:
        ImportError: onnx, which builds the models, or tract is missing.
    """

    # What it states that it does not have, at the end of its messages.
    UNSUPPORTED = re.compile(
        r"Non constant seq_len is not supported|Unknown DatumType Bfloat16"
        r"|only supports f32 and f16.*|Sigmoid does not support F64"
    )

    def __init__(self) -> None:
        import onnx  # noqa: F401 - whether it is there
        import tract

        self.tract = tract

    def versions(self) -> dict[str, str]:
        return {"tract": str(self.tract.version())}

    def load(self, model: bytes) -> TractSession:
        return TractSession(self.tract, model)

    def run(self, session: Session, feeds: Mapping[str, Array]) -> list[Array]:
        """Return all outputs of the model, in its order.

        Raises:
            Unsupported: tract lacks what the model needs.
        """
        try:
            return session.run(None, dict(feeds))
        except self.tract.TractError as error:
            # Then follows a stack of Rust.
            message = str(error).partition("Stack backtrace")[0]
            reason = self.UNSUPPORTED.search(message)
            if reason:
                raise Unsupported(f"tract: {reason[0]}") from None
            causes = [line.strip() for line in message.splitlines() if line.strip()]
            raise TractRunError(f"{causes[0]}: {causes[-1]}") from None


class TractRunError(Exception):
    """tract cannot run a model; its message without the stack."""
