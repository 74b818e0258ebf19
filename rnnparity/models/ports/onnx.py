"""ONNX models on ONNX Runtime, every tensor an output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from rnnparity.models.ports.onnx_bodies import expose_bodies
from rnnparity.models.ports.port import Port, PortRequest, check_count
from rnnparity.models.worker import limit_memory
from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import RequestError
from rnnparity.problem.tensor import Tensor
from rnnparity.subjects.onnx_engines import OnnxRuntime

OnnxModel: TypeAlias = Any


def run_onnx(path: str, request: PortRequest) -> Port:
    """Run an ONNX model without graph optimizations, which would remove tensors.

    Raises:
        RequestError: it is not a model, takes other inputs, or does not run.
    """
    engine = OnnxRuntime()
    limit_memory()
    engine.options.graph_optimization_level = engine.runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return _run(path, engine, request, with_bodies=True)
    except RequestError:  # a tensor whose shape is another at every step cannot be collected
        return _run(path, engine, request, with_bodies=False)


def _run(path: str, engine: OnnxRuntime, request: PortRequest, with_bodies: bool) -> Port:
    try:
        model = engine.onnx.load(path)
        final = [output.name for output in model.graph.output]
        exposed = expose_bodies(engine.onnx, model.graph) if with_bodies else set()
        names = _with_all_outputs(engine.onnx, model)
        session = engine.load(model.SerializeToString())
    except Exception as error:  # whatever onnx and the engine raise for a damaged file
        raise RequestError(f"{path}: cannot be loaded as ONNX: {_line(error)}") from None
    feeds = _feeds(path, engine, model, request.inputs)
    try:
        arrays = dict(zip(names, engine.run(session, feeds), strict=True))
    except Exception as error:  # likewise
        raise RequestError(f"{path}: does not run on these inputs: {_line(error)}") from None
    order = [*feeds]
    for node in model.graph.node:  # a body is executed before its node returns
        order += sorted(node.output, key=lambda name: name not in exposed)
    computed = {**feeds, **arrays}
    tensors = [
        tensor
        for name in dict.fromkeys(order)
        if isinstance(computed.get(name), np.ndarray)
        for tensor in request.kept(name, computed[name])
    ]
    return Port(tuple(tensors), tuple(Tensor(name, arrays[name]) for name in final))


def _line(error: Exception) -> str:
    """Return an error of ONNX Runtime in one line without its code."""
    return " ".join(str(error).split()).rpartition(" : ")[2]


def _with_all_outputs(onnx: OnnxModel, model: OnnxModel) -> list[str]:
    """Make every tensor of the graph an output of the model, and return the names of all."""
    names = [output.name for output in model.graph.output]
    inner = [name for node in model.graph.node for name in node.output if name]
    for name in dict.fromkeys(inner):
        if name not in names:
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
            names.append(name)
    return names


def _feeds(
    path: str, engine: OnnxRuntime, model: OnnxModel, inputs: Sequence[Tensor]
) -> dict[str, Array]:
    """Return the model's inputs by the graph's names, or in its order where it has other names."""
    constants = {constant.name for constant in model.graph.initializer}
    slots = [slot for slot in model.graph.input if slot.name not in constants]
    check_count(path, len(slots), len(inputs))
    by_name = {tensor.name: tensor for tensor in inputs}
    if set(by_name) != {slot.name for slot in slots}:
        by_name = {slot.name: tensor for slot, tensor in zip(slots, inputs, strict=True)}
    return {
        slot.name: by_name[slot.name].data.astype(
            engine.onnx.helper.tensor_dtype_to_np_dtype(slot.type.tensor_type.elem_type)
        )
        for slot in slots
    }
