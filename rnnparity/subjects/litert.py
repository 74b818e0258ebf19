"""LiteRT (TFLite): tf.keras' layers as tf.lite.TFLiteConverter writes them, run by LiteRT's own interpreter.

Every case is converted for its own shapes, its weights constants of the model, as a user would: with an unknown batch
size the loop over time cannot be lowered to LiteRT's operators. A stateful layer keeps its states in resource variables
of the model, and its number of steps is left open.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
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

# A conversion leaves some MB of graphs behind until Keras' session is cleared.
KEPT = 50


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
    gc.freeze()  # the converter collects garbage each time, a third of a second with all of TensorFlow in the heap
    return subject


class LiteRTSubject:
    """Converts a problem's layer and runs it; nothing is kept but Keras' own built layers."""

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
            calls = [_ordered(run(**feeds)) for feeds in _calls(problem)]
        return Answer(_outputs(problem, calls), seconds=perf_counter() - start)

    def _model(self, problem: Problem) -> bytes:
        """The problem's layer as a model of LiteRT with the arguments of `_calls`.

        Raises:
            Unsupported: it needs operators of TensorFlow that LiteRT does not have in this type.
        """
        layer = self.keras.model_of(problem)
        states = _states(layer)
        if states and problem.initial_state:  # they go into the model with the variables
            for variable, tensor in zip(states, problem.initial_state, strict=True):
                variable.assign(tensor.data)

        def call(x: Any, mask: Any = None, **states: Any) -> Any:
            return tf_keras.apply(layer, x, mask, list(states.values()) or None)

        owner = self.tf.Module()
        owner.variables_of_layer = [variable.value for variable in [*layer.variables, *states]]
        function = self.tf.function(call, autograph=False).get_concrete_function(**self._signature(problem))
        with TemporaryDirectory() as folder:
            self.tf.saved_model.save(owner, folder, function)
            converter = self.tf.lite.TFLiteConverter.from_saved_model(folder)
            return self._converted(converter)

    def _converted(self, converter: Any) -> bytes:
        try:
            model: bytes = converter.convert()
        except Exception as error:  # ConverterError has no public name
            if type(error).__name__ != "ConverterError" or "Select" not in str(error):
                raise  # in its two ways to say so there is "TF Select ops: ..." or "consider using Select TF ops"
            raise Unsupported("LiteRT has no operators in this type but TensorFlow's (TF Select)") from None
        return model

    def _signature(self, problem: Problem) -> dict[str, Any]:
        feeds = _calls(problem)[0]
        shapes = {name: list(array.shape) for name, array in feeds.items()}
        if problem.layer.stateful:
            for name in shapes.keys() & {"x", "mask"}:
                shapes[name][1] = None
        return {name: self.tf.TensorSpec(shapes[name], array.dtype, name) for name, array in feeds.items()}


def _calls(problem: Problem) -> list[dict[str, Array]]:
    """The arguments of each call: `x`, `mask`, `state_0`, ...; a stateful layer has its states in itself."""
    calls, start = [], 0
    for steps in problem.steps:
        span = slice(start, start + steps)
        feeds = {"x": problem.inputs.data[:, span]}
        if problem.mask is not None:
            feeds["mask"] = problem.mask[:, span]
        if not problem.layer.stateful:
            feeds |= {f"state_{place}": tensor.data for place, tensor in enumerate(problem.initial_state or ())}
        calls.append(feeds)
        start += steps
    return calls


def _states(model: Any) -> list[Any]:
    """The variables in which stateful layers keep their states, in Keras' order."""
    layers = getattr(model, "layers", [model])
    pairs = [[one.forward_layer, one.backward_layer] if hasattr(one, "forward_layer") else [one] for one in layers]
    return [variable for half in sum(pairs, []) if half.stateful for variable in half.states]


def _ordered(outputs: Mapping[str, Array]) -> list[Array]:
    """A signature's outputs are named output_0, output_1, ..."""
    return [outputs[f"output_{place}"] for place in range(len(outputs))]


def _outputs(problem: Problem, calls: list[list[Array]]) -> tuple[Tensor, ...]:
    """The last call's outputs by name; a stateful run's sequences are joined along time."""
    names = [slot.name for slot in problem.output_slots()]
    names += [f"extra_{place}" for place in range(len(names), len(calls[-1]))]
    outputs = []
    for name, parts in zip(names, zip(*calls, strict=True), strict=False):
        joined = problem.layer.return_sequences and name.endswith("output")
        outputs.append(as_tensor(name, np.concatenate(parts, axis=1) if joined else parts[-1]))
    return tuple(outputs)
