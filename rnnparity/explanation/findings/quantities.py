"""Another quantity that is returned: c, a gate, a pre-activation, the states before the step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rnnparity.explanation.findings.claim import Claim, weigh
from rnnparity.explanation.findings.half_problem import HalfProblem
from rnnparity.explanation.findings.view import Output
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.findings import Finding, FindingType
from rnnparity.problem.problem import Problem
from rnnparity.reference import TraceStep, trace

# The units of a quantity's noise: that of the output, grown by how much larger its values are.
GROWTH = 4.0
# The letters of the candidate: among the gates of a step, and among the blocks of the weights.
CANDIDATE, CANDIDATE_BLOCKS = "g", "ch"


def quantity_findings(half: HalfProblem) -> Iterator[Finding]:
    """Yield which quantity of the expected run an output that differs is."""
    steps = trace(half.problem)
    quantities = {name: np.stack(arrays, axis=1) for name, arrays in _quantities(half, steps)}
    for output in half.view.differing:
        claims = [
            _claim(half, output, name, values)
            for name, values in quantities.items()
            if name != _expected_quantity(output)
        ]
        yield from weigh(claims, half.view.threshold, len(claims))


def _expected_quantity(output: Output) -> str:
    """Return the state that an output should be: h, or that in its name ("forward_c")."""
    return "c" if output.name.endswith("c") else "h"


def _claim(half: HalfProblem, output: Output, name: str, values: Array) -> Claim:
    """Return the claim that an output is a quantity (B, T, H), at all unmasked steps."""
    label = name if output is half.view.outputs[0] else f"{name} as {output.name}"
    finding = Finding(FindingType.OTHER_QUANTITY, label, half=half.view.prefix)
    if output.has_time:
        predicted, where = values, half.all_units(half.used)
    else:
        predicted, where = _last(half.used, values), half.all_units(half.used_rows)
    size = max(1.0, float(np.abs(predicted).max() / max(np.abs(output.expected).max(), 1e-30)))
    # Where outputs are hardly above zero, their noise is not that of a gate.
    rounding = half.view.threshold * FLOAT_TYPES[half.layer.compute_dtype].u * np.abs(predicted)
    allowed = np.maximum(output.allowed * GROWTH * size, rounding)
    wider = Output(output.name, output.actual, output.expected, allowed)
    return wider.claim(finding, predicted, where)


def _last(used: Array, values: Array) -> Array:
    """Return the values (B, H) at the last unmasked step of each row."""
    steps = used.shape[1]
    last = steps - 1 - np.argmax(used[:, ::-1], axis=1)
    chosen: Array = values[np.arange(len(used)), last]
    return chosen


def _quantities(half: HalfProblem, steps: list[TraceStep]) -> Iterator[tuple[str, list[Array]]]:
    """Yield every quantity by its name, one array (B, H) a step."""
    for state in half.layer.states:
        after = [step.states[state] for step in steps]
        yield state, after
        yield f"{state} before the step", [_start(half, state), *after[:-1]]
    for gate in steps[0].gates:
        name = "the candidate" if gate == CANDIDATE else f"gate {gate}"
        yield name, [step.gates[gate] for step in steps]
    h = [_start(half, "h"), *(step.states["h"] for step in steps[:-1])]
    for number, gate in enumerate(half.layer.cell.gates):
        candidate = gate in CANDIDATE_BLOCKS and half.layer.cell.gated
        yield (
            f"pre-activation of {'the candidate' if candidate else f'gate {gate}'}",
            [
                _pre_activation(half.problem, number, time, before, step)
                for time, (before, step) in enumerate(zip(h, steps, strict=True))
            ],
        )


def _start(half: HalfProblem, state: str) -> Array:
    """Return an initial state (B, H)."""
    if half.problem.initial_state is None:
        return np.zeros((len(half.used), half.layer.units))
    index = half.layer.states.index(state)
    return half.problem.initial_state[index].data.astype(np.float64)


def _pre_activation(problem: Problem, gate: int, time: int, h: Array, step: TraceStep) -> Array:
    """Return x W + h U + b of one gate; of a GRU's candidate with the reset gate where it acts."""
    layer, units = problem.layer, h.shape[-1]
    columns = slice(gate * units, (gate + 1) * units)
    W, U, *biases = (tensor.data.astype(np.float64)[..., columns] for tensor in problem.weights)
    b = biases[0] if biases else np.zeros(units)
    rows = b if b.ndim == 2 else np.stack([b, np.zeros(units)])
    x = problem.inputs.data[:, time].astype(np.float64) @ W + rows[0]
    if "r" not in step.gates or gate < 2:
        return x + h @ U + rows[1]  # type: ignore[no-any-return]
    r = step.gates["r"]
    if getattr(layer, "reset_after", True):
        return x + r * (h @ U + rows[1])  # type: ignore[no-any-return]
    return x + (r * h) @ U  # type: ignore[no-any-return]
