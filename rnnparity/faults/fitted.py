"""Faults with a number of their own, which is read off somebody's outputs: a scale, a limit, what a
dropout has left.

Each is a guess until the reference has been run under it, like every other hypothesis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from rnnparity.faults.cells import cell_clipped
from rnnparity.faults.fault import Fault, Half, PlacedFault
from rnnparity.faults.injection import Injection, run_all
from rnnparity.faults.time import time_truncated
from rnnparity.faults.whole import dropout_on_inputs, dropout_on_outputs, unit_scale, unit_shift
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Bidirectional, halves
from rnnparity.problem.problem import Problem

RATES = (0.1, 0.2, 0.25, 0.3, 0.4, 0.5)
LIMITS = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
# Every pattern of dropped features is tried: up to so many features.
FEATURES = 8
# A number read off the outputs makes one value right whatever the cause, to some seven digits.
ONE_NUMBER = 7.0


def fitted(problem: Problem, given: Sequence[Array], right: Sequence[Array]) -> Iterator[Fault]:
    """Faults whose numbers fit the outputs that were `given` where the `right` ones should be."""
    for count in range(2, problem.inputs.shape[1]):
        yield time_truncated("first", count)
        yield time_truncated("last", count)
    yield from _scaled(given[0], right[0])
    if any("c" in name for name in problem.layer.states):
        for limit in LIMITS:
            yield cell_clipped(limit)
        for limit in {float(np.abs(array).max()) for array in given[1:]} - {0.0}:
            yield replace(cell_clipped(limit), freedom=ONE_NUMBER)
    yield from _dropped_outputs(given[0], right[0])
    if not isinstance(problem.layer, Bidirectional) and problem.inputs.shape[2] <= FEATURES:
        yield from _dropped_inputs(problem, given)


def _scaled(given: Array, right: Array) -> Iterator[Fault]:
    """By one factor, or by one sum: what the largest values say, which noise disturbs least."""
    large = np.abs(right) >= np.median(np.abs(right))
    if right[large].all() and given.any():
        yield replace(unit_scale(float(np.median(given[large] / right[large]))), freedom=ONE_NUMBER)
    yield replace(unit_shift(float(np.median(given - right))), freedom=ONE_NUMBER)


def _dropped_outputs(given: Array, right: Array) -> Iterator[Fault]:
    kept = given != 0
    if kept.all() or not kept.any() or not right[kept].all():
        return
    factor = float(np.median(given[kept] / right[kept]))
    if factor > 1:
        zeros = int((~kept).sum())
        yield replace(
            dropout_on_outputs(round(1 - 1 / factor, 4), kept), freedom=ONE_NUMBER * (1 + zeros)
        )


def _dropped_inputs(problem: Problem, given: Sequence[Array]) -> Iterator[Fault]:
    """Row by row the pattern that comes nearest, for every usual rate."""
    batch, _, features = problem.inputs.shape
    patterns = np.array(list(product((False, True), repeat=features)))
    start, first = Injection(problem), halves(problem.layer)[0][0]
    for rate in RATES:
        # To one row alone, to drop features of x in x W is to drop rows of W: variants of one walk.
        edits = [
            PlacedFault(Fault("", "", "", "", half=_rows(bits / (1 - rate))), first)
            for bits in patterns
        ]
        tried = [struck for edit in edits if (struck := start.with_fault(edit)) is not None]
        off = np.concatenate([_off(done.outputs, given, batch) for done in run_all(tried)])
        if np.isfinite(off).all():
            chosen = dropout_on_inputs(rate, patterns[np.argmin(off, axis=0)])
            yield replace(chosen, freedom=float(batch * features * np.log10(2)))


def _rows(factors: Array) -> Callable[[Half], Half]:
    return lambda half: Half(
        half.layer, {**half.weights, "kernel": half.weights["kernel"] * factors[:, None]}
    )


def _off(outputs: Sequence[Array], given: Sequence[Array], batch: int) -> Array:
    """How far each variant is from each row of what was given: (V, B)."""
    pairs = zip(outputs, given, strict=True)
    off: Array = np.sum(
        [np.abs(array - g).reshape(len(array), batch, -1).sum(-1) for array, g in pairs], axis=0
    )
    return off
