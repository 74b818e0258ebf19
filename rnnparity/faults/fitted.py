"""Faults with a number that is read off actual outputs: a scale, a limit, a pattern of dropout.

Each is a candidate like any other: it explains the outputs only if the reference computes them with
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from rnnparity.faults.cells import cell_clipped
from rnnparity.faults.edit import EditWeights, Half, Weights
from rnnparity.faults.fault import Fault, PlacedFault
from rnnparity.faults.injection import Injection
from rnnparity.faults.run import run_all
from rnnparity.faults.scale import (
    all_scaled,
    dropout_on_inputs,
    dropout_on_outputs,
    unit_scale,
    unit_shift,
)
from rnnparity.faults.truncated import truncated
from rnnparity.faults.zoneout import RATES as RATES_OF_ZONEOUT
from rnnparity.faults.zoneout import zoneout
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Bidirectional, halves
from rnnparity.problem.problem import Problem

RATES = (0.1, 0.2, 0.25, 0.3, 0.4, 0.5)
LIMITS = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
# Every pattern of dropped features is tried, for up to so many features.
MAX_FEATURES = 8
# A number that is read off the outputs makes one value fit whatever the cause, to seven digits.
FREEDOM_OF_NUMBER = 7.0


def fitted(problem: Problem, actual: Sequence[Array], expected: Sequence[Array]) -> Iterator[Fault]:
    """Yield faults whose numbers fit the actual outputs."""
    yield from truncated(problem, actual)
    yield from _scaled(actual[0], expected[0], with_states=len(actual) > 1)
    if any("c" in name for name in problem.layer.states):
        for limit in LIMITS:
            yield cell_clipped(limit)
        for limit in {float(np.abs(array).max()) for array in actual[1:]} - {0.0}:
            yield replace(cell_clipped(limit), freedom=FREEDOM_OF_NUMBER)
    for rate, state in product(RATES_OF_ZONEOUT, ("", "h", "c")):
        yield zoneout(rate, state)
    yield from _dropped_outputs(actual[0], expected[0])
    if not isinstance(problem.layer, Bidirectional) and problem.inputs.shape[2] <= MAX_FEATURES:
        yield from _dropped_inputs(problem, actual)


def _scaled(actual: Array, expected: Array, *, with_states: bool) -> Iterator[Fault]:
    """Yield a factor and a shift, by the largest values, which noise affects least."""
    large = np.abs(expected) >= np.median(np.abs(expected))
    if expected[large].all() and actual.any():
        factor = float(np.median(actual[large] / expected[large]))
        yield replace(unit_scale(factor), freedom=FREEDOM_OF_NUMBER)
        if with_states:
            yield replace(all_scaled(factor), freedom=FREEDOM_OF_NUMBER)
    shift = float(np.median(actual - expected))
    yield replace(unit_shift(shift), freedom=FREEDOM_OF_NUMBER)


def _dropped_outputs(actual: Array, expected: Array) -> Iterator[Fault]:
    kept = (actual != 0) | (expected == 0)
    factors = actual[kept & (expected != 0)] / expected[kept & (expected != 0)]
    if kept.all() or not len(factors):
        return
    factor = float(np.median(factors))
    if factor > 1:
        zeros = int((~kept).sum())
        rate = round(1 - 1 / factor, 4)
        yield replace(dropout_on_outputs(rate, kept), freedom=FREEDOM_OF_NUMBER * (1 + zeros))


def _dropped_inputs(problem: Problem, actual: Sequence[Array]) -> Iterator[Fault]:
    """Yield the pattern that comes nearest in each row, for every usual rate."""
    batch, _, features = problem.inputs.shape
    patterns = np.array(list(product((False, True), repeat=features)))
    for rate in RATES:
        # For a single row, dropping features of x in x W is dropping rows of W: one run for all.
        injections = [_with_scaled_rows(problem, kept / (1 - rate)) for kept in patterns]
        distances = [_distances(done.outputs, actual, batch) for done in run_all(injections)]
        by_pattern = np.concatenate(distances)
        if np.isfinite(by_pattern).all():
            nearest = dropout_on_inputs(rate, patterns[np.argmin(by_pattern, axis=0)])
            yield replace(nearest, freedom=float(batch * features * np.log10(2)))


def _with_scaled_rows(problem: Problem, factors: Array) -> Injection:
    """Return the problem with the rows of the first kernel scaled by `factors` (D,)."""

    def scaled(half: Half) -> Weights:
        return {**half.weights, "kernel": half.weights["kernel"] * factors[:, None]}

    prefix, _ = halves(problem.layer)[0]
    fault = Fault("", "", "", "", EditWeights(scaled))
    injection = Injection(problem).with_fault(PlacedFault(fault, prefix))
    assert injection is not None  # noqa: S101 - every half has a kernel
    return injection


def _distances(outputs: Sequence[Array], actual: Sequence[Array], batch: int) -> Array:
    """Return the distance of each variant from each row of the actual outputs: (V, B)."""
    total: Array = np.zeros((len(outputs[0]), batch))
    for variants, array in zip(outputs, actual, strict=True):
        total = total + np.abs(variants - array).reshape(len(variants), batch, -1).sum(axis=-1)
    return total
