"""The activation functions with hundreds of digits, for goldens that must be correctly rounded
float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rnnparity.reference.activations import SELU_ALPHA, SELU_SCALE


def scalar_function(name: str, mp: Any) -> Callable[[Any], Any]:
    """The function `name` of one mpmath number, written with the functions of the context `mp`."""
    return _functions(mp)[name]  # type: ignore[no-any-return]


def _functions(mp: Any) -> dict[str, Any]:
    half = mp.mpf(1) / 2

    def sigmoid(x: Any) -> Any:
        return 1 / (1 + mp.exp(-x))

    def elu(x: Any) -> Any:
        return x if x > 0 else mp.expm1(x)

    def gelu_tanh(x: Any) -> Any:
        # Keras' literal constant, a float64, stays what it is; (1 + tanh(z)) / 2 is sigmoid(2z),
        # which does not cancel.
        return x * sigmoid(2 * mp.sqrt(2 / mp.pi) * (x + mp.mpf(0.044715) * x**3))

    def clip(x: Any) -> Any:
        return min(max(x, mp.mpf(0)), mp.mpf(1))

    return {
        "tanh": mp.tanh,
        "sigmoid": sigmoid,
        "hard_sigmoid": lambda x: clip(x / 6 + half),
        "hard_sigmoid_keras2": lambda x: clip(x / 5 + half),
        "relu": lambda x: max(x, mp.mpf(0)),
        "linear": lambda x: x,
        "softsign": lambda x: x / (1 + abs(x)),
        "elu": elu,
        "selu": lambda x: mp.mpf(SELU_SCALE) * (x if x > 0 else mp.mpf(SELU_ALPHA) * mp.expm1(x)),
        "softplus": lambda x: mp.log1p(mp.exp(x)),
        "exponential": mp.exp,
        "gelu": lambda x: x * half * mp.erfc(-x / mp.sqrt(2)),
        "gelu_tanh": gelu_tanh,
        "silu": lambda x: x * sigmoid(x),
    }
