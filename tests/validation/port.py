"""A port made wrong on purpose: a real engine, and around it the code of somebody who has made one
of the mistakes.

The engine is a subject. Where it can express the whole layer it is asked for that; where it cannot,
or where the mistake is on the way through time, the port's own code runs it half by half and merges
what it gives; under a mask, which few engines have, step by step. What is computed in a cell is
always the engine's, in its own arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

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
from rnnparity.faults.run import FaultyUnroller
from rnnparity.problem.answer import Subject, Unsupported
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.errors import LayerError
from rnnparity.problem.keras_config import layer_spec, parse_layer
from rnnparity.problem.layers import Recurrent
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import Unroller
from validation.port_onnx import other_equations


class Way(StrEnum):
    """How the engine was run."""

    WHOLE = "as one layer"
    HALVES = "half by half"
    STEPS = "step by step"


@dataclass(frozen=True)
class Carried:
    """What a wrong port gives, in the type of the layer, and how it ran its engine."""

    outputs: tuple[Tensor, ...]
    way: Way


def carry(subject: Subject, struck: Injection) -> Carried | None:
    """What a port around this engine gives under one fault, or None where the fault does not fit.

    Raises:
        Unsupported: the engine cannot be made to compute that.
    """
    (placed,) = struck.placed
    edit, problem, in_run = placed.fault.edit, edited_problem(struck), struck.placed
    faulty = other_equations(subject, edit) if isinstance(edit, EditCell) else subject
    if isinstance(edit, EditArithmetic):
        problem, in_run = _in_other_type(problem, edit), ()
    by_parts = isinstance(edit, EditCell | EditRun | EditMaskedStep)
    given = None if by_parts else _whole(subject, problem)
    way = Way.WHOLE
    if given is None:
        struck_halves = placed.prefixes(problem)
        unroller = _Port(
            problem, in_run, lambda prefix: faulty if prefix in struck_halves else subject
        )
        given, way = unroller.run().outputs, unroller.way
        if not unroller.applies:
            return None
    outputs = edit.function(problem, given) if isinstance(edit, EditOutputs) else given
    if outputs is None or not all(np.isfinite(array).all() for array in outputs):
        return None
    # A port returns what it has in the type it was asked for, whatever it has computed in.
    own, asked = (FLOAT_TYPES[one.layer.compute_dtype] for one in (problem, struck.problem))
    slots = problem.output_slots()
    return Carried(
        tuple(
            Tensor.of(s.name, own.round(a), asked.name) for s, a in zip(slots, outputs, strict=True)
        ),
        way,
    )


def _in_other_type(problem: Problem, edit: EditArithmetic) -> Problem:
    """The same layer under the policy of a coarser type; nothing else is wrong then."""
    if not edit.dtype:
        raise Unsupported("no policy of Keras computes in this arithmetic")
    return in_type(problem, edit.dtype)


def _whole(subject: Subject, problem: Problem) -> list[Array] | None:
    """The layer from the engine at once, or None where the port has to put it together.

    Keras has no layer with halves that both read forward, say, and a subject need not look whether
    it got one.
    """
    try:
        if parse_layer(layer_spec(problem.layer)) != problem.layer:
            return None
        return [tensor.data.astype(np.float64) for tensor in subject.answer(problem).outputs]
    except (Unsupported, LayerError):
        return None


class _OnEngine(Unroller[Array]):
    """A walk whose halves are run by an engine each: all steps at once, or one by one where some
    are masked."""

    engine: Callable[[str], Subject]
    way = Way.HALVES

    def run_half(self, layer: Recurrent, prefix: str, x: Array, mask: Array | None) -> Result:
        own = half_of(self.problem, prefix).weights
        kind = layer.compute_dtype
        weights = tuple(Tensor.of(name, array, kind) for name, array in own.items())

        def ask(layer: Recurrent, x: Array, states: Sequence[Any]) -> Result:
            """The engine's output and last states."""
            start = tuple(
                Tensor.of(name, state, kind)
                for name, state in zip(layer.states, states, strict=True)
            )
            inputs = Tensor.of("inputs", x, kind)
            answer = self.engine(prefix).answer(
                Problem(layer, weights, inputs, None, start, id=self.problem.id)
            )
            output, *ends = (tensor.data.astype(np.float64) for tensor in answer.outputs)
            return output, ends

        alone = replace(layer, return_state=True, stateful=False, zero_output_for_mask=False)
        if mask is not None and not mask.all():
            self.way = Way.STEPS
            one_step = replace(alone, return_sequences=False, go_backwards=False)
            self.cells[prefix] = _EngineCell(
                x.shape[-1], lambda x, states: ask(one_step, x, states)[1]
            )
            return super().run_half(layer, prefix, x, mask)
        output, states = ask(alone, x, self.states[prefix])
        zeros = [np.zeros_like(state) for state in states]
        self.states[prefix] = states if layer.stateful else zeros
        return output, states


class _Port(FaultyUnroller, _OnEngine):
    """The walk in which faults strike, on an engine."""

    def __init__(
        self, problem: Problem, placed: Sequence[PlacedFault], engine: Callable[[str], Subject]
    ) -> None:
        super().__init__(problem, placed, {})
        self.engine = engine


class _EngineCell:
    """A cell whose step is a run of the engine over one step: what it projects is left to the
    engine as well."""

    def __init__(self, features: int, ask: Callable[[Array, Sequence[Any]], list[Any]]) -> None:
        self.W = np.zeros((1, features))
        self.ask = ask

    def project(self, x: Array) -> Array:
        return x

    def step(self, x: Array, *states: Array) -> tuple[tuple[Array, ...], dict[str, Array]]:
        return tuple(self.ask(x[:, None, :], states)), {}
