"""hls4ml: tf.keras' layers converted to HLS C++ for FPGAs, its emulation compiled by g++ and run.

Numbers have 20 bits after the point, activations are tables: https://fastmachinelearning.org/hls4ml.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import warnings
from typing import Any

import numpy as np

from rnnparity.problem.answer import Unsupported
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Bidirectional, Stack, halves
from rnnparity.problem.problem import Problem
from rnnparity.subjects.declarations import LayerScript, MissingFrameworkError, Registration
from rnnparity.subjects.functions import FunctionSubject
from rnnparity.subjects.keras import TensorFlow
from rnnparity.subjects.keras_backend import quiet
from rnnparity.subjects.keras_subject import KerasSubject

NAME = "hls4ml"
BACKEND = "Vitis"
NUMBERS = "fixed<32,12>"
# Those of nnet_recr_activations.h.
ACTIVATIONS = ("tanh", "sigmoid", "relu")
# Entries of the table of an activation; those of tanh are 2**-11 apart, those of sigmoid 2**-10.
TABLE = 2**14
# An activation is off by up to 2**-11, a gate of a saturated unit by up to 2**-11.5.
PRECISION = "2**-10"


def make() -> FunctionSubject:
    """Return the subject `hls4ml`.

    Raises:
        ImportError: hls4ml or TensorFlow is missing.
        MissingFrameworkError: the compiler is missing.
    """
    if shutil.which("g++") is None:
        raise MissingFrameworkError(NAME, "g++, which compiles its C++, is missing")
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import hls4ml
    keras = KerasSubject(TensorFlow("eager"))

    def answer(problem: Problem) -> list[Array]:
        _check(problem)
        x = problem.inputs.data
        with quiet(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            built = keras.model_of(problem)
            outputs = inputs = keras.keras.Input(x.shape[1:])
            # A model in a model is not converted.
            for layer in built.layers if isinstance(problem.layer, Stack) else [built]:
                outputs = layer(outputs)
            model = keras.keras.Model(inputs, outputs)
            with tempfile.TemporaryDirectory() as folder:
                predicted = _converted(hls4ml, model, folder).predict(np.ascontiguousarray(x))
        arrays = predicted if isinstance(predicted, list) else [predicted]
        # The shapes that Keras states of unequal halves are wrong.
        pairs = zip(arrays, problem.output_slots(), strict=True)
        return [np.float32(array).reshape(slot.shape) for array, slot in pairs]

    return FunctionSubject(answer, ("hls4ml", "keras"))


def _check(problem: Problem) -> None:
    """Check that a converted model may compute a problem.

    Raises:
        Unsupported: it has no place for a part of it.
    """
    if problem.mask is not None:
        raise Unsupported("hls4ml has no masks")
    if problem.initial_state is not None or problem.calls:
        raise Unsupported("hls4ml has no initial states")
    if problem.layer.return_state:
        raise Unsupported("hls4ml returns no states")
    if isinstance(problem.layer, Bidirectional) and problem.layer.merge_mode != "concat":
        raise Unsupported("hls4ml merges by concat only")
    for _, half in halves(problem.layer):
        if half.compute_dtype != "float32":
            raise Unsupported("hls4ml is given layers of float32")
        for name in (half.activation, *([half.recurrent_activation] if half.cell.gated else [])):
            if name not in ACTIVATIONS:
                raise Unsupported(f"hls4ml's recurrent layers have no {name}")


def _converted(hls4ml: Any, model: Any, folder: str) -> Any:
    """Return the compiled model."""
    config = hls4ml.utils.config_from_keras_model(
        model, granularity="name", backend=BACKEND, default_precision=NUMBERS
    )
    for layer in config["LayerName"].values():
        layer |= {"TableSize": TABLE}
        layer["Precision"] |= {"table": NUMBERS}
    converted = hls4ml.converters.convert_from_keras_model(
        model, hls_config=config, backend=BACKEND, io_type="io_parallel", output_dir=folder
    )
    converted.compile()
    return converted


SUBJECTS = (
    Registration(
        NAME,
        make,
        "hls4ml, tf.keras' layers as HLS C++ with 20 bits after the point",
        packages=("tensorflow", "hls4ml"),
        extra="hls4ml",
        rank=61,
        script=LayerScript("hls4ml", "reproduce_hls4ml.py.j2"),
        precision=PRECISION,
    ),
)
