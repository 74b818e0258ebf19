"""The tolerance of a problem: how far a correct implementation may be off, and what that hides.

The tolerance is computed: a threshold in sigma, one for each float type, times the noise of the
reference (see `noise`). Where that noise could hide a fault the problem is inconclusive, which is
never a pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array, FloatType
from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import CORRELATED, NoisyOutputs, compute_with_noise, variants

# Noise no longer propagates linearly once a state may be off by this part of the scale on which the
# activations bend (1), or of its value where that is larger.
LARGEST_ERROR = 0.1
# Nor once the recurrence has amplified rounding errors (in units of u) this far: what reaches a
# state through several gates is one error, not several independent ones, and that inaccuracy is
# amplified too. In 5,820 random float32 problems the largest distance was 6.4 sigma below this
# limit and 9.8 above; 2.5 % of the problems lie above.
LARGEST_AMPLIFICATION = 300


@dataclass(frozen=True)
class Expected:
    """The outputs of the reference (float64) with a sigma for each value, in the values' units.

    `dtype` is the type whose threshold and fault size apply. `inconclusive` is the reason why noise
    would hide a fault, or empty. `unpredictable`: the noise model does not hold, so that no value
    can be judged. `visible` has, for each weight array, the effect of a relative change by the
    type's fault size, in thresholds (0: the array has no influence).
    """

    outputs: tuple[Tensor, ...]
    sigmas: tuple[Array, ...]
    dtype: FloatType
    inconclusive: str
    unpredictable: bool
    visible: Mapping[str, float]


def expect(problem: Problem) -> Expected:
    """Compute the expected outputs, their noise, and whether a fault would be visible."""
    dtype = FLOAT_TYPES[problem.threshold_type]
    visible: dict[str, float] = {}
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        noisy = compute_with_noise(problem)
        unpredictable = (
            _equal_units(problem)
            or _too_noisy(problem, noisy, dtype)
            or _too_large(problem, noisy, dtype)
        )
        if not unpredictable:
            visible = visibility(problem, noisy, dtype)
    inconclusive = unpredictable or _hidden_fault(visible, dtype)
    return Expected(noisy.outputs, noisy.sigmas, dtype, inconclusive, bool(unpredictable), visible)


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


def _too_noisy(problem: Problem, noisy: NoisyOutputs, dtype: FloatType) -> str:
    """Return the reason why a state may overflow or its noise is not linear, at any step."""
    types = {
        prefix + name: FLOAT_TYPES[half.compute_dtype]
        for prefix, half in halves(problem.layer)
        for name in half.states
    }
    limit = min(LARGEST_ERROR / dtype.threshold, LARGEST_AMPLIFICATION * dtype.u)
    for name, (values, sigmas) in noisy.states.items():
        if not (np.abs(values) <= types[name].largest / 16).all():
            return f"{name} leaves the range of {types[name].name}"
        small = sigmas <= limit * np.maximum(1, np.abs(values))
        if small.all():
            continue
        step = int(np.argwhere(~small.all(axis=(1, 2)))[0, 0])
        if not np.isfinite(sigmas[step]).all():
            return f"a value that {name} is computed from leaves the range of {types[name].name}"
        return f"the rounding noise of {name} has grown too far at processed step {step}"
    return ""


def _too_large(problem: Problem, noisy: NoisyOutputs, dtype: FloatType) -> str:
    """Return the reason why an output may overflow: that of merged halves, or in a narrower type."""
    slots = problem.output_slots()
    for slot, output, sigmas in zip(slots, noisy.outputs, noisy.sigmas, strict=True):
        largest = np.abs(output.data) + dtype.threshold * sigmas
        if not (largest < FLOAT_TYPES[slot.dtype].largest).all():
            return f"{slot.name} leaves the range of {slot.dtype}"
    return ""


def visibility(problem: Problem, noisy: NoisyOutputs, dtype: FloatType) -> dict[str, float]:
    """Return how far the outputs move, in thresholds, if one weight array changes.

    The change is relative, by `dtype.fault`.
    """
    names = [tensor.name for tensor in problem.weights]
    changed = {}
    for tensor in problem.weights:
        values = tensor.data.astype(np.float64)
        factors = [1 + dtype.fault * (tensor.name == name) for name in names]
        changed[tensor.name] = np.stack([values * factor for factor in factors])
    thresholds = np.zeros(len(names))
    outputs = variants(problem, changed)
    for expected, values, sigmas in zip(noisy.outputs, outputs, noisy.sigmas, strict=True):
        # Where sigma is 0 the value is exact (zeros of masked steps): any change is visible.
        allowed = dtype.threshold * np.maximum(sigmas, np.finfo(float).tiny)
        distance = np.abs(values - expected.data) / allowed
        thresholds = np.maximum(thresholds, distance.reshape(len(names), -1).max(axis=1))
    return dict(zip(names, thresholds.tolist(), strict=True))


def _hidden_fault(visible: Mapping[str, float], dtype: FloatType) -> str:
    """Return the reason why noise hides a fault; an array without any influence hides nothing."""
    influential = {name: thresholds for name, thresholds in visible.items() if thresholds > 0}
    if visible and not influential:
        return "no weight has any influence on the outputs"
    for name, thresholds in influential.items():
        if thresholds <= 1:
            return f"a relative change of {dtype.fault:g} in {name} would stay under the threshold"
    return ""
