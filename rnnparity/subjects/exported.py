"""Models that frameworks export: Keras' `Model.export(format="onnx")` and `torch.onnx.export`, run
by ONNX engines.

Each case is exported with its weights as the model's constants and for its own shapes, but that
Keras always leaves the batch size open. ONNX keeps nothing from one run to the next: PyTorch's
models take states and return them; what Keras exports of a stateful layer is run as it is.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from rnnparity.problem.answer import Answer, Subject, Unsupported
from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import MissingFrameworkError
from rnnparity.problem.layers import Bidirectional, Recurrent, Stack, halves
from rnnparity.problem.problem import Problem
from rnnparity.problem.shapes import state_slots
from rnnparity.subjects import keras as tf_keras
from rnnparity.subjects import onnx as engines
from rnnparity.subjects import torch as packing
from rnnparity.subjects.backends import quiet
from rnnparity.subjects.conversion import call_arguments, named_outputs, open_shapes, start_states

KEPT = 50  # exports between two clearings of the framework's memory: each leaves graphs behind


def make(argument: str) -> Subject:
    """An engine and an exporter: "onnxruntime keras", "onnx-reference torch", ...

    Raises:
        RequestError: a package is missing.
    """
    engine, exporter = argument.split()
    exporters: dict[str, Callable[[str], Exporter]] = {
        "keras": KerasExporter,
        "torch": TorchExporter,
    }
    return ExportedSubject(engines.engine(engine), exporters[exporter](f"{engine}:{exporter}"))


class Exporter(Protocol):
    """A framework that writes ONNX models."""

    def versions(self) -> dict[str, str]:
        """Versions of the framework and of what converts."""

    def calls(self, problem: Problem, engine: Any) -> list[list[Array]]:
        """What each call of the exported model gives on `engine`, in Keras' order.

        Raises:
            Unsupported: the framework does not export such a layer, by its own word.
        """

    def forget(self) -> None:
        """Drop what exports have left behind."""


class ExportedSubject:
    """An exporter's models on an engine."""

    def __init__(self, engine: Any, exporter: Exporter) -> None:
        self.engine, self.exporter = engine, exporter
        self.exported = 0

    def versions(self) -> dict[str, str]:
        versions: dict[str, str] = self.engine.versions()
        return versions | self.exporter.versions()

    def answer(self, problem: Problem) -> Answer:
        self.exported += 1
        if self.exported % KEPT == 0:
            self.exporter.forget()
        start = perf_counter()
        with quiet(), warnings.catch_warnings(action="ignore"):
            outputs = named_outputs(problem, self.exporter.calls(problem, self.engine))
        return Answer(outputs, seconds=perf_counter() - start)


class KerasExporter:
    """tf.keras, through tf2onnx."""

    def __init__(self, subject: str) -> None:
        _check_installed("tf2onnx", subject)
        self.subject: Any = tf_keras.make("eager")

    def versions(self) -> dict[str, str]:
        return {"tf2onnx": version("tf2onnx"), **self.subject.versions()}

    def forget(self) -> None:
        self.subject.forget()

    def calls(self, problem: Problem, engine: Any) -> list[list[Array]]:
        if {half.dtype for _, half in halves(problem.layer)} != {
            "float32"
        } or problem.layer.compute_dtype != "float32":
            raise Unsupported("Keras exports to ONNX under the policy float32 alone")
        loaded = engine.load(self._exported(problem))
        return [engine.run(loaded, arguments) for arguments in call_arguments(problem)]

    def _exported(self, problem: Problem) -> bytes:
        """The model that Keras writes, with the inputs of `call_arguments`."""
        layer, keras = self.subject.model_of(problem), self.subject.keras
        start_states(layer, problem)
        places = {
            name: keras.Input(batch_shape=tuple(shape), dtype=array.dtype.name, name=name)
            for name, array, shape in open_shapes(problem)
        }
        states = [place for name, place in places.items() if name.startswith("state_")]
        outputs = tf_keras.apply(layer, places["x"], places.get("mask"), states or None)
        model = keras.Model(list(places.values()), outputs)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            model.export(path, format="onnx", verbose=False, input_signature=[model.inputs])
            return path.read_bytes()


class TorchExporter:
    """PyTorch, through torch.onnx.export as it is by default (torch.export and onnxscript)."""

    def __init__(self, subject: str) -> None:
        _check_installed("onnxscript", subject)
        layers: Any = packing.make("cpu")
        self.subject, self.torch = layers, layers.torch

    def versions(self) -> dict[str, str]:
        versions: dict[str, str] = self.subject.versions()
        return versions | {"onnxscript": version("onnxscript")}

    def forget(self) -> None:
        self.torch.compiler.reset()

    def calls(self, problem: Problem, engine: Any) -> list[list[Array]]:
        layers = problem.layer.layers if isinstance(problem.layer, Stack) else (problem.layer,)
        for layer in layers:
            packing._check(layer, problem)
        states = _first_states(problem)
        calls: list[list[Array]] = []
        with self.torch.no_grad():
            model = _whole(self.subject, problem, layers)
            for arguments in call_arguments(problem):
                feeds = {"x": arguments["x"]}
                if "mask" in arguments:
                    feeds["lengths"] = arguments["mask"].sum(axis=1)
                feeds |= {f"state_{place}": state for place, state in enumerate(states)}
                outputs = engine.run(engine.load(self._exported(model, feeds)), feeds)
                if problem.layer.stateful:
                    outputs, states = outputs[: -len(states)], outputs[-len(states) :]
                calls.append(outputs)
        return calls

    def _exported(self, model: Any, feeds: Mapping[str, Array]) -> bytes:
        given = tuple(
            self.torch.from_numpy(np.ascontiguousarray(array)) for array in feeds.values()
        )
        written = io.BytesIO()
        try:
            self.torch.onnx.export(model, given, input_names=list(feeds), verbose=False).save(
                written
            )
        except (
            self.torch.onnx.OnnxExporterError
        ) as error:  # a page of advice in colours around what went wrong
            raise error.__cause__ or error from None
        return written.getvalue()


def _whole(subject: Any, problem: Problem, layers: Sequence[Recurrent | Bidirectional]) -> Any:
    """An nn.Module from x (B, T, D), lengths (B,) where there is a mask, and states (B, H) to the
    layer's outputs.

    A stateful one gives its last states beside, as they start the next call.
    """
    torch, packs = subject.torch, subject.torch.nn.utils.rnn
    weights = {tensor.name: tensor.data for tensor in problem.weights}
    prefixes = [
        f"{place}/" if isinstance(problem.layer, Stack) else "" for place in range(len(layers))
    ]
    modules = [
        subject._module(layer, weights, prefix)
        for layer, prefix in zip(layers, prefixes, strict=True)
    ]

    def packed(module: Any, lengths: Any) -> Any:
        def run(x: Any, start: Any) -> Any:
            y, ends = module(
                packs.pack_padded_sequence(x, lengths, True, enforce_sorted=False), start
            )
            return packs.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])[0], ends

        return run

    class Whole(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.ModuleList(modules)

        def forward(self, x: Any, *rest: Any) -> Any:
            given, outputs = list(rest), [x]
            kept: list[Any] = []
            lengths = given.pop(0) if problem.mask is not None else None
            for layer, module in zip(layers, self.inner, strict=True):
                states = [given.pop(0) for _ in layer.states] if given else None
                run = module if lengths is None else packed(module, lengths)
                outputs, ends = subject._layer(layer, run, outputs[0], None, states)
                kept += ends if layer.stateful else [torch.zeros_like(end) for end in ends]
            return (*outputs, *kept) if problem.layer.stateful else tuple(outputs)

    return Whole()


def _first_states(problem: Problem) -> list[Array]:
    if problem.initial_state is not None:
        return [tensor.data for tensor in problem.initial_state]
    slots = state_slots(problem.layer, problem.inputs.shape[0]) if problem.layer.stateful else []
    return [
        np.zeros([size for size in slot.shape if size], problem.inputs.data.dtype) for slot in slots
    ]


def _check_installed(module: str, subject: str) -> None:
    try:
        with quiet():  # tf2onnx imports TensorFlow, which has much to say
            import_module(module)
    except ImportError as error:
        raise MissingFrameworkError(
            f"subject {subject!r} needs {module} ({error}): pip install 'rnnparity[onnx-export]'"
        ) from None
