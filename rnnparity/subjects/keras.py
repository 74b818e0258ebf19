"""tf.keras, on every path that must give the same numbers.

Where Keras' documentation is silent its CPU path decides, so no GPU is used.
"""

from __future__ import annotations

import re
from contextlib import suppress

from rnnparity.subjects.declarations import SubjectError
from rnnparity.subjects.keras_backend import Backend, KerasModel, LayerCall
from rnnparity.subjects.keras_subject import backend_subjects

# The first TensorFlow whose tf.keras is Keras 3.
OLDEST = (2, 16)


class TensorFlow(Backend):
    """Keras on TensorFlow."""

    keras_backend = "tensorflow"
    subject = "keras"

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
        # A traced function takes megabytes.
        self.max_models = 100
        compiled: LayerCall = self.tf.function(call, jit_compile=self.path == "xla")
        return compiled


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
