"""What Keras leaves to its backends: how each is started, run on one thread, and made to compile a
call.

Keras reads KERAS_BACKEND when it is imported, so a process has one backend; each subject is in a
process of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager as Context
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.errors import MissingFrameworkError, RequestError
from rnnparity.subjects import ON_A_GPU

# Calls a model with arrays as the layer takes them: x (B, T, D), mask (B, T) or None, states (B, H)
# each or None.
Call = Callable[[Any, Any, Any], Any]


class Backend:
    """Keras on one backend. A subclass says what differs; `keras` is the module, imported with that
    backend."""

    name = ""  # KERAS_BACKEND
    needs = ""  # the module without which Keras cannot start on it
    framework = ""  # which is part of this
    extra = "keras"
    subject = ""  # what the subject is called, before any path
    kept = 400  # so many built models are kept: a worker that has seen any number of them stays below 2 GiB

    def __init__(self, path: str) -> None:
        """Import Keras on this backend for one path (`eager`, `unroll`, `cuda`, ...).

        Raises:
            RequestError: the framework is missing or too old, or Keras has been started on another
            backend.
        """
        self.path = path
        install = f"pip install 'rnnparity[{self.extra}]'"
        if find_spec(self.needs) is None:
            raise self._missing("it is not installed", install)
        try:
            with quiet():
                self.start(install)
                self.keras = self.import_keras()
        except ImportError as error:
            raise self._missing(error, install) from None

    def _missing(self, why: object, install: str) -> MissingFrameworkError:
        return MissingFrameworkError(
            f"subject {self.subject!r} needs {self.framework} ({why}): {install}"
        )

    def start(self, install: str) -> None:
        """Import what computes and set it up, before Keras is imported."""

    def import_keras(self) -> Any:
        """Keras itself, on this backend."""
        os.environ["KERAS_BACKEND"] = self.name
        import keras

        if keras.backend.backend() != self.name:
            raise RequestError(
                f"subject {self.subject!r} needs KERAS_BACKEND={self.name}, but it is {keras.backend.backend()!r}"
            )
        # Keras' first Bidirectional imports TensorFlow where it is installed, on any backend, and
        # that is loud.
        if find_spec("tensorflow") is not None:
            import_module("tensorflow")
        return keras

    def versions(self) -> dict[str, str]:
        """Versions of Keras and of what computes."""
        return {"keras": self.keras.__version__}

    def activations(self) -> dict[str, Any]:
        """Activations that Keras 3 has no name for, as functions it can save and load."""
        keras = self.keras

        def hard_sigmoid_keras2(x: Any) -> Any:
            return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)

        def gelu_tanh(x: Any) -> Any:
            return keras.activations.gelu(x, approximate=True)

        register = keras.saving.register_keras_serializable("rnnparity")
        return {
            function.__name__: register(function) for function in (hard_sigmoid_keras2, gelu_tanh)
        }

    def tensor(self, array: Array) -> Any:
        """What the backend computes with, in the array's own type: Keras would take float64 for
        float32."""
        return self.keras.ops.convert_to_tensor(array, dtype=array.dtype.name)

    def arrays(self, values: Sequence[Any]) -> list[Array]:
        """Computed values as NumPy's."""
        return [np.asarray(self.keras.ops.convert_to_numpy(value)) for value in values]

    def compiled(self, model: Any, call: Call) -> Call:
        """The call of a model as the path compiles it; by default it is run as it is."""
        del model
        return call

    def doing(self, dtypes: Sequence[str]) -> Context[Any]:
        """What must be on while layers of these types are built and run."""
        del dtypes
        return nullcontext()

    def forget(self) -> None:
        """Drop what the backend has kept of models that are gone."""
        self.keras.utils.clear_session()


class TensorFlow(Backend):
    """tf.keras itself; the CPU decides where Keras' documentation is silent, so no GPU is used."""

    name, needs, subject = "tensorflow", "tensorflow", "keras"
    framework = "TensorFlow"
    oldest = (2, 16)  # the first TensorFlow whose tf.keras is Keras 3

    def start(self, install: str) -> None:
        import tensorflow as tf

        version = tuple(int(part) for part in re.findall(r"\d+", tf.__version__)[:2])
        if version < self.oldest:
            raise RequestError(
                f"subject {self.subject!r} needs TensorFlow {self.oldest[0]}.{self.oldest[1]} or newer (Keras 3), "
                f"but {tf.__version__} is installed: {install} --upgrade"
            )
        tf.get_logger().setLevel(
            "ERROR"
        )  # else it warns of every function traced for a second shape
        with suppress(
            RuntimeError
        ):  # somebody has used TensorFlow in this process before: its threads are theirs
            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(1)
            tf.config.set_visible_devices([], "GPU")
        self.tf = tf

    def versions(self) -> dict[str, str]:
        return super().versions() | {"tensorflow": self.tf.__version__}

    def compiled(self, model: Any, call: Call) -> Call:
        del model
        self.kept = 100  # a traced function takes megabytes
        compiled: Call = self.tf.function(call, jit_compile=self.path == "xla")
        return compiled


class Jax(Backend):
    """Keras on JAX. Every eager scan is compiled anew, so JAX' own cache of compiled code is
    switched on."""

    name, needs, extra, subject = "jax", "jax", "keras-jax", "keras-jax"
    framework = "JAX"
    kept = 25  # with the code compiled for them

    def start(self, install: str) -> None:
        on_gpu = self.path in ON_A_GPU
        os.environ["JAX_PLATFORMS"] = "cuda" if on_gpu else "cpu"
        import jax

        setting: Callable[[str, Any], None] = jax.config.update

        if on_gpu:
            try:
                jax.devices()
            except (
                RuntimeError,
                AssertionError,
            ):  # no device; no CUDA build, which JAX says by an assertion
                raise MissingFrameworkError(
                    f"subject 'keras-jax:{self.path}' needs an NVIDIA GPU and JAX' CUDA build: {install} 'jax[cuda13]'"
                ) from None
            setting(
                "jax_default_matmul_precision",
                "highest" if self.path == "cuda" else "tensorfloat32",
            )
        cache = (
            Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rnnparity" / "jax"
        )
        if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
            setting("jax_compilation_cache_dir", str(cache))
        setting("jax_persistent_cache_min_compile_time_secs", 0)
        setting("jax_persistent_cache_min_entry_size_bytes", -1)
        setting("jax_compilation_cache_max_size", 2**28)
        self.jax = jax

    def versions(self) -> dict[str, str]:
        return super().versions() | {"jax": self.jax.__version__}

    def compiled(self, model: Any, call: Call) -> Call:
        """Under jax.jit a function keeps nothing: weights and kept states are handed in, and the
        new states out."""
        kept = _kept_states(model)
        variables = [*model.trainable_variables, *kept]

        def pure(values: Any, x: Any, mask: Any, states: Any) -> Any:
            with self.keras.StatelessScope(list(zip(variables, values, strict=True))) as scope:
                outputs = call(x, mask, states)
            return outputs, [scope.get_current_value(variable) for variable in kept]

        traced = self.jax.jit(pure)

        def run(x: Any, mask: Any, states: Any) -> Any:
            outputs, new = traced([variable.value for variable in variables], x, mask, states)
            for variable, value in zip(kept, new, strict=True):
                variable.assign(value)
            return outputs

        return run

    def doing(self, dtypes: Sequence[str]) -> Context[Any]:
        """JAX knows float64 only where it is asked to."""
        context: Context[Any] = self.jax.enable_x64(True) if "float64" in dtypes else nullcontext()
        return context

    def forget(self) -> None:
        super().forget()
        self.jax.clear_caches()


class Torch(Backend):
    """Keras on PyTorch; its device is chosen before Keras is imported."""

    name, needs, extra, subject = "torch", "torch", "keras-torch", "keras-torch"
    framework = "PyTorch"

    def start(self, install: str) -> None:
        del install
        on_gpu = self.path in ON_A_GPU
        os.environ["KERAS_TORCH_DEVICE"] = "cuda" if on_gpu else "cpu"
        import torch

        if on_gpu and not torch.cuda.is_available():
            raise MissingFrameworkError(
                f"subject 'keras-torch:{self.path}' needs an NVIDIA GPU and PyTorch's CUDA build"
            )
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = (
            self.path == "tf32"
        )
        torch.set_num_threads(1)
        self.torch = torch

    def versions(self) -> dict[str, str]:
        return super().versions() | {"torch": str(self.torch.__version__)}

    def doing(self, dtypes: Sequence[str]) -> Context[Any]:
        del dtypes
        context: Context[Any] = self.torch.no_grad()
        return context


class Numpy(Backend):
    """Keras on NumPy, which borrows some of its operations from JAX."""

    name, needs, extra, subject = "numpy", "jax", "keras-numpy", "keras-numpy"
    framework = "JAX"

    def versions(self) -> dict[str, str]:
        return super().versions() | {"numpy": np.__version__}


class OpenVino(Backend):
    """Keras on OpenVINO: a layer's outputs are nodes of a graph, compiled once for all of them."""

    name, needs, extra, subject = "openvino", "openvino", "keras-openvino", "keras-openvino"
    framework = "OpenVINO"

    def start(self, install: str) -> None:
        del install
        import openvino

        self.openvino = openvino
        self.core = openvino.Core()
        # As Keras does; and one thread, as everywhere.
        self.core.set_property(
            "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
        )

    def versions(self) -> dict[str, str]:
        return super().versions() | {"openvino": self.openvino.__version__.split("-")[0]}

    def arrays(self, values: Sequence[Any]) -> list[Array]:
        """Keras would compile a model a value, each with all that the values share."""
        dtypes = [self.keras.backend.standardize_dtype(value.dtype) for value in values]
        model = self.openvino.Model([value.output for value in values], [])
        compiled = self.core.compile_model(model, "CPU")
        done = compiled({})
        arrays = [np.array(done[place]) for place in range(len(values))]
        return [
            array.view(FLOAT_TYPES[dtype].storage) if dtype == "bfloat16" else array
            for array, dtype in zip(arrays, dtypes, strict=True)
        ]


def _kept_states(model: Any) -> list[Any]:
    """The states of stateful layers, those inside a Bidirectional too, which are none of its
    variables."""
    layers = getattr(model, "layers", [model])
    halves = [
        half
        for one in layers
        for half in (getattr(one, "forward_layer", one), getattr(one, "backward_layer", None))
    ]
    return [state for half in halves if half is not None and half.stateful for state in half.states]


BACKENDS: dict[str, type[Backend]] = {
    one.name: one for one in (TensorFlow, Jax, Torch, Numpy, OpenVino)
}


@contextmanager
def quiet() -> Iterator[None]:
    """TensorFlow's start writes to stderr past Python, before any setting is read."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
