"""The expected output with something done to it after the layer: activated, normalized, pooled, added.

Axis letters: B batch, T time, H units, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

import numpy as np

from rnnparity.explanation.findings.compared.after_fitted import (
    EPSILONS,
    FAR,
    FITTED,
    fitted_claims,
    without_freedom,
)
from rnnparity.explanation.findings.seen.claim import Claim, weigh
from rnnparity.explanation.findings.seen.sequences import used_steps
from rnnparity.explanation.findings.seen.view import Output, View
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import AfterLayer, Finding, FindingType
from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack
from rnnparity.problem.problem import Problem
from rnnparity.reference import compute
from rnnparity.reference.activations import ACTIVATIONS

Function = Callable[[Array], Array]
# Numbers are read off so many values first; what comes so near there, in what is allowed, off all.
FEW_VALUES, NEARLY = 4096, 100.0


def after_layer_findings(problem: Problem, view: View) -> Iterator[Finding]:
    """Yield what was done to the output of the layer before it was returned."""
    for output in view.differing:
        if not output.name.endswith("output"):
            yield from weigh(_of_rows(output), view.threshold)
            continue
        claims = [_claim(output, name, values) for name, values in _results(problem, output)]
        found = list(weigh(claims, view.threshold, len(claims)))[:1]
        if not found and _may_be_fitted(output):
            fitted = weigh(fitted_claims(output), view.threshold, FITTED, FAR)
            found = list(islice(fitted, 1))
        yield from found


def _claim(output: Output, name: AfterLayer, values: Array) -> Claim:
    """Return the claim that the output is these values; what is as expected is no evidence."""
    values = np.broadcast_to(values, output.actual.shape)
    every = np.ones(values.shape, bool)
    claim = _wide(output, values).claim(_finding(output, name), values, every)
    counted = without_freedom(claim, output.expected, 0)
    if name is not AfterLayer.RELU:
        return counted
    # Zeros are copies of each other, and each of them is evidence: they are compared by what was
    # cut off.
    expected = output.expected.ravel()
    moved = np.where(np.abs(claim.predicted - expected) > claim.allowed, claim.moved, 0.0)
    actual = claim.actual - claim.predicted + expected
    return Claim(claim.finding, actual, expected, claim.allowed, moved)


def _may_be_fitted(output: Output) -> bool:
    """Return whether numbers fit the first rows of a large output; all rows take longer."""
    rows = max(4, FEW_VALUES // max(1, output.actual[0].size))
    if len(output.actual) <= rows:
        return True
    part = output.part((slice(rows),))
    return any(claim.distance <= NEARLY for claim in fitted_claims(part))


def _mean_of_rows(output: Output) -> Array:
    rows = output.expected.mean(axis=0, keepdims=True)
    return np.broadcast_to(rows, output.expected.shape)


def _of_rows(output: Output) -> Iterator[Claim]:
    """Yield the claim that each row of a state is the mean of all rows."""
    if len(output.actual) > 1:
        finding = Finding(FindingType.AFTER_LAYER, AfterLayer.MEAN_OF_ROWS)
        yield output.claim(finding, _mean_of_rows(output))


def _finding(output: Output, name: AfterLayer) -> Finding:
    return Finding(FindingType.AFTER_LAYER, name, half=output.name.removesuffix("output"))


def _wide(output: Output, values: Array) -> Output:
    """Return the output with the noise that any of its values may have afterwards.

    A normalization divides by what all units of a step have in common: its noise grows by as much
    as the values do.
    """
    spread = float(output.expected.std()) or 1.0
    growth = max(1.0, float(values.std()) / spread)
    wide = output.widened(values)
    return replace(wide, allowed=np.full_like(wide.allowed, wide.allowed.max() * growth))


def _results(problem: Problem, output: Output) -> Iterator[tuple[AfterLayer, Array]]:
    """Yield what may have been done to an output, by name, with the result."""
    for name, function in FUNCTIONS.items():
        # Over one unit nothing is left of the values.
        if output.expected.shape[-1] > 1 or name not in OVER_UNITS:
            yield name, function(output.expected)
    inputs = problem.inputs.data.astype(np.float64)
    if inputs.shape == output.expected.shape:
        yield AfterLayer.INPUTS_ADDED, output.expected + inputs
    if not output.has_time and inputs[:, 0].shape == output.expected.shape:
        yield AfterLayer.INPUTS_ADDED, output.expected + inputs[:, -1]
    if len(inputs) > 1:
        yield AfterLayer.MEAN_OF_ROWS, _mean_of_rows(output)
        for epsilon in EPSILONS:
            yield AfterLayer.BATCH_NORMALIZED, _batch_normalized(output.expected, epsilon)
    if output.has_time:
        yield AfterLayer.CUMULATED, np.cumsum(output.expected, axis=1)
    elif output.name == "output" and problem.calls is None:
        yield from _pooled(problem)


def _pooled(problem: Problem) -> Iterator[tuple[AfterLayer, Array]]:
    """Yield the whole sequence, of which the layer returns the last step, pooled over its steps."""
    returning = replace(problem, layer=_with_sequences(problem.layer), outputs=None, case=None)
    sequence = compute(returning)[0].data
    yield AfterLayer.MEAN, sequence.mean(axis=1)
    yield AfterLayer.MAXIMUM, sequence.max(axis=1)
    yield AfterLayer.SUM, sequence.sum(axis=1)
    if problem.mask is not None:
        used = used_steps(problem)[..., None]
        count = np.maximum(used.sum(axis=1), 1)
        yield AfterLayer.MEAN_OF_UNMASKED, (sequence * used).sum(axis=1) / count
        lowest = np.where(used, sequence, sequence.min())  # all of them in a row without steps
        yield AfterLayer.MAXIMUM_OF_UNMASKED, lowest.max(axis=1)


def _with_sequences(layer: Layer) -> Layer:
    """Return the layer with all steps of its output."""
    if isinstance(layer, Stack):
        *below, last = layer.layers
        return replace(layer, layers=(*below, _all_steps(last)))
    return _all_steps(layer)


def _all_steps(layer: Recurrent | Bidirectional) -> Recurrent | Bidirectional:
    if isinstance(layer, Recurrent):
        return replace(layer, return_sequences=True)
    forward, backward = (
        replace(half, return_sequences=True) for half in (layer.forward, layer.backward)
    )
    return replace(layer, forward=forward, backward=backward)


def _batch_normalized(y: Array, epsilon: float) -> Array:
    axes = tuple(range(y.ndim - 1))
    result: Array = (y - y.mean(axis=axes)) / np.sqrt(y.var(axis=axes) + epsilon)
    return result


def _unit_length(y: Array) -> Array:
    length = np.linalg.norm(y, axis=-1, keepdims=True)
    return y / np.where(length > 0, length, 1.0)


def _softmax(y: Array) -> Array:
    raised = np.exp(y - y.max(axis=-1, keepdims=True))
    result: Array = raised / raised.sum(axis=-1, keepdims=True)
    return result


FUNCTIONS: Mapping[AfterLayer, Function] = {
    AfterLayer.TANH: ACTIVATIONS["tanh"].value,
    AfterLayer.RELU: ACTIVATIONS["relu"].value,
    AfterLayer.SIGMOID: ACTIVATIONS["sigmoid"].value,
    AfterLayer.SOFTMAX: _softmax,
    AfterLayer.UNIT_LENGTH: _unit_length,
}
OVER_UNITS = FUNCTIONS.keys() - {AfterLayer.TANH, AfterLayer.RELU, AfterLayer.SIGMOID}
