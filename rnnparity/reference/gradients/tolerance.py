"""The tolerance of gradients: as that of outputs, from the noise of stochastic arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rnnparity.problem.dtypes import Array, FloatType, arithmetic_type
from rnnparity.problem.problem import Problem
from rnnparity.problem.tensor import Tensor
from rnnparity.reference.gradients import compute_gradients
from rnnparity.reference.gradients.arithmetic import TapedArithmetic
from rnnparity.reference.gradients.backward import BackwardUnroller
from rnnparity.reference.gradients.stochastic import StochasticArithmetic
from rnnparity.reference.gradients.training import compute_training_step, step_of
from rnnparity.reference.memory import GRADIENT, check_memory, numbers_of
from rnnparity.reference.tolerance import Expected, why_unpredictable

Backward = Callable[[TapedArithmetic], Sequence[Array]]

# A sigma from so many runs is itself uncertain by 13 %.
RUNS = 32
# So many runs at least are done at once, more where they fit into this memory.
FEWEST_AT_ONCE, BYTES_AT_ONCE = 8, 2**28


def expect_gradients(problem: Problem, precision: FloatType | None = None) -> Expected:
    """Compute the expected gradients, their noise, and whether a fault would be visible.

    `outputs` of the result are the gradients, `visible` has the effect of a relative change in
    each of them. Where the forward pass is unpredictable so are the gradients.

    Raises:
        RequestError: the problem has no cotangents, or does not fit in memory.
    """
    check_memory(problem, GRADIENT * FEWEST_AT_ONCE)
    gradients = compute_gradients(problem)
    sizes = [np.abs(tensor.data) for tensor in gradients]
    return _expected(problem, gradients, sizes, _backward(problem), precision)


def expect_training_step(problem: Problem, precision: FloatType | None = None) -> Expected:
    """Compute the expected weights after a training step, and the same about them.

    `visible` has the effect of a relative change in the gradient of each weight: the next to nothing
    of a step that is too small for the type.

    Raises:
        RequestError: the problem has no training step, or does not fit in memory.
    """
    check_memory(problem, GRADIENT * FEWEST_AT_ONCE)
    step, after = step_of(problem), compute_training_step(problem)
    changes = [
        np.abs(tensor.data - before.data.astype(np.float64))
        for tensor, before in zip(after, problem.weights, strict=True)
    ]

    def run(arithmetic: TapedArithmetic) -> Sequence[Array]:
        return BackwardUnroller(problem, arithmetic).weights_after(step)

    return _expected(problem, after, changes, run, precision)


def _expected(
    problem: Problem,
    exact: tuple[Tensor, ...],
    sizes: Sequence[Array],
    run: Backward,
    precision: FloatType | None,
) -> Expected:
    """Return exact results with the noise of `run`; `sizes` are those of what a fault changes."""
    dtype = arithmetic_type(problem.threshold_type, precision)
    reason = why_unpredictable(problem, precision)
    sigmas = [np.full(tensor.shape, np.inf) for tensor in exact]
    visible: dict[str, float] = {}
    kinks: tuple[str, ...] = ()
    if not reason:
        noise = gradient_noise(problem, exact, run, precision)
        sigmas, reason, kinks = noise.sigmas, noise.reason, noise.kinks
    if not reason:
        for tensor, sigma, size in zip(exact, sigmas, sizes, strict=True):
            # A gradient of zero may be another one beyond a kink.
            largest = np.maximum(size, sigma) if kinks else size
            # What is too small for the type is zero there, which no relative change moves.
            kept = np.where(largest > dtype.tiny, largest, 0)
            allowed = dtype.threshold * np.maximum(sigma, np.finfo(float).tiny)
            visible[tensor.name] = float((dtype.fault * kept / allowed).max(initial=0))
    return Expected(
        exact,
        tuple(sigmas),
        dtype,
        reason or _hidden_fault(visible, dtype, kinks),
        bool(reason),
        visible,
        precision=dtype.name if dtype is precision else "",
    )


def _hidden_fault(visible: Mapping[str, float], dtype: FloatType, kinks: Sequence[str]) -> str:
    """Return the reason why noise, that of kinks included, hides a fault; empty if none is hidden."""
    hidden = [name for name, thresholds in visible.items() if 0 < thresholds <= 1]
    if not hidden:
        return ""
    text = f"a change of {dtype.fault:g} in the gradient of {hidden[0]} would stay hidden"
    if kinks:
        text += f"; rounding may move a number over a kink of {' and '.join(kinks)}"
    return text


@dataclass(frozen=True)
class GradientNoise:
    """The root mean square error of all runs, and a reason why it shows too little, or none.

    `kinks` are the activations that have a number near a kink.
    """

    sigmas: list[Array]
    reason: str
    kinks: tuple[str, ...] = ()


def gradient_noise(
    problem: Problem, exact: Sequence[Tensor], run: Backward, precision: FloatType | None = None
) -> GradientNoise:
    """Return how far `run` is off with random rounding errors.

    `run` returns the gradients, each with a leading axis of runs.
    """
    at_once = BYTES_AT_ONCE // (GRADIENT * numbers_of(problem))
    at_once = 2 ** int(np.log2(np.clip(at_once, FEWEST_AT_ONCE, RUNS)))
    squares = [np.zeros(tensor.shape) for tensor in exact]
    kinks: set[str] = set()
    for seed in range(RUNS // at_once):
        rng = np.random.Generator(np.random.SFC64(seed))
        arithmetic = StochasticArithmetic(problem.layer.compute_dtype, at_once, rng, precision)
        with np.errstate(all="ignore"):
            for index, (runs, tensor) in enumerate(zip(run(arithmetic), exact, strict=True)):
                squares[index] += ((runs - tensor.data) ** 2).sum(axis=0)
        if arithmetic.reasons:
            return GradientNoise(squares, arithmetic.reasons[0])
        kinks |= arithmetic.kinks
    sigmas = [np.sqrt(square / RUNS) for square in squares]
    finite = all(np.isfinite(sigma).all() for sigma in sigmas)
    reason = "" if finite else "a gradient leaves the range of its type"
    return GradientNoise(sigmas, reason, tuple(sorted(kinks)))


def _backward(problem: Problem) -> Backward:
    return lambda arithmetic: BackwardUnroller(problem, arithmetic).gradients(
        problem.cotangents or ()
    )
