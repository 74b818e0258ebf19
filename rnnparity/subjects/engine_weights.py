"""Keras' weights as engines outside of Keras keep them, and what plain cells do not compute."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from rnnparity.problem.answer import Unsupported
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent


def check_plain(
    layer: Recurrent,
    mask: Array | None,
    class_names: Collection[str],
    dtypes: Collection[str],
    activations: Collection[str] = ("tanh", "sigmoid"),
) -> None:
    """Check that a cell without masks computes a layer.

    Without other `activations` only the usual one of each place is there.

    Raises:
        Unsupported: it does not.
    """
    if layer.class_name not in class_names:
        raise Unsupported(f"no {layer.class_name}")
    if layer.compute_dtype not in dtypes:
        raise Unsupported(f"no {layer.compute_dtype}")
    names = [layer.activation, *([layer.recurrent_activation] if layer.cell.gated else [])]
    if activations == ("tanh", "sigmoid") and names != list(activations)[: len(names)]:
        raise Unsupported("only tanh, and sigmoid for the gates")
    for name in names:
        if name not in activations:
            raise Unsupported(f"no {name}")
    if layer.class_name == "GRU" and not layer.reset_after:
        raise Unsupported("no GRU with reset_after=False")
    if mask is not None:
        raise Unsupported("no masks")


@dataclass(frozen=True)
class GruWeights:
    """A GRU's weights with the gates r, z, n: W (3H, D), U (3H, H), b (3H,), and b_n (H,).

    The recurrent bias counts for itself only in the candidate n, where it is multiplied by r; that
    of the gates is added to b.
    """

    W: Array
    U: Array
    b: Array
    b_n: Array


def gru_weights(layer: Recurrent, weights: Mapping[str, Array]) -> GruWeights:
    """Return the weights of a GRU with `reset_after`; biases are zeros where it has none."""
    H = layer.units
    order = np.r_[H : 2 * H, :H, 2 * H : 3 * H]  # Keras has z, r, h
    W, U = weights["kernel"][:, order].T, weights["recurrent_kernel"][:, order].T
    bias = weights.get("bias", np.zeros((2, 3 * H), W.dtype))
    b, b_n = bias[0].copy(), bias[1, 2 * H :]
    b[: 2 * H] += bias[1, : 2 * H]
    return GruWeights(W, U, b[order], b_n)
