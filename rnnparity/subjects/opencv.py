"""OpenCV's module dnn: ONNX's operators GRU and LSTM, whose weights are constants of the model.

A model is one operator over x (B, T, D). It takes states that are not zeros, and lengths, as constants:
https://onnx.ai/onnx/operators/onnx__LSTM.html.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnparity.problem.answer import Unsupported
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Bidirectional, Recurrent, halves
from rnnparity.subjects.adapters import States, Weights, layer_subject, merged
from rnnparity.subjects.declarations import Registration
from rnnparity.subjects.functions import FunctionSubject
from rnnparity.subjects.onnx_engines import Engine

if TYPE_CHECKING:
    from rnnparity.subjects.onnx_models.constant import Call
    from rnnparity.subjects.onnx_models.weights import Direction

# What it states that it does not have, in its messages.
NOT_IMPLEMENTED = "The function/feature is not implemented"


class OpenCvError(Exception):
    """OpenCV cannot load or run a model; its message in one line."""


class OpenCvModel:
    """A model in OpenCV."""

    def __init__(self, net: Any, outputs: Sequence[str]) -> None:
        self.net = net
        self.outputs = outputs

    def run(self, _output_names: None, feeds: dict[str, Array], /) -> list[Array]:
        """Return all outputs of the model."""
        for name, array in feeds.items():
            self.net.setInput(array, name)
        return [np.array(output) for output in self.net.forward(self.outputs)]


class OpenCv:
    """Loads and runs models, on one thread.

    Raises:
        ImportError: onnx, which builds the models, or OpenCV is missing.
    """

    def __init__(self) -> None:
        os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # what it cannot load is raised, too
        import cv2
        import onnx

        cv2.setNumThreads(1)
        self.cv2, self.onnx = cv2, onnx

    def versions(self) -> dict[str, str]:
        return {"opencv": str(self.cv2.__version__)}

    def load(self, model: bytes) -> OpenCvModel:
        graph = self.onnx.ModelProto.FromString(model).graph
        net = self.cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
        return OpenCvModel(net, [output.name for output in graph.output])

    def run(self, session: Any, feeds: Mapping[str, Array]) -> list[Array]:
        """Return all outputs of the model, in its order."""
        outputs: list[Array] = session.run(None, dict(feeds))
        return outputs


class OpenCvSubject(FunctionSubject):
    """A subject that runs each layer's operators as models of `engine`."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(layer_subject(self.compute))
        self.engine = engine

    def versions(self) -> dict[str, str]:
        return self.engine.versions()

    def compute(
        self,
        layer: Recurrent | Bidirectional,
        weights: Weights,
        x: Array,
        lengths: Array | None,
        states: States,
    ) -> tuple[list[Array], list[Array]]:
        """Return a layer's outputs without states, and its last states."""
        from rnnparity.subjects.onnx_models.constant import Call
        from rnnparity.subjects.onnx_models.weights import operators_of

        _check(layer)
        if lengths is not None and layer.return_sequences:
            raise Unsupported("outputs at padded steps are not specified by ONNX")
        backwards = isinstance(layer, Recurrent) and layer.go_backwards
        outputs, last, left = [], [], list(states)
        for directions in operators_of(layer, ""):
            count = len(directions[0].states)
            starts = [[left.pop(0) for _ in range(count)] for _ in directions]
            call = Call(x.shape, lengths, starts, backwards)
            for results in self._run(directions, weights, np.ascontiguousarray(x), call):
                outputs.append(results[0])
                last += results[1:]
        if isinstance(layer, Bidirectional):
            outputs = merged(layer.merge_mode, *outputs)
        return outputs, last

    def _run(
        self, directions: Sequence[Direction], weights: Weights, x: Array, call: Call
    ) -> list[list[Array]]:
        """Return the output, (B, T, H) or (B, H), and the last states of each direction."""
        from rnnparity.subjects.onnx_models.constant import constant_model

        code = constant_model(directions, weights, call)
        try:
            arrays = self.engine.run(self.engine.load(code), {"x": x})
        except Exception as error:  # cv2.error, which is known once OpenCV is imported
            message = " ".join(str(error).split())  # the reason stands in its last lines
            if NOT_IMPLEMENTED in message and "Insufficient inputs" not in message:
                raise Unsupported(f"OpenCV: {NOT_IMPLEMENTED.lower()}") from None
            raise OpenCvError(message) from None
        if len(directions) == 1:
            return [arrays]
        return [[array[index] for array in arrays] for index in range(len(directions))]


def _check(layer: Recurrent | Bidirectional) -> None:
    """Check that the operators of OpenCV compute a layer.

    Raises:
        Unsupported: they do not.
    """
    for _, half in halves(layer):
        if half.class_name == "SimpleRNN":
            raise Unsupported("OpenCV has no operator RNN")
        if (layer.compute_dtype, half.compute_dtype) != ("float32", "float32"):
            raise Unsupported("OpenCV's recurrent operators compute in float32 only")


def make() -> OpenCvSubject:
    """Return the subject `opencv`.

    Raises:
        ImportError: a package is missing.
    """
    return OpenCvSubject(OpenCv())


SUBJECTS = (
    Registration(
        "opencv",
        make,
        "OpenCV's module dnn, models of one operator",
        packages=("onnx", "cv2"),
        extra="opencv",
        rank=41,
    ),
)
