"""Keras' `Model.export(format="onnx")` and `torch.onnx.export`."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from rnnparity.problem.answer import Unsupported
from rnnparity.problem.dtypes import Array, widened
from rnnparity.problem.layers import Bidirectional, Recurrent, halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import state_slots
from rnnparity.subjects import torch as pytorch
from rnnparity.subjects.adapters import lengths_of
from rnnparity.subjects.calls import (
    Call,
    LayerStates,
    initial_states,
    join_outputs,
    layers_of,
    run_calls,
    split_states,
)
from rnnparity.subjects.conversion import call_arguments, open_shapes, set_initial_states
from rnnparity.subjects.keras import TensorFlow
from rnnparity.subjects.keras_backend import quiet
from rnnparity.subjects.keras_layers import apply
from rnnparity.subjects.keras_subject import KerasSubject
from rnnparity.subjects.onnx_engines import Engine
from rnnparity.subjects.torch_layers import TorchLayers, TorchModule, TorchTensor
from rnnparity.subjects.torch_limits import check_supported
from rnnparity.subjects.user_arrays import as_tensor


class KerasExporter:
    """tf.keras, which exports by tf2onnx."""

    def __init__(self) -> None:
        # It imports TensorFlow, which writes much to stderr.
        with quiet():
            import_module("tf2onnx")
        self.subject = KerasSubject(TensorFlow("eager"))

    def versions(self) -> dict[str, str]:
        return {"tf2onnx": version("tf2onnx"), **self.subject.versions()}

    def forget(self) -> None:
        self.subject.forget()

    def outputs(self, problem: Problem, engine: Engine) -> tuple[Tensor, ...]:
        policies = {half.dtype for _, half in halves(problem.layer)}
        if policies != {"float32"} or problem.layer.compute_dtype != "float32":
            raise Unsupported("Keras exports to ONNX only under the policy float32")
        session = engine.load(self._exported(problem))
        calls = [engine.run(session, arguments) for arguments in call_arguments(problem)]
        return join_outputs(problem, [_tensors(arrays) for arrays in calls])

    def _exported(self, problem: Problem) -> bytes:
        """Return the model that Keras writes, with the inputs of `call_arguments`."""
        keras = self.subject.keras
        layer = self.subject.model_of(problem)
        set_initial_states(layer, problem)
        inputs = {
            name: keras.Input(batch_shape=tuple(shape), dtype=array.dtype.name, name=name)
            for name, array, shape in open_shapes(problem)
        }
        states = [value for name, value in inputs.items() if name.startswith("state_")]
        outputs = apply(layer, inputs["x"], inputs.get("mask"), states or None)
        model = keras.Model(list(inputs.values()), outputs)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            model.export(path, format="onnx", verbose=False, input_signature=[model.inputs])
            return path.read_bytes()


class TorchExporter:
    """PyTorch, by torch.onnx.export with its defaults (torch.export and onnxscript)."""

    def __init__(self) -> None:
        with quiet():
            import_module("onnxscript")
        self.subject = pytorch.make("cpu")
        self.torch = self.subject.torch

    def versions(self) -> dict[str, str]:
        return {**self.subject.versions(), "onnxscript": version("onnxscript")}

    def forget(self) -> None:
        self.torch.compiler.reset()

    def outputs(self, problem: Problem, engine: Engine) -> tuple[Tensor, ...]:
        check_supported(problem)
        with self.torch.no_grad():
            model = _module_of(self.subject.layers, problem)
            run = partial(self._call, problem, engine, model)
            return run_calls(problem, initial_states(problem), run)

    def _call(
        self,
        problem: Problem,
        engine: Engine,
        model: TorchModule,
        call: Call,
        states: Sequence[LayerStates],
    ) -> tuple[list[Tensor], list[list[Array]]]:
        """Export the model for the shapes of one call and run it."""
        feeds = {"x": widened(call.inputs)}
        if call.mask is not None:
            feeds["lengths"] = lengths_of(call.mask)
        flat_states = _flat_states(problem, states)
        feeds |= {f"state_{index}": state for index, state in enumerate(flat_states)}
        outputs = engine.run(engine.load(self._exported(model, feeds)), feeds)
        if not problem.layer.stateful:
            return _tensors(outputs), [[] for _ in states]
        count = len(flat_states)
        return _tensors(outputs[:-count]), split_states(problem, outputs[-count:])

    def _exported(self, model: TorchModule, feeds: Mapping[str, Array]) -> bytes:
        tensors = [self.torch.from_numpy(np.ascontiguousarray(array)) for array in feeds.values()]
        written = io.BytesIO()
        export = partial(self.torch.onnx.export, input_names=list(feeds), verbose=False)
        try:
            export(model, tuple(tensors)).save(written)
        except self.torch.onnx.OnnxExporterError as error:
            # Its message is a page of advice in colours; the error itself is its cause.
            raise error.__cause__ or error from None
        return written.getvalue()


def _tensors(arrays: Sequence[Array]) -> list[Tensor]:
    return [as_tensor("", array) for array in arrays]


def _flat_states(problem: Problem, states: Sequence[LayerStates]) -> list[Array]:
    """Return all states (B, H) that a call takes; a stateful model always takes them, if zeros."""
    batch = problem.inputs.shape[0]
    arrays = []
    for (_, layer), start in zip(layers_of(problem), states, strict=True):
        if start is not None:
            arrays += [widened(state) for state in start]
        elif problem.layer.stateful:
            shapes = [slot.shape for slot in state_slots(layer, batch)]
            dtype = widened(problem.inputs.data).dtype
            arrays += [np.zeros([size for size in shape if size], dtype) for shape in shapes]
    return arrays


def _module_of(layers: TorchLayers, problem: Problem) -> TorchModule:
    """Return an nn.Module of x (B, T, D), lengths (B,) where there is a mask, and states (B, H).

    It returns the layer's outputs, and those of a stateful one also its last states.
    """
    torch = layers.torch
    parts: list[tuple[Recurrent | Bidirectional, TorchModule]] = layers.of(problem)

    class Whole(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.ModuleList([module for _, module in parts])

        def forward(self, x: TorchTensor, *arguments: TorchTensor) -> tuple[TorchTensor, ...]:
            states = list(arguments)
            lengths = states.pop(0) if problem.mask is not None else None
            outputs = [x]
            kept: list[TorchTensor] = []
            for (layer, _), module in zip(parts, self.inner, strict=True):
                start = [states.pop(0) for _ in layer.states] if states else None
                outputs, ends = layers.run(layer, module, outputs[0], lengths, start)
                kept += ends if layer.stateful else [torch.zeros_like(end) for end in ends]
            outputs += ends if problem.layer.return_state else []
            return (*outputs, *kept) if problem.layer.stateful else tuple(outputs)

    return Whole()
