"""tf-keras: Keras 2, which is maintained beside Keras 3 for the models that were made with it.

What differs from Keras 3 is said here; its layers, their arguments and the order of their weights
are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from rnnparity.problem.answer import Answer, Subject, Unsupported
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent, Stack, halves
from rnnparity.problem.problem import Problem
from rnnparity.subjects.backends import TensorFlow
from rnnparity.subjects.keras import KerasSubject


def make(path: str) -> Subject:
    """Keras 2 by one of the paths `eager`, `unroll`.

    Raises:
        RequestError: tf-keras is missing.
    """
    return TfKerasSubject(TfKeras(path), path)


class TfKeras(TensorFlow):
    """Keras 2's own module, with TensorFlow's functions where Keras 3 has `keras.ops`."""

    needs, extra, subject = "tf_keras", "tf-keras", "tf-keras"
    framework = "tf-keras"

    def import_keras(self) -> Any:
        import tf_keras

        with suppress(AttributeError):  # it warns of layers that are never saved
            tf_keras.utils.disable_interactive_logging()
        return tf_keras

    def versions(self) -> dict[str, str]:
        return {"tf-keras": self.keras.__version__, "tensorflow": self.tf.__version__}

    def activations(self) -> dict[str, Any]:
        """Keras 2's `hard_sigmoid` is what Keras 3 has no name for, and the other way round; silu
        was `swish`."""
        tf = self.tf

        def hard_sigmoid(x: Any) -> Any:
            return tf.clip_by_value(x / 6 + 0.5, 0.0, 1.0)

        def gelu_tanh(x: Any) -> Any:
            return self.keras.activations.gelu(x, approximate=True)

        theirs = {
            "hard_sigmoid_keras2": self.keras.activations.hard_sigmoid,
            "silu": self.keras.activations.swish,
        }
        return {"hard_sigmoid": hard_sigmoid, "gelu_tanh": gelu_tanh, **theirs}

    def tensor(self, array: Array) -> Any:
        return self.tf.convert_to_tensor(array)

    def arrays(self, values: Sequence[Any]) -> list[Array]:
        return [value.numpy() for value in values]

    def forget(self) -> None:
        self.keras.backend.clear_session()


class TfKerasSubject(KerasSubject):
    """A stateful layer of Keras 2 is told its batch size when it is made."""

    backend: TfKeras
    batch_shape: list[int | None] | None = None

    def answer(self, problem: Problem) -> Answer:
        if isinstance(problem.layer, Stack) and problem.layer.return_state:
            raise Unsupported("Keras 2's Sequential has layers of one output alone")
        return super().answer(problem)

    def _states(self, problem: Problem) -> list[Array] | None:
        """Keras 2 casts a call's first argument alone: states are given in the type that each half
        computes in."""
        states = super()._states(problem)
        dtypes = [half.compute_dtype for _, half in halves(problem.layer) for _ in half.states]
        return states and [
            self.backend.tf.cast(state, dtype) for state, dtype in zip(states, dtypes, strict=True)
        ]

    def _build(self, problem: Problem) -> Any:
        batch, steps, features = problem.inputs.shape
        self.batch_shape = [batch, steps, features] if problem.layer.stateful else None
        return super()._build(problem)

    def _words(self, layer: Recurrent, initializers: Mapping[str, Any] | None) -> dict[str, Any]:
        batch = (
            {"batch_input_shape": self.batch_shape} if self.batch_shape and layer.stateful else {}
        )
        return super()._words(layer, initializers) | batch

    def _facts(self, problem: Problem, model: Any) -> dict[str, Any]:
        """Without the summary, which Keras 2 prints in a form of its own."""
        return {
            name: fact for name, fact in super()._facts(problem, model).items() if name != "summary"
        }
