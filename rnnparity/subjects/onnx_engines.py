"""Engines that run ONNX models: ONNX Runtime in Python and on Node.js, ONNX's ReferenceEvaluator, tract, OpenVINO."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from rnnparity.problem.answer import Unsupported
from rnnparity.problem.dtypes import Array
from rnnparity.subjects.onnx_node import OnnxRuntimeNode
from rnnparity.subjects.openvino_engine import OpenVino
from rnnparity.subjects.tract_engine import Tract


class Session(Protocol):
    """A loaded model."""

    def run(self, output_names: None, feeds: dict[str, Array], /) -> list[Array]:
        """Return all outputs of the model."""


class Engine(Protocol):
    """Loads and runs models."""

    def versions(self) -> dict[str, str]:
        """Return name and version of what computes."""

    def load(self, model: bytes) -> Session:
        """Load a serialized model."""

    def run(self, session: Session, feeds: Mapping[str, Array]) -> list[Array]:
        """Return all outputs of the model, in its order."""


class OnnxRuntime:
    """ONNX Runtime on the CPU, on one thread.

    Raises:
        ImportError: onnx or onnxruntime is missing.
    """

    def __init__(self) -> None:
        import onnx
        import onnxruntime

        self.onnx = onnx
        self.runtime = onnxruntime
        self.errors = onnxruntime.capi.onnxruntime_pybind11_state
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = 1
        self.options.inter_op_num_threads = 1
        # Only fatal errors: everything else is raised as an exception too.
        self.options.log_severity_level = 4

    def versions(self) -> dict[str, str]:
        return {"onnxruntime": str(self.runtime.__version__), "onnx": str(self.onnx.__version__)}

    def load(self, model: bytes) -> Session:
        """Load a serialized model.

        Raises:
            Unsupported: ONNX specifies an operator in this type, ONNX Runtime lacks it.
        """
        try:
            session: Session = self.runtime.InferenceSession(
                model, self.options, providers=["CPUExecutionProvider"]
            )
        except self.errors.NotImplemented as error:
            # "...: Could not find an implementation for RNN(22) node with ..."
            reason = str(error).rpartition(" : ")[2].partition(" node")[0]
            raise Unsupported(f"ONNX Runtime: {reason}") from None
        return session

    def run(self, session: Session, feeds: Mapping[str, Array]) -> list[Array]:
        """Return all outputs of the model, in its order.

        Raises:
            Unsupported: LSTM or GRU in float64, which ONNX Runtime loads and does not run.
        """
        try:
            return session.run(None, dict(feeds))
        except self.errors.RuntimeException as error:
            # "...: LSTM operator does not support double yet"
            reason = str(error).rpartition("Status Message: ")[2]
            if not reason.endswith("operator does not support double yet"):
                raise
            raise Unsupported(f"ONNX Runtime: {reason}") from None


class ReferenceEvaluator:
    """ONNX's own evaluator in NumPy.

    Raises:
        ImportError: onnx is missing.
    """

    def __init__(self) -> None:
        import onnx
        import onnx.reference

        self.onnx = onnx

    def versions(self) -> dict[str, str]:
        return {"onnx": str(self.onnx.__version__)}

    def load(self, model: bytes) -> Session:
        session: Session = self.onnx.reference.ReferenceEvaluator(model)
        return session

    def run(self, session: Session, feeds: Mapping[str, Array]) -> list[Array]:
        return list(session.run(None, dict(feeds)))


# By the names of the subjects that run on them: how each is made, and the packages it needs.
ENGINES: dict[str, Callable[[], Engine]] = {
    "onnxruntime": OnnxRuntime,
    "onnxruntime-node": OnnxRuntimeNode,
    "onnx-reference": ReferenceEvaluator,
    "tract": Tract,
    "openvino": OpenVino,
}
PACKAGES = {
    "onnxruntime": ("onnx", "onnxruntime"),
    "onnxruntime-node": ("onnx",),
    "onnx-reference": ("onnx",),
    "tract": ("onnx", "tract"),
    "openvino": ("onnx", "openvino"),
}
