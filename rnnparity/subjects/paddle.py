"""PaddlePaddle: nn.SimpleRNN, nn.LSTM and nn.GRU, and nn.RNN around the cells of each.

Weights are (G*H, D), gates i, f, g, o and r, z, n, with two biases each. `sequence_length` chooses the
last states; outputs of padded steps are zeros, those of nn.RNN(cell) are computed from the padding:
https://www.paddlepaddle.org.cn/documentation/docs/en/api/paddle/nn/LSTM_en.html, .../RNN_en.html.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np

from rnnparity.problem.answer import Unsupported
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent
from rnnparity.subjects.adapters import Mask, States, Weights, half_subject, lengths_of
from rnnparity.subjects.declarations import Registration
from rnnparity.subjects.engine_weights import check_plain
from rnnparity.subjects.functions import FunctionSubject
from rnnparity.subjects.torch_layers import packed

PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
# PaddlePaddle ships no types.
PaddleModule = Any


def make(*, cells: bool) -> FunctionSubject:
    """Return the subject `paddle`, or `paddle:cell` with nn.RNN around `cells`.

    Raises:
        ImportError: PaddlePaddle is missing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of compilers that are not needed
        import paddle
    paddle.set_device("cpu")

    def module_of(layer: Recurrent, features: int) -> tuple[PaddleModule, dict[str, PaddleModule]]:
        """Return a layer of this kind, and its parameters by name."""
        name, suffix = (f"{layer.class_name}Cell", "") if cells else (layer.class_name, "_l0")
        module = getattr(paddle.nn, name)(features, layer.units)
        parameters = {each: getattr(module, each + suffix) for each in PARAMETERS}
        return paddle.nn.RNN(module) if cells else module, parameters

    @half_subject
    def half(
        layer: Recurrent, weights: Weights, x: Array, mask: Mask, states: States
    ) -> tuple[Array, list[Array]]:
        check_plain(layer, None, ("SimpleRNN", "LSTM", "GRU"), ("float32", "float64"))
        if mask is not None and layer.return_sequences:
            _check_padded_steps(layer, cells=cells)
        lengths = None if mask is None else paddle.to_tensor(lengths_of(mask))
        paddle.set_default_dtype(layer.compute_dtype)
        module, parameters = module_of(layer, x.shape[2])
        arrays = packed(layer, weights, "")  # PyTorch has the same names and layout
        for name, parameter in parameters.items():
            # Without biases, instead of with zeros, 3.3.1 ends the process.
            array = arrays.get(name, np.zeros(parameter.shape, layer.compute_dtype))
            parameter.set_value(np.ascontiguousarray(array))
        # A layer has an axis of its directions, a cell has none.
        start = [paddle.to_tensor(state if cells else state[None]) for state in states]
        is_lstm = layer.class_name == "LSTM"
        with paddle.no_grad():
            outputs, last = module(
                paddle.to_tensor(x), tuple(start) if is_lstm else start[0], lengths
            )
        ends = [end.numpy() if cells else end.numpy()[0] for end in (last if is_lstm else [last])]
        sequence = np.array(outputs.numpy())
        if not layer.return_sequences:
            sequence[:, -1] = ends[0]  # that of the last used step
        return sequence, ends

    return FunctionSubject(half, ("paddlepaddle",))


def _check_padded_steps(layer: Recurrent, *, cells: bool) -> None:
    if cells:
        raise Unsupported("outputs of padded steps are computed from the padding")
    if not layer.zero_output_for_mask:
        raise Unsupported("outputs of padded steps are zeros, Keras repeats the previous output")


SUBJECTS = tuple(
    Registration(
        name,
        partial(make, cells=cells),
        f"PaddlePaddle's {what}",
        packages=("paddle",),
        extra="paddle",
        rank=53,
    )
    for name, cells, what in (
        ("paddle", False, "nn.SimpleRNN, nn.LSTM and nn.GRU"),
        ("paddle:cell", True, "nn.RNN around SimpleRNNCell, LSTMCell and GRUCell"),
    )
)
