"""Every step of a sequence by itself: what follows from the states as the actual outputs have them.

h is seen. The c of an LSTM is recovered from h = o * act(c), for o depends on the inputs and the
previous h only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rnnparity.explanation.findings.seen.half_problem import HalfProblem
from rnnparity.explanation.findings.seen.inverse import invert
from rnnparity.explanation.findings.seen.sequences import initial_states, states_before
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.layers import Recurrent
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import compute, trace
from rnnparity.reference.activations import ACTIVATIONS
from rnnparity.reference.tolerance import expect

# The noise of inputs and recovered states is carried through a step by so many random errors.
SAMPLES = 6
# With this error a recovered state is unknown; a larger one may leave the range of its type.
UNKNOWN = 1e6


@dataclass(frozen=True)
class OneStep:
    """All unmasked steps of a half as the rows of a problem with T=1.

    `problem` has N rows with the actual states before the step. `actual`, `expected` and `allowed`
    are (N, H); `judged` is False where a state could not be recovered. `rows` and `steps` (N,) are
    where each row comes from.
    """

    problem: Problem
    actual: Array
    expected: Array
    allowed: Array
    judged: Array
    rows: Array
    steps: Array

    @property
    def follows(self) -> Array:
        """Whether each row follows from the one before: (N,)."""
        with np.errstate(invalid="ignore"):
            near = np.abs(self.actual - self.expected) <= self.allowed
        follows: Array = (near | ~self.judged).all(axis=1)
        return follows


def one_step(half: HalfProblem) -> OneStep | None:
    """Return the steps of a half one by one; None without a sequence, or where noise hides them."""
    sequence = half.sequence
    if sequence is None or not np.isfinite(sequence.actual).all():
        return None
    rows, steps = np.nonzero(half.used)
    if not len(rows):
        return None
    used, initial = half.used, initial_states(half.problem)
    before = states_before(used, sequence.actual, initial[0])
    problem = _rows_problem(half, rows, steps, [before[rows, steps]])
    actual = sequence.actual[rows, steps]
    judged = np.ones(actual.shape, bool)
    errors: list[Array] = []
    if len(half.layer.states) > 1:
        recovered = _recovered_c(half.layer, problem, actual)
        if recovered is None:
            return None
        c, slope = recovered
        whole = np.full(sequence.actual.shape, np.nan)
        whole[rows, steps] = c
        previous = states_before(used, whole, initial[1])[rows, steps]
        judged = np.isfinite(previous)
        problem = _with_state(problem, half.layer, 1, np.where(judged, previous, 0.0))
        scale = np.full(sequence.actual.shape, np.nan)
        scale[rows, steps] = slope
        exact = np.full_like(initial[1], np.inf)
        errors = [1 / states_before(used, scale, exact)[rows, steps]]
    expected = expect(problem, visibility=False)
    if expected.unpredictable:
        return None
    output, sigma = expected.outputs[0].data, expected.sigmas[0]
    sigma = _with_carried_noise(half, problem, (rows, steps), sigma, errors)
    dtype = FLOAT_TYPES[half.layer.compute_dtype]
    allowed = np.maximum(half.view.threshold * sigma, dtype.u * np.abs(output) + dtype.tiny)
    result = OneStep(problem, actual, output, allowed, judged, rows, steps)
    return _with_computed_c(half.layer, result) if errors else result


def _with_computed_c(layer: Recurrent, step: OneStep) -> OneStep:
    """Return the steps with c as it was computed where that makes a step follow.

    Where a step reads out h in another way, the c that is recovered from it is wrong.
    """
    wrong = ~step.follows
    same_row = np.append(False, step.rows[1:] == step.rows[:-1])
    after_wrong = wrong & same_row & np.append(False, wrong[:-1])
    if not after_wrong.any():
        return step
    assert step.problem.initial_state is not None  # noqa: S101 - it was made with one
    (record,) = trace(step.problem)
    computed = np.roll(record.states["c"], 1, axis=0)
    recovered = step.problem.initial_state[1].data
    problem = _with_state(
        step.problem, layer, 1, np.where(after_wrong[:, None], computed, recovered)
    )
    output = compute(problem)[0].data
    follows = after_wrong & (np.abs(step.actual - output) <= step.allowed).all(axis=1)
    chosen = follows[:, None]
    return replace(
        step,
        problem=_with_state(step.problem, layer, 1, np.where(chosen, computed, recovered)),
        expected=np.where(chosen, output, step.expected),
        judged=step.judged | chosen,
    )


def _rows_problem(half: HalfProblem, rows: Array, steps: Array, states: list[Array]) -> Problem:
    """Return the problem whose rows are the given steps, with these states; missing ones are 0."""
    layer = replace(half.layer, return_sequences=False, return_state=False)
    inputs = half.problem.inputs
    arrays = [*states, *[np.zeros_like(states[0])] * (len(layer.states) - len(states))]
    return replace(
        half.problem,
        layer=layer,
        inputs=replace(inputs, data=inputs.data[rows, steps][:, None]),
        mask=None,
        initial_state=tuple(
            Tensor.of(name, array, inputs.dtype)
            for name, array in zip(layer.states, arrays, strict=True)
        ),
    )


def _with_state(problem: Problem, layer: Recurrent, index: int, state: Array) -> Problem:
    """Return the problem with one initial state replaced."""
    assert problem.initial_state is not None  # noqa: S101 - it was made with one
    states = list(problem.initial_state)
    states[index] = Tensor.of(layer.states[index], state, problem.inputs.dtype)
    return replace(problem, initial_state=tuple(states))


def _recovered_c(layer: Recurrent, problem: Problem, h: Array) -> tuple[Array, Array] | None:
    """Return c after every step, NaN where it cannot be recovered, and the slope of h in c."""
    (step,) = trace(problem)
    o = step.gates["o"]
    with np.errstate(all="ignore"):
        y = np.divide(h, o)
        y = np.where(o == 0, np.nan, y)
        c = invert(layer.activation, y)
        if c is None:
            return None
        act = ACTIVATIONS[layer.activation]
        slope = np.abs(o * act.slope(c, y))
    return c, np.where(np.isfinite(c) & (slope > 0), slope, np.nan)


def _with_carried_noise(
    half: HalfProblem,
    problem: Problem,
    where: tuple[Array, Array],
    sigma: Array,
    errors: list[Array],
) -> Array:
    """Return sigma raised by what the noise of inputs and recovered states makes of the step.

    `errors` has, for c, the error in units of that of h; that of h after a step is taken as large
    as it is in this one.
    """
    input_sigma = None if half.input_sigmas is None else half.input_sigmas[where][:, None]
    if input_sigma is None and not errors:
        return sigma
    assert problem.initial_state is not None  # noqa: S101 - it was made with one
    generator = np.random.default_rng(0)
    usual = np.maximum(sigma, np.median(sigma))
    inputs, states = problem.inputs, [tensor.data for tensor in problem.initial_state]
    base = compute(problem)[0].data
    total = sigma**2
    for _ in range(SAMPLES):
        noisy = problem
        if errors:
            u = FLOAT_TYPES[half.layer.compute_dtype].u
            size = np.where(np.isfinite(errors[0]), errors[0] * usual, 0) + u * np.abs(states[1])
            size = np.minimum(size, UNKNOWN)
            c = states[1] + size * generator.standard_normal(size.shape)
            noisy = _with_state(noisy, half.layer, 1, c)
        if input_sigma is not None:
            x = inputs.data + input_sigma * generator.standard_normal(input_sigma.shape)
            noisy = replace(noisy, inputs=Tensor.of(inputs.name, x, inputs.dtype))
        total = total + (compute(noisy)[0].data - base) ** 2 / SAMPLES
    result: Array = np.sqrt(total)
    return result
