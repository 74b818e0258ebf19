"""Faults of a port to ONNX that Keras' options cannot express: one function of an LSTM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rnnparity.faults import EditCell
from rnnparity.problem.answer import Subject, Unsupported
from rnnparity.problem.dtypes import Array
from rnnparity.subjects.onnx_models.operators import ACTIVATIONS

# The attribute `activations` of ONNX' LSTM names the functions of gates, candidate and output.
INDEX = {"candidate": 1, "output": 2}


def with_activation(subject: Subject, edit: EditCell) -> Subject:
    """Return the subject with a faulty cell, where an attribute of the operator expresses it.

    Raises:
        Unsupported: the engine has no such attribute.
    """
    engine = getattr(subject, "engine", None)
    if edit.activation is None or not hasattr(engine, "onnx"):
        raise Unsupported("the equations of the engine cannot be changed")
    part, name = edit.activation
    edited = _EditedEngine(engine, INDEX[part], ACTIVATIONS[name])
    faulty: Subject = type(subject)(edited)  # type: ignore[call-arg]
    return faulty


class _EditedEngine:
    """An ONNX engine that loads every model with one function of its LSTMs replaced."""

    def __init__(
        self, engine: Any, index: int, function: tuple[str, list[float], list[float]]
    ) -> None:
        self.engine, self.onnx, self.versions = engine, engine.onnx, engine.versions
        self.index, self.function = index, function

    def load(self, code: bytes) -> Any:
        """Load the model with the attribute edited."""
        model = self.onnx.load_from_string(code)
        for node in model.graph.node:
            if node.op_type == "LSTM":
                self._edit(node)
        return self.engine.load(model.SerializeToString())

    def run(self, loaded: Any, feeds: Mapping[str, Array]) -> list[Array]:
        """Return all outputs of the model, in its order."""
        outputs: list[Array] = self.engine.run(loaded, feeds)
        return outputs

    def _edit(self, node: Any) -> None:
        attributes = {attribute.name: attribute for attribute in node.attribute}
        if "activation_alpha" in attributes:
            raise Unsupported("the parameters of several functions are in one list")
        name, *parameters = self.function
        attributes["activations"].strings[self.index] = name.encode()
        for key, values in zip(("activation_alpha", "activation_beta"), parameters, strict=True):
            if values:
                node.attribute.extend([self.onnx.helper.make_attribute(key, values)])
