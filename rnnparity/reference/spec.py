"""Specify what Keras' recurrent layers compute, in plain NumPy and float64.

This page is for reading beside Keras' documentation; `engine` is the fast version, tested equal.
Axis letters: B batch, T time, D input features, H units. A cell gets one step: its input x (B, D),
the states h and c (B, H) before it, and `weights`: W (D, G*H), U (H, G*H) and b (G*H,) as Keras
keeps them, with a block of H columns for each of G gates, and the factors of dropout m_x (G or 1,
B, D) and m_h (G or 1, B, H), which are 1 outside of training. It returns the states after the step.

Sources: Keras 3, https://keras.io/api/layers/recurrent_layers; where that is silent, keras/src:
[cell] `call` in layers/rnn/simple_rnn.py, lstm.py and gru.py; [loop] backend/tensorflow/rnn.py, the
rolled loop on a CPU; [two] layers/rnn/bidirectional.py; [dtype] `__call__` in layers/layer.py.
"""

from collections.abc import Callable

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.layers import Layer, Recurrent, Stack, called_layers, halves
from rnnparity.problem.problem import Problem
from rnnparity.reference.activations import ACTIVATIONS

Arrays = list[Array]
Halves = list[Arrays]  # of each Recurrent inside: a layer, or one direction of a Bidirectional
Result = tuple[Arrays, Halves]
Fn = Callable[[Array], Array]
Cells = dict[str, Callable[..., Arrays]]


def product(x: Array, m: Array, W: Array) -> Array:
    """Return (x * m) W, where each block of W may have its own mask [cell]."""
    blocks = np.split(W, len(m), axis=-1)
    return np.concatenate([(x * m[k]) @ W_k for k, W_k in enumerate(blocks)], axis=-1)


def simple_rnn(x: Array, h: Array, weights: Arrays, act: Fn, _: Fn) -> Arrays:
    """Return h of SimpleRNN [cell]. Elman 1990."""
    W, U, b, m_x, m_h = weights
    return [act(product(x, m_x, W) + product(h, m_h, U) + b)]


def lstm(x: Array, h: Array, c: Array, weights: Arrays, act: Fn, ract: Fn) -> Arrays:
    """Return h and c of LSTM [cell]. Hochreiter & Schmidhuber 1997, Gers et al. 2000."""
    W, U, b, m_x, m_h = weights
    z_i, z_f, z_c, z_o = np.split(product(x, m_x, W) + product(h, m_h, U) + b, 4, axis=-1)
    i, f, o = ract(z_i), ract(z_f), ract(z_o)
    g = act(z_c)
    c = f * c + i * g
    return [o * act(c), c]


def gru(x: Array, h: Array, weights: Arrays, act: Fn, ract: Fn) -> Arrays:
    """Return h of GRU without `reset_after` [cell]. Cho et al. 2014."""
    W, U, b, m_x, m_h = weights
    x_z, x_r, x_h = np.split(product(x, m_x, W) + b, 3, axis=-1)
    U_zr, U_h = np.split(U, [2 * h.shape[-1]], axis=-1)
    h_z, h_r = np.split(product(h, m_h[:2], U_zr), 2, axis=-1)
    z, r = ract(x_z + h_z), ract(x_r + h_r)
    g = act(x_h + (r * h * m_h[-1]) @ U_h)
    return [z * h + (1 - z) * g]


def gru_reset_after(x: Array, h: Array, weights: Arrays, act: Fn, ract: Fn) -> Arrays:
    """Return h of GRU with `reset_after`, the form of cuDNN; b is (2, 3H) [cell]."""
    W, U, b, m_x, m_h = weights
    x_z, x_r, x_h = np.split(product(x, m_x, W) + b[0], 3, axis=-1)
    h_z, h_r, h_h = np.split(product(h, m_h, U) + b[1], 3, axis=-1)
    z, r = ract(x_z + h_z), ract(x_r + h_r)
    g = act(x_h + r * h_h)
    return [z * h + (1 - z) * g]


def recurrent(
    half: Recurrent, weights: Arrays, states: Arrays, x: Array, mask: Array, zeros: bool
) -> tuple[Array, Arrays]:
    """Return the output, (B, T, H) in processing order or (B, H), and the last states [loop].

    Where the mask (B, T) is False every state keeps its value, and the output repeats the one
    before (at first zeros, whatever the initial state) or, with `zeros`, is zero in sequences.
    """
    gru_cell = gru_reset_after if half.reset_after else gru
    cells: Cells = {"SimpleRNN": simple_rnn, "LSTM": lstm, "GRU": gru_cell}
    act, ract = ACTIVATIONS[half.activation], ACTIVATIONS[half.recurrent_activation]
    output, outputs = np.zeros_like(states[0]), []
    for t in range(x.shape[1])[:: -1 if half.go_backwards else 1]:
        new_states = cells[half.class_name](x[:, t], *states, weights, act, ract)
        used = mask[:, t, None]
        output = np.where(used, new_states[0], 0 if zeros and half.return_sequences else output)
        states = [np.where(used, new, old) for new, old in zip(new_states, states, strict=True)]
        outputs.append(output)
    return (np.stack(outputs, axis=1) if half.return_sequences else output), states


def call(layer: Layer, weights: Halves, states: Halves, xs: Arrays, mask: Array) -> Result:
    """Return the outputs of one call and the last states; weights, states and inputs by half."""
    if isinstance(layer, Stack):  # every layer gets the mask as it is, also after go_backwards
        last_states: Halves = []
        for inner in layer.layers:
            n = len(halves(inner))
            ys, last = call(inner, weights[:n], states[:n], xs, mask)
            xs, weights, states = [ys[0], ys[0]], weights[n:], states[n:]
            last_states += last
        return ys, last_states
    if isinstance(layer, Recurrent):
        y, end = recurrent(layer, weights[0], states[0], xs[0], mask, layer.zero_output_for_mask)
        return [y, *end] if layer.return_state else [y], [end]
    y, end = recurrent(layer.forward, weights[0], states[0], xs[0], mask, zeros=True)  # [two]
    y_rev, end_rev = recurrent(layer.backward, weights[1], states[1], xs[1], mask, zeros=True)
    ys = [y, y_rev[:, ::-1] if layer.return_sequences else y_rev]
    if layer.merge_mode == "concat":
        ys = [np.concatenate(ys, axis=-1)]
    elif layer.merge_mode is not None:
        merged = {"sum": ys[0] + ys[1], "mul": ys[0] * ys[1], "ave": (ys[0] + ys[1]) / 2}
        ys = [merged[layer.merge_mode]]
    return [*ys, *end, *end_rev] if layer.return_state else ys, [end, end_rev]


def rounded(values: Array, layer: Layer) -> Array:
    """Round what the problem gives to the compute dtype [dtype]; all that follows is float64."""
    return FLOAT_TYPES[layer.compute_dtype].round(values).astype(np.float64)


@np.errstate(over="ignore")  # exp(-x) may become infinite in a sigmoid, which is then 0
def outputs(problem: Problem) -> Arrays:
    """Return the outputs in Keras' order; sequences of stateful calls are joined along time."""
    layer, x = problem.layer, problem.inputs.data
    mask = np.ones(x.shape[:2], bool) if problem.mask is None else problem.mask
    first = layer.layers[0] if isinstance(layer, Stack) else layer
    xs = [rounded(rounded(x, first), half) for _, half in halves(first)]
    arrays = iter([tensor.data for tensor in problem.weights])
    initial_states = iter([tensor.data for tensor in problem.initial_state or ()])
    dropout = {tensor.name: tensor.data for tensor in problem.dropout_masks or ()}
    inside = [half for _, half in halves(layer)]
    weights, states, zeros = [], [], []
    for (prefix, half), called in zip(halves(layer), called_layers(layer), strict=True):
        no_bias = np.zeros((2, 1) if half.class_name == "GRU" and half.reset_after else 1)
        W_U_b = [next(arrays), next(arrays), next(arrays) if half.use_bias else no_bias]
        ones = np.ones((1, 1, 1))
        masks = [dropout.get(f"{prefix}{name}", ones) for name in ("inputs", "recurrent")]
        weights.append([rounded(array, half) for array in (*W_U_b, *masks)])
        zeros.append([np.zeros((len(x), half.units)) for _ in half.states])
        first_states = [rounded(next(initial_states, zero), called) for zero in zeros[-1]]
        states.append([rounded(state, half) for state in first_states])
    calls = []
    for end, steps in zip(np.cumsum(problem.steps), problem.steps, strict=True):
        times = slice(end - steps, end)
        ys, last = call(layer, weights, states, [x[:, times] for x in xs], mask[:, times])
        calls.append(ys)
        states = [s if h.stateful else z for h, s, z in zip(inside, last, zeros, strict=True)]
    return [np.concatenate(y, 1) if y[0].ndim == 3 else y[-1] for y in zip(*calls, strict=True)]
