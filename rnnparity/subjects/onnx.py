"""ONNX: the operators RNN, LSTM and GRU in models built by hand, on ONNX Runtime and ONNX's
ReferenceEvaluator.

The models are made in `onnx_layers`, which is imported once onnx is known to be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from time import perf_counter
from typing import Any

import numpy as np

from rnnparity.problem.answer import Answer, Subject, Unsupported
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.errors import MissingFrameworkError
from rnnparity.problem.layers import Bidirectional, Recurrent, Stack
from rnnparity.problem.problem import Problem
from rnnparity.subjects import as_tensor

INSTALL = "pip install 'rnnparity[onnx]'"
MODELS_KEPT = 64  # cases of one structure follow each other; what a process holds stays bounded


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
            Unsupported: an operator that the specification has in this type, and ONNX Runtime has
            not.
        """
        try:
            return self.runtime.InferenceSession(
                model, self.options, providers=["CPUExecutionProvider"]
            )
        except (
            self.errors.NotImplemented
        ) as error:  # "...: Could not find an implementation for RNN(22) node with ..."
            raise Unsupported(
                f"ONNX Runtime: {str(error).rpartition(' : ')[2].partition(' node')[0]}"
            ) from None

    def run(self, loaded: Any, feeds: Mapping[str, Array]) -> list[Array]:
        """All outputs of the model, in its order.

        Raises:
            Unsupported: LSTM or GRU in float64, which ONNX Runtime registers and then refuses to
            run.
        """
        try:
            outputs: list[Array] = loaded.run(None, dict(feeds))
        except (
            self.errors.RuntimeException
        ) as error:  # "...: LSTM operator does not support double yet"
            reason = str(error).rpartition("Status Message: ")[2]
            if not reason.endswith("operator does not support double yet"):
                raise
            raise Unsupported(f"ONNX Runtime: {reason}") from None
        return outputs


class ReferenceEvaluator:
    """ONNX's own evaluator in NumPy.

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
        self.model = lru_cache(maxsize=MODELS_KEPT)(self._model)

    def versions(self) -> dict[str, str]:
        return self.engine.versions()

    def answer(self, problem: Problem) -> Answer:
        begun = perf_counter()
        layers = problem.layer.layers if isinstance(problem.layer, Stack) else (problem.layer,)
        prefixes = (
            [f"{n}/" for n in range(len(layers))] if isinstance(problem.layer, Stack) else [""]
        )
        calls = self._calls(problem, tuple(zip(prefixes, layers, strict=True)))
        names = [slot.name for slot in problem.output_slots()]
        # Sequences are joined; what a call gives once is kept from the last one.
        parts = zip(names, zip(*calls, strict=True), strict=True)
        joined = problem.layer.return_sequences
        outputs = {
            name: np.concatenate(each, 1) if joined and name.endswith("output") else each[-1]
            for name, each in parts
        }
        tensors = tuple(as_tensor(name, value) for name, value in outputs.items())
        return Answer(tensors, seconds=perf_counter() - begun)

    def _calls(
        self, problem: Problem, layers: tuple[tuple[str, Recurrent | Bidirectional], ...]
    ) -> list[list[Array]]:
        """The outputs of every call in Keras' order; the states of one start the next where a layer
        is stateful."""
        from rnnparity.subjects.onnx_layers import packed_weights

        weights = packed_weights(layers, {tensor.name: tensor.data for tensor in problem.weights})
        states = {tensor.name: tensor.data for tensor in problem.initial_state or ()}
        carried = {
            prefix + state for prefix, layer in layers if layer.stateful for state in layer.states
        }
        last = (
            [layers[-1][0] + state for state in layers[-1][1].states]
            if problem.layer.return_state
            else []
        )
        calls, begin = [], 0
        for steps in problem.steps:
            span = slice(begin, begin + steps)
            mask = {} if problem.mask is None else {"mask": problem.mask[:, span]}
            started = tuple(prefix + layer.states[0] in states for prefix, layer in layers)
            model, loaded = self.model(layers, problem.inputs.dtype, bool(mask), started)
            values = {"x": problem.inputs.data[:, span], **mask, **weights, **states}
            found = self.engine.run(
                loaded, {name: self._typed(values[name], t) for name, t in model.inputs.items()}
            )
            sequences = len(found) - len(model.states)
            states = dict(zip(model.states, found[sequences:], strict=True))
            calls.append([*found[:sequences], *(states[name] for name in last)])
            states = {name: state for name, state in states.items() if name in carried}
            begin += steps
        return calls

    def _model(self, *structure: Any) -> tuple[Any, Any]:
        """The model of a structure, and what the engine has made of it."""
        from rnnparity.subjects.onnx_layers import model_of

        model = model_of(*structure)
        return model, self.engine.load(model.code)

    def _typed(self, array: Array, dtype: str) -> Array:
        """The array rounded to the type, in the memory that an engine takes."""
        if dtype == "bool":
            return array
        return np.ascontiguousarray(FLOAT_TYPES[dtype].round(array))
