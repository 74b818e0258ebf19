"""Masked steps: where only these differ, and what is returned there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rnnparity.explanation.findings.seen.claim import weigh
from rnnparity.explanation.findings.seen.half_problem import HalfProblem
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding, FindingType
from rnnparity.reference import trace

# What a masked step may return, by name.
STATE, ZERO, PREVIOUS, NEW = "kept-state", "zero", "previous-output", "new-state"


def masked_findings(half: HalfProblem) -> Iterator[Finding]:
    """Yield what masked steps return where only these differ."""
    output = half.sequence
    if output is None or half.problem.mask is None:
        return
    wrong = np.array(output.differing.any(axis=-1))
    if not wrong.any() or wrong[half.used].any():
        return
    finding = Finding(FindingType.MASKED_STEPS_ONLY, half=half.view.prefix)
    masked = half.all_units(~half.used)
    claims = [
        output.claim(replace(finding, name=name), values, masked)
        for name, values in masked_alternatives(half)
    ]
    found = list(weigh(claims, half.view.threshold, len(claims)))
    # What masked steps return does not account for other states at the end.
    alone = not any(state.differing.any() for state in half.view.outputs[1:])
    yield replace(found[0], certain=found[0].certain and alone) if found else finding


def masked_alternatives(half: HalfProblem) -> Iterator[tuple[str, Array]]:
    """Yield what masked steps may return, (B, T, H) each."""
    states = np.stack([step.states["h"] for step in trace(half.problem)], axis=1)
    yield STATE, states
    yield ZERO, np.zeros_like(states)
    previous, output = [], np.zeros_like(states[:, 0])
    for time in range(states.shape[1]):
        output = np.where(half.used[:, time, None], states[:, time], output)
        previous.append(output)
    yield PREVIOUS, np.stack(previous, axis=1)
    yield NEW, _new_states(half, states)


def _new_states(half: HalfProblem, states: Array) -> Array:
    """Return h after every step if each masked one counted only for its own output."""
    result = states.copy()
    for time in range(states.shape[1]):
        if half.used[:, time].all():
            continue
        mask = half.used.copy()
        mask[:, time] = True
        result[:, time] = trace(replace(half.problem, mask=mask))[time].states["h"]
    return result
