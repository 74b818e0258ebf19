"""A faulty port: a real engine, and around it the code of a port with one of the faults.

The engine is a subject. The port passes it the whole layer where it can compute it. Otherwise, or
where the fault is in the run through time, the port runs the engine half by half and merges the
outputs; with a mask, which few engines support, it runs the engine step by step. What a cell
computes is always computed by the engine, in its own arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from rnnparity.explanation.noise import in_type
from rnnparity.faults import (
    EditArithmetic,
    EditCell,
    EditMaskedStep,
    EditOutputs,
    EditRun,
    Injection,
    PlacedFault,
)
from rnnparity.faults.edit import Result, half_of
from rnnparity.faults.injection import edited_problem
from rnnparity.faults.unroller import DoesNotApplyError, FaultyUnroller
from rnnparity.problem.answer import Subject, Unsupported
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.errors import LayerError
from rnnparity.problem.keras_config import layer_spec, parse_layer
from rnnparity.problem.layers import Recurrent
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import Unroller
from rnnparity.reference.products import Product
from validation.port_onnx import with_activation


class Method(StrEnum):
    """How the port ran its engine."""

    WHOLE = "as one layer"
    HALVES = "half by half"
    STEPS = "step by step"


@dataclass(frozen=True)
class PortAnswer:
    """The outputs of a faulty port in the layer's type, and how it ran its engine."""

    outputs: tuple[Tensor, ...]
    method: Method


def run_port(subject: Subject, injection: Injection) -> PortAnswer | None:
    """Run a port around the engine with one fault; return None where the fault does not apply.

    Raises:
        Unsupported: the engine cannot compute the layer with this fault.
    """
    (placed,) = injection.placed
    problem, in_run = edited_problem(injection), injection.placed
    if problem.dropout_masks is not None and not getattr(subject, "takes_dropout_masks", False):
        raise Unsupported("the engine takes no dropout masks")
    faulty = subject
    if isinstance(placed.edit, EditCell):
        faulty = with_activation(subject, placed.edit)
    if isinstance(placed.edit, EditArithmetic):  # the engine's own arithmetic is the fault
        problem, in_run = _in_dtype(problem, placed.edit.dtype), ()
    method, outputs = Method.WHOLE, None
    if not isinstance(placed.edit, EditCell | EditRun | EditMaskedStep):
        outputs = _run_whole(subject, problem)
    if outputs is None:
        prefixes = placed.prefixes(problem)
        engines = dict.fromkeys(prefixes, faulty)
        try:
            unroller = _Port(problem, in_run, lambda prefix: engines.get(prefix, subject))
            outputs, method = unroller.run(), unroller.method
        except DoesNotApplyError:
            return None
        if not unroller.applies:
            return None
    if isinstance(placed.edit, EditOutputs):
        outputs = placed.edit.function(problem, outputs)
    if outputs is None or not all(np.isfinite(array).all() for array in outputs):
        return None
    return PortAnswer(_in_requested_type(outputs, problem, injection.problem), method)


def _in_dtype(problem: Problem, dtype: str) -> Problem:
    if not dtype:
        raise Unsupported("no policy of Keras computes in this arithmetic")
    return in_type(problem, dtype)


def _in_requested_type(
    outputs: Sequence[Array], problem: Problem, requested: Problem
) -> tuple[Tensor, ...]:
    """A port returns the requested type, whatever it computed in."""
    computed = FLOAT_TYPES[problem.layer.compute_dtype]
    dtype = requested.layer.compute_dtype
    return tuple(
        Tensor.of(slot.name, computed.round(array), dtype)
        for slot, array in zip(problem.output_slots(), outputs, strict=True)
    )


def _run_whole(subject: Subject, problem: Problem) -> list[Array] | None:
    """Run the layer on the engine, or return None where the port has to compose it.

    Some faulty layers do not exist in Keras, such as two halves that both read forward, and a
    subject need not check for them.
    """
    try:
        if parse_layer(layer_spec(problem.layer)) != problem.layer:
            return None
        return _in_float64(subject.answer(problem).outputs)
    except (Unsupported, LayerError):
        return None


def _in_float64(tensors: Sequence[Tensor]) -> list[Array]:
    return [tensor.data.astype(np.float64) for tensor in tensors]


class _OnEngine(Unroller[Array]):
    """An unroller that runs each half on an engine: all steps at once, or one by one with a mask."""

    engine_of: Callable[[str], Subject]
    method = Method.HALVES

    def run_half(self, layer: Recurrent, prefix: str, x: Array, mask: Array | None) -> Result:
        engine = _HalfEngine(self.engine_of(prefix), self.problem, prefix)
        half = replace(layer, return_state=True, stateful=False, zero_output_for_mask=False)
        if mask is not None and not mask.all():
            self.method = Method.STEPS
            step = replace(half, return_sequences=False, go_backwards=False)
            self.cells[prefix] = _EngineCell(x.shape[-1], step, engine)
            return super().run_half(layer, prefix, x, mask)
        output, states = engine.run(half, x, self.states[prefix])
        zeros = [np.zeros_like(state) for state in states]
        self.states[prefix] = states if layer.stateful else zeros
        return output, states


class _Port(FaultyUnroller, _OnEngine):
    """A run with faults on an engine."""

    def __init__(
        self, problem: Problem, placed: Sequence[PlacedFault], engine_of: Callable[[str], Subject]
    ) -> None:
        super().__init__(problem, placed, {})
        self.engine_of = engine_of


@dataclass(frozen=True)
class _HalfEngine:
    """An engine with the weights of one half of a problem."""

    subject: Subject
    problem: Problem
    prefix: str

    def run(self, layer: Recurrent, x: Array, states: Sequence[Array]) -> Result:
        """Return the output and the last states of a layer with these weights."""
        dtype = layer.compute_dtype
        weights = half_of(self.problem, self.prefix).weights
        named = zip(layer.states, states, strict=True)
        problem = Problem(
            layer,
            tuple(Tensor.of(name, array, dtype) for name, array in weights.items()),
            Tensor.of("inputs", x, dtype),
            None,
            tuple(Tensor.of(name, state, dtype) for name, state in named),
            id=self.problem.id,
        )
        output, *last_states = _in_float64(self.subject.answer(problem).outputs)
        return output, last_states


class _EngineCell:
    """A cell whose step runs the engine over one time step, the projection included."""

    def __init__(self, features: int, layer: Recurrent, engine: _HalfEngine) -> None:
        self.W = np.zeros((1, features))
        self.U = np.zeros((layer.units, 1))  # the engine has its own
        self.of_x = Product(self.W, (), np.hstack)
        self.layer, self.engine = layer, engine

    def project(self, x: Array) -> Array:
        return x

    def step(self, x: Array, *states: Array) -> tuple[tuple[Array, ...], dict[str, Array]]:
        _, new_states = self.engine.run(self.layer, x[:, None, :], states)
        return tuple(new_states), {}
