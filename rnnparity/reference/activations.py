"""The activation functions: value, slope and rounding error of each.

Formulas: https://keras.io/api/layers/activations (Keras 3), for `hard_sigmoid_keras2` the
documentation of Keras 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import erf, pi, sqrt

import numpy as np

from rnnparity.problem.dtypes import Array

# Keras' constants (Klambauer et al. 2017, "Self-normalizing neural networks").
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946
# Of the approximation of gelu (Hendrycks and Gimpel 2016, "Gaussian Error Linear Units").
GELU_SCALE, GELU_CUBIC = sqrt(2 / pi), 0.044715


@dataclass(frozen=True)
class Activation:
    """An elementwise function y = f(x).

    `slope(x, y)` is f'(x). Near one of the `kinks` noise may move x to the other side, so the
    larger slope there, `steepest`, counts. `error(x, y)` is the size of the rounding error of f
    itself, in units of u; `slope_error(x)` is that of f' where terms of it cancel. `scales`: f is x
    times another function, whose underflow x scales. `overflows`: y may leave the range of a type
    where x does not come near its end.
    """

    name: str
    value: Callable[[Array], Array]
    slope: Callable[[Array, Array], Array]
    error: Callable[[Array, Array], Array]
    kinks: tuple[float, ...] = ()
    steepest: float = 1.0
    scales: bool = False
    overflows: bool = False
    slope_error: Callable[[Array], Array] | None = None

    def __call__(self, x: Array) -> Array:
        return self.value(x)


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x))."""
    y = np.negative(x)
    np.exp(y, out=y)  # infinite where x is far below 0, and the result 0
    y += 1
    return np.reciprocal(y, out=y)


def relu(x: Array) -> Array:
    """Return max(x, 0)."""
    return np.maximum(x, 0)


def hard_sigmoid(x: Array) -> Array:
    """Return clip(x/6 + 1/2, 0, 1), the definition of Keras 3."""
    return np.clip(x / 6 + 0.5, 0, 1)


def hard_sigmoid_keras2(x: Array) -> Array:
    """Return clip(0.2x + 1/2, 0, 1), the definition of Keras 2."""
    return np.clip(0.2 * x + 0.5, 0, 1)


def softsign(x: Array) -> Array:
    """Return x / (1 + |x|)."""
    return x / (1 + np.abs(x))  # type: ignore[no-any-return]


def elu(x: Array) -> Array:
    """Return x, or exp(x) - 1 where x is negative."""
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def selu(x: Array) -> Array:
    """Return elu with the constants of self-normalizing networks."""
    return SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0)))


def softplus(x: Array) -> Array:
    """Return log(1 + exp(x))."""
    return np.logaddexp(x, np.zeros((), x.dtype))


def normal_cdf(x: Array) -> Array:
    """Return the standard normal distribution function."""
    return 0.5 * (1 + _erf(x / sqrt(2)))


def gelu(x: Array) -> Array:
    """Return x times the normal distribution function: the exact form (erf)."""
    return x * normal_cdf(x)


def gelu_tanh(x: Array) -> Array:
    """Return the approximation of gelu by tanh, Keras' gelu with approximate=True."""
    return 0.5 * x * (1 + np.tanh(GELU_SCALE * (x + GELU_CUBIC * x**3)))  # type: ignore[no-any-return]


def silu(x: Array) -> Array:
    """Return x * sigmoid(x)."""
    return x * sigmoid(x)


def _erf(x: Array) -> Array:
    # NumPy has no erf; SciPy would be a dependency for this line alone.
    return np.vectorize(erf, otypes=[float])(x).astype(x.dtype)  # type: ignore[no-any-return]


def _gelu_slope(x: Array, y: Array) -> Array:
    return normal_cdf(x) + x * np.exp(-0.5 * x * x) / sqrt(2 * pi)


def _gelu_tanh_slope(x: Array, y: Array) -> Array:
    t = np.tanh(GELU_SCALE * (x + GELU_CUBIC * x**3))
    slope: Array = 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * _gelu_tanh_inner_slope(x)
    return slope


def _gelu_tanh_inner_slope(x: Array) -> Array:
    slope: Array = GELU_SCALE * (1 + 3 * GELU_CUBIC * x * x)
    return slope


def _gelu_tanh_slope_error(x: Array) -> Array:
    """Return what the errors of t leave in 1 + t and 1 - t*t; beyond 5.5 t is 1 in float32."""
    error: Array = 2 * np.abs(x) * _gelu_tanh_inner_slope(x)
    return np.where(np.abs(x) < 5.5, 1 + error, 1)


def _silu_slope(x: Array, y: Array) -> Array:
    s = sigmoid(x)
    slope: Array = s * (1 + x * (1 - s))
    return slope


def _silu_slope_error(x: Array) -> Array:
    error: Array = sigmoid(x) * (1 + np.abs(x))
    return error


def _two_y(x: Array, y: Array) -> Array:
    """Return 2 u: good libraries are within about one unit in the last place, rms."""
    return 2 * np.abs(y)


def _no_error(x: Array, y: Array) -> Array:
    return np.zeros_like(y)


ACTIVATIONS = {
    function.name: function
    for function in (
        Activation("tanh", np.tanh, lambda x, y: 1 - y * y, _two_y),
        Activation("sigmoid", sigmoid, lambda x, y: y * (1 - y), _two_y),
        Activation(
            "hard_sigmoid",
            hard_sigmoid,
            lambda x, y: np.where(np.abs(x) < 3, 1 / 6, 0.0),
            lambda x, y: y + np.where(np.abs(x) < 3, np.abs(x) / 6, 0),
            kinks=(-3, 3),
            steepest=1 / 6,
        ),
        Activation(
            "hard_sigmoid_keras2",
            hard_sigmoid_keras2,
            lambda x, y: np.where(np.abs(x) <= 2.5, 0.2, 0.0),
            lambda x, y: y + np.where(np.abs(x) < 2.5, 0.2 * np.abs(x), 0),
            kinks=(-2.5, 2.5),
            steepest=0.2,
        ),
        Activation("relu", relu, lambda x, y: np.where(x > 0, 1.0, 0.0), _no_error, kinks=(0,)),
        Activation("linear", lambda x: x, lambda x, y: np.ones_like(x), _no_error),
        Activation("softsign", softsign, lambda x, y: (1 + np.abs(x)) ** -2, _two_y),
        # exp(x) - 1 computed in two steps loses up to u of exp(x), however small the difference.
        Activation(
            "elu",
            elu,
            lambda x, y: np.where(x > 0, 1.0, y + 1),
            lambda x, y: np.where(x > 0, 0.0, 2.0),
        ),
        Activation(
            "selu",
            selu,
            lambda x, y: np.where(x >= 0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA),
            lambda x, y: np.where(x > 0, y, 2 * SELU_SCALE * SELU_ALPHA),
            kinks=(0,),
            steepest=SELU_SCALE * SELU_ALPHA,
        ),
        Activation("softplus", softplus, lambda x, y: sigmoid(x), lambda x, y: y + 1),
        Activation("exponential", np.exp, lambda x, y: y, _two_y, overflows=True),
        # 1 + erf(x/sqrt2) cancels where x is negative: an error of u there is one of u*x/2 in the
        # product.
        Activation(
            "gelu",
            gelu,
            _gelu_slope,
            lambda x, y: 2 * np.abs(x),
            scales=True,
            slope_error=np.ones_like,
        ),
        Activation(
            "gelu_tanh",
            gelu_tanh,
            _gelu_tanh_slope,
            lambda x, y: 2 * np.abs(x),
            scales=True,
            slope_error=_gelu_tanh_slope_error,
        ),
        Activation("silu", silu, _silu_slope, _two_y, scales=True, slope_error=_silu_slope_error),
    )
}
