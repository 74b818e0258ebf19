"""The frameworks that a bundle's script can run: their imports, settings and calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# JSON-like options of a layer's config.
Options = Mapping[str, bool | int | str | list[int]]


@dataclass(frozen=True)
class CallPath:
    """One way to run a layer: the options in its config, and the expression that is called."""

    options: Options
    call: str


PATHS = {
    "": CallPath({}, "layer"),
    "graph": CallPath({}, "tf.function(layer)"),
    "xla": CallPath({}, "tf.function(layer, jit_compile=True)"),
    "jit": CallPath({}, "jax.jit(layer)"),
    "predict": CallPath(
        {},
        "(lambda x, **_: keras.Model(i := keras.Input(batch_shape=x.shape), layer(i))"
        ".predict(x, verbose=0))",
    ),
    "unroll": CallPath({"unroll": True}, "layer"),
    "implementation1": CallPath({"implementation": 1}, "layer"),
}


@dataclass(frozen=True)
class Family:
    """The script's text for one framework.

    `install` are the packages, `name` is the framework's name in the output. `tensor` converts the
    inputs and the mask, `state` is the expression of an initial state, `call` loads a model.
    `nameless` are activations that the framework has no name for, or uses the name for another one.
    `paths` are its keys of PATHS.
    """

    install: str
    imports: str
    name: str = "Keras"
    settings: Mapping[str, str] = field(default_factory=dict)
    flatten: str = "keras.tree.flatten"
    tensor: str = "np.asarray"
    state: str = "array(t)"
    to_numpy: str = "keras.ops.convert_to_numpy"
    call: str = ""
    paths: tuple[str, ...] = ("", "unroll")
    nameless: frozenset[str] = frozenset({"hard_sigmoid_keras2", "gelu_tanh"})


# Keras' first Bidirectional imports TensorFlow where it is installed, on any backend, and that
# prints many lines.
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
    "keras-numpy": Family(
        "keras jax",
        "import numpy as np, keras",
        settings=_QUIET | {"KERAS_BACKEND": "numpy"},
    ),
    "keras-openvino": Family(
        "keras openvino",
        "import numpy as np, keras",
        settings=_QUIET | {"KERAS_BACKEND": "openvino"},
    ),
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
# tract wants the shapes of a model's inputs before it compiles it.
_TRACT = """\
import numpy as np, tract

class Model:
    def __init__(self, path):
        self.path = path
    def run(self, _, feeds):
        model = tract.onnx().load(self.path)
        inputs = [feeds[model.input_name(index)] for index in range(model.input_count())]
        for index, x in enumerate(inputs):
            types = {"float16": "f16", "float32": "f32", "float64": "f64", "bool": "bool"}
            model.set_input_fact(index, ",".join([*map(str, x.shape), types[x.dtype.name]]))
        return [tensor.to_numpy() for tensor in model.into_model().into_runnable().run(inputs)]"""
_OPENVINO = """\
import numpy as np, openvino

class Model:
    def __init__(self, path):
        self.model = openvino.compile_model(path, "CPU", {"EXECUTION_MODE_HINT": "ACCURACY"})
    def run(self, _, feeds):
        results = self.model(feeds)
        return [results[output] for output in self.model.outputs]"""
_OPENCV = """\
import cv2, numpy as np

class Model:
    def __init__(self, path):
        self.net = cv2.dnn.readNetFromONNX(path)
    def run(self, _, feeds):
        self.net.setInput(feeds["x"], "x")
        return self.net.forward(sorted(self.net.getUnconnectedOutLayersNames()))"""
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
    "tract": Family(
        "tract",
        _TRACT,
        "tract",
        to_numpy="np.asarray",
        call='Model(str(here / "model.onnx"))',
    ),
    "openvino": Family(
        "openvino",
        _OPENVINO,
        "OpenVINO",
        to_numpy="np.asarray",
        call='Model(str(here / "model.onnx"))',
    ),
    "opencv": Family(
        "opencv-python-headless",
        _OPENCV,
        "OpenCV",
        to_numpy="np.asarray",
        call='Model(str(here / "model.onnx"))',
    ),
}


def family_of(subject: str) -> tuple[Family | None, str]:
    """Return the family whose script runs a subject, and the subject's path.

    The family is None for a user's own subject, and for one that has no script.
    """
    name, _, path = subject.partition(":")
    if name in ENGINES:
        return ENGINES[name], path
    if name in KERAS and path in KERAS[name].paths:
        return KERAS[name], path
    return None, ""
