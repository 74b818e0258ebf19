"""LiteRT (TFLite): tf.keras' layers as tf.lite.TFLiteConverter writes them, run by LiteRT's own interpreter.

Every case is converted for its own shapes, with its weights as the model's constants: with a batch size left open the
loop over time does not become LiteRT's operators. A stateful layer's states are variables of the model, and its number
of steps is open, which is.
"""

from __future__ import annotations

import gc
from importlib.metadata import version
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np

from rnnparity.dtypes import Array
from rnnparity.errors import MissingFrameworkError
from rnnparity.problem import Problem, Tensor
from rnnparity.subjects import Answer, Subject, Unsupported, as_tensor
from rnnparity.subjects import keras as tf_keras
from rnnparity.subjects.backends import quiet

KEPT = 50  # conversions between two clearings of Keras' session: each leaves graphs behind


def make(_: str) -> Subject:
    """The subject `litert`.

    Raises:
        RequestError: LiteRT's interpreter or TensorFlow is missing, or too old.
    """
    try:
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
            calls = [run(**arguments) for arguments in _calls(problem)]
        return Answer(_outputs(problem, calls), seconds=perf_counter() - start)

    def _model(self, problem: Problem) -> bytes:
        """The problem's layer as a LiteRT model of one signature, which takes the arguments of `_calls`.

        Raises:
            Unsupported: it needs operators that LiteRT does not have.
        """
        layer = self.keras.model_of(problem)
        states = _states(layer)
        if states and problem.initial_state is not None:  # variables go into the model with their values
            for variable, tensor in zip(states, problem.initial_state, strict=True):
                variable.assign(tensor.data)

        def call(x: Any, mask: Any = None, **states: Any) -> Any:
            return tf_keras.apply(layer, x, mask, list(states.values()) or None)

        function = self.tf.function(call, autograph=False).get_concrete_function(**self._signature(problem))
        owner = self.tf.Module()
        owner.held = [variable.value for variable in [*layer.variables, *states]]
        with TemporaryDirectory() as folder:
            self.tf.saved_model.save(owner, folder, function)
            return _converted(self.tf.lite.TFLiteConverter.from_saved_model(folder))

    def _signature(self, problem: Problem) -> dict[str, Any]:
        specs = {}
        for name, array in _calls(problem)[0].items():
            shape: list[int | None] = list(array.shape)
            if problem.layer.stateful:
                shape[1] = None
            specs[name] = self.tf.TensorSpec(shape, array.dtype, name)
        return specs


def _converted(converter: Any) -> bytes:
    try:
        model: bytes = converter.convert()
    except Exception as error:
        # ConverterError has no public name, and says in two ways that it is no fault: "TF Select ops: Transpose, ...",
        # "Please consider using Select TF ops". Those are TensorFlow's own kernels; LiteRT's interpreter has none.
        if type(error).__name__ != "ConverterError" or "Select" not in str(error):
            raise
        raise Unsupported("LiteRT has no operators for this in this type (TF Select would be needed)") from None
    return model


def _states(model: Any) -> list[Any]:
    """The variables in which stateful layers keep their states, in Keras' order."""
    found: list[Any] = []
    for layer in getattr(model, "layers", [model]):
        halves = (layer.forward_layer, layer.backward_layer) if hasattr(layer, "forward_layer") else (layer,)
        found += [variable for half in halves if half.stateful for variable in half.states]
    return found


def _calls(problem: Problem) -> list[dict[str, Array]]:
    """The arguments of each call: `x`, `mask`, `state_0`, ...; a stateful layer's states are in the model."""
    calls, start = [], 0
    for steps in problem.steps:
        span = slice(start, start + steps)
        arguments = {"x": problem.inputs.data[:, span]}
        if problem.mask is not None:
            arguments["mask"] = problem.mask[:, span]
        if not problem.layer.stateful:
            arguments |= {f"state_{place}": tensor.data for place, tensor in enumerate(problem.initial_state or ())}
        calls.append(arguments)
        start += steps
    return calls


def _outputs(problem: Problem, calls: list[dict[str, Array]]) -> tuple[Tensor, ...]:
    """The last call's outputs, which LiteRT names output_0, output_1, ...; sequences are joined along time."""
    names = [slot.name for slot in problem.output_slots()]
    names += [f"extra_{place}" for place in range(len(names), len(calls[-1]))]
    outputs = []
    for place, name in enumerate(names[: len(calls[-1])]):
        parts = [call[f"output_{place}"] for call in calls]
        joined = problem.layer.return_sequences and name.endswith("output")
        outputs.append(as_tensor(name, np.concatenate(parts, axis=1) if joined else parts[-1]))
    return tuple(outputs)
