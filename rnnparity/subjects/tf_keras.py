"""tf-keras: Keras 2, which is maintained for models that were made with it.

Its layers, their arguments and the order of their weights are those of Keras 3; this file holds
what differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from rnnparity.problem.answer import Unsupported
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent, Stack, called_layers, halves
from rnnparity.problem.problem import Problem
from rnnparity.subjects.keras import TensorFlow
from rnnparity.subjects.keras_backend import KerasModel, KerasModule, KerasTensor, LayerCall
from rnnparity.subjects.keras_layers import LayerBuilder, apply
from rnnparity.subjects.keras_subject import KerasSubject, backend_subjects


class TfKeras(TensorFlow):
    """Keras 2, with TensorFlow's functions where Keras 3 has `keras.ops`."""

    subject = "tf-keras"
    trains = False

    def import_keras(self) -> KerasModule:
        import tf_keras

        # It warns of layers that are never saved.
        with suppress(AttributeError):
            tf_keras.utils.disable_interactive_logging()
        return tf_keras

    def versions(self) -> dict[str, str]:
        return {"tf-keras": self.keras.__version__, "tensorflow": self.tf.__version__}

    def custom_activations(self) -> dict[str, object]:
        """Return functions for names of Keras 3 that mean something else here, or nothing."""
        tf = self.tf

        def hard_sigmoid(x: KerasTensor) -> KerasTensor:
            return tf.clip_by_value(x / 6 + 0.5, 0.0, 1.0)

        def gelu_tanh(x: KerasTensor) -> KerasTensor:
            return self.keras.activations.gelu(x, approximate=True)

        return {
            "hard_sigmoid": hard_sigmoid,
            "hard_sigmoid_keras2": self.keras.activations.hard_sigmoid,
            "gelu_tanh": gelu_tanh,
            "silu": self.keras.activations.swish,
        }

    def tensor(self, array: Array) -> KerasTensor:
        return self.tf.convert_to_tensor(array)

    def arrays(self, tensors: Sequence[KerasTensor]) -> list[Array]:
        return [tensor.numpy() for tensor in tensors]

    def forget(self) -> None:
        self.keras.backend.clear_session()


class TfKerasBuilder(LayerBuilder):
    """Builds layers of Keras 2; a stateful one gets its batch size as an argument."""

    def arguments(self, layer: Recurrent) -> dict[str, object]:
        arguments = super().arguments(layer)
        if layer.stateful:
            arguments["batch_input_shape"] = list(self.problem.inputs.shape)
        return arguments


class TfKerasSubject(KerasSubject):
    """One path through Keras 2."""

    builder = TfKerasBuilder
    takes_dropout_masks = False
    backend: TfKeras

    def prepare(self, problem: Problem) -> None:
        if isinstance(problem.layer, Stack) and problem.layer.return_state:
            raise Unsupported("a Sequential of Keras 2 takes only layers with one output")
        super().prepare(problem)

    def layer_call(self, problem: Problem, model: KerasModel) -> LayerCall:
        """Cast each state as Keras 3 does; Keras 2 casts only the first argument of a call."""
        cast = self.backend.tf.cast
        pairs = zip(halves(problem.layer), called_layers(problem.layer), strict=True)
        types = [(outer, half) for (_, half), outer in pairs for _ in half.states]

        def call(
            x: KerasTensor, mask: KerasTensor | None, states: Sequence[KerasTensor] | None
        ) -> object:
            if states is not None:
                states = [
                    cast(cast(tensor, outer.compute_dtype), half.compute_dtype)
                    for tensor, (outer, half) in zip(states, types, strict=True)
                ]
            return apply(model, x, mask, states)

        return call

    def facts(self, problem: Problem, model: KerasModel) -> dict[str, object]:
        """Leave the summary out, which Keras 2 prints in another form."""
        facts = super().facts(problem, model)
        facts.pop("summary", None)
        return facts


SUBJECTS = backend_subjects(
    TfKeras,
    title="Keras 2 (tf-keras)",
    paths={"eager": "eager", "unroll": "unroll=True"},
    packages=("tensorflow", "tf_keras"),
    rank=20,
    subject=TfKerasSubject,
)
