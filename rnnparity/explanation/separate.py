"""Separating problems: inputs on which hypotheses that fit equally well give different answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from rnnparity.explanation.answers import asking_for_the_same, run_with_faults
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.reading_diagnosis import Diagnosis
from rnnparity.faults import Mutant, with_flag
from rnnparity.problem.dtypes import Array
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import state_slots
from rnnparity.reference.tolerance import Expected
from rnnparity.verdict.judge import expect_answer

# Outputs further apart than the threshold by this factor are different.
CLEARLY = 3
# The share of steps that a mask of a separating problem keeps.
KEPT = 0.6


def with_separating_problem(diagnosis: Diagnosis) -> Diagnosis:
    """Return the diagnosis with a separating problem, where several hypotheses fit."""
    if len(diagnosis.fits) < 2:
        return diagnosis
    problem = separating_problem(diagnosis.problem, diagnosis.fits)
    return replace(diagnosis, separating=problem)


def separating_problem(problem: Problem, hypotheses: Sequence[Mutant]) -> Problem | None:
    """Return a problem on which the most hypotheses give different answers, near to this one.

    It asks for the same, outputs or gradients.

    The layer and its weights stay unless nothing else helps. None where no variation separates any
    two hypotheses.
    """
    best, most = None, 1
    for varied in _variations(problem):
        variation = asking_for_the_same(problem, varied)
        expected = expect_answer(variation)
        count = 0 if expected.inconclusive else _distinct(variation, expected, hypotheses)
        if count > most:
            best, most = variation, count
        if most == len(hypotheses):
            break
    return best


def _variations(problem: Problem) -> Iterator[Problem]:
    """Yield variations of a problem: its numbers, initial state, mask, outputs, then weights.

    All new numbers are small multiples of 1/64.
    """
    rng = np.random.default_rng(0)
    batch, steps, features = problem.inputs.shape
    rows = max(batch, 2)
    single_call = problem.calls is None
    steps = max(steps, 4) if single_call else steps
    initial = tuple(
        _random(
            rng, Tensor.of(slot.name, np.zeros(1), problem.inputs.dtype), (rows, slot.shape[1] or 0)
        )
        for slot in state_slots(problem.layer, rows)
    )
    mask = _mask(rng, rows, steps)
    varied = replace(
        problem,
        id=f"{problem.id}-apart",
        inputs=_random(rng, problem.inputs, (rows, steps, features)),
        mask=None if problem.mask is None else mask,
        initial_state=None if problem.initial_state is None else initial,
        outputs=None,
        cotangents=None,
        gradients=None,
        case=None,
    )
    yield varied
    if single_call:
        yield replace(varied, initial_state=initial)
        yield replace(varied, mask=mask)
        layer = with_flag(with_flag(varied.layer, "return_sequences", True), "return_state", True)
        varied = replace(varied, layer=layer)
        yield varied
        yield replace(varied, initial_state=initial, mask=mask)
    weights = tuple(_random(rng, tensor, tensor.shape, _size(tensor)) for tensor in varied.weights)
    varied = replace(varied, weights=weights)
    yield varied
    if single_call:
        yield replace(varied, initial_state=initial, mask=mask)


def _random(
    rng: np.random.Generator, tensor: Tensor, shape: Sequence[int], size: float = 1.0
) -> Tensor:
    values = np.rint(64 * size * rng.standard_normal(shape)) / 64
    return Tensor.of(tensor.name, values, tensor.dtype)


def _size(weights: Tensor) -> float:
    """Return a size of new weights that keeps the activations away from saturation."""
    if weights.data.ndim < 2:
        return 0.5
    return float(1 / np.sqrt(max(weights.shape[0], 4)))


def _mask(rng: np.random.Generator, rows: int, steps: int) -> Array:
    """Return a mask with gaps anywhere that keeps at least one step of each row."""
    mask: Array = rng.random((rows, steps)) < KEPT
    mask[:, steps // 2] = True
    return mask


def _distinct(problem: Problem, expected: Expected, hypotheses: Sequence[Mutant]) -> int:
    """Return how many different answers the hypotheses give, further apart than noise."""
    distinct: list[Sequence[Tensor]] = []
    for hypothesis in hypotheses:
        mutant = run_with_faults(problem, hypothesis.placed)
        if mutant is not None and all(
            _differ(problem, expected, mutant.outputs, outputs) for outputs in distinct
        ):
            distinct.append(mutant.outputs)
    return len(distinct)


def _differ(
    problem: Problem, expected: Expected, outputs: Sequence[Tensor], others: Sequence[Tensor]
) -> bool:
    """Return whether two sets of outputs clearly differ."""
    if [tensor.shape for tensor in outputs] == [tensor.shape for tensor in expected.outputs]:
        evidence = Evidence(problem, tuple(outputs), expected)
        return evidence.largest_distance(others) > CLEARLY * evidence.noise.threshold
    if [tensor.shape for tensor in outputs] != [tensor.shape for tensor in others]:
        return True
    pairs = zip(outputs, others, strict=True)
    return not all(np.allclose(first.data, second.data, rtol=1e-3) for first, second in pairs)
