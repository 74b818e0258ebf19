"""ONNX: the operators RNN, LSTM and GRU in models built by hand, on ONNX Runtime and ONNX's ReferenceEvaluator."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from rnnparity.dtypes import Array
from rnnparity.errors import MissingFrameworkError
from rnnparity.subjects import Unsupported

INSTALL = "pip install 'rnnparity[onnx]'"


class OnnxRuntime:
    """ONNX Runtime on the CPU, on one thread.

    Raises:
        RequestError: onnx or onnxruntime is missing.
    """

    subject = "onnxruntime"

    def __init__(self) -> None:
        self.onnx = _imported("onnx", self.subject)
        self.runtime = _imported("onnxruntime", self.subject)
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # fatal: whatever else there is to say comes as an exception
        self.options = options

    def versions(self) -> dict[str, str]:
        return {"onnxruntime": str(self.runtime.__version__), "onnx": str(self.onnx.__version__)}

    def load(self, model: bytes) -> Any:
        """A session of a serialized model.

        Raises:
            Unsupported: an operator that the specification has in this type, and ONNX Runtime has not.
        """
        try:
            return self.runtime.InferenceSession(model, self.options, providers=["CPUExecutionProvider"])
        except self.runtime.capi.onnxruntime_pybind11_state.NotImplemented as error:
            raise Unsupported(f"ONNX Runtime: {str(error).partition(' : ')[2].strip()}") from None

    def run(self, loaded: Any, feeds: Mapping[str, Array]) -> list[Array]:
        """All outputs of the model, in its order."""
        outputs: list[Array] = loaded.run(None, dict(feeds))
        return outputs


class ReferenceEvaluator:
    """ONNX's own evaluator in NumPy, which the specification's node tests come from.

    Raises:
        RequestError: onnx is missing.
    """

    subject = "onnx-reference"

    def __init__(self) -> None:
        self.onnx = _imported("onnx", self.subject)
        self.reference = _imported("onnx.reference", self.subject)

    def versions(self) -> dict[str, str]:
        return {"onnx": str(self.onnx.__version__)}

    def load(self, model: bytes) -> Any:
        """An evaluator of a serialized model."""
        return self.reference.ReferenceEvaluator(model)

    def run(self, loaded: Any, feeds: Mapping[str, Array]) -> list[Array]:
        """All outputs of the model, in its order."""
        return list(loaded.run(None, dict(feeds)))


def engine(name: str) -> OnnxRuntime | ReferenceEvaluator:
    """The engine `onnxruntime`, or `reference` (also `onnx-reference`).

    Raises:
        RequestError: its package is missing.
    """
    return OnnxRuntime() if name == "onnxruntime" else ReferenceEvaluator()


def _imported(module: str, subject: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingFrameworkError(
            f"subject {subject!r} needs {module.partition('.')[0]} ({error}): {INSTALL}"
        ) from None
