"""How the script of a bundle speaks to each framework: what it imports, sets and calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# How each path is taken: what is said to the layer, and how it is called.
PATHS: dict[str, tuple[dict[str, Any], str]] = {
    "": ({}, "layer"),
    "graph": ({}, "tf.function(layer)"),
    "xla": ({}, "tf.function(layer, jit_compile=True)"),
    "jit": ({}, "jax.jit(layer)"),
    "predict": (
        {},
        "(lambda x, **_: keras.Model(i := keras.Input(batch_shape=x.shape), layer(i)).predict(x, verbose=0))",
    ),
    "unroll": ({"unroll": True}, "layer"),
    "implementation1": ({"implementation": 1}, "layer"),
}


@dataclass(frozen=True)
class Family:
    """What the script of a framework imports and sets, and how it is spoken to.

    `nameless` are activations that it has no name for, or means another by it. `paths` are those of
    PATHS that it has.
    """

    install: str
    imports: str
    name: str = "Keras"
    settings: Mapping[str, str] = field(default_factory=dict)
    flatten: str = "keras.tree.flatten"
    tensor: str = "np.asarray"  # what is made of the inputs and the mask
    state: str = "array(t)"
    to_numpy: str = "keras.ops.convert_to_numpy"
    call: str = ""
    paths: tuple[str, ...] = ("", "unroll")
    nameless: frozenset[str] = frozenset({"hard_sigmoid_keras2", "gelu_tanh"})


# Keras' first Bidirectional imports TensorFlow where it is installed, on any backend, and that is
# loud.
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}
KERAS = {
    "keras": Family(
        "tensorflow",
        "import numpy as np, tensorflow as tf, keras",
        settings=_QUIET | {"KERAS_BACKEND": "tensorflow"},
        to_numpy="np.asarray",
        paths=("", "graph", "xla", "predict", "unroll", "implementation1"),
    ),
    "keras-jax": Family(
        "keras jax",
        "import jax, numpy as np, keras",
        settings=_QUIET | {"KERAS_BACKEND": "jax"},
        paths=("", "unroll", "jit"),
    ),
    "keras-torch": Family(
        "keras torch",
        "import numpy as np, keras",
        settings=_QUIET | {"KERAS_BACKEND": "torch", "KERAS_TORCH_DEVICE": "cpu"},
    ),
    **{
        f"keras-{name}": Family(
            install, "import numpy as np, keras", settings=_QUIET | {"KERAS_BACKEND": name}
        )
        for name, install in {"numpy": "keras jax", "openvino": "keras openvino"}.items()
    },
    "tf-keras": Family(
        "tf-keras",
        "import numpy as np, tensorflow as tf, tf_keras as keras",
        "Keras 2",
        _QUIET,
        flatten="tf.nest.flatten",
        tensor="tf.constant",
        state='tf.cast(array(t), getattr(layer, "forward_layer", layer).compute_dtype)',
        to_numpy="np.asarray",
        nameless=frozenset({"hard_sigmoid", "hard_sigmoid_keras2", "gelu_tanh", "silu"}),
    ),
}
ENGINES = {
    "onnxruntime": Family(
        "onnxruntime",
        "import numpy as np, onnxruntime",
        "ONNX Runtime",
        to_numpy="np.asarray",
        call='onnxruntime.InferenceSession(str(here / "model.onnx"))',
    ),
    "onnx-reference": Family(
        "onnx",
        "import numpy as np\nfrom onnx.reference import ReferenceEvaluator",
        "the ReferenceEvaluator",
        to_numpy="np.asarray",
        call='ReferenceEvaluator(str(here / "model.onnx"))',
    ),
}


def family_of(subject: str) -> tuple[Family | None, str]:
    """The family whose script runs that subject, and its path; none for somebody's own, and for
    what has no script."""
    name, _, path = subject.partition(":")
    if name in ENGINES:
        return ENGINES[name], path
    if name in KERAS and path in KERAS[name].paths:
        return KERAS[name], path
    return None, ""
