"""Steps: which of them follow from the one before, and what the others do instead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rnnparity.explanation.evidence import rows_of
from rnnparity.explanation.findings.by_step.one_step import OneStep
from rnnparity.explanation.findings.changed_weights.blocks import Base, block_findings
from rnnparity.explanation.findings.changed_weights.initial import initial_findings
from rnnparity.explanation.findings.seen.claim import weigh
from rnnparity.explanation.findings.seen.half_problem import HalfProblem
from rnnparity.explanation.findings.seen.view import Output, View
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding, FindingType, accounts_for_values
from rnnparity.problem.problem import Tensor
from rnnparity.reference import compute

# Rows that every change of a block is tried on at first.
ROWS = 48


def step_findings(half: HalfProblem, step: OneStep) -> Iterator[Finding]:
    """Yield which steps do not follow from the one before, and what accounts for them."""
    wrong = ~step.follows
    if not wrong.any():
        return
    steps = sorted(set(step.steps[wrong].tolist()))
    first = _first_steps(half, step)
    everywhere = block_findings(step_base(half, step, np.ones_like(wrong), ()))
    if everywhere:
        yield from everywhere
        return
    clean = set(step.steps[step.judged.any(axis=1)].tolist()) - set(steps)
    if clean:
        yield Finding(
            FindingType.STEP_FOLLOWS, numbers=half.step_indices(steps), half=half.view.prefix
        )
    if (wrong <= first).all():
        base = step_base(half, step, first, ())
        initial = []
        if not _returns_given_states(half):
            initial = list(initial_findings(base.problem, half.view.prefix, base.view))
        yield from initial
        if any(map(accounts_for_values, initial)):
            return  # a block would be changed at these steps of these rows only
    at_these = np.isin(step.steps, steps)  # in rows that follow it has no effect there
    found = block_findings(step_base(half, step, at_these, half.step_indices(steps)))
    # Zeros may never have been written, and several blocks give them.
    written = bool(np.where(step.judged, step.actual, 0)[wrong].any())
    yield from (replace(finding, certain=finding.certain and written) for finding in found)


def _returns_given_states(half: HalfProblem) -> bool:
    """Return whether a row of which every step is masked returns the states that it was given."""
    unused, states = ~half.used_rows, half.view.outputs[1:]
    if not unused.any() or not states:
        return False
    return not any(state.differing[unused].any() for state in states)


def _first_steps(half: HalfProblem, step: OneStep) -> Array:
    """Return which rows of the one-step problem are the first unmasked step of their row."""
    first: Array = step.steps == np.argmax(half.used, axis=1)[step.rows]
    return first


def step_base(half: HalfProblem, step: OneStep, rows: Array, numbers: tuple[int, ...]) -> Base:
    """Return some rows of the one-step problem as the base of changes of blocks."""
    chosen = np.flatnonzero(rows)
    actual = np.where(step.judged, step.actual, step.expected)[chosen]
    output = Output("output", actual, step.expected[chosen], step.allowed[chosen])
    view = View(half.view.prefix, (output,), half.view.threshold)
    return Base(rows_of(step.problem, chosen), view, [("", half.layer)], half.view.prefix, numbers)


def restart_findings(half: HalfProblem) -> Iterator[Finding]:
    """Yield that every step starts from the initial state.

    Under another mask only one step may count, which gives the same last output; what layers below
    would give under that one is not known.
    """
    output = half.view.outputs[0]
    if not output.differing.any():
        return
    finding = Finding(FindingType.RESTARTS_EVERY_STEP, half=half.view.prefix)
    chosen = half.all_units(half.used if output.has_time else half.used_rows)
    claim = output.claim(finding, restarted(half, sequence=output.has_time), chosen)
    for found in weigh([claim], half.view.threshold):
        below, masked = half.input_sigmas is not None, half.problem.mask is not None
        ambiguous = not output.has_time and masked and below
        yield replace(found, certain=found.certain and not ambiguous)


def restarted(half: HalfProblem, *, sequence: bool) -> Array:
    """Return the output of a half in which every step starts from the initial state.

    It is the `sequence` (B, T, H), or the output of the last step that counts (B, H).
    """
    problem = half.problem
    batch, steps, features = problem.inputs.shape
    states = problem.initial_state
    each = replace(
        problem,
        layer=replace(half.layer, return_sequences=False, return_state=False),
        inputs=Tensor("inputs", problem.inputs.data.reshape(batch * steps, 1, features)),
        mask=None,
        initial_state=None
        if states is None
        else tuple(Tensor(tensor.name, np.repeat(tensor.data, steps, axis=0)) for tensor in states),
    )
    values = compute(each)[0].data.reshape(batch, steps, -1)
    if sequence:
        return values
    last: Array = values[np.arange(batch), steps - 1 - np.argmax(half.used[:, ::-1], axis=1)]
    return last
