"""The values of the step at which outputs first differ: expected, actual, and under the cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.location import last_layer, name_of_gate
from rnnparity.faults import Injection, Mutant, inject, trace_injection
from rnnparity.problem.dtypes import Array
from rnnparity.problem.explanations import Mismatch, StepValue
from rnnparity.problem.layers import Bidirectional, Recurrent, halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import TraceStep


def step_values(
    evidence: Evidence, first: Mismatch, mutant: Mutant | None
) -> tuple[StepValue, ...]:
    """Return the output at the first mismatch, and the states and gates of its unit and step."""
    return tuple(_values(evidence, first, mutant))


def _values(evidence: Evidence, first: Mismatch, mutant: Mutant | None) -> Iterator[StepValue]:
    index = _index(evidence, first)
    number = [tensor.name for tensor in evidence.actual].index(first.output)
    expected = float(evidence.expected_arrays[number][index])
    actual = float(evidence.actual_arrays[number][index])
    yield StepValue(first.output, expected, actual, _with_cause(mutant, number, index))
    half = _half_of(evidence.problem, first)
    if half is None:
        return
    time = _time(evidence.problem, half[1], first)
    values = _traced(trace_injection(Injection(evidence.problem)), half, time, first)
    changed = _traced(_faulty_trace(evidence.problem, mutant), half, time, first)
    for name, value in values.items():
        yield StepValue(name, value, None, changed.get(name))


def _index(evidence: Evidence, first: Mismatch) -> tuple[int, ...]:
    """Return the index of the first mismatch in its output."""
    column = first.unit
    last = last_layer(evidence.problem.layer)
    if first.direction == "backward" and first.output.endswith("output"):
        concatenated = isinstance(last, Bidirectional) and last.merge_mode == "concat"
        column += last.forward.units if concatenated and isinstance(last, Bidirectional) else 0
    return (first.row, column) if first.step is None else (first.row, first.step, column)


def _with_cause(mutant: Mutant | None, number: int, index: tuple[int, ...]) -> float | None:
    outputs: Sequence[Tensor] = mutant.outputs if mutant is not None else ()
    if number >= len(outputs) or outputs[number].data.ndim != len(index):
        return None
    return float(outputs[number].data[index])


def _half_of(problem: Problem, first: Mismatch) -> tuple[str, Recurrent] | None:
    """Return the half of the last layer that a value comes from, None where two are merged."""
    last = last_layer(problem.layer)
    inside = halves(problem.layer)[-len(halves(last)) :]
    if len(inside) == 1:
        return inside[0]
    chosen = [pair for pair in inside if pair[0].endswith(f"{first.direction}/")]
    return chosen[0] if first.direction and len(chosen) == 1 else None


def _time(problem: Problem, half: Recurrent, first: Mismatch) -> int:
    """Return the step of the inputs that a value comes from."""
    steps = problem.inputs.shape[1]
    if first.step is not None:
        processed_order = isinstance(last_layer(problem.layer), Recurrent) and half.go_backwards
        return steps - 1 - first.step if processed_order else first.step
    used = np.ones(steps, bool) if problem.mask is None else problem.mask[first.row]
    times = np.flatnonzero(used).tolist() or [0]
    return int(times[0] if half.go_backwards else times[-1])


def _faulty_trace(problem: Problem, mutant: Mutant | None) -> list[TraceStep]:
    injection = None if mutant is None else inject(problem, mutant.placed)
    return [] if injection is None else trace_injection(injection)


def _traced(
    trace: Sequence[TraceStep], half: tuple[str, Recurrent], time: int, first: Mismatch
) -> Mapping[str, float]:
    """Return the states and gates of a unit at a step by name; a half may have run twice."""
    prefix, layer = half
    steps = [step for step in trace if step.half == prefix and step.time == time]
    if not steps:
        return {}
    arrays = {name: array for name, array in steps[-1].states.items() if name != "h"}
    arrays |= {
        f"gate {name_of_gate(layer, gate)}": array for gate, array in steps[-1].gates.items()
    }
    return {name: _unit(array, first) for name, array in arrays.items()}


def _unit(array: Array, first: Mismatch) -> float:
    """Return the value of a unit; a fault may run the rows one by one."""
    rows = array.reshape(-1, array.shape[-1])
    return float(rows[first.row if first.row < len(rows) else 0, first.unit])
