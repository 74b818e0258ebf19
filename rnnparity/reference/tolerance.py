"""The tolerance of a problem: how far a correct implementation may be off, and what that hides.

The tolerance is computed: a threshold in sigma, one for each float type, times the noise of the
reference (see `noise`). Where that noise could hide a fault the problem is inconclusive, which is
never a pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from rnnparity.problem.dtypes import Array, FloatType, arithmetic_type
from rnnparity.problem.findings import WeightBlock
from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import CORRELATED, NoisyOutputs, compute_with_noise, variants
from rnnparity.reference.memory import NOISE, VARIANT, check_memory

# Noise no longer propagates linearly once a state may be off by this part of the scale on which the
# activations bend (1), or of its value where that is larger.
LARGEST_ERROR = 0.1
# Nor once the recurrence has amplified rounding errors (in units of u) this far: what reaches a
# state through several gates is one error, not several independent ones, and that inaccuracy is
# amplified too. In 5,820 random float32 problems the largest distance was 6.4 sigma below this
# limit and 9.8 above; 2.5 % of the problems lie above.
LARGEST_AMPLIFICATION = 300
# The effect of weights that an engine rounds is the root mean square of so many random roundings.
ROUNDINGS = 16


@dataclass(frozen=True)
class Expected:
    """The outputs of the reference (float64) with a sigma for each value, in the values' units.

    `dtype` is the type whose threshold and fault size apply, `precision` its name where it was
    declared and is coarser than the problem's own. `inconclusive` is the reason why noise
    would hide a fault, or empty. `unpredictable`: the noise model does not hold, so that no value
    can be judged. `visible` has, for each weight array, the effect of a relative change by the
    type's fault size, in thresholds (0: the array has no influence). `blind_to` are the blocks of
    one gate in which the same change would stay in the noise, if they were asked for.
    """

    outputs: tuple[Tensor, ...]
    sigmas: tuple[Array, ...]
    dtype: FloatType
    inconclusive: str
    unpredictable: bool
    visible: Mapping[str, float]
    blind_to: tuple[WeightBlock, ...] = ()
    precision: str = ""


def expect(
    problem: Problem,
    *,
    by_gate: bool = False,
    precision: FloatType | None = None,
    visibility: bool = True,
) -> Expected:
    """Compute the expected outputs, their noise, and whether a fault would be visible.

    With `by_gate` also in each gate's block of the weights, which takes several times as long where
    the layer is large. `precision` is the arithmetic that the engine declares. Without `visibility`
    it stays unknown whether noise hides a fault: `visible` is empty.

    Raises:
        RequestError: the problem does not fit in memory.
    """
    dtype = arithmetic_type(problem.threshold_type, precision)
    declared = dtype.name if dtype is precision else ""
    arrays = [(tensor.name, slice(None)) for tensor in problem.weights]
    blocks = _blocks(problem) if by_gate else {}
    sets = max(len(arrays) + len(blocks), ROUNDINGS if declared else 0)
    check_memory(problem, NOISE + VARIANT * sets)
    effects: list[float] = []
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        noisy = compute_with_noise(problem, precision)
        if declared:
            noisy = _with_rounded_weights(problem, noisy, dtype)
        unpredictable = _unpredictable(problem, noisy, precision, LARGEST_AMPLIFICATION)
        if visibility and not unpredictable:
            effects = _effects(problem, noisy, dtype, [*arrays, *blocks.values()])
    visible = dict(zip((name for name, _ in arrays), effects, strict=False))
    hidden = zip(blocks, effects[len(arrays) :], strict=False)
    blind_to = tuple(block for block, effect in hidden if 0 < effect <= 1)
    inconclusive = unpredictable or _hidden_fault(visible, dtype)
    return Expected(
        noisy.outputs,
        noisy.sigmas,
        dtype,
        inconclusive,
        bool(unpredictable),
        visible,
        blind_to,
        declared,
    )


def why_unpredictable(problem: Problem, precision: FloatType | None = None) -> str:
    """Return why no noise can be computed from runs that round at random; empty where it can.

    Errors that one number shares with others are the same in such a run, so that no amplification
    is too large as long as the noise is linear.

    Raises:
        RequestError: the problem does not fit in memory.
    """
    check_memory(problem, NOISE)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        noisy = compute_with_noise(problem, precision)
        return _unpredictable(problem, noisy, precision, np.inf)


def _unpredictable(
    problem: Problem, noisy: NoisyOutputs, precision: FloatType | None, amplification: float
) -> str:
    """Return the reason why the noise does not show how far off a value may be, or none."""
    dtype = arithmetic_type(problem.threshold_type, precision)
    limit = min(LARGEST_ERROR / dtype.threshold, amplification * dtype.u)
    return (
        _equal_units(problem)
        or _too_noisy(problem, noisy, limit, precision)
        or _too_large(problem, noisy, dtype, precision)
    )


def _with_rounded_weights(problem: Problem, noisy: NoisyOutputs, dtype: FloatType) -> NoisyOutputs:
    """Return outputs whose noise includes that of weights rounded to a declared precision.

    A rounded weight is off by the same amount at every step, which the noise of independent errors
    does not show.
    """
    rng = np.random.default_rng(0)
    weights = {}
    for tensor in problem.weights:
        values = tensor.data.astype(np.float64)
        signs = rng.choice([-1.0, 1.0], (ROUNDINGS, *values.shape))
        weights[tensor.name] = values + signs * dtype.storage_error(values)
    sigmas = [
        np.sqrt(sigma**2 + ((values - expected.data) ** 2).mean(axis=0))
        for sigma, values, expected in zip(
            noisy.sigmas, variants(problem, weights), noisy.outputs, strict=True
        )
    ]
    return replace(noisy, sigmas=tuple(sigmas))


def _equal_units(problem: Problem) -> str:
    """Return the reason why equal errors of many equal units make the problem unpredictable.

    The noise model is up to 67 sigma off there (LSTM, H=32).
    """
    weights = {tensor.name: tensor.data for tensor in problem.weights}
    for prefix, half in halves(problem.layer):
        U = weights[f"{prefix}recurrent_kernel"]
        if half.units * len(half.states) > CORRELATED and (U[:1] == U).all():
            name = prefix or "the layer"
            return f"all units of {name} have equal weights, and so the same rounding errors"
    return ""


def _too_noisy(
    problem: Problem, noisy: NoisyOutputs, limit: float, precision: FloatType | None
) -> str:
    """Return the reason why a state may overflow or its noise is above the limit, at any step."""
    types = {
        prefix + name: arithmetic_type(half.compute_dtype, precision)
        for prefix, half in halves(problem.layer)
        for name in half.states
    }
    for name, extremes in noisy.extremes.items():
        if not (extremes.magnitude <= types[name].largest / 16).all():
            return f"{name} leaves the range of {types[name].name}"
        small = extremes.relative_sigma <= limit
        if small.all():
            continue
        step = int(np.argmin(small))
        if not np.isfinite(extremes.relative_sigma[step]):
            return f"a value that {name} is computed from leaves the range of {types[name].name}"
        return f"the rounding noise of {name} has grown too far at processed step {step}"
    return ""


def _too_large(
    problem: Problem, noisy: NoisyOutputs, dtype: FloatType, precision: FloatType | None
) -> str:
    """Return the reason why an output may overflow: that of merged halves, or in a narrower type."""
    slots = problem.output_slots()
    for slot, output, sigmas in zip(slots, noisy.outputs, noisy.sigmas, strict=True):
        largest = np.abs(output.data) + dtype.threshold * sigmas
        slot_type = arithmetic_type(slot.dtype, precision)
        if not (largest < slot_type.largest).all():
            return f"{slot.name} leaves the range of {slot_type.name}"
    return ""


# Columns of a weight array.
_Columns = tuple[str, slice]


def _blocks(problem: Problem) -> dict[WeightBlock, _Columns]:
    """Return the columns of each gate in each weight array, where there is more than one gate."""
    blocks = {}
    for prefix, half in halves(problem.layer):
        names = ("kernel", "recurrent_kernel", *(("bias",) if half.use_bias else ()))
        for name, (index, gate) in product(names, enumerate(half.cell.gates)):
            columns = slice(index * half.units, (index + 1) * half.units)
            if len(half.cell.gates) > 1:
                blocks[WeightBlock(prefix + name, gate)] = (prefix + name, columns)
    return blocks


def _effects(
    problem: Problem, noisy: NoisyOutputs, dtype: FloatType, changes: Sequence[_Columns]
) -> list[float]:
    """Return how far the outputs move, in thresholds, with each change of some columns.

    A change is relative, by `dtype.fault`. All of them are computed in one pass.
    """
    weights = {
        tensor.name: np.repeat(tensor.data.astype(np.float64)[None], len(changes), axis=0)
        for tensor in problem.weights
    }
    for index, (name, columns) in enumerate(changes):
        weights[name][index][..., columns] *= 1 + dtype.fault
    effects = np.zeros(len(changes))
    outputs = variants(problem, weights)
    for expected, values, sigmas in zip(noisy.outputs, outputs, noisy.sigmas, strict=True):
        # Where sigma is 0 the value is exact (zeros of masked steps): any change is visible.
        allowed = dtype.threshold * np.maximum(sigmas, np.finfo(float).tiny)
        distance = np.abs(values - expected.data) / allowed
        effects = np.maximum(effects, distance.reshape(len(changes), -1).max(axis=1))
    return [float(effect) for effect in effects]


def _hidden_fault(visible: Mapping[str, float], dtype: FloatType) -> str:
    """Return the reason why noise hides a fault; an array without any influence hides nothing."""
    influential = {name: thresholds for name, thresholds in visible.items() if thresholds > 0}
    if visible and not influential:
        return "no weight has any influence on the outputs"
    for name, thresholds in influential.items():
        if thresholds <= 1:
            return f"a relative change of {dtype.fault:g} in {name} would stay under the threshold"
    return ""
