"""ONNX: the operators RNN, LSTM and GRU in models that are built by hand, on two engines.

The models are built by `onnx_models`, which is imported once onnx is known to be installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from rnnparity.problem.answer import Answer
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.layers import Bidirectional, Recurrent
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.subjects.calls import (
    Call,
    LayerStates,
    initial_states,
    layers_of,
    run_calls,
    split_states,
)
from rnnparity.subjects.declarations import Registration
from rnnparity.subjects.onnx_engines import ENGINES, PACKAGES, Engine, Session
from rnnparity.subjects.user_arrays import as_tensor

if TYPE_CHECKING:
    from rnnparity.subjects.onnx_models.layers import Model

# Cases of one structure follow each other; the memory of a process stays bounded.
MAX_MODELS = 64


class OnnxSubject:
    """One model for each structure of a problem; all numbers are its inputs."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.model = lru_cache(maxsize=MAX_MODELS)(self._model)

    def versions(self) -> dict[str, str]:
        return self.engine.versions()

    def answer(self, problem: Problem) -> Answer:
        from rnnparity.subjects.onnx_models.weights import packed_weights

        start = perf_counter()
        keras_weights = {tensor.name: tensor.data for tensor in problem.weights}
        weights = packed_weights(layers_of(problem), keras_weights)
        run = partial(self._call, problem, weights)
        outputs = run_calls(problem, initial_states(problem), run)
        return Answer(outputs, seconds=perf_counter() - start)

    def _call(
        self,
        problem: Problem,
        weights: Mapping[str, Array],
        call: Call,
        states: Sequence[LayerStates],
    ) -> tuple[list[Tensor], list[list[Array]]]:
        """Return the outputs of one call in Keras' order, and the last states of each layer."""
        layers = layers_of(problem)
        feeds = {"x": call.inputs, **weights}
        if call.mask is not None:
            feeds["mask"] = call.mask
        for (prefix, layer), start in zip(layers, states, strict=True):
            if start is not None:
                names = [prefix + name for name in layer.states]
                feeds |= zip(names, start, strict=True)
        has_states = tuple(start is not None for start in states)
        model, session = self.model(
            tuple(layers), problem.inputs.dtype, call.mask is not None, has_states
        )
        arrays = self.engine.run(
            session,
            {name: self._rounded(feeds[name], dtype) for name, dtype in model.inputs.items()},
        )
        sequences = len(arrays) - len(model.states)
        last = split_states(problem, arrays[sequences:])
        outputs = arrays[:sequences]
        if problem.layer.return_state:
            outputs = [*outputs, *last[-1]]
        return [as_tensor("", array) for array in outputs], last

    def _model(
        self,
        layers: tuple[tuple[str, Recurrent | Bidirectional], ...],
        dtype: str,
        has_mask: bool,
        has_states: tuple[bool, ...],
    ) -> tuple[Model, Session]:
        """Return the model of a structure, and the engine's session of it."""
        from rnnparity.subjects.onnx_models.layers import model_of

        model = model_of(layers, dtype, has_mask, has_states)
        return model, self.engine.load(model.code)

    def _rounded(self, array: Array, dtype: str) -> Array:
        """Return the array rounded to a type, contiguous, as engines take it."""
        if dtype == "bool":
            return array
        return np.ascontiguousarray(FLOAT_TYPES[dtype].round(array))


def make(engine: str) -> OnnxSubject:
    """Return the subject `onnxruntime` or `onnx-reference`.

    Raises:
        ImportError: a package is missing.
    """
    return OnnxSubject(ENGINES[engine]())


def _registration(engine: str, description: str, extra: str = "onnx") -> Registration:
    return Registration(
        engine,
        partial(make, engine),
        description,
        packages=PACKAGES[engine],
        extra=extra,
        rank=40,
    )


SUBJECTS = (
    _registration("onnxruntime", "ONNX Runtime, models built by hand"),
    _registration("onnx-reference", "ONNX's ReferenceEvaluator, models built by hand"),
    _registration("onnxruntime-node", "ONNX Runtime on Node.js, models built by hand"),
    _registration("tract", "tract (Rust), models built by hand", extra="tract"),
    _registration("openvino", "OpenVINO, models built by hand", extra="openvino"),
)
