"""ONNX Runtime on Node.js, the npm package onnxruntime-node, as an engine of ONNX models."""

from __future__ import annotations

import json
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from rnnparity.problem.answer import Unsupported
from rnnparity.problem.dtypes import Array
from rnnparity.subjects.node_programs import node_program

if TYPE_CHECKING:
    from rnnparity.subjects.onnx_engines import Session

NAME = "onnxruntime-node"


class NodeError(Exception):
    """ONNX Runtime cannot load or run a model; its message."""


class NodeSession:
    """A model, which is loaded again after a restart of the program."""

    def __init__(self, engine: OnnxRuntimeNode, model: bytes) -> None:
        self._engine = engine
        self._question: dict[str, object] = {"model": b64encode(model).decode()}
        self._load()

    def _load(self) -> None:
        self._number = self._engine.ask(self._question)["session"]
        self._program = self._engine.program

    def run(self, _output_names: None, feeds: dict[str, Array], /) -> list[Array]:
        """Return all outputs of the model."""
        if self._engine.program is not self._program:
            self._load()
        tensors = [_stored(name, array) for name, array in feeds.items()]
        reply = self._engine.ask({"session": self._number, "feeds": tensors})
        return [_array(tensor) for tensor in reply["outputs"]]


class OnnxRuntimeNode:
    """ONNX Runtime on Node.js, one program for all models.

    Raises:
        ImportError: onnx, which builds the models, is missing.
        MissingFrameworkError: Node or the npm package is missing.
    """

    def __init__(self) -> None:
        import onnx  # noqa: F401 - whether it is there

        self._command, self._versions = node_program(NAME, "onnxruntime.mjs", NAME)
        self._start()

    def _start(self) -> None:
        pipe = subprocess.PIPE
        self.program = subprocess.Popen(  # noqa: S603 - a program of this package
            self._command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
        )

    def versions(self) -> dict[str, str]:
        return self._versions

    def close(self) -> None:
        """End the program."""
        self.program.kill()
        self.program.communicate()

    def load(self, model: bytes) -> NodeSession:
        """Load a serialized model.

        Raises:
            Unsupported: ONNX specifies an operator in this type, ONNX Runtime lacks it.
        """
        return NodeSession(self, model)

    def run(self, session: Session, feeds: Mapping[str, Array]) -> list[Array]:
        """Return all outputs of the model, in its order.

        Raises:
            Unsupported: LSTM or GRU in float64, which ONNX Runtime loads and does not run.
        """
        return session.run(None, dict(feeds))

    def ask(self, question: dict[str, object]) -> Any:
        """Return the program's reply; one that ends costs this question only.

        Raises:
            Unsupported: ONNX Runtime lacks an operator in a type.
            NodeError: it fails, or the program has ended.
        """
        stdin = cast("IO[bytes]", self.program.stdin)
        line = b""
        with suppress(BrokenPipeError):
            stdin.write(json.dumps(question).encode() + b"\n")
            stdin.flush()
            line = cast("IO[bytes]", self.program.stdout).readline()
        if not line:
            self.close()
            status = self.program.returncode
            self._start()
            raise NodeError(f"the program ended with exit status {status}")
        reply = json.loads(line)
        if "error" not in reply:
            return reply
        # "...: Could not find an implementation for RNN(22) node with name ''", and
        # "...: LSTM operator does not support double yet"
        reason = reply["error"].partition(" node with name")[0].rpartition(": ")[2]
        if reason.startswith("Could not find an impl") or reason.endswith("support double yet"):
            raise Unsupported(f"ONNX Runtime: {reason}")
        raise NodeError(reply["error"])


def _stored(name: str, array: Array) -> dict[str, object]:
    data = b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"name": name, "dtype": str(array.dtype), "shape": array.shape, "data": data}


def _array(tensor: dict[str, Any]) -> Array:
    values = np.frombuffer(b64decode(tensor["data"]), np.dtype(tensor["dtype"]))
    return values.reshape(tensor["shape"]).copy()
