"""PaddlePaddle: nn.SimpleRNN, nn.LSTM and nn.GRU.

Weights are (G*H, D), gates i, f, g, o and r, z, n, with two biases each. `sequence_length` chooses the
last states; outputs of padded steps are zeros: https://www.paddlepaddle.org.cn/documentation/docs/en/api/paddle/nn/LSTM_en.html.
"""

from __future__ import annotations

import warnings

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


def make() -> FunctionSubject:
    """Return the subject `paddle`.

    Raises:
        ImportError: PaddlePaddle is missing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of compilers that are not needed
        import paddle
    paddle.set_device("cpu")

    @half_subject
    def half(
        layer: Recurrent, weights: Weights, x: Array, mask: Mask, states: States
    ) -> tuple[Array, list[Array]]:
        check_plain(layer, None, ("SimpleRNN", "LSTM", "GRU"), ("float32", "float64"))
        if mask is not None and layer.return_sequences and not layer.zero_output_for_mask:
            raise Unsupported(
                "outputs of padded steps are zeros, Keras repeats the previous output"
            )
        lengths = None if mask is None else paddle.to_tensor(lengths_of(mask))
        paddle.set_default_dtype(layer.compute_dtype)
        module = getattr(paddle.nn, layer.class_name)(x.shape[2], layer.units)
        arrays = packed(layer, weights, "")  # PyTorch has the same names and layout
        for name in PARAMETERS:
            parameter = getattr(module, f"{name}_l0")
            # Without biases, instead of with zeros, 3.3.1 ends the process.
            array = arrays.get(name, np.zeros(parameter.shape, layer.compute_dtype))
            parameter.set_value(np.ascontiguousarray(array))
        start = [paddle.to_tensor(state[None]) for state in states]
        is_lstm = layer.class_name == "LSTM"
        with paddle.no_grad():
            outputs, last = module(
                paddle.to_tensor(x), tuple(start) if is_lstm else start[0], lengths
            )
        ends = [end.numpy()[0] for end in (last if is_lstm else [last])]
        sequence = np.array(outputs.numpy())
        if not layer.return_sequences:
            sequence[:, -1] = ends[0]  # that of the last used step
        return sequence, ends

    return FunctionSubject(half, ("paddlepaddle",))


SUBJECTS = (
    Registration(
        "paddle",
        make,
        "PaddlePaddle's nn.SimpleRNN, nn.LSTM and nn.GRU",
        packages=("paddle",),
        extra="paddle",
        rank=53,
    ),
)
