"""The steps of a huge problem that are explained: few, and with the states before them.

A fault changes nothing before the first step that differs, so that the expected states there are
those of the other side too. What is processed towards that step from the end has other states: as
many steps as it remembers are kept after those that are looked at. Where only the last output is
returned, the steps in the middle are left out if the expected outputs show that they are forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.explanation.cut import can_be_cut, half_orders
from rnnparity.explanation.evidence import Evidence
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.layers import Bidirectional, Layer
from rnnparity.problem.problem import Problem
from rnnparity.reference import compute
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
# What is left of forgotten steps, as a part of what is allowed, where a difference is looked for.
LEFT = 0.1


@dataclass(frozen=True)
class Steps:
    """The steps of the output from `start` to `stop` of `total`.

    `joined`: the first and the last so many steps instead, without those between them. `compared`
    are those of the steps that are compared, None for all of them.
    """

    start: int
    stop: int
    total: int
    joined: int = 0
    compared: slice | None = None

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
        part = joined(evidence.problem, self.joined)
        return Evidence(part, evidence.actual, expect(part))


def chosen_steps(evidence: Evidence, errors: Sequence[Array]) -> Steps:
    """Return the steps of a problem that are explained; `errors` are those of its outputs."""
    problem = evidence.problem
    layer, total = problem.layer, problem.inputs.shape[1]
    every = Steps(0, total, total)
    if problem.calls is not None:
        return every
    if not layer.return_sequences:
        return replace(every, joined=_forgotten(evidence))
    if not can_be_cut(problem):
        return every
    sequences = [part.max(axis=0) for part in errors if part.ndim == 3]
    ends = _ends(layer, [part > _rounding(evidence) for part in sequences])
    by_step = np.max([part.max(axis=1) for part in sequences], axis=0)
    differing = by_step > _rounding(evidence)
    from_end = ends == {True} or (len(ends) > 1 and bool(differing[-1] and not differing[0]))
    order = slice(None, None, -1 if from_end else 1)
    steps = _differing_steps(evidence, by_step[order], _used(problem)[:, order])
    if from_end:
        steps = replace(steps, start=total - steps.stop, stop=total - steps.start)
    return steps if len(ends) < 2 or not steps.cut else _with_margin(evidence, steps, from_end)


def _ends(layer: Layer, differing_units: Sequence[Array]) -> set[bool]:
    """Return from which end of the sequence, True for the last step, halves that may differ start.

    `differing_units` are the values (T, H) that differ in each output.
    """
    differing = [True] * len(half_orders(layer))
    if isinstance(layer, Bidirectional) and layer.merge_mode in (None, "concat"):
        columns = np.concatenate(differing_units, axis=1)
        units = layer.forward.units
        differing = [bool(part.any()) for part in (columns[:, :units], columns[:, units:])]
    orders = half_orders(layer)
    return {order.from_end for order, differs in zip(orders, differing, strict=True) if differs}


def _used(problem: Problem) -> Array:
    """Return which steps of the output are not masked: (B, T)."""
    if problem.mask is None:
        return np.ones(problem.inputs.shape[:2], bool)
    mirrored = half_orders(problem.layer)[0].mirrored
    order = slice(None, None, -1 if mirrored else 1)
    used: Array = problem.mask[:, order]
    return used


def _rounding(evidence: Evidence) -> float:
    """Return what differs at all."""
    scale = max(float(np.abs(array).max()) for array in evidence.expected_arrays)
    return ROUNDINGS * FLOAT_TYPES[evidence.problem.threshold_type].u * scale


def _differing_steps(evidence: Evidence, by_step: Array, used: Array) -> Steps:
    """Return the steps around the first difference and the first large one, not too many."""
    total = len(by_step)
    large = np.flatnonzero(by_step > MUCH * by_step.max())
    if not len(large):
        return Steps(0, total, total)
    small = np.flatnonzero(by_step > _rounding(evidence))
    start = _unmasked(used, min([*small[:1].tolist(), int(large[0])]) - BEFORE)
    stop = max(int(large[0]) + 1 + AFTER, start + STEPS)
    most = max(STEPS, _affordable(evidence.problem))
    return Steps(start, min(total, stop, start + most), total)


def _unmasked(used: Array, step: int) -> int:
    """Return the last processed step up to this one that no row masks, 0 if there is none.

    A masked step returns the output of the step before it, which must not be left out.
    """
    steps = np.flatnonzero(used[:, : max(step, 0) + 1].all(axis=0))
    return int(steps[-1]) if steps.size else 0


def _affordable(problem: Problem) -> int:
    """Return how many steps a slice may have."""
    return int(
        LARGE / (sum(tensor.data.size for tensor in problem.weights) * len(problem.inputs.data))
    )


def _window(evidence: Evidence, steps: Steps) -> Evidence:
    """Return the evidence of a problem that starts from the states before its steps.

    The states are not returned. The noise is that of the whole run where it is larger, and infinite
    where nothing is compared.
    """
    part = evidence.cuts.to(steps.start, steps.stop)
    kept, expected = slice(steps.start, steps.stop), expect(part)
    actual, sigmas = [], []
    for output, whole, sigma in zip(
        evidence.actual, evidence.expected.sigmas, expected.sigmas, strict=False
    ):
        actual.append(replace(output, data=output.data[:, kept]))
        larger = np.maximum(sigma, whole[:, kept])
        if steps.compared is not None:
            compared = np.zeros(sigma.shape, bool)
            compared[:, steps.compared] = True
            larger = np.where(compared, larger, np.inf)
        sigmas.append(larger)
    return Evidence(part, tuple(actual), replace(expected, sigmas=tuple(sigmas)))


def _with_margin(evidence: Evidence, steps: Steps, from_end: bool) -> Steps:
    """Return steps with as many beside them as are remembered of what is processed against them.

    Those of the whole are returned where that is most of them.
    """
    orders = half_orders(evidence.problem.layer)
    against = [order.prefix for order in orders if order.from_end != from_end]
    allowed = LEFT * evidence.expected.dtype.threshold

    def widened(count: int) -> Steps:
        size = steps.stop - steps.start
        if from_end:
            return replace(steps, start=steps.start - count, compared=slice(-size, None))
        return replace(steps, stop=steps.stop + count, compared=slice(size))

    def decide(count: int) -> bool:
        wide = widened(count)
        outputs = compute(evidence.cuts.to(wide.start, wide.stop, against))
        kept = slice(steps.start, steps.stop)
        return all(
            (np.abs(part.data[:, wide.compared] - whole[:, kept]) <= allowed * sigma[:, kept]).all()
            for part, whole, sigma in zip(
                outputs, evidence.expected_arrays, evidence.expected.sigmas, strict=False
            )
        )

    most = (steps.start if from_end else steps.total - steps.stop) // MEMORY
    count = _fewest(decide, most)
    if count and MEMORY * count <= _affordable(evidence.problem):
        count *= MEMORY
    return widened(count) if count else Steps(0, steps.total, steps.total)


def _fewest(decide: Callable[[int], bool], most: int) -> int:
    """Return about the least count, at most `most`, that decides the outputs, 0 if there is none."""
    too_few, count = STEPS // 2, STEPS
    while count <= most and not decide(count):
        too_few, count = count, 2 * count
    if count > most:
        return 0
    while count - too_few > max(STEPS // 2, too_few // 8):
        middle = (too_few + count) // 2
        too_few, count = (too_few, middle) if decide(middle) else (middle, count)
    return count


def _forgotten(evidence: Evidence) -> int:
    """Return how many steps at both ends decide the last outputs, 0 if all of them do."""
    expected = evidence.expected

    def decide(count: int) -> bool:
        outputs = compute(joined(evidence.problem, count))
        triples = zip(outputs, expected.outputs, expected.sigmas, strict=True)
        allowed = expected.dtype.threshold
        return all((np.abs(a.data - b.data) <= allowed * sigma).all() for a, b, sigma in triples)

    return MEMORY * _fewest(decide, (evidence.problem.inputs.shape[1] - 1) // (2 * MEMORY))


def joined(problem: Problem, count: int) -> Problem:
    """Return the problem with only so many steps at the start and at the end."""
    total = problem.inputs.shape[1]
    kept = np.r_[:count, total - count : total]
    return replace(
        problem,
        inputs=replace(problem.inputs, data=problem.inputs.data[:, kept]),
        mask=None if problem.mask is None else problem.mask[:, kept],
    )
