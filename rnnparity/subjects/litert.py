"""LiteRT (TFLite): tf.keras' layers as tf.lite.TFLiteConverter writes them, run by LiteRT's own
interpreter.

Every case is converted for its own shapes, with its weights as the model's constants: with a batch
size left open the loop over time does not become LiteRT's operators. A stateful layer's states are
variables of the model, and its number of steps is open, which is.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from importlib.metadata import version
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from rnnparity.problem.answer import Answer, Subject, Unsupported
from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import MissingFrameworkError
from rnnparity.problem.problem import Problem
from rnnparity.subjects import keras as tf_keras
from rnnparity.subjects.backends import quiet
from rnnparity.subjects.conversion import (
    call_arguments,
    kept_states,
    named_outputs,
    open_shapes,
    start_states,
)

KEPT = 50  # conversions between two clearings of Keras' session: each leaves graphs behind


def make(_: str) -> Subject:
    """The subject `litert`.

    Raises:
        RequestError: LiteRT's interpreter or TensorFlow is missing, or too old.
    """
    try:
        with quiet():
            from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise MissingFrameworkError(
            f"subject 'litert' needs ai-edge-litert ({error}): pip install 'rnnparity[litert]'"
        ) from None
    subject = LiteRTSubject(tf_keras.make("eager"), Interpreter)
    gc.freeze()  # the converter collects garbage each time: a third of a second with all of TensorFlow on the heap
    return subject


class LiteRTSubject:
    """Converts a problem's layer and runs it; nothing is kept but Keras' built layers."""

    def __init__(self, keras: Any, interpreter: Any) -> None:
        import tensorflow as tf

        self.tf, self.keras, self.interpreter = tf, keras, interpreter
        self.converted = 0

    def versions(self) -> dict[str, str]:
        return {"ai-edge-litert": version("ai-edge-litert"), **self.keras.versions()}

    def answer(self, problem: Problem) -> Answer:
        self.converted += 1
        if self.converted % KEPT == 0:
            self.keras.forget()
        start = perf_counter()
        with quiet():
            interpreter = self.interpreter(model_content=self._model(problem), num_threads=1)
            run = interpreter.get_signature_runner()
            calls = [_ordered(run(**arguments)) for arguments in call_arguments(problem)]
        return Answer(named_outputs(problem, calls), seconds=perf_counter() - start)

    def _model(self, problem: Problem) -> bytes:
        """The problem's layer as a LiteRT model of one signature, which takes the arguments of
        `call_arguments`.

        Raises:
            Unsupported: it needs operators that LiteRT does not have.
        """
        layer = self.keras.model_of(problem)
        start_states(layer, problem)

        def call(x: Any, mask: Any = None, **states: Any) -> Any:
            return tf_keras.apply(layer, x, mask, list(states.values()) or None)

        places = {
            name: self.tf.TensorSpec(shape, array.dtype, name)
            for name, array, shape in open_shapes(problem)
        }
        function = self.tf.function(call, autograph=False).get_concrete_function(**places)
        owner = self.tf.Module()
        owner.held = [variable.value for variable in [*layer.variables, *kept_states(layer)]]
        with TemporaryDirectory() as folder:
            self.tf.saved_model.save(owner, folder, function)
            return _converted(self.tf.lite.TFLiteConverter.from_saved_model(folder))


def _converted(converter: Any) -> bytes:
    try:
        model: bytes = converter.convert()
    except Exception as error:
        # ConverterError has no public name, and says in two ways that it is no fault: "TF Select
        # ops: Transpose, ...", "Please consider using Select TF ops". Those are TensorFlow's own
        # kernels; LiteRT's interpreter has none.
        if type(error).__name__ != "ConverterError" or "Select" not in str(error):
            raise
        raise Unsupported(
            "LiteRT has no operators for this in this type (TF Select would be needed)"
        ) from None
    return model


def _ordered(outputs: Mapping[str, Array]) -> list[Array]:
    """A signature's outputs are named output_0, output_1, ..., in any order."""
    return [outputs[f"output_{place}"] for place in range(len(outputs))]
