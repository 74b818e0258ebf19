"""What a problem's outputs should be, how far a healthy implementation may be off, and whether that
tells anything.

The tolerance is computed: a threshold in sigma, one a float type, times the noise that the
reference carries (how: `reference.arithmetic`). Where that noise could hide a fault the problem is
inconclusive, which is never a pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array, FloatType
from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import CORRELATED, NoisyOutputs, compute_with_noise, variants

# Linear propagation of noise says nothing once a state may be off by this much of the scale on
# which the activations bend (1), or of its own size where that is larger.
CHAOS = 0.1
# Nor does it once the recurrence has amplified rounding errors (in units of u) this far: what
# reaches a state by way of several gates is one error, not several independent ones, and that
# mistake is amplified along. Measured on 5,820 random float32 problems: largest distances of 6.4
# sigma below, 9.8 above; 2.5 % of the problems lie above.
AMPLIFIED = 300


@dataclass(frozen=True)
class Expected:
    """The reference's outputs (float64) with sigma beside each value, in units of the values.

    `inconclusive` is empty, or says in a few words why the noise would hide a fault;
    `unpredictable` is set where the noise model itself no longer holds, so that values cannot be
    judged at all. `visible` tells by weight array how many thresholds a relative change of the
    type's fault size would stand out (0: the array has no influence).
    """

    outputs: tuple[Tensor, ...]
    sigmas: tuple[Array, ...]
    kind: FloatType
    inconclusive: str
    unpredictable: bool
    visible: Mapping[str, float]


def expect(problem: Problem) -> Expected:
    """Run the reference on a problem with its noise, and find out whether a fault would show."""
    kind = FLOAT_TYPES[problem.threshold_type]
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        noisy = compute_with_noise(problem)
        reason = _alike(problem) or _chaos(noisy, kind)
        visible = {} if reason else visibility(problem, noisy, kind)
    return Expected(
        noisy.outputs, noisy.sigmas, kind, reason or _hidden(visible, kind), bool(reason), visible
    )


def _alike(problem: Problem) -> str:
    """Many units of equal weights make equal errors: what the noise says of them is up to 67 sigma
    off (LSTM, H=32)."""
    weights = {tensor.name: tensor.data for tensor in problem.weights}
    for prefix, half in halves(problem.layer):
        U = weights[f"{prefix}recurrent_kernel"]
        if half.units * len(half.states) > CORRELATED and (U[:1] == U).all():
            return f"all units of {prefix or 'the layer'} have equal weights, and so the same rounding errors"
    return ""


def _chaos(noisy: NoisyOutputs, kind: FloatType) -> str:
    """Where linear propagation ends: an overflow, or noise grown large in any state at any step."""
    for name, (values, sigmas) in noisy.states.items():
        if not np.isfinite(values).all() or (np.abs(values) > kind.largest / 16).any():
            return f"{name} leaves the range of {kind.name}"
        limit = min(CHAOS / kind.threshold, AMPLIFIED * kind.u)
        large = sigmas > limit * np.maximum(1, np.abs(values))
        if large.any():
            step = int(np.argwhere(large.any(axis=(1, 2)))[0, 0])
            return f"the rounding noise of {name} has grown too far at processed step {step}"
    return ""


def visibility(problem: Problem, noisy: NoisyOutputs, kind: FloatType) -> dict[str, float]:
    """How far, in thresholds, the outputs move when one weight array changes by the relative size
    `kind.fault`."""
    names = [tensor.name for tensor in problem.weights]
    changed = {
        tensor.name: np.stack(
            [
                tensor.data.astype(np.float64) * (1 + kind.fault * (tensor.name == name))
                for name in names
            ]
        )
        for tensor in problem.weights
    }
    moved = np.zeros(len(names))
    for output, values, sigmas in zip(
        noisy.outputs, variants(problem, changed), noisy.sigmas, strict=True
    ):
        # Sigma 0: the value is exact (zeros of masked steps), and any move would be seen.
        distance = np.abs(values - output.data) / (
            kind.threshold * np.maximum(sigmas, np.finfo(float).tiny)
        )
        moved = np.maximum(moved, distance.reshape(len(names), -1).max(axis=1))
    return dict(zip(names, moved.tolist(), strict=True))


def _hidden(visible: Mapping[str, float], kind: FloatType) -> str:
    """The array in which a fault would stay under the threshold. One without any influence hides
    nothing."""
    felt = {name: thresholds for name, thresholds in visible.items() if thresholds > 0}
    if not felt and visible:
        return "no weight has any influence on the outputs"
    for name, thresholds in felt.items():
        if thresholds <= 1:
            return f"a relative change of {kind.fault:g} in {name} would stay under the threshold"
    return ""
