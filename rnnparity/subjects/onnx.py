"""ONNX: the operators RNN, LSTM and GRU in models built by hand, on ONNX Runtime and ONNX's ReferenceEvaluator.

The models are made in `onnx_layers`, which is imported once onnx is known to be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from time import perf_counter
from typing import Any

import numpy as np

from rnnparity.dtypes import FLOAT_TYPES, Array
from rnnparity.errors import MissingFrameworkError
from rnnparity.layers import Bidirectional, Recurrent, Stack
from rnnparity.problem import Problem
from rnnparity.subjects import Answer, Subject, Unsupported, as_tensor

INSTALL = "pip install 'rnnparity[onnx]'"
MODELS_KEPT = 64  # cases of one structure follow each other; a session takes some 100 kB


def make(name: str) -> Subject:
    """The subject `onnxruntime`, or `onnx-reference` (also `reference`).

    Raises:
        RequestError: its package is missing.
    """
    return OnnxSubject(engine(name))


class OnnxRuntime:
    """ONNX Runtime on the CPU, on one thread.

    Raises:
        RequestError: onnx or onnxruntime is missing.
    """

    subject = "onnxruntime"

    def __init__(self) -> None:
        self.onnx = _imported("onnx", self.subject)
        self.runtime = _imported("onnxruntime", self.subject)
        self.errors = self.runtime.capi.onnxruntime_pybind11_state
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # fatal: whatever else there is to say comes as an exception
        self.options = options

    def versions(self) -> dict[str, str]:
        return {"onnxruntime": str(self.runtime.__version__), "onnx": str(self.onnx.__version__)}

    def load(self, model: bytes) -> Any:
        """A session of a serialized model.

        Raises:
            Unsupported: an operator that the specification has in this type, and ONNX Runtime has not.
        """
        try:
            return self.runtime.InferenceSession(model, self.options, providers=["CPUExecutionProvider"])
        except self.errors.NotImplemented as error:  # "...: Could not find an implementation for RNN(22) node with ..."
            raise Unsupported(f"ONNX Runtime: {str(error).rpartition(' : ')[2].partition(' node')[0]}") from None

    def run(self, loaded: Any, feeds: Mapping[str, Array]) -> list[Array]:
        """All outputs of the model, in its order.

        Raises:
            Unsupported: LSTM or GRU in float64, which ONNX Runtime registers and then refuses to run.
        """
        try:
            outputs: list[Array] = loaded.run(None, dict(feeds))
        except self.errors.RuntimeException as error:  # "...: LSTM operator does not support double yet"
            reason = str(error).rpartition("Status Message: ")[2]
            if not reason.endswith("operator does not support double yet"):
                raise
            raise Unsupported(f"ONNX Runtime: {reason}") from None
        return outputs


class ReferenceEvaluator:
    """ONNX's own evaluator in NumPy, which the specification's node tests come from.

    Raises:
        RequestError: onnx is missing.
    """

    subject = "onnx-reference"

    def __init__(self) -> None:
        self.onnx = _imported("onnx", self.subject)
        self.reference = _imported("onnx.reference", self.subject)

    def versions(self) -> dict[str, str]:
        return {"onnx": str(self.onnx.__version__)}

    def load(self, model: bytes) -> Any:
        """An evaluator of a serialized model."""
        return self.reference.ReferenceEvaluator(model)

    def run(self, loaded: Any, feeds: Mapping[str, Array]) -> list[Array]:
        """All outputs of the model, in its order."""
        return list(loaded.run(None, dict(feeds)))


def engine(name: str) -> OnnxRuntime | ReferenceEvaluator:
    """The engine `onnxruntime`, or `reference` (also `onnx-reference`).

    Raises:
        RequestError: its package is missing.
    """
    return OnnxRuntime() if name == "onnxruntime" else ReferenceEvaluator()


def _imported(module: str, subject: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingFrameworkError(
            f"subject {subject!r} needs {module.partition('.')[0]} ({error}): {INSTALL}"
        ) from None


class OnnxSubject:
    """One model a structure, kept; its numbers are fed."""

    def __init__(self, on: OnnxRuntime | ReferenceEvaluator) -> None:
        self.engine = on
        self.layers = import_module("rnnparity.subjects.onnx_layers")
        self.bfloat16 = import_module("ml_dtypes").bfloat16  # NumPy has none; onnx itself takes this one
        self.model = lru_cache(maxsize=MODELS_KEPT)(self._model)

    def versions(self) -> dict[str, str]:
        return self.engine.versions()

    def answer(self, problem: Problem) -> Answer:
        begun = perf_counter()
        layers = problem.layer.layers if isinstance(problem.layer, Stack) else (problem.layer,)
        prefixes = [f"{n}/" for n in range(len(layers))] if isinstance(problem.layer, Stack) else [""]
        outputs = self._calls(problem, tuple(zip(prefixes, layers, strict=True)))
        names = [slot.name for slot in problem.output_slots()]
        tensors = tuple(as_tensor(name, value) for name, value in zip(names, outputs, strict=True))
        return Answer(tensors, seconds=perf_counter() - begun)

    def _calls(self, problem: Problem, layers: tuple[tuple[str, Recurrent | Bidirectional], ...]) -> list[Array]:
        """Every call of a stateful run in turn; sequences are joined."""
        weights = self.layers.packed_weights(layers, {tensor.name: tensor.data for tensor in problem.weights})
        states = {tensor.name: tensor.data for tensor in problem.initial_state or ()}
        carried = {f"{at}{state}" for at, layer in layers if layer.stateful for state in layer.states}
        prefix, last = layers[-1]
        calls, sequences, begin = [], 0, 0
        for steps in problem.steps:
            span = slice(begin, begin + steps)
            mask = {} if problem.mask is None else {"mask": problem.mask[:, span]}
            started = tuple(at + layer.states[0] in states for at, layer in layers)
            model, loaded = self.model(layers, problem.inputs.dtype, bool(mask), started)
            values = {"x": problem.inputs.data[:, span], **mask, **weights, **states}
            feeds = {name: self._typed(values[name], dtype) for name, dtype in model.inputs.items()}
            found = self.engine.run(loaded, feeds)
            sequences = len(found) - len(model.states)
            states = dict(zip(model.states, found[sequences:], strict=True))
            returned = [states[prefix + name] for name in last.states] if last.return_state else []
            states = {name: state for name, state in states.items() if name in carried}
            calls.append([*found[:sequences], *returned])
            begin += steps
        if len(calls) == 1 or not problem.layer.return_sequences:
            return calls[-1]
        joined = [np.concatenate(parts, 1) for parts in list(zip(*calls, strict=True))[:sequences]]
        return [*joined, *calls[-1][sequences:]]

    def _model(self, *structure: Any) -> tuple[Any, Any]:
        """The model of a structure, and what the engine has made of it."""
        model = self.layers.model_of(*structure)
        return model, self.engine.load(model.code)

    def _typed(self, array: Array, dtype: str) -> Array:
        """The array rounded to the type, in the memory that an engine takes."""
        if dtype == "bool":
            return array
        rounded = np.ascontiguousarray(FLOAT_TYPES[dtype].round(array))
        return rounded.astype(self.bfloat16) if dtype == "bfloat16" else rounded
