"""OpenVINO, an inference engine that runs ONNX models; https://docs.openvino.ai."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnparity.problem.answer import Unsupported
from rnnparity.problem.dtypes import Array

if TYPE_CHECKING:
    from rnnparity.subjects.onnx_engines import Session


class OpenVinoSession:
    """A compiled model."""

    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled

    def run(self, _output_names: None, feeds: dict[str, Array], /) -> list[Array]:
        """Return all outputs of the model."""
        results = self.compiled(feeds)
        return [np.array(results[output]) for output in self.compiled.outputs]


class OpenVino:
    """OpenVINO on the CPU, on one thread, in the types of the model.

    Raises:
        ImportError: onnx, which builds the models, or openvino is missing.
    """

    # By default it may compute in float16 or bfloat16 where the processor has them.
    SETTINGS: Mapping[str, str] = {"INFERENCE_NUM_THREADS": "1", "EXECUTION_MODE_HINT": "ACCURACY"}
    # What it states that it does not have, in its messages.
    UNSUPPORTED = re.compile(r"Unknown activation function: \w+|Unsupported activation function")

    def __init__(self) -> None:
        import onnx  # noqa: F401 - whether it is there
        import openvino

        self.version = str(openvino.__version__).partition("-")[0]
        self.core = openvino.Core()

    def versions(self) -> dict[str, str]:
        return {"openvino": self.version}

    def load(self, model: bytes) -> Session:
        """Load a serialized model.

        Raises:
            Unsupported: it lacks an activation.
        """
        read = self.core.read_model(io.BytesIO(model))
        try:
            return OpenVinoSession(self.core.compile_model(read, "CPU", self.SETTINGS))
        except RuntimeError as error:
            reason = self.UNSUPPORTED.search(str(error))
            if reason is None:
                raise
            raise Unsupported(f"OpenVINO: {reason[0]}") from None

    def run(self, session: Session, feeds: Mapping[str, Array]) -> list[Array]:
        """Return all outputs of the model, in its order.

        Raises:
            Unsupported: a type that OpenVINO does not compute in on the CPU, or NumPy lacks.
        """
        for dtype in ("float64", "bfloat16"):
            if any(array.dtype.name == dtype for array in feeds.values()):
                raise Unsupported(f"no inputs of {dtype} in OpenVINO")
        return session.run(None, dict(feeds))
