"""The first value that differs, in the order of processing, and the gates that change first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnnparity.explanation.evidence import Evidence
from rnnparity.faults import Injection, PlacedFault, inject, trace_injection
from rnnparity.problem.dtypes import Array
from rnnparity.problem.explanations import Mismatch
from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack, halves
from rnnparity.problem.problem import Problem
from rnnparity.reference import TraceStep

FORWARD, BACKWARD = "forward", "backward"


@dataclass(frozen=True)
class Columns:
    """Which unit of which direction each column (last axis) of an output comes from.

    `direction` is "" where the layer has one direction, or where both meet in every value. With
    `units` the first so many columns are forward's, the others backward's.
    """

    direction: str = ""
    units: int | None = None

    def unit(self, column: int) -> int:
        """Return the index of the unit within its direction."""
        return column if self.units is None or column < self.units else column - self.units

    def direction_of(self, column: int) -> str:
        """Return "forward", "backward" or ""."""
        if self.units is None:
            return self.direction
        return FORWARD if column < self.units else BACKWARD


def columns_of(layer: Layer, output: str) -> Columns:
    """Return what the columns of an output of the layer are."""
    last = last_layer(layer)
    if not isinstance(last, Bidirectional):
        return Columns()
    for direction in (FORWARD, BACKWARD):
        if direction in output:
            return Columns(direction)
    return Columns(units=last.forward.units) if last.merge_mode == "concat" else Columns()


def last_layer(layer: Layer) -> Recurrent | Bidirectional:
    """Return the layer whose outputs a stack returns."""
    return layer.layers[-1] if isinstance(layer, Stack) else layer


def first_mismatch(evidence: Evidence, placed: Sequence[PlacedFault] = ()) -> Mismatch:
    """Return the first value that differs, in the order of processing.

    The gates are those that the faults `placed` change first.
    """
    problem = evidence.problem
    n = first_differing_output(evidence)
    differing, output = evidence.differing[n], evidence.actual[n].name
    columns = columns_of(problem.layer, output)
    step = None
    if differing.ndim == 3:
        row, step, column = _first_in_sequence(differing, columns)
    else:
        row, column = np.argwhere(differing)[0].tolist()
    gates = _first_gates(problem, placed) if placed else ()
    direction = columns.direction_of(column)
    return Mismatch(output, row, columns.unit(column), step, direction, gates)


def first_differing_output(evidence: Evidence) -> int:
    """Return the index of the first output that differs, 0 where none does."""
    return next((n for n, part in enumerate(evidence.differing) if part.any()), 0)


def _first_in_sequence(differing: Array, columns: Columns) -> tuple[int, int, int]:
    """Return row, step and column; the backward direction processes the last step first."""
    backward = [columns.direction_of(column) == BACKWARD for column in range(differing.shape[2])]
    processed = np.where(backward, differing[:, ::-1], differing)
    step = int(processed.any(axis=(0, 2)).argmax())
    row, column = np.argwhere(processed[:, step])[0].tolist()
    return row, differing.shape[1] - 1 - step if backward[column] else step, column


def _first_gates(problem: Problem, placed: Sequence[PlacedFault]) -> tuple[str, ...]:
    """Return the gates that differ at the first processed step at which anything differs."""
    injection = inject(problem, placed)
    if injection is None:
        return ()
    expected_trace = trace_injection(Injection(problem))
    faulty_trace = _last_runs(trace_injection(injection), expected_trace)
    for expected in expected_trace:
        steps = faulty_trace.get(expected.half)
        if not steps:
            return ()
        faulty = steps.pop(0)
        if not _is_comparable(expected, faulty):
            return ()
        layer = dict(halves(problem.layer))[expected.half]
        gates = tuple(name_of_gate(layer, gate) for gate in _changed_gates(expected, faulty))
        if gates or _states_differ(expected, faulty):
            return gates
    return ()


def name_of_gate(layer: Recurrent, gate: str) -> str:
    """Return the name that a gate's block has in Keras: that of the candidate g is c or h."""
    return layer.cell.candidate if gate == "g" else gate


def _last_runs(
    faulty: Sequence[TraceStep], expected: Sequence[TraceStep]
) -> dict[str, list[TraceStep]]:
    """Return the steps by half. A fault may run a half more than once: the last run counts."""
    by_half: dict[str, list[TraceStep]] = {}
    for step in faulty:
        by_half.setdefault(step.half, []).append(step)
    for half, steps in by_half.items():
        count = sum(step.half == half for step in expected)
        by_half[half] = steps[-count:]
    return by_half


def _is_comparable(expected: TraceStep, faulty: TraceStep) -> bool:
    """Return False where the fault runs the rows one by one."""
    return all(
        array.shape[-2:] == faulty.states[name].shape[-2:]
        for name, array in expected.states.items()
    )


def _changed_gates(expected: TraceStep, faulty: TraceStep) -> tuple[str, ...]:
    return tuple(
        gate
        for gate, values in expected.gates.items()
        if gate not in faulty.gates or not _same(values, faulty.gates[gate])
    )


def _states_differ(expected: TraceStep, faulty: TraceStep) -> bool:
    return any(not _same(array, faulty.states[name]) for name, array in expected.states.items())


def _same(values: Array, reference: Array) -> bool:
    return bool(np.allclose(values, reference, rtol=1e-9, atol=1e-12))
