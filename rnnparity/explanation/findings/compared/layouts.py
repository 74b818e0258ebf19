"""Axes of inputs and outputs that are taken for each other in memory.

Axis letters: B batch, T time, D features, H units of a half.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

import numpy as np

from rnnparity.explanation.findings.compared import masked
from rnnparity.explanation.findings.seen.candidates import Candidate
from rnnparity.explanation.findings.seen.claim import Claim, weigh
from rnnparity.explanation.findings.seen.view import Output, View
from rnnparity.explanation.location import last_layer
from rnnparity.faults import FAULTS, PlacedFault, run_one
from rnnparity.problem.dtypes import Array
from rnnparity.problem.explanations import EVERY_HALF
from rnnparity.problem.findings import Finding, FindingType
from rnnparity.problem.layers import Bidirectional
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import compute

# What the numbers of a finding about exchanged axes are the axes of, and how these were read.
HALVES, READ_AS_TIME_FIRST, OVER_BATCH = "halves", "read-as-time-first", "over-batch"
# The faults that return something else at masked steps, by the name of the finding.
MASKED_OUTPUTS = {
    masked.PREVIOUS: "held",
    masked.ZERO: "zero",
    masked.STATE: "the frozen state",
    masked.NEW: "computed",
}


def halves_findings(problem: Problem, view: View) -> Iterator[Finding]:
    """Yield the order of the axes, that of the halves among them, in which joined halves are returned."""
    last = last_layer(problem.layer)
    if not isinstance(last, Bidirectional) or last.merge_mode != "concat":
        return
    if last.forward.units != last.backward.units:
        return
    for output in view.differing:
        if output.name.endswith("output"):
            found = _ordered(output, view.threshold)
            yield from found or _ordered_and_masked(problem, output, view.threshold)


def _ordered(output: Output, threshold: float) -> list[Finding]:
    """Return the first order of the axes that holds."""
    claims = list(_orders(output))
    return list(weigh(claims, threshold, max(len(claims), 1)))[:1]


def _ordered_and_masked(problem: Problem, output: Output, threshold: float) -> list[Finding]:
    """Return an order of the axes and what masked steps return, where both are not those of Keras."""
    if problem.mask is None or problem.mask.all() or not output.has_time:
        return []
    for name, variant in MASKED_OUTPUTS.items():
        fault = next(f for f in FAULTS if (f.cause, f.variant) == ("masked-output", variant))
        mutant = run_one(problem, [PlacedFault(fault, EVERY_HALF)])
        values = {} if mutant is None else {each.name: each.data for each in mutant.outputs}
        if output.name in values:
            found = _ordered(replace(output, expected=values[output.name]), threshold)
            if found:
                steps = replace(found[0], type=FindingType.MASKED_STEPS_ONLY, name=name, numbers=())
                return [*found, steps]
    return []


def _orders(output: Output) -> Iterator[Claim]:
    """Yield the claims about the orders of the axes whose first row agrees."""
    shape = (*output.expected.shape[:-1], 2, output.expected.shape[-1] // 2)
    arrays = [array.reshape(shape) for array in (output.expected, output.allowed)]
    axes = tuple(range(len(shape)))
    plain = {axes} if len(axes) == 3 else {axes, (1, 0, 2, 3)}  # these are in `axes_findings`
    for order in permutations(axes):
        expected, allowed = (a.transpose(order).reshape(output.actual.shape) for a in arrays)
        if order in plain or not (np.abs(output.actual[0] - expected[0]) <= allowed[0]).all():
            continue
        finding = Finding(FindingType.AXES_EXCHANGED, HALVES, order)
        yield replace(output, allowed=allowed).claim(finding, expected)


def layout_candidates(problem: Problem) -> Iterator[Candidate]:
    """Yield the sequences of inputs and outputs that are taken for time first, or are read over the batch."""
    if not problem.layer.return_sequences or problem.calls is not None:
        return
    finding = Finding(FindingType.AXES_EXCHANGED, READ_AS_TIME_FIRST)
    yield Candidate(finding, _read_as_time_first, mixes_rows=True)
    yield from over_batch_candidates(problem)


def over_batch_candidates(problem: Problem) -> Iterator[Candidate]:
    """Yield that the first axis of the inputs is taken for that of the steps."""
    given = (problem.initial_state, problem.mask, problem.calls)
    if problem.layer.return_sequences and all(each is None for each in given):
        finding = Finding(FindingType.AXES_EXCHANGED, OVER_BATCH)
        yield Candidate(finding, _over_batch, mixes_rows=True)


def _read_as_time_first(problem: Problem) -> list[Array]:
    """Return the outputs where the memory of (B, T, D) is read as (T, B, D), and back."""
    batch, steps, features = problem.inputs.shape
    inputs = problem.inputs.data.reshape(steps, batch, features).swapaxes(0, 1)
    outputs = outputs_of(problem, inputs)
    return [y.swapaxes(0, 1).reshape(y.shape) if y.ndim == 3 else y for y in outputs]


def _over_batch(problem: Problem) -> list[Array]:
    """Return the outputs where the first axis is taken for the steps."""
    outputs = outputs_of(problem, problem.inputs.data.swapaxes(0, 1))
    return [y.swapaxes(0, 1) if y.ndim == 3 else y for y in outputs]


def outputs_of(problem: Problem, inputs: Array) -> list[Array]:
    """Return the outputs of a problem for other inputs."""
    tensor = Tensor.of("inputs", np.ascontiguousarray(inputs), problem.inputs.dtype)
    return [
        tensor.data for tensor in compute(replace(problem, inputs=tensor, outputs=None, case=None))
    ]
