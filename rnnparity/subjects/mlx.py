"""MLX: nn.RNN, nn.LSTM and nn.GRU, which have no masks.

Weights are (G*H, D), gates i, f, g, o and r, z, n; a GRU has one bias of all gates and one more of
the candidate's recurrent part: https://ml-explore.github.io/mlx/build/html/python/nn/layers.html.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent
from rnnparity.subjects.adapters import Mask, States, Weights, half_subject
from rnnparity.subjects.declarations import Registration
from rnnparity.subjects.engine_weights import check_plain, gru_weights
from rnnparity.subjects.functions import FunctionSubject


def make() -> FunctionSubject:
    """Return the subject `mlx`.

    Raises:
        ImportError: MLX is missing.
    """
    import mlx.core as mx
    from mlx import nn

    mx.set_default_device(mx.cpu)

    @half_subject
    def half(
        layer: Recurrent, weights: Weights, x: Array, mask: Mask, states: States
    ) -> tuple[Array, list[Array]]:
        check_plain(layer, mask, ("SimpleRNN", "LSTM", "GRU"), ("float32",))
        sizes = x.shape[2], layer.units, layer.use_bias

        def array_of(values: Array) -> Any:
            return mx.array(np.array(values, order="C"))  # a copy: it takes no negative strides

        start = [array_of(state) for state in states]
        W, U = weights["kernel"].T, weights["recurrent_kernel"].T
        if layer.class_name == "SimpleRNN":
            module = nn.RNN(*sizes)
            arrays = {"Wxh": W, "Whh": U, "bias": weights.get("bias")}
        elif layer.class_name == "LSTM":
            module = nn.LSTM(*sizes)
            arrays = {"Wx": W, "Wh": U, "bias": weights.get("bias")}
        else:
            module = nn.GRU(*sizes)
            gru = gru_weights(layer, weights)
            arrays = {"Wx": gru.W, "Wh": gru.U}
            arrays |= {"b": gru.b, "bhn": gru.b_n} if layer.use_bias else {}
        for name, array in arrays.items():
            if array is not None:
                setattr(module, name, array_of(array))
        sequences = module(array_of(x), *start)
        outputs = [np.array(s) for s in (sequences if layer.class_name == "LSTM" else [sequences])]
        return outputs[0], [output[:, -1] for output in outputs]

    return FunctionSubject(half, ("mlx",))


SUBJECTS = (
    Registration(
        "mlx",
        make,
        "MLX on the CPU, nn.RNN, nn.LSTM and nn.GRU",
        packages=("mlx",),
        extra="mlx",
        rank=52,
    ),
)
