"""Ports whose every operation rounds to a coarser type than the layer's; outputs are float32."""

from collections.abc import Callable
from functools import partial

import numpy as np

from rnnparity.problem.answer import Unsupported
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.subjects import half_subject


def to_float16(values):
    return FLOAT_TYPES["float16"].round(values).astype(np.float64)


def to_bfloat16(values):
    return FLOAT_TYPES["bfloat16"].round(values).astype(np.float64)


def to_fixed_point(values, bits=12):
    """Return values without the part below 2**-bits, as cheap hardware truncates."""
    return np.floor(np.ldexp(values, bits)) / 2.0**bits


def sigmoid(z):
    return 0.5 * (1 + np.tanh(z / 2))


FUNCTIONS = {"tanh": np.tanh, "sigmoid": sigmoid, "relu": partial(np.maximum, 0)}


def port(rounded: Callable, gates: str = "ifgo", forget: float = 1.0, keeps_state: bool = True):
    """Return an LSTM and SimpleRNN; other arguments than the defaults are faults."""

    @half_subject
    def coarse(layer, weights, x, mask, states):
        if layer.class_name == "GRU" or layer.dtype != "float32":
            raise Unsupported("only SimpleRNN and LSTM in float32")
        if {layer.activation, layer.recurrent_activation} - set(FUNCTIONS):
            raise Unsupported("only tanh, sigmoid and relu")
        act, ract = FUNCTIONS[layer.activation], FUNCTIONS[layer.recurrent_activation]
        W, U = rounded(weights["kernel"]), rounded(weights["recurrent_kernel"])
        b = rounded(weights.get("bias", np.zeros(W.shape[1])))
        states = [rounded(state) for state in states]
        sequence, output = [], np.zeros(states[0].shape)
        for t in range(x.shape[1]):
            z = rounded(rounded(rounded(x[:, t]) @ W) + rounded(rounded(states[0] @ U) + b))
            if layer.class_name == "LSTM":
                parts = dict(zip(gates, np.split(z, 4, axis=-1), strict=True))
                i, f, o = (rounded(ract(parts[gate])) for gate in "ifo")
                kept = rounded(forget * f * states[1])
                c = rounded(kept + rounded(i * rounded(act(parts["g"]))))
                new = [rounded(o * rounded(act(c))), c]
            else:
                new = [rounded(act(z))]
            output, states = masked(
                layer, None if mask is None else mask[:, t], output, states, new
            )
            sequence.append(output)
        states = states if keeps_state else [np.zeros(s.shape) for s in states]
        return np.stack(sequence, axis=1).astype(np.float32), [s.astype(np.float32) for s in states]

    return coarse


def masked(layer, used, output, states, new):
    if used is None:
        return new[0], new
    used = used[:, None]
    before = output
    if layer.zero_output_for_mask and layer.return_sequences:
        before = np.zeros(output.shape)
    states = [np.where(used, n, s) for n, s in zip(new, states, strict=True)]
    return np.where(used, new[0], before), states


in_float16 = port(to_float16)
in_bfloat16 = port(to_bfloat16)
in_fixed_point = port(to_fixed_point)
