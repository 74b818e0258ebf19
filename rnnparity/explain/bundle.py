"""A bundle for a framework's tracker: the problem file, and a script that needs that framework alone.

The script of Keras, on any backend and by any path, builds the layer; that of an ONNX engine runs the model beside it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rnnparity import wire
from rnnparity.errors import RequestError
from rnnparity.files import write_where_asked
from rnnparity.goldens import golden_outputs
from rnnparity.layers import halves
from rnnparity.page import render_template
from rnnparity.problem import Problem
from rnnparity.subjects import make_subject

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
    """What the script of a framework imports and sets, and how it is spoken to."""

    install: str
    imports: str
    name: str = "Keras"
    settings: Mapping[str, str] = field(default_factory=dict)
    keras: str = "keras"
    flatten: str = "keras.tree.flatten"
    tensor: str = "np.asarray"  # what is made of the inputs and the mask
    state: str = "array(t)"
    to_numpy: str = "keras.ops.convert_to_numpy"
    call: str = ""


_LOUD = {"TF_CPP_MIN_LOG_LEVEL": "3"}
KERAS = {
    "keras": Family(
        "tensorflow",
        "import numpy as np, tensorflow as tf, keras",
        settings=_LOUD,
        keras="tf.keras",
        flatten="tf.nest.flatten",
        to_numpy="np.asarray",
    ),
    "tf-keras": Family(
        "tf-keras",
        "import numpy as np, tensorflow as tf, tf_keras as keras",
        "Keras 2",
        _LOUD,
        tensor="tf.constant",
        state='tf.cast(array(t), getattr(layer, "forward_layer", layer).compute_dtype)',
        flatten="tf.nest.flatten",
        to_numpy="np.asarray",
    ),
    **{
        f"keras-{name}": Family(install, "import numpy as np, keras", settings=_LOUD | {"KERAS_BACKEND": name} | more)
        for name, install, more in (
            ("torch", "keras torch", {"KERAS_TORCH_DEVICE": "cpu"}),
            ("numpy", "keras jax", {}),
            ("openvino", "keras openvino", {}),
        )
    },
    "keras-jax": Family(
        "keras jax",
        "import jax, numpy as np, keras",
        settings=_LOUD | {"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1"},
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


def write_bundle(folder: Path, problem: Problem, headline: str, subject: str = "", kind: str = "values") -> list[Path]:
    """`problem.json` and `reproduce.py` in a folder, which is made where it is missing; `model.onnx` where one is run.

    Without a subject the script runs the problem in tf.keras and prints how far that is from the outputs in the file,
    which somebody gave. With one it runs that, and the file has what is right. `kind` is that of the difference (see
    `compare.Difference`): of a "fact" the symbolic shapes are printed, of a "count" how many outputs there are.

    Raises:
        RequestError: the folder cannot be written, or no script can be made of the layer or the subject.
    """
    name, _, path = subject.partition(":")
    if subject and not (name in ENGINES or (name in KERAS and path in PATHS)):
        raise RequestError(
            f"{problem.id}: no script can be made for subject {subject!r}; the problem file runs anywhere"
        )
    if subject or kind == "error":
        problem = problem.with_outputs(golden_outputs(problem))
    words: dict[str, Any] = {"id": problem.id, "headline": headline}
    words |= {"shapes": kind == "fact", "count": kind == "count", "types": kind == "dtype"}
    blobs: dict[str, bytes] = {}
    if name in ENGINES:
        script = render_template("reproduce_onnx.py.j2", words | vars(ENGINES[name]))
        blobs = _model(problem, subject)
    else:
        _check(problem, kind)
        said, call = PATHS[path]
        family = vars(KERAS[name or "keras"])
        script = render_template("reproduce.py.j2", family | words | {"words": said, "call": call})
    return _write(folder, {"problem.json": wire.dump_pretty(problem), "reproduce.py": script}, blobs)


def _write(folder: Path, texts: Mapping[str, str], blobs: Mapping[str, bytes]) -> list[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, blob in blobs.items():
            (folder / name).write_bytes(blob)
    except OSError as error:
        raise RequestError(f"{folder}: cannot be written: {error.strerror or error}") from None
    for name, content in texts.items():
        write_where_asked(folder / name, content)
    return [folder / name for name in (*texts, *blobs)]


def _check(problem: Problem, kind: str) -> None:
    """Whether a few lines of Keras can run the problem at all."""
    foreign = {"hard_sigmoid_keras2", "gelu_tanh"}
    used = {name for _, half in halves(problem.layer) for name in (half.activation, half.recurrent_activation)}
    why = ""
    if problem.calls is not None and kind != "error":
        why = "a stateful run of several calls"
    elif used & foreign:
        why = f"{', '.join(sorted(used & foreign))}, which Keras 3 has no name for"
    if why:
        raise RequestError(f"{problem.id}: no script can be made of {why}; the problem file itself runs anywhere")


class _Recorder:
    """An engine that remembers what it was given last; one that fails on loading has been fed nothing."""

    def __init__(self, engine: Any) -> None:
        self.engine, self.blobs = engine, {"feeds.npz": _npz({})}

    def load(self, model: bytes) -> Any:
        self.blobs["model.onnx"] = model
        return self.engine.load(model)

    def run(self, loaded: Any, feeds: Mapping[str, Any]) -> Any:
        self.blobs["feeds.npz"] = _npz(feeds)
        return self.engine.run(loaded, feeds)


def _npz(arrays: Mapping[str, Any]) -> bytes:
    numbers = io.BytesIO()
    np.savez(numbers, **arrays)
    return numbers.getvalue()


def _model(problem: Problem, subject: str) -> dict[str, bytes]:
    """The model that an ONNX subject runs, and the numbers it is fed."""
    runs: Any = make_subject(subject)
    runs.engine = recorder = _Recorder(runs.engine)
    try:
        runs.answer(problem)
    except Exception as error:
        if "model.onnx" not in recorder.blobs:
            raise RequestError(f"{problem.id}: no model to be run: {error}") from None
    return recorder.blobs
