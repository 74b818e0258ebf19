"""The steps of a huge problem that are explained: few, and with the states before them.

A fault changes nothing before the first step that differs, so that the expected states there are
those of the other side too. Where only the last output is returned, the steps in the middle are left
out if the expected outputs show that they are forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rnnparity.explanation.evidence import Evidence
from rnnparity.faults import with_flag
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack, halves
from rnnparity.problem.problem import Problem
from rnnparity.problem.shapes import state_slots
from rnnparity.problem.tensor import Tensor
from rnnparity.reference import compute, trace
from rnnparity.reference.tolerance import expect

# Steps before the first that differs and after the first that differs much, and the least number.
BEFORE, AFTER, STEPS = 8, 4, 8
# What differs much, as a part of the largest error; what differs at all, in units of rounding of
# the largest value.
MUCH, ROUNDINGS = 1e-3, 100
# Multiply-adds of one pass over a slice. Hundreds of passes take some seconds.
LARGE = 4e6
# So often as many steps are kept as the expected outputs remember: a fault may remember longer.
MEMORY = 2


@dataclass(frozen=True)
class Steps:
    """The processed steps from `start` to `stop` of `total`.

    `joined`: the first and the last so many steps instead, without those between them.
    """

    start: int
    stop: int
    total: int
    joined: int = 0

    @property
    def count(self) -> int:
        return 2 * self.joined or self.stop - self.start

    @property
    def cut(self) -> bool:
        """Whether there are fewer of them than in the whole."""
        return self.count < self.total

    def part_of(self, evidence: Evidence) -> Evidence:
        """Return the evidence of only these steps."""
        if not self.cut:
            return evidence
        if not self.joined:
            return _window(evidence, self)
        part = _joined(evidence.problem, self.joined)
        return Evidence(part, evidence.actual, expect(part))


def chosen_steps(evidence: Evidence, errors: Array) -> Steps:
    """Return the steps of a problem that are explained; `errors` (B, ...) are those of its output."""
    problem = evidence.problem
    total = problem.inputs.shape[1]
    every = Steps(0, total, total)
    if problem.calls is not None:
        return every
    if not problem.layer.return_sequences:
        return replace(every, joined=_forgotten(evidence))
    return _differing_steps(evidence, errors) if _can_be_cut(problem.layer) else every


def _differing_steps(evidence: Evidence, errors: Array) -> Steps:
    """Return the steps around the first difference and the first large one, not too many."""
    problem = evidence.problem
    total = problem.inputs.shape[1]
    by_step = errors.max(axis=(0, 2))
    scale = float(np.abs(evidence.expected_arrays[0]).max())
    rounding = ROUNDINGS * FLOAT_TYPES[problem.threshold_type].u * scale
    large = np.flatnonzero(by_step > MUCH * by_step.max())
    if not len(large):
        return Steps(0, total, total)
    small = np.flatnonzero(by_step > rounding)
    start = _unmasked(problem, min([*small[:1].tolist(), int(large[0])]) - BEFORE)
    stop = max(int(large[0]) + 1 + AFTER, start + STEPS)
    return Steps(start, min(total, stop, start + max(STEPS, _affordable(problem))), total)


def _unmasked(problem: Problem, step: int) -> int:
    """Return the last processed step up to this one that no row masks, 0 if there is none.

    A masked step returns the output of the step before it, which must not be left out.
    """
    if step <= 0:
        return 0
    if problem.mask is None:
        return step
    order = -1 if _from_end(problem.layer) else 1
    used = np.flatnonzero(problem.mask[:, ::order][:, : step + 1].all(axis=0))
    return int(used[-1]) if len(used) else 0


def _affordable(problem: Problem) -> int:
    """Return how many steps a slice may have."""
    return int(
        LARGE / (sum(tensor.data.size for tensor in problem.weights) * len(problem.inputs.data))
    )


def _from_end(layer: Layer) -> bool:
    return isinstance(layer, Recurrent) and layer.go_backwards


def _window(evidence: Evidence, steps: Steps) -> Evidence:
    """Return the evidence of a problem that starts from the states before a step.

    The states are not returned. The noise is that of the whole run where it is larger.
    """
    problem, total = evidence.problem, steps.total
    kept = slice(steps.start, steps.stop)
    span = slice(total - kept.stop, total - kept.start) if _from_end(problem.layer) else kept
    part = replace(
        problem,
        layer=with_flag(problem.layer, "return_state", False),
        inputs=replace(problem.inputs, data=problem.inputs.data[:, span]),
        mask=None if problem.mask is None else problem.mask[:, span],
    )
    if steps.start:
        part = replace(part, initial_state=_states_before(problem, steps.start))
    expected = expect(part)
    sigma = np.maximum(expected.sigmas[0], evidence.expected.sigmas[0][:, kept])
    output = evidence.actual[0]
    actual = (replace(output, data=output.data[:, kept]),)
    return Evidence(part, actual, replace(expected, sigmas=(sigma,)))


def _states_before(problem: Problem, step: int) -> tuple[Tensor, ...]:
    """Return the expected states of every half before a processed step."""
    total = problem.inputs.shape[1]
    time = total - step if _from_end(problem.layer) else step - 1
    states = {record.half: record.states for record in trace(problem) if record.time == time}
    arrays = [
        states[prefix][name] for prefix, half in halves(problem.layer) for name in half.states
    ]
    slots = state_slots(problem.layer, len(problem.inputs.data))
    return tuple(
        Tensor.of(slot.name, array, problem.inputs.dtype)
        for slot, array in zip(slots, arrays, strict=True)
    )


def _can_be_cut(layer: Layer) -> bool:
    """Return whether the first outputs depend only on the inputs that are processed first."""
    if isinstance(layer, Stack):
        return all(
            isinstance(inner, Recurrent) and not inner.go_backwards for inner in layer.layers
        )
    return not isinstance(layer, Bidirectional)


def _forgotten(evidence: Evidence) -> int:
    """Return how many steps at both ends decide the last outputs, 0 if all of them do."""
    problem, expected = evidence.problem, evidence.expected
    total, count = problem.inputs.shape[1], STEPS
    while 2 * MEMORY * count < total:
        outputs = compute(_joined(problem, count))
        triples = zip(outputs, expected.outputs, expected.sigmas, strict=True)
        allowed = expected.dtype.threshold
        if all((np.abs(a.data - b.data) <= allowed * sigma).all() for a, b, sigma in triples):
            return MEMORY * count
        count *= 2
    return 0


def _joined(problem: Problem, count: int) -> Problem:
    """Return the problem with only so many steps at the start and at the end."""
    total = problem.inputs.shape[1]
    kept = np.r_[:count, total - count : total]
    return replace(
        problem,
        inputs=replace(problem.inputs, data=problem.inputs.data[:, kept]),
        mask=None if problem.mask is None else problem.mask[:, kept],
    )
