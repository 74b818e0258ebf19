"""Nonlinear least squares: parameters under which a model gives the actual numbers.

The method of Levenberg and Marquardt: several dampings are tried at once, the best step is taken.
Where parameters have an effect on the values of one unit only, the units are independent blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rnnparity.problem.dtypes import Array

# Parameters (V, P) -> what the model gives (V, M).
Model = Callable[[Array], Array]

# Dampings relative to the largest curvature.
DAMPINGS = np.array([0.0, 1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 0.1, 1.0])
# The step of the numerical derivative, and the smallest curvature that counts, relative to the
# largest: below it a combination of parameters has no effect.
STEP, NO_EFFECT = 1e-6, 1e-11
# Variants that run at once.
VARIANTS = 256
# The largest residual and slope, in sigma; also those of a value that is not finite.
LARGEST = 1e12


@dataclass(frozen=True)
class Data:
    """The actual values (M,) and their noise."""

    actual: Array
    sigmas: Array


@dataclass(frozen=True)
class Blocks:
    """Independent blocks: the indices of the parameters (K, n) and of the values (K, m) of each."""

    parameters: Array
    values: Array


@dataclass(frozen=True)
class Effort:
    """How long a fit goes on: iterations, and the part of the squares that each must take away."""

    iterations: int
    progress: float


@dataclass(frozen=True)
class Fit:
    """Parameters (P,) with their standard errors, and the largest distance of a value in sigma.

    The standard error of a parameter that was not fitted is 0, of one without effect infinite.
    """

    parameters: Array
    errors: Array
    sigma: float


def fit(model: Model, start: Array, data: Data, blocks: Blocks, effort: Effort) -> Fit:
    """Return the parameters next to `start` (P,) under which the model is nearest to the data."""
    parameters = start.copy()
    residuals = _residuals(model, parameters[None], data)[0]
    squares = (residuals[blocks.values] ** 2).sum(axis=1)
    for _ in range(effort.iterations):
        slopes = _slopes(model, parameters, data, blocks)
        steps = _steps(slopes, residuals[blocks.values])
        candidates = np.repeat(parameters[None], len(steps), axis=0)
        candidates[:, blocks.parameters] += steps
        tried = _residuals(model, candidates, data)
        all_squares = (tried[:, blocks.values] ** 2).sum(axis=2)
        best = np.argmin(all_squares, axis=0)
        before, squares = squares, np.minimum(squares, all_squares.min(axis=0))
        for block in np.flatnonzero(squares < before):
            own, values = blocks.parameters[block], blocks.values[block]
            parameters[own] = candidates[best[block], own]
            residuals[values] = tried[best[block], values]
        if (squares >= (1 - effort.progress) * before).all():
            break
    errors = np.zeros(len(parameters))
    errors[blocks.parameters] = _errors(slopes)
    return Fit(parameters, errors, float(np.abs(residuals).max()))


def distances(model: Model, parameters: Array, data: Data) -> Array:
    """Return how far each actual value (M,) is from what the model gives, in sigma."""
    away: Array = np.abs(_residuals(model, parameters[None], data)[0])
    return away


def _residuals(model: Model, parameters: Array, data: Data) -> Array:
    """Return how far each value is from what the model gives, in sigma, for each variant."""
    with np.errstate(all="ignore"):
        residuals: Array = (data.actual - model(parameters)) / data.sigmas
    clipped: Array = np.clip(np.nan_to_num(residuals, nan=LARGEST), -LARGEST, LARGEST)
    return clipped


def _slopes(model: Model, parameters: Array, data: Data, blocks: Blocks) -> Array:
    """Return the derivatives (K, n, m) of the model in sigma: all blocks change at once."""
    count = blocks.parameters.shape[1]
    changed = np.repeat(parameters[None], count, axis=0)
    changed[np.arange(count), blocks.parameters] += STEP
    with np.errstate(all="ignore"):
        value = model(parameters[None])
        parts = [
            (model(part) - value) / (STEP * data.sigmas)
            for part in np.array_split(changed, -(-count // VARIANTS))
        ]
    slopes = np.nan_to_num(np.concatenate(parts), nan=0, posinf=0, neginf=0)
    return np.clip(slopes, -LARGEST, LARGEST)[:, blocks.values].swapaxes(0, 1)


def _steps(slopes: Array, residuals: Array) -> Array:
    """Return steps with axes damping, K, n: damped equally, and in the scale of each parameter.

    The former are better where parameters have little effect as yet, the latter in narrow valleys.
    """
    scales = _scales(slopes)
    scaled = slopes / scales[..., None]
    return np.concatenate([_damped(slopes, residuals), _damped(scaled, residuals) / scales])


def _damped(slopes: Array, residuals: Array) -> Array:
    """Return a step for each damping and block, with axes damping, K, n."""
    curvature, directions = np.linalg.eigh(slopes @ slopes.swapaxes(1, 2))
    largest = curvature[:, -1:]
    visible = curvature > NO_EFFECT * largest
    damped = curvature + DAMPINGS[:, None, None] * largest
    along = (directions.swapaxes(1, 2) @ (slopes @ residuals[..., None]))[..., 0]
    steps = np.where(visible, along / np.where(visible, damped, 1), 0)
    return (directions @ steps[..., None])[..., 0]


def _scales(slopes: Array) -> Array:
    """Return the effect of each parameter, 1 where it has none."""
    effects = np.linalg.norm(slopes, axis=2)
    return np.where(effects > 0, effects, 1)


def _errors(slopes: Array) -> Array:
    """Return the standard error of each parameter (K, n), infinite where it has no effect."""
    curvature, directions = np.linalg.eigh(slopes @ slopes.swapaxes(1, 2))
    visible = (curvature > NO_EFFECT * curvature[:, -1:])[:, None]
    inverse = np.where(visible, 1 / np.where(visible, curvature[:, None], 1), 0)
    variances = (directions**2 * inverse).sum(axis=2)
    hidden = (directions**2 * ~visible).sum(axis=2) > NO_EFFECT
    errors: Array = np.where(hidden, np.inf, np.sqrt(variances))
    return errors
