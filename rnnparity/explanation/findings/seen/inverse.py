"""Inverses of the activations, where they have one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.reference.activations import ACTIVATIONS, SELU_ALPHA, SELU_SCALE

Inverse = Callable[[Array], Array]
# Beyond this x, x times a sigmoid is x to more digits than float64 has.
LARGEST_GATED = 40.0
NEWTON_STEPS = 3


def _elu(y: Array) -> Array:
    return np.where(y > 0, y, np.log1p(np.minimum(y, 0)))


def _selu(y: Array) -> Array:
    return _elu(y / np.where(y > 0, SELU_SCALE, SELU_SCALE * SELU_ALPHA))


def _only(inverse: Inverse, low: float, high: float) -> Inverse:
    """Return NaN outside of the open interval in which the activation is strictly monotonic."""
    return lambda y: np.where((y > low) & (y < high), inverse(y), np.nan)


def _gated(name: str) -> Inverse:
    """Return the inverse of silu or gelu where x is positive; they fall and rise below 0."""
    function = ACTIVATIONS[name]
    grid = np.linspace(0, LARGEST_GATED, 2000)
    values = function(grid)

    def solve(y: Array) -> Array:
        x: Array = np.where(y < LARGEST_GATED, np.interp(y, values, grid), y)
        for _ in range(NEWTON_STEPS):
            value = function(x)
            x = x - (value - y) / function.slope(x, value)
        return x

    return solve


INVERSES: Mapping[str, Inverse] = {
    "linear": lambda y: y,
    "tanh": _only(np.arctanh, -1, 1),
    "sigmoid": _only(lambda y: np.log(y) - np.log1p(-y), 0, 1),
    "hard_sigmoid": _only(lambda y: 6 * y - 3, 0, 1),
    "hard_sigmoid_keras2": _only(lambda y: 5 * y - 2.5, 0, 1),
    "relu": _only(lambda y: y, 0, np.inf),
    "softsign": _only(lambda y: y / (1 - np.abs(y)), -1, 1),
    "elu": _only(_elu, -1, np.inf),
    "selu": _only(_selu, -SELU_SCALE * SELU_ALPHA, np.inf),
    "softplus": _only(lambda y: y + np.log(-np.expm1(-y)), 0, np.inf),
    "exponential": _only(np.log, 0, np.inf),
    **{name: _only(_gated(name), 0, np.inf) for name in ("gelu", "gelu_tanh", "silu")},
}


def invert(name: str, y: Array) -> Array | None:
    """Return the pre-activations that give y; NaN where there is none, or more than one.

    None where the activation has no inverse.
    """
    inverse = INVERSES.get(name)
    if inverse is None:
        return None
    with np.errstate(all="ignore"):
        return inverse(y)


@lru_cache
def has_inverse_everywhere(name: str) -> bool:
    """Return whether every value of an activation comes from one pre-activation only."""
    return bool((np.diff(ACTIVATIONS[name](np.linspace(-4, 4, 801))) > 0).all())


@lru_cache
def value_range(name: str) -> tuple[float, float]:
    """Return the lowest and the highest value of an activation, which may be infinite."""
    values = ACTIVATIONS[name](np.linspace(-LARGEST_GATED, LARGEST_GATED, 8001))
    lowest, highest = float(values.min()), float(values.max())
    return lowest if lowest > -2 else -np.inf, highest if highest < 2 else np.inf
