"""tf.keras, on every path that must give the same numbers.

Where Keras' documentation is silent its CPU path decides, so no GPU is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from rnnparity.subjects.declarations import SubjectError
from rnnparity.subjects.keras_backend import (
    Backend,
    GradientCall,
    KerasModel,
    KerasModule,
    KerasTensor,
    LayerCall,
)
from rnnparity.subjects.keras_layers import flat
from rnnparity.subjects.keras_subject import COMPILED, backend_subjects

Traced = TypeVar("Traced", bound=Callable[..., Any])

# The first TensorFlow whose tf.keras is Keras 3.
OLDEST = (2, 16)


class TensorFlow(Backend):
    """Keras on TensorFlow."""

    keras_backend = "tensorflow"
    subject = "keras"
    trains = True

    def start(self) -> None:
        import tensorflow as tf

        version = tuple(int(part) for part in re.findall(r"\d+", tf.__version__)[:2])
        if version < OLDEST:
            raise SubjectError(
                self.name,
                f"TensorFlow {tf.__version__} is installed, expected 2.16 or newer (Keras 3); "
                "run pip install --upgrade 'rnnparity[keras]'",
            )
        # It would warn of every function that is traced for a second shape.
        tf.get_logger().setLevel("ERROR")
        # Fails if TensorFlow has computed in this process before: its threads are set then.
        with suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(1)
            tf.config.set_visible_devices([], "GPU")
        self.tf = tf

    def versions(self) -> dict[str, str]:
        return super().versions() | {"tensorflow": self.tf.__version__}

    def compiled(self, model: KerasModel, call: LayerCall) -> LayerCall:
        del model
        return self._traced(call)

    def gradient_call(self, model: KerasModel, call: LayerCall) -> GradientCall:
        run = partial(tape_gradients, self.tf, model, call)
        return self._traced(run) if self.path in COMPILED else run

    def _traced(self, function: Traced) -> Traced:
        # A traced function takes megabytes.
        self.max_models = 100
        traced: Traced = self.tf.function(function, jit_compile=self.path == "xla")
        return traced


def tape_gradients(
    tf: KerasModule,
    model: KerasModel,
    call: LayerCall,
    x: KerasTensor,
    mask: KerasTensor | None,
    states: Sequence[KerasTensor] | None,
    cotangents: Sequence[KerasTensor],
) -> Sequence[KerasTensor | None]:
    """Return the gradients of x, of the weights and of the states by TensorFlow's tape."""
    sources = [x, *model.trainable_weights, *(states or ())]
    with tf.GradientTape() as tape:
        tape.watch([x, *(states or ())])
        outputs = flat(call(x, mask, states))
    # Keras 2 may return another type than the layer's; that is a difference of its outputs.
    pairs = zip(cotangents, outputs, strict=True)
    seeds = [tf.cast(cotangent, output.dtype) for cotangent, output in pairs]
    gradients: Sequence[KerasTensor | None] = tape.gradient(outputs, sources, seeds)
    return gradients


SUBJECTS = backend_subjects(
    TensorFlow,
    title="tf.keras",
    paths={
        "eager": "eager",
        "graph": "inside tf.function",
        "xla": "inside tf.function(jit_compile=True)",
        "predict": "through Model.predict",
        "unroll": "unroll=True",
        "implementation1": "implementation=1 (LSTM, GRU)",
        "reloaded": "saved to .keras and loaded",
    },
    packages=("tensorflow",),
    rank=10,
)
