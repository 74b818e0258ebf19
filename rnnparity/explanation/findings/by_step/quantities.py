"""Another quantity that is returned: c, a gate, a pre-activation, the states before the step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rnnparity.explanation.findings.by_step.cell_steps import actual_steps
from rnnparity.explanation.findings.seen.claim import Claim, weigh
from rnnparity.explanation.findings.seen.half_problem import HalfProblem
from rnnparity.explanation.findings.seen.sequences import initial_states, states_before
from rnnparity.explanation.findings.seen.view import Output
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.findings import Finding, FindingType
from rnnparity.reference import trace

# The letter of the candidate in a step.
CANDIDATE = "g"


def quantity_findings(half: HalfProblem) -> Iterator[Finding]:
    """Yield which quantity of the expected run an output that differs is."""
    quantities = dict(quantities_of(half))
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
    label = name if output.name.endswith("output") else f"{name} as {output.name}"
    finding = Finding(FindingType.OTHER_QUANTITY, label, half=half.view.prefix)
    if output.has_time:
        predicted, where = values, half.all_units(half.used)
    else:
        predicted, where = last_used(half.used, values), half.all_units(half.used_rows)
    wider = output.widened(predicted)
    # Where outputs are hardly above zero, their noise is not that of a gate.
    rounding = half.view.threshold * FLOAT_TYPES[half.layer.compute_dtype].u * np.abs(predicted)
    wider = replace(wider, allowed=np.maximum(wider.allowed, rounding))
    return wider.claim(finding, predicted, where)


def last_used(used: Array, values: Array) -> Array:
    """Return the values (B, H) at the last unmasked step of each row."""
    steps = used.shape[1]
    last = steps - 1 - np.argmax(used[:, ::-1], axis=1)
    chosen: Array = values[np.arange(len(used)), last]
    return chosen


def quantities_of(half: HalfProblem) -> Iterator[tuple[str, Array]]:
    """Yield every quantity (B, T, H) by its name."""
    traced = trace(half.problem)
    for state, initial in zip(half.layer.states, initial_states(half.problem), strict=True):
        after = np.stack([step.states[state] for step in traced], axis=1)
        yield state, after
        yield f"{state} before the step", states_before(half.used, after, initial)
    for gate in traced[0].gates:
        name = "the candidate" if gate == CANDIDATE else f"gate {gate}"
        yield name, np.stack([step.gates[gate] for step in traced], axis=1)
    h = np.stack([step.states["h"] for step in traced], axis=1)
    steps = actual_steps(half.problem, h, np.zeros_like(h))
    cell = half.layer.cell
    for gate in cell.gates:
        is_candidate = gate == cell.candidate and cell.gated
        name = "the candidate" if is_candidate else f"gate {gate}"
        yield f"pre-activation of {name}", steps.expected(gate)
