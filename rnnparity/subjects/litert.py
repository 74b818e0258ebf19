"""LiteRT (TFLite): tf.keras' layers converted by tf.lite.TFLiteConverter, on LiteRT's interpreter.

Every case is converted for its own shapes, with its weights as the model's constants: with an open
batch size the loop over time does not become LiteRT's operators. The states of a stateful layer are
variables of the model; its number of steps may be open, and is.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Protocol

from rnnparity.problem.answer import Answer, Unsupported
from rnnparity.problem.dtypes import Array
from rnnparity.problem.problem import Problem
from rnnparity.subjects.calls import join_outputs
from rnnparity.subjects.conversion import call_arguments, open_shapes, set_initial_states
from rnnparity.subjects.declarations import Registration
from rnnparity.subjects.keras import TensorFlow
from rnnparity.subjects.keras_backend import KerasTensor, quiet
from rnnparity.subjects.keras_layers import apply, kept_states
from rnnparity.subjects.keras_subject import KerasSubject
from rnnparity.subjects.user_arrays import as_tensor

# Conversions between two clearings of Keras' session: each leaves graphs behind.
MAX_CONVERSIONS = 50


class Interpreter(Protocol):
    """A loaded model."""

    def get_signature_runner(self) -> Callable[..., Mapping[str, Array]]:
        """Return the model as a function of named arrays."""


class Converter(Protocol):
    """TensorFlow's converter with a model in it."""

    def convert(self) -> bytes:
        """Return the converted model."""


class LiteRTSubject:
    """Converts each problem's layer and runs it; only Keras' built layers are kept."""

    def __init__(self, keras: KerasSubject, interpreter: Callable[..., Interpreter]) -> None:
        import tensorflow as tf

        self.tf = tf
        self.keras = keras
        self.interpreter = interpreter
        self.conversions = 0

    def versions(self) -> dict[str, str]:
        return {"ai-edge-litert": version("ai-edge-litert"), **self.keras.versions()}

    def answer(self, problem: Problem) -> Answer:
        self.conversions += 1
        if self.conversions % MAX_CONVERSIONS == 0:
            self.keras.forget()
        start = perf_counter()
        with quiet():
            interpreter = self.interpreter(model_content=self._model(problem), num_threads=1)
            run = interpreter.get_signature_runner()
            calls = [_ordered(run(**arguments)) for arguments in call_arguments(problem)]
        tensors = [[as_tensor("", array) for array in arrays] for arrays in calls]
        return Answer(join_outputs(problem, tensors), seconds=perf_counter() - start)

    def _model(self, problem: Problem) -> bytes:
        """Return the layer as a model of one signature, with the arguments of `call_arguments`.

        Raises:
            Unsupported: it needs operators that LiteRT does not have.
        """
        layer = self.keras.model_of(problem)
        set_initial_states(layer, problem)

        def call(x: KerasTensor, mask: KerasTensor | None = None, **states: KerasTensor) -> object:
            return apply(layer, x, mask, list(states.values()) or None)

        specs = {
            name: self.tf.TensorSpec(shape, array.dtype, name)
            for name, array, shape in open_shapes(problem)
        }
        function = self.tf.function(call, autograph=False).get_concrete_function(**specs)
        owner = self.tf.Module()
        owner.variables_in_use = [v.value for v in [*layer.variables, *kept_states(layer)]]
        with TemporaryDirectory() as folder:
            self.tf.saved_model.save(owner, folder, function)
            return _converted(self.tf.lite.TFLiteConverter.from_saved_model(folder))


def _converted(converter: Converter) -> bytes:
    try:
        return converter.convert()
    except Exception as error:
        # ConverterError is not public. It names operators that only TensorFlow's own kernels have,
        # which LiteRT's interpreter lacks, in two ways: "TF Select ops: Transpose, ..." and "Please
        # consider using Select TF ops".
        if type(error).__name__ != "ConverterError" or "Select" not in str(error):
            raise
        raise Unsupported("LiteRT lacks operators for this type (they need TF Select)") from None


def _ordered(outputs: Mapping[str, Array]) -> Sequence[Array]:
    """Return a signature's outputs in order; they are named output_0, output_1, ..."""
    return [outputs[f"output_{index}"] for index in range(len(outputs))]


def interpreter_class() -> Callable[..., Interpreter]:
    """Return LiteRT's interpreter.

    Raises:
        ImportError: it is missing.
    """
    with quiet():
        from ai_edge_litert.interpreter import Interpreter as LiteRTInterpreter
    return LiteRTInterpreter  # type: ignore[no-any-return]


def file_schema() -> Any:
    """Return the module with the classes of what a model's file holds.

    Raises:
        ImportError: it is missing.
    """
    from ai_edge_litert import schema_py_generated

    return schema_py_generated


def make() -> LiteRTSubject:
    """Return the subject `litert`.

    Raises:
        ImportError: LiteRT's interpreter or TensorFlow is missing.
        SubjectError: TensorFlow is too old.
    """
    subject = LiteRTSubject(KerasSubject(TensorFlow("eager")), interpreter_class())
    # The converter collects garbage each time, a third of a second with TensorFlow on the heap.
    gc.freeze()
    return subject


SUBJECTS = (
    Registration(
        "litert",
        make,
        "LiteRT (TFLite), converted from tf.keras",
        packages=("tensorflow", "ai_edge_litert"),
        extra="litert",
        rank=60,
    ),
)
