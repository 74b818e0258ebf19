"""tinygrad: nn.LSTMCell, step by step.

Weights are (4*H, D), gates i, f, g, o, with two biases: tinygrad/nn/__init__.py. Its CPU device compiles
with clang; without it the device that interprets in Python is used. DEV chooses another one.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent
from rnnparity.subjects.adapters import Mask, States, Weights, half_subject
from rnnparity.subjects.declarations import LayerScript, Registration, is_plain_lstm
from rnnparity.subjects.engine_weights import check_plain
from rnnparity.subjects.functions import FunctionSubject


def make() -> FunctionSubject:
    """Return the subject `tinygrad`.

    Raises:
        ImportError: tinygrad is missing.
    """
    os.environ.setdefault("DEV", "CPU" if shutil.which("clang") else "PYTHON")
    from tinygrad import nn
    from tinygrad.tensor import Tensor

    @half_subject
    def half(
        layer: Recurrent, weights: Weights, x: Array, mask: Mask, states: States
    ) -> tuple[Array, list[Array]]:
        check_plain(layer, mask, ("LSTM",), ("float32", "float64"))
        cell: Any = nn.LSTMCell(x.shape[2], layer.units)
        cell.weight_ih = tensor(weights["kernel"].T)
        cell.weight_hh = tensor(weights["recurrent_kernel"].T)
        cell.bias_ih = tensor(weights["bias"]) if layer.use_bias else None
        cell.bias_hh = None
        h, c = map(tensor, states)
        sequence = []
        for t in range(x.shape[1]):
            h, c = (state.realize() for state in cell(tensor(x[:, t]), (h, c)))
            sequence.append(h.numpy())
        return np.stack(sequence, axis=1), [h.numpy(), c.numpy()]

    def tensor(array: Array) -> Any:
        return Tensor(np.ascontiguousarray(array))

    return FunctionSubject(half, ("tinygrad",))


SUBJECTS = (
    Registration(
        "tinygrad",
        make,
        "tinygrad's nn.LSTMCell",
        packages=("tinygrad",),
        extra="tinygrad",
        rank=54,
        script=LayerScript("tinygrad", "reproduce_tinygrad.py.j2", expresses=is_plain_lstm),
    ),
)
