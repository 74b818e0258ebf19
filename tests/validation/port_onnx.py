"""What a port to ONNX can get wrong beyond the words of Keras' layers: the functions of an LSTM,
each by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rnnparity.faults import EditCell
from rnnparity.problem.answer import Subject, Unsupported
from rnnparity.problem.dtypes import Array

# ONNX' LSTM has one function for the gates, one for the candidate, one for the output:
# `activations` names them so.
PLACES = {"candidate": 1, "output": 2}


def other_equations(subject: Subject, edit: EditCell) -> Subject:
    """The subject with a fault of the cell in it, as far as an attribute of the operator can say
    it.

    Raises:
        Unsupported: the engine has no such attribute.
    """
    engine = getattr(subject, "engine", None)
    if edit.activation is None or not hasattr(engine, "onnx"):
        raise Unsupported("the engine has its own equations alone")
    part, word = edit.activation
    from rnnparity.subjects.onnx_models.layers import ACTIVATIONS  # which needs onnx

    other: Subject = type(subject)(_OtherFunction(engine, PLACES[part], ACTIVATIONS[word]))  # type: ignore[call-arg]
    return other


class _OtherFunction:
    """An engine of ONNX that loads every model with another function in one place of its LSTMs."""

    def __init__(
        self, engine: Any, place: int, function: tuple[str, list[float], list[float]]
    ) -> None:
        self.engine, self.onnx, self.versions = engine, engine.onnx, engine.versions
        self.location, self.function = place, function

    def load(self, code: bytes) -> Any:
        """The model with its attribute edited, as the engine itself loads it."""
        model = self.onnx.load_from_string(code)
        for node in model.graph.node:
            if node.op_type == "LSTM":
                self._edit(node)
        return self.engine.load(model.SerializeToString())

    def run(self, loaded: Any, feeds: Mapping[str, Array]) -> list[Array]:
        """All outputs of the model, in its order."""
        outputs: list[Array] = self.engine.run(loaded, feeds)
        return outputs

    def _edit(self, node: Any) -> None:
        named = {attribute.name: attribute for attribute in node.attribute}
        if "activation_alpha" in named:
            raise Unsupported("parameters of several functions stand in one list")
        name, *parameters = self.function
        named["activations"].strings[self.location] = name.encode()
        for key, values in zip(("activation_alpha", "activation_beta"), parameters, strict=True):
            node.attribute.extend([self.onnx.helper.make_attribute(key, values)] if values else [])
