"""ONNX models on ONNX Runtime, every tensor an output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from rnnparity.models.ports.onnx_bodies import by_step, expose_bodies
from rnnparity.models.ports.port import Port, PortRequest, check_count, check_loop_bytes
from rnnparity.models.worker import limit_memory
from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import FormatError, RequestError
from rnnparity.problem.tensor import Tensor
from rnnparity.subjects.onnx_engines import OnnxRuntime

OnnxModel: TypeAlias = Any

# The sigmoid of ONNX Runtime's LSTM is exact to 1e-7 in absolute terms only: the known difference
# "sigmoid-of-the-lstm-is-coarse-near-zero". Two gates multiply what is returned.
ABSOLUTE = 2e-7
# Bytes of a number of the largest type.
LARGEST_ITEM = 8


def run_onnx(path: str, request: PortRequest) -> Port:
    """Run an ONNX model without graph optimizations, which would remove tensors.

    Raises:
        RequestError: it is not a model, takes other inputs, or does not run.
    """
    engine = OnnxRuntime()
    limit_memory()
    engine.options.graph_optimization_level = engine.runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        model = engine.onnx.load(path)
    except Exception as error:  # whatever onnx raises for a damaged file
        raise RequestError(f"{path}: cannot be loaded as ONNX: {_line(error)}") from None
    if not model.graph.node:  # bytes that are no model may be read as one that is empty
        raise RequestError(f"{path}: cannot be loaded as ONNX: it has no nodes")
    graph = _Graph(path, engine, model, _feeds(path, engine, model, request.inputs))
    with suppress(FormatError):  # it does not run; then the message comes from the whole model
        graph = replace(graph, model=_with_branches(graph))
    return graph.run(request)


def _with_branches(graph: _Graph) -> OnnxModel:
    from rnnparity.subjects.onnx_models.branches import with_taken_branches

    return with_taken_branches(graph.model, graph.feeds, graph.engine)


@dataclass(frozen=True, eq=False)
class _Graph:
    """A model, what is fed to it, and the engine that runs it."""

    path: str
    engine: OnnxRuntime
    model: OnnxModel
    feeds: Mapping[str, Array]

    def run(self, request: PortRequest) -> Port:
        """Return what it computes, with the tensors of bodies that have a wanted size.

        Raises:
            RequestError: it does not run, or these take too much memory.
        """
        wanted: dict[str, int] = {}
        with suppress(RequestError):  # a loop whose tensors cannot be collected
            wanted = self._of_size(request.sizes)
        check_loop_bytes(self.path, LARGEST_ITEM * sum(wanted.values()))
        try:
            return self._port(request, lambda name: name in wanted)
        except RequestError:  # a tensor whose shape is another at every step cannot be collected
            return self._port(request, lambda _: False)

    def _of_size(self, sizes: frozenset[int]) -> dict[str, int]:
        """Return the tensors of bodies that have one of these sizes, and the size of all steps together.

        That is the size that counts, of those in `by_step` also that of one step.
        A first run collects the sizes only: all tensors would need much memory.
        """
        model = self._copy()
        names = expose_bodies(self.engine.onnx, model.graph, lambda _: True, sizes=True)
        if not names:
            return {}
        counts = self._arrays(model, sorted(names))
        steps = by_step(model.graph)
        return {
            name: int(array.sum())
            for name, array in counts.items()
            if int(array.sum()) in sizes or (name in steps and set(array.flat) <= sizes)
        }

    def _port(self, request: PortRequest, is_wanted: Callable[[str], bool]) -> Port:
        model = self._copy()
        exposed = expose_bodies(self.engine.onnx, model.graph, is_wanted)
        final = [output.name for output in model.graph.output]
        inner = [name for node in model.graph.node for name in node.output if name]
        arrays = self._arrays(model, list(dict.fromkeys([*final, *inner])))
        order = [*self.feeds]
        for node in model.graph.node:  # a body is executed before its node returns
            order += sorted(node.output, key=lambda name: name not in exposed)
        computed = {**self.feeds, **arrays}
        steps = exposed & by_step(model.graph)
        tensors = [
            tensor
            for name in dict.fromkeys(order)
            if isinstance(computed.get(name), np.ndarray)
            for tensor in _kept(request, name, computed[name], name in steps)
        ]
        final_outputs = tuple(Tensor(name, arrays[name]) for name in final)
        return Port(tuple(tensors), final_outputs, absolute=ABSOLUTE)

    def _copy(self) -> OnnxModel:
        model = type(self.model)()
        model.CopyFrom(self.model)
        return model

    def _arrays(self, model: OnnxModel, names: Sequence[str]) -> dict[str, Array]:
        """Return tensors of a model, which are made its outputs."""
        make = self.engine.onnx.helper.make_empty_tensor_value_info
        known = {output.name for output in model.graph.output}
        model.graph.output.extend(make(name) for name in names if name not in known)
        order = [output.name for output in model.graph.output]
        try:
            session = self.engine.load(model.SerializeToString())
        except Exception as error:  # whatever the engine raises for a damaged file
            raise RequestError(f"{self.path}: cannot be loaded as ONNX: {_line(error)}") from None
        try:
            values = self.engine.run(session, self.feeds)
        except Exception as error:  # whatever an operator of the engine raises
            message = f"{self.path}: does not run on these inputs: {_line(error)}"
            raise RequestError(message) from None
        arrays = dict(zip(order, values, strict=True))
        return {name: arrays[name] for name in names}


def _kept(request: PortRequest, name: str, array: Array, is_by_step: bool) -> Iterator[Tensor]:
    """Yield a tensor where it may be compared, before it the parts at each step, "NAME[0]", ..."""
    for step, part in enumerate(array if is_by_step else []):
        yield from request.kept(f"{name}[{step}]", part)
    yield from request.kept(name, array)


def _line(error: Exception) -> str:
    """Return an error of ONNX Runtime in one line without its code."""
    return " ".join(str(error).split()).rpartition(" : ")[2]


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
