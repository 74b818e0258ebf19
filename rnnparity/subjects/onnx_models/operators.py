"""Keras' layers and activations as ONNX' recurrent operators and their functions, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

OPERATORS = {"SimpleRNN": "RNN", "LSTM": "LSTM", "GRU": "GRU"}
# Keras' activation -> ONNX' function, its alpha, its beta.
ACTIVATIONS: dict[str, tuple[str, list[float], list[float]]] = {
    "tanh": ("Tanh", [], []),
    "sigmoid": ("Sigmoid", [], []),
    "relu": ("Relu", [], []),
    "linear": ("Affine", [1.0], [0.0]),
    "hard_sigmoid": ("HardSigmoid", [1 / 6], [0.5]),
    "hard_sigmoid_keras2": ("HardSigmoid", [0.2], [0.5]),
    "elu": ("Elu", [1.0], []),
    "softsign": ("Softsign", [], []),
    "softplus": ("Softplus", [], []),
}
# By ONNX' function: alpha and beta where a node has no values for them.
DEFAULTS: dict[str, tuple[list[float], list[float]]] = {
    "Affine": ([1.0], [0.0]),
    "HardSigmoid": ([0.2], [0.5]),
    "Elu": ([1.0], []),
}


def keras_activations(
    functions: Sequence[str], alphas: Sequence[float], betas: Sequence[float]
) -> list[str]:
    """Return Keras' activations of an operator's functions; "" where Keras has none.

    `alphas` and `betas` are the parameters of those functions that take some, one after the other.
    """
    alpha, beta = iter(alphas), iter(betas)
    names = []
    for function in functions:
        first, second = DEFAULTS.get(function, ([], []))
        parameters = (
            [next(alpha, value) for value in first],
            [next(beta, value) for value in second],
        )
        names.append(_named(function, *parameters))
    return names


def _named(function: str, alphas: Sequence[float], betas: Sequence[float]) -> str:
    """Return the activation that a function is with these parameters, which a node has in float32."""
    for name, (known, alpha, beta) in ACTIVATIONS.items():
        pairs = zip([*alphas, *betas], [*alpha, *beta], strict=False)
        if known == function and all(np.float32(x) == np.float32(y) for x, y in pairs):
            return name
    return ""
