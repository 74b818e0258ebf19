"""What Keras leaves to its backends: how each is started, and how it compiles a call.

Keras reads KERAS_BACKEND when it is imported, so a process has one backend; each subject runs in
its own process, on one thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np

from rnnparity.problem.answer import Unsupported
from rnnparity.problem.dtypes import Array
from rnnparity.subjects.declarations import SubjectError

# Keras and TensorFlow ship no types.
KerasModule: TypeAlias = Any  # `keras`, `tf_keras` or `tensorflow`
KerasModel: TypeAlias = Any  # a layer, a Sequential or a Model
KerasTensor: TypeAlias = Any  # a tensor of the backend, symbolic or computed

# x (B, T, D), mask (B, T) or None, initial states (B, H) each or None -> outputs, maybe nested.
LayerCall = Callable[[KerasTensor, KerasTensor | None, Sequence[KerasTensor] | None], object]
Context: TypeAlias = AbstractContextManager[object]
# x, mask, states, and a cotangent for each output -> the gradients of x, of the weights and of the
# states; None where there is none.
GradientCall = Callable[
    [KerasTensor, KerasTensor | None, Sequence[KerasTensor] | None, Sequence[KerasTensor]],
    Sequence[KerasTensor | None],
]


class Backend:
    """Keras on one backend; `keras` is the module, imported with it."""

    keras_backend = ""
    # The subject's name, before any path.
    subject = ""
    # Whether training steps are asked of it.
    trains = False
    # So many built models are kept that a worker stays below 2 GiB.
    max_models = 400

    def __init__(self, path: str) -> None:
        """Import Keras on this backend for one path (`eager`, `unroll`, `cuda`, ...).

        Raises:
            ImportError: a package is missing.
            SubjectError: a package is too old, or Keras has been imported on another backend.
        """
        self.path = path
        self.name = self.name_of(path)
        with quiet():
            self.start()
            self.keras = self.import_keras()
        self.activations = self.custom_activations()

    @classmethod
    def name_of(cls, path: str) -> str:
        """Return the name of the subject of a path."""
        return cls.subject if path == "eager" else f"{cls.subject}:{path}"

    def start(self) -> None:
        """Import the framework that computes and set it up, before Keras is imported."""

    def import_keras(self) -> KerasModule:
        """Return Keras on this backend."""
        os.environ["KERAS_BACKEND"] = self.keras_backend
        import keras

        backend = keras.backend.backend()
        if backend != self.keras_backend:
            raise SubjectError(
                self.name,
                f"Keras runs on {backend}, expected {self.keras_backend}; "
                f"set KERAS_BACKEND={self.keras_backend}",
            )
        # Keras' first Bidirectional imports TensorFlow on any backend, where it is installed, and
        # TensorFlow writes much while it is imported.
        if find_spec("tensorflow") is not None:
            import_module("tensorflow")
        return keras

    def versions(self) -> dict[str, str]:
        """Return the versions of Keras and of the framework that computes."""
        return {"keras": self.keras.__version__}

    def custom_activations(self) -> dict[str, object]:
        """Return functions, which can be saved, for activations that Keras 3 has no name for."""
        keras = self.keras

        def hard_sigmoid_keras2(x: KerasTensor) -> KerasTensor:
            return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)

        def gelu_tanh(x: KerasTensor) -> KerasTensor:
            return keras.activations.gelu(x, approximate=True)

        register = keras.saving.register_keras_serializable("rnnparity")
        return {
            "hard_sigmoid_keras2": register(hard_sigmoid_keras2),
            "gelu_tanh": register(gelu_tanh),
        }

    def tensor(self, array: Array) -> KerasTensor:
        """Return an array as a tensor of its own type: Keras would take float64 for float32."""
        return self.keras.ops.convert_to_tensor(array, dtype=array.dtype.name)

    def arrays(self, tensors: Sequence[KerasTensor]) -> list[Array]:
        """Return tensors as arrays of the same type."""
        return [np.asarray(self.keras.ops.convert_to_numpy(tensor)) for tensor in tensors]

    def compiled(self, model: KerasModel, call: LayerCall) -> LayerCall:
        """Return the call of a model, compiled as the path requires; by default it is unchanged."""
        del model
        return call

    def gradient_call(self, model: KerasModel, call: LayerCall) -> GradientCall:
        """Return what runs a call of a model forward and backward, compiled as the path requires.

        Raises:
            Unsupported: there is no such function here.
        """
        del model, call
        raise Unsupported(f"no gradients are computed with Keras on {self.keras_backend}")

    def context(self, dtypes: Collection[str]) -> Context:
        """Return what must be active while layers of these types are built and called."""
        del dtypes
        return nullcontext()

    def forget(self) -> None:
        """Free what the backend keeps of models that no longer exist."""
        self.keras.utils.clear_session()


class CurrentBackend(Backend):
    """Keras on the backend that this process has chosen; nothing of it is set up."""

    def import_keras(self) -> KerasModule:
        import keras

        return keras


@contextmanager
def quiet() -> Iterator[None]:
    """Discard stderr: TensorFlow writes to it past Python, before any of its settings is read."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    stderr = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)
