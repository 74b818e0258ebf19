"""What a layer computes with other weights, activations and states, for many variants at once.

Plain NumPy in float64. Axis letters: V variants, N rows, T time, D input features, H units, G gates,
S states. What is fitted has the leading axis V, everything else broadcasts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack, halves
from rnnparity.reference.activations import ACTIVATIONS

# The activation of an LSTM's output, beside those of its gates.
OUTPUT = "output"

Quantities: TypeAlias = dict[str, Array]


@dataclass(frozen=True)
class Equations:
    """How a half computes: `activations` by gate (or OUTPUT) where they differ from the layer's.

    `returns` is the quantity that is returned as h, `as_state` whether it is also passed on as h,
    `restarts` whether every step starts from the initial states.
    """

    activations: tuple[tuple[str, str], ...] = ()
    returns: str = "h"
    as_state: bool = False
    restarts: bool = False


AS_DECLARED = Equations()


@dataclass(frozen=True)
class Weights:
    """The weights (..., D, G*H), (..., H, G*H) and (..., G*H) that a half uses.

    `second_bias` (..., H) is the candidate's in a GRU with two rows, else 0. Of the gates z and r
    only the sum of both rows has an effect: it is in `bias`.
    """

    kernel: Array
    recurrent_kernel: Array
    bias: Array
    second_bias: Array


@dataclass(frozen=True)
class Half:
    """A half that runs, with its weights and the states (..., N, H) that it starts from."""

    layer: Recurrent
    equations: Equations
    weights: Weights
    start: Sequence[Array]


def declared_activations(layer: Recurrent) -> dict[str, str]:
    """Return the activation of each gate, and of an LSTM's output, as the layer has it."""
    names = dict.fromkeys(layer.cell.gates, layer.recurrent_activation)
    names[layer.cell.candidate] = layer.activation
    return names | {OUTPUT: layer.activation} if layer.class_name == "LSTM" else names


def run_layer(layer: Layer, parts: Mapping[str, Half], x: Array) -> list[Array]:
    """Return the outputs without states; those of a Bidirectional that concatenates stay apart.

    x is (N, T, D), an output (..., N, T, H) or (..., N, H).
    """
    if not isinstance(layer, Stack):
        return _run_one(_merge_mode(layer), list(parts.values()), x)
    for index, inner in enumerate(layer.layers):
        inside = [parts[f"{index}/{prefix}"] for prefix, _ in halves(inner)]
        outputs = _run_one(_merge_mode(inner), inside, x)
        x = np.concatenate(_alike(outputs), axis=-1)
    return outputs


def _merge_mode(layer: Recurrent | Bidirectional) -> str | None:
    return layer.merge_mode if isinstance(layer, Bidirectional) else None


def _run_one(mode: str | None, inside: Sequence[Half], x: Array) -> list[Array]:
    """Return the output of a layer, or those of its two halves."""
    outputs = [_run_half(half, x) for half in inside]
    if len(outputs) == 1:
        return outputs
    forward, backward = outputs
    if inside[1].layer.return_sequences:
        backward = backward[..., ::-1, :]
    if mode in (None, "concat"):
        return [forward, backward]
    if mode == "mul":
        return [forward * backward]
    return [(forward + backward) * (0.5 if mode == "ave" else 1)]


def _alike(outputs: Sequence[Array]) -> list[Array]:
    """Return outputs with the same leading axes."""
    leading = np.broadcast_shapes(*(output.shape[:-1] for output in outputs))
    return [np.broadcast_to(output, (*leading, output.shape[-1])) for output in outputs]


def _run_half(half: Half, x: Array) -> Array:
    """Return the sequence in processing order, or the last output."""
    equations = half.equations
    names = declared_activations(half.layer) | dict(equations.activations)
    step, states, outputs = STEPS[half.layer.class_name], list(half.start), []
    for t in range(x.shape[-2])[:: -1 if half.layer.go_backwards else 1]:
        before = list(half.start) if equations.restarts else states
        quantities = step(half, names, x[..., t, :], before)
        quantities |= {
            f"{n} before the step": s for n, s in zip(half.layer.states, before, strict=True)
        }
        output = quantities[equations.returns]
        states = [quantities[name] for name in half.layer.states]
        if equations.as_state:
            states[0] = output
        outputs.append(output)
    return np.stack(_alike(outputs), axis=-2) if half.layer.return_sequences else outputs[-1]


def _gates(half: Half, values: Array) -> dict[str, Array]:
    """Return the columns of each gate by its letter."""
    letters = half.layer.cell.gates
    return dict(zip(letters, np.split(values, len(letters), axis=-1), strict=True))


def _pre_activations(half: Half, x: Array, h: Array) -> dict[str, Array]:
    used = half.weights
    z = x @ used.kernel + h @ used.recurrent_kernel + used.bias[..., None, :]
    return _gates(half, z)


def _simple_rnn(half: Half, names: Mapping[str, str], x: Array, states: list[Array]) -> Quantities:
    z = _pre_activations(half, x, *states)
    return {"h": ACTIVATIONS[names["h"]](z["h"]), "pre-activation of gate h": z["h"]}


def _lstm(half: Half, names: Mapping[str, str], x: Array, states: list[Array]) -> Quantities:
    h, c = states
    z = _pre_activations(half, x, h)
    i, f, g, o = (ACTIVATIONS[names[gate]](z[gate]) for gate in "ifco")
    c = f * c + i * g
    activated = ACTIVATIONS[names[OUTPUT]](c)
    return {
        "h": o * activated,
        "c": c,
        "the activation of c": activated,
        "the candidate": g,
        "pre-activation of the candidate": z["c"],
        **{f"gate {gate}": value for gate, value in zip("ifo", (i, f, o), strict=True)},
        **{f"pre-activation of gate {gate}": z[gate] for gate in "ifo"},
    }


def _gru(half: Half, names: Mapping[str, str], x: Array, states: list[Array]) -> Quantities:
    (h,) = states
    used = half.weights
    from_input = _gates(half, x @ used.kernel + used.bias[..., None, :])
    kernels = _gates(half, used.recurrent_kernel)
    a_z, a_r = (from_input[gate] + h @ kernels[gate] for gate in "zr")
    z, r = ACTIVATIONS[names["z"]](a_z), ACTIVATIONS[names["r"]](a_r)
    if half.layer.reset_after:
        a_g = from_input["h"] + r * (h @ kernels["h"] + used.second_bias[..., None, :])
    else:
        a_g = from_input["h"] + (r * h) @ kernels["h"]
    g = ACTIVATIONS[names["h"]](a_g)
    return {
        "h": z * h + (1 - z) * g,
        "the candidate": g,
        "pre-activation of the candidate": a_g,
        "gate z": z,
        "gate r": r,
        "pre-activation of gate z": a_z,
        "pre-activation of gate r": a_r,
    }


STEPS: Mapping[str, Callable[..., Quantities]] = {
    "SimpleRNN": _simple_rnn,
    "LSTM": _lstm,
    "GRU": _gru,
}


_OF_LSTM = ("c", "the activation of c", "c before the step")
_OF_GATES = ("the candidate", "pre-activation of the candidate")


def other_quantities(layer: Recurrent) -> list[str]:
    """Return the names of what may be returned instead of h."""
    gates = [gate for gate in layer.cell.gates if gate != layer.cell.candidate]
    names = ["h before the step", *(_OF_LSTM if layer.class_name == "LSTM" else ())]
    names += _OF_GATES if gates else ["pre-activation of gate h"]
    names += [f"gate {gate}" for gate in gates]
    return names + [f"pre-activation of gate {gate}" for gate in gates]
