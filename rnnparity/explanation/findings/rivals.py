"""Rivals: other accounts of the same outputs, which these weights, inputs and masks do not separate.

What is claimed of the equations is certain only where no rival of it is found. Where most numbers
are zero, or a mask is symmetric, many claims predict the same outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from rnnparity.explanation.findings.by_step.quantities import quantity_findings
from rnnparity.explanation.findings.by_step.steps import restart_findings
from rnnparity.explanation.findings.changed_weights.activations import activation_findings
from rnnparity.explanation.findings.compared.moved import moved_findings
from rnnparity.explanation.findings.other_runs.other_inputs import predicted_by, variants_that_hold
from rnnparity.explanation.findings.other_runs.recurrence import recurrence_findings
from rnnparity.explanation.findings.seen.half_problem import HalfProblem
from rnnparity.explanation.findings.seen.view import View
from rnnparity.faults import PlacedFault, run_one
from rnnparity.problem.findings import Finding, FindingType
from rnnparity.problem.problem import Problem, Tensor

# Claims about the equations.
CONTESTED = frozenset(
    {FindingType.RESTARTS_EVERY_STEP, FindingType.OTHER_QUANTITY, FindingType.ACTIVATION}
)
# The size of random weights, the share of steps that a random mask keeps, and further rows: none is
# symmetric by chance in all of them.
SIZE, KEPT, MORE_ROWS = 0.5, 0.6, 8


def with_rivals(half: HalfProblem, found: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return findings about a half; with their rivals, and not certain, where they have some."""
    types = {finding.type for finding in found}
    if not types & CONTESTED:
        return tuple(found)
    rivals = [rival for rival in _rivals(half) if rival.type not in types]
    if not rivals:
        return tuple(found)
    return tuple(dict.fromkeys(replace(each, certain=False) for each in (*found, *rivals)))


def _rivals(half: HalfProblem) -> Iterator[Finding]:
    """Yield every claim without a number that accounts for a half."""
    prefix = half.view.prefix
    for output in half.view.differing:
        for each in moved_findings(replace(half.view, outputs=(output,))):
            if each.type is FindingType.ZERO:
                in_steps = each.name == "step"
                yield replace(each, numbers=half.step_indices(each.numbers)) if in_steps else each
    yield from restart_findings(half)
    quantities = list(quantity_findings(half))
    if len(quantities) >= len(list(half.view.differing)):
        yield from quantities
    yield from activation_findings(half.problem, prefix, half.view)
    for finding in recurrence_findings(half.problem, half.view):
        yield replace(finding, half=prefix)
    # Which inputs the layers below give is not known.
    only_masks = half.input_sigmas is not None
    for finding in variants_that_hold(half.problem, half.view, only_masks=only_masks):
        yield replace(finding, half=prefix)


def rivals_of_cause(
    problem: Problem, view: View, placed: Sequence[PlacedFault]
) -> tuple[Finding, ...]:
    """Return other inputs and masks that account for what a fault accounts for, but are not the same.

    They are not the same where they give other outputs on a problem with random numbers.
    """
    found = variants_that_hold(problem, view)
    fresh = _with_random_numbers(problem) if found else problem
    return tuple(
        replace(finding, certain=False) for finding in found if _differ(fresh, finding, placed)
    )


def _differ(problem: Problem, finding: Finding, placed: Sequence[PlacedFault]) -> bool:
    """Return whether other inputs, or another mask, give other outputs than faults do."""
    mutant, predicted = run_one(problem, placed), predicted_by(problem, finding)
    if mutant is None or predicted is None:
        return False
    pairs = zip(mutant.outputs, predicted, strict=True)
    return not all(
        first.shape == second.shape and np.allclose(first.data, second.data, rtol=1e-4, atol=1e-6)
        for first, second in pairs
    )


def _with_random_numbers(problem: Problem) -> Problem:
    """Return the problem with other numbers, of which none is special, in a few rows more."""
    rng = np.random.default_rng(0)
    rows = len(problem.inputs.data) + MORE_ROWS

    def random(tensor: Tensor, shape: tuple[int, ...], size: float = 1.0) -> Tensor:
        return Tensor.of(tensor.name, size * rng.standard_normal(shape), tensor.dtype)

    mask, states = problem.mask, problem.initial_state
    if states is not None:
        states = tuple(random(state, (rows, *state.shape[1:])) for state in states)
    return replace(
        problem,
        weights=tuple(random(tensor, tensor.shape, SIZE) for tensor in problem.weights),
        inputs=random(problem.inputs, (rows, *problem.inputs.shape[1:])),
        mask=None if mask is None else rng.random((rows, mask.shape[1])) < KEPT,
        initial_state=states,
        outputs=None,
        case=None,
    )
