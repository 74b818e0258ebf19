"""Dropout between layers that was left on, with another pattern in every step.

Axis letters: B batch, T time, D features, H units, P patterns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np

from rnnparity.explanation.findings.seen.claim import Claim
from rnnparity.explanation.findings.seen.half_problem import HalfProblem
from rnnparity.explanation.findings.seen.sequences import initial_states
from rnnparity.explanation.findings.seen.view import Output
from rnnparity.explanation.search import CHANCE
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding, FindingType, OtherInputs
from rnnparity.problem.problem import Tensor
from rnnparity.reference import compute

# Rates that are usual; every pattern of up to so many features is tried.
RATES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.75, 0.8)
MOST_FEATURES = 8
# So many rows are tried first, and so many values are computed for them all.
FIRST_ROWS, MOST_VALUES = 2, 2**22
# The noise of other inputs may be larger.
GROWTH = 4.0


def dropped_findings(half: HalfProblem) -> Iterator[Finding]:
    """Yield the rate of a dropout between layers that accounts for the sequence of a half.

    Dropout of the inputs of a whole layer is a fault of the list.
    """
    sequence = half.sequence
    features = half.problem.inputs.shape[-1]
    above = half.input_sigmas is not None
    if not above or sequence is None or features > MOST_FEATURES:
        return
    if not np.isfinite(sequence.actual).all():
        return
    patterns = np.array(list(product((0.0, 1.0), repeat=features)))
    rows = np.argsort(-sequence.differing.any(axis=-1).sum(axis=1))[:FIRST_ROWS]
    if len(patterns) * sequence.actual.size * len(rows) > MOST_VALUES * len(sequence.actual):
        return
    for rate in RATES:
        if _predicted(half, sequence, patterns / (1 - rate), rows) is None:
            continue
        every = np.arange(len(sequence.actual))
        predicted = _predicted(half, sequence, patterns / (1 - rate), every)
        if predicted is not None:
            yield from _finding(half, sequence, predicted, rate)


def _predicted(half: HalfProblem, sequence: Output, factors: Array, rows: Array) -> Array | None:
    """Return the output nearest to the actual one, each step with one of the factors (P, D) of its inputs.

    It starts every step from the actual h. None where a step has no factors that come near.
    """
    layer = replace(half.layer, return_sequences=False, return_state=True)
    states = [state[rows] for state in initial_states(half.problem)]
    x = half.problem.inputs.data[rows].astype(np.float64)
    predicted = sequence.expected[rows].copy()
    count = len(factors)
    for step in range(x.shape[1]):
        used = half.used[rows, step]
        inputs = (x[:, step, None] * factors).reshape(len(rows) * count, 1, -1)
        one = replace(
            half.problem,
            layer=layer,
            inputs=Tensor.of("inputs", inputs, "float64"),
            mask=None,
            initial_state=tuple(
                Tensor(name, np.repeat(state, count, axis=0))
                for name, state in zip(layer.states, states, strict=True)
            ),
        )
        _, *after = (t.data.reshape(len(rows), count, -1) for t in compute(one))
        error = np.abs(after[0] - sequence.actual[rows, None, step])
        far = (error / sequence.allowed[rows, None, step]).max(axis=-1)
        nearest = far.argmin(axis=1)
        if (far.min(axis=1)[used] > GROWTH).any():
            return None
        chosen = [values[np.arange(len(rows)), nearest] for values in after]
        predicted[used, step] = chosen[0][used]
        chosen[0] = sequence.actual[rows, step]
        states = [
            np.where(used[:, None], new, old) for new, old in zip(chosen, states, strict=True)
        ]
    return predicted


def _finding(
    half: HalfProblem, sequence: Output, predicted: Array, rate: float
) -> Iterator[Finding]:
    """Yield the finding where the evidence is more than that some pattern fits each step."""
    finding = Finding(FindingType.INPUTS, OtherInputs.DROPPED, value=rate, half=half.view.prefix)
    where = half.all_units(half.used)
    wide = replace(sequence, allowed=sequence.allowed * GROWTH)
    moved = np.abs(predicted - sequence.expected)
    arrays = (sequence.actual, predicted, wide.allowed, np.where(moved > wide.allowed, moved, 0.0))
    claim = Claim(finding, *(array[where] for array in arrays))
    steps = int((moved > wide.allowed).any(axis=-1).sum())
    choices = steps * half.problem.inputs.shape[-1] * np.log10(2) + np.log10(len(RATES))
    if claim.distance <= 1 and claim.chance < 0:
        certain = bool(choices + claim.chance < np.log10(CHANCE))
        yield replace(finding, sigma=claim.distance * half.view.threshold * GROWTH, certain=certain)
