"""Equinox on JAX: eqx.nn.LSTMCell and GRUCell in the loop that its documentation shows, jax.lax.scan.

Weights are (G*H, D), gates i, f, g, o and r, z, n; a GRU has one bias of all gates and one more of
the candidate's recurrent part: https://docs.kidger.site/equinox/api/nn/rnn/.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent
from rnnparity.subjects.adapters import Mask, States, Weights, half_subject
from rnnparity.subjects.declarations import Registration
from rnnparity.subjects.engine_weights import check_plain, gru_weights
from rnnparity.subjects.functions import FunctionSubject


def make() -> FunctionSubject:
    """Return the subject `equinox`.

    Raises:
        ImportError: Equinox or JAX is missing.
    """
    import equinox
    import jax

    jax.config.update("jax_enable_x64", True)  # for layers of float64

    @half_subject
    def half(
        layer: Recurrent, weights: Weights, x: Array, mask: Mask, states: States
    ) -> tuple[Array, list[Array]]:
        check_plain(layer, mask, ("LSTM", "GRU"), ("float32", "float64"))
        cell: Any = getattr(equinox.nn, f"{layer.class_name}Cell")(
            x.shape[2], layer.units, layer.use_bias, dtype=x.dtype, key=jax.random.key(0)
        )
        chosen, arrays = _replacement(layer, weights)
        cell = equinox.tree_at(chosen, cell, arrays)
        is_lstm = layer.class_name == "LSTM"

        def step(carry: Any, row: Any) -> Any:
            carry = jax.vmap(cell)(row, carry)
            return carry, carry[0] if is_lstm else carry

        start = tuple(states) if is_lstm else states[0]
        ends, sequence = jax.lax.scan(step, start, x.swapaxes(0, 1))
        return np.asarray(sequence).swapaxes(0, 1), list(
            map(np.asarray, ends if is_lstm else [ends])
        )

    return FunctionSubject(half, ("equinox", "jax"))


def _replacement(layer: Recurrent, weights: Mapping[str, Array]) -> tuple[Any, list[Array]]:
    """Return which arrays of a cell are replaced, and by what."""
    if layer.class_name == "LSTM":
        W, U = weights["kernel"].T, weights["recurrent_kernel"].T
        arrays = [W, U, *([weights["bias"]] if layer.use_bias else [])]
        names = ["weight_ih", "weight_hh", "bias"]
    else:
        gru = gru_weights(layer, weights)
        arrays = [gru.W, gru.U, *([gru.b, gru.b_n] if layer.use_bias else [])]
        names = ["weight_ih", "weight_hh", "bias", "bias_n"]
    used = names[: len(arrays)]
    return lambda cell: [getattr(cell, name) for name in used], arrays


SUBJECTS = (
    Registration(
        "equinox",
        make,
        "Equinox on JAX, LSTMCell and GRUCell in jax.lax.scan",
        packages=("equinox", "jax"),
        extra="equinox",
        rank=50,
    ),
)
