"""Exact arithmetic: hundreds of digits, for goldens that must be correctly rounded float64."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import RequestError
from rnnparity.reference.activations import SELU_ALPHA, SELU_SCALE
from rnnparity.reference.arithmetic import PlainArithmetic
from rnnparity.reference.number import Function

# mpmath ships no types: a context of it, with its own precision, and one number.
Context: TypeAlias = Any
MpfNumber: TypeAlias = Any

# 1 - z keeps its own digits where float64 can still represent z.
DIGITS = 350


class ExactArithmetic(PlainArithmetic):
    """Object arrays of mpmath numbers.

    Raises:
        RequestError: mpmath is missing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.context: Context = _mpmath().mp.clone()
        self.context.dps = DIGITS

    def from_array(self, values: Array) -> Array:
        convert = np.frompyfunc(self.context.mpf, 1, 1)
        return np.asarray(convert(np.asarray(values, np.float64)))

    def activation(self, name: str) -> Function[Array]:
        function: Function[Array] = np.frompyfunc(scalar_function(name, self.context), 1, 1)
        return function


def _mpmath() -> ModuleType:
    try:
        import mpmath
    except ImportError:
        raise RequestError(
            "exact arithmetic: mpmath is missing; run pip install 'rnnparity[regenerate]'"
        ) from None
    return mpmath  # type: ignore[no-any-return]


def scalar_function(name: str, mp: Context) -> Callable[[MpfNumber], MpfNumber]:
    """Return the activation function of one number, written with the functions of `mp`."""
    half = mp.mpf(1) / 2
    zero, unit = mp.mpf(0), mp.mpf(1)

    def sigmoid(x: MpfNumber) -> MpfNumber:
        return 1 / (1 + mp.exp(-x))

    def elu(x: MpfNumber) -> MpfNumber:
        return x if x > 0 else mp.expm1(x)

    def selu(x: MpfNumber) -> MpfNumber:
        return mp.mpf(SELU_SCALE) * (x if x > 0 else mp.mpf(SELU_ALPHA) * mp.expm1(x))

    def gelu_tanh(x: MpfNumber) -> MpfNumber:
        # Keras' constant is a float64 number; (1 + tanh(z)) / 2 is sigmoid(2z), which does not
        # cancel.
        return x * sigmoid(2 * mp.sqrt(2 / mp.pi) * (x + mp.mpf(0.044715) * x**3))

    def clip(x: MpfNumber) -> MpfNumber:
        return min(max(x, zero), unit)

    functions: dict[str, Callable[[MpfNumber], MpfNumber]] = {
        "tanh": mp.tanh,
        "sigmoid": sigmoid,
        "hard_sigmoid": lambda x: clip(x / 6 + half),
        "hard_sigmoid_keras2": lambda x: clip(x / 5 + half),
        "relu": lambda x: max(x, zero),
        "linear": lambda x: x,
        "softsign": lambda x: x / (1 + abs(x)),
        "elu": elu,
        "selu": selu,
        "softplus": lambda x: mp.log1p(mp.exp(x)),
        "exponential": mp.exp,
        "gelu": lambda x: x * half * mp.erfc(-x / mp.sqrt(2)),
        "gelu_tanh": gelu_tanh,
        "silu": lambda x: x * sigmoid(x),
    }
    return functions[name]
