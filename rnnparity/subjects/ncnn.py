"""ncnn: its layers RNN, LSTM and GRU, a row of the batch at a time.

A model is a text and a file of weights. Gates are i, f, o, g and r, z, n along rows of (G*H, D); a GRU has the
two biases of n apart: https://github.com/Tencent/ncnn/wiki/operators.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent
from rnnparity.subjects.adapters import Mask, States, Weights, half_subject
from rnnparity.subjects.declarations import LayerScript, Registration, is_plain_lstm
from rnnparity.subjects.engine_weights import check_plain, gru_weights
from rnnparity.subjects.functions import FunctionSubject

LAYERS = {"SimpleRNN": "RNN", "LSTM": "LSTM", "GRU": "GRU"}
# What precedes 32-bit numbers in a file of weights.
FLOAT32 = np.uint32(0).tobytes()
# A Mat has no batch: inputs and states go in, the sequence and the last states come out.
MODEL = """7767517
{layers} {blobs}
{inputs}
{layer} layer {states} {states} {ins} {outs} 0={units} 1={size} 2=0
"""


def make() -> FunctionSubject:
    """Return the subject `ncnn`.

    Raises:
        ImportError: ncnn is missing.
    """
    import ncnn

    @half_subject
    def half(
        layer: Recurrent, weights: Weights, x: Array, mask: Mask, states: States
    ) -> tuple[Array, list[Array]]:
        check_plain(layer, mask, LAYERS, ("float32",))
        net = _net(ncnn, layer, _arrays(layer, weights))
        rows = [_run(ncnn, net, row) for row in zip(x, *states, strict=True)]
        sequence, *ends = (np.stack(each) for each in zip(*rows, strict=True))
        return sequence, [end[:, 0] for end in ends]

    return FunctionSubject(half, ("ncnn",))


def _arrays(layer: Recurrent, weights: Mapping[str, Array]) -> list[Array]:
    """Return the weights of the inputs, the biases and the recurrent weights as ncnn has them."""
    H = layer.units
    W, U = weights["kernel"].T, weights["recurrent_kernel"].T
    if layer.class_name == "GRU":
        gru = gru_weights(layer, weights)
        return [gru.W, np.concatenate([gru.b, gru.b_n]), gru.U]
    bias = weights.get("bias", np.zeros(len(W), W.dtype))
    order = np.arange(len(W))
    if layer.class_name == "LSTM":
        order = np.r_[: 2 * H, 3 * H : 4 * H, 2 * H : 3 * H]  # Keras has i, f, g, o
    return [W[order], bias[order], U[order]]


def _net(ncnn: Any, layer: Recurrent, arrays: Sequence[Array]) -> Any:
    """Return a network of the layer, in float32 and on one thread."""
    names = range(1 + len(layer.states))
    text = MODEL.format(
        layers=len(names) + 1,
        blobs=2 * len(names),
        inputs="\n".join(f"Input in{name} 0 1 in{name}" for name in names),
        layer=LAYERS[layer.class_name],
        states=len(names),
        ins=" ".join(f"in{name}" for name in names),
        outs=" ".join(f"out{name}" for name in names),
        units=layer.units,
        size=arrays[0].size,
    )
    net = ncnn.Net()
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
        setattr(net.opt, option, False)
    net.opt.num_threads = 1
    net.load_param_mem(text)
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        for array in arrays:
            file.write(FLOAT32 + np.ascontiguousarray(array).tobytes())
        file.flush()
        net.load_model(file.name)
    return net


def _run(ncnn: Any, net: Any, row: Sequence[Array]) -> list[Array]:
    """Return the sequence (T, H) and the last states (1, H) of a row of the batch."""
    inputs = [row[0], *(state[None] for state in row[1:])]
    extractor = net.create_extractor()
    for name, array in enumerate(inputs):
        contiguous = np.ascontiguousarray(array)  # a Mat does not keep it alive
        extractor.input(f"in{name}", ncnn.Mat(contiguous).clone())
    return [np.array(extractor.extract(f"out{name}")[1]) for name in range(len(inputs))]


SUBJECTS = (
    Registration(
        "ncnn",
        make,
        "ncnn's layers RNN, LSTM and GRU",
        packages=("ncnn",),
        extra="ncnn",
        rank=52,
        script=LayerScript("ncnn", "reproduce_ncnn.py.j2", expresses=is_plain_lstm),
    ),
)
