"""Recurrent layers in plain NumPy, in the type of their numbers: the implementation that is changed.

It shares nothing with the reference but the problem. Axis letters: B batch, T time, D input
features, H units, G gates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack
from rnnparity.problem.problem import Problem

Function = Callable[[Array], Array]
States = dict[str, Array]

FUNCTIONS: Mapping[str, Function] = {
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_sigmoid_keras2": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "relu": lambda x: np.maximum(x, 0),
    "linear": lambda x: x,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "softplus": lambda x: np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0),
    "exponential": np.exp,
    "silu": lambda x: x / (1 + np.exp(-x)),
}
# The activation of an LSTM's output, beside those of its gates.
READ_OUT = "output"


@dataclass(frozen=True)
class Behaviour:
    """How one half runs.

    `functions` are the activations of gates, or of READ_OUT, that differ from the layer's.
    `returns` is what is returned as h, one of `quantities_of`; `masked` what is returned at masked
    steps: a number, or None for what Keras returns. `steps` are those of the output at which other
    weights are used.
    """

    functions: Mapping[str, str] = field(default_factory=dict)
    returns: str = "h"
    restarts: bool = False
    masked: float | None = None
    steps: tuple[int, ...] = ()


AS_KERAS = Behaviour()


@dataclass(frozen=True)
class Half:
    """A recurrent layer with its weights; `bias` is (R, G*H) for R rows."""

    layer: Recurrent
    kernel: Array
    recurrent_kernel: Array
    bias: Array
    behaviour: Behaviour = AS_KERAS

    def columns(self, array: Array, gate: str) -> Array:
        """Return the columns of one gate."""
        units, index = self.layer.units, self.layer.cell.gates.index(gate)
        block: Array = array[..., index * units : (index + 1) * units]
        return block

    def activate(self, gate: str, values: Array) -> Array:
        """Return the activation of a gate, or of the output of an LSTM."""
        candidate = gate in (READ_OUT, candidate_of(self.layer))
        usual = self.layer.activation if candidate else self.layer.recurrent_activation
        return FUNCTIONS[self.behaviour.functions.get(gate, usual)](values)

    def from_input(self, x: Array, gate: str) -> Array:
        """Return the part of the input (B, D) in the pre-activation of a gate."""
        return x @ self.columns(self.kernel, gate) + self.columns(self.bias[0], gate)

    def from_state(self, h: Array, gate: str) -> Array:
        """Return the part of the state (B, H) in the pre-activation of a gate."""
        product: Array = h @ self.columns(self.recurrent_kernel, gate)
        return product + self.columns(self.bias[1], gate) if len(self.bias) == 2 else product


def quantities_of(layer: Recurrent) -> list[str]:
    """Return the names of what a step computes or has, its states first."""
    candidate = candidate_of(layer)
    names = [*layer.states, *(f"{state} before the step" for state in layer.states)]
    if not layer.cell.gated:
        return [*names, "pre-activation of gate h"]
    gates = [f"gate {gate}" for gate in layer.cell.gates if gate != candidate]
    return [*names, *gates, "the candidate", "pre-activation of the candidate"]


def candidate_of(layer: Recurrent) -> str:
    """Return the gate that is the candidate for the new state."""
    return "c" if "c" in layer.states else "h"


def step_of(half: Half, x: Array, states: States) -> States:
    """Return the states after a step, and the other quantities that it computes."""
    return STEPS[half.layer.class_name](half, x, **states)


def _simple_rnn(half: Half, x: Array, h: Array) -> States:
    z = half.from_input(x, "h") + half.from_state(h, "h")
    return {"h": half.activate("h", z), "pre-activation of gate h": z}


def _lstm(half: Half, x: Array, h: Array, c: Array) -> States:
    z = {gate: half.from_input(x, gate) + half.from_state(h, gate) for gate in "ifco"}
    i, f, g, o = (half.activate(gate, z[gate]) for gate in "ifco")
    gates = {"gate i": i, "gate f": f, "the candidate": g, "gate o": o}
    c = f * c + i * g
    h = o * half.activate(READ_OUT, c)
    return {"h": h, "c": c, "pre-activation of the candidate": z["c"]} | gates


def _gru(half: Half, x: Array, h: Array) -> States:
    z, r = (
        half.activate(gate, half.from_input(x, gate) + half.from_state(h, gate)) for gate in "zr"
    )
    if half.layer.reset_after:
        pre_activation = half.from_input(x, "h") + r * half.from_state(h, "h")
    else:
        pre_activation = half.from_input(x, "h") + half.from_state(r * h, "h")
    candidate = half.activate("h", pre_activation)
    h = z * h + (1 - z) * candidate
    gates = {"gate z": z, "gate r": r, "the candidate": candidate}
    return {"h": h, "pre-activation of the candidate": pre_activation} | gates


STEPS: Mapping[str, Callable[..., States]] = {"SimpleRNN": _simple_rnn, "LSTM": _lstm, "GRU": _gru}


def run_half(
    half: Half,
    x: Array,
    mask: Array,
    states: States,
    zeros: bool,
    exceptions: Mapping[int, Half] | None = None,
) -> tuple[Array, tuple[Array, ...]]:
    """Return what each step returns, (B, T, H) in processing order, and the last states.

    `zeros`: masked steps return zeros, else what the step before returned. `exceptions` are the
    halves that run some steps, numbered in processing order.
    """
    first, output, outputs = states, np.zeros_like(states["h"]), []
    usual = half
    for step in range(x.shape[1])[:: -1 if usual.layer.go_backwards else 1]:
        half = (exceptions or {}).get(len(outputs), usual)
        before = first if half.behaviour.restarts else states
        after = {f"{name} before the step": state for name, state in before.items()}
        after |= step_of(half, x[:, step], before)
        used = mask[:, step, None]
        at_masked = 0 if zeros else output
        if half.behaviour.masked is not None:
            at_masked = np.full_like(output, half.behaviour.masked)
        output = np.where(used, after[half.behaviour.returns], at_masked)
        states = {name: np.where(used, after[name], states[name]) for name in first}
        outputs.append(output)
    return np.stack(outputs, axis=1), tuple(states.values())


class Arrays:
    """The arrays of a problem in order: those of one half after those of another."""

    def __init__(self, problem: Problem, exception: Problem | None = None) -> None:
        self.exception = None if exception is None else Arrays(exception)
        self.weights = iter([tensor.data for tensor in problem.weights])
        self.states = iter([tensor.data for tensor in problem.initial_state or ()])
        self.batch, self.dtype = problem.inputs.shape[0], problem.inputs.data.dtype

    def half(self, layer: Recurrent, behaviour: Behaviour) -> Half:
        """Return the next half with its weights."""
        kernel, recurrent_kernel = next(self.weights), next(self.weights)
        columns = kernel.shape[1]
        bias = next(self.weights) if layer.use_bias else np.zeros(columns, kernel.dtype)
        return Half(layer, kernel, recurrent_kernel, bias.reshape(-1, columns), behaviour)

    def first_states(self, layer: Recurrent) -> States:
        """Return the next states: those given, or zeros."""
        zeros = np.zeros((self.batch, layer.units), self.dtype)
        return {name: next(self.states, zeros) for name in layer.states}


def run(
    problem: Problem,
    behaviours: Mapping[str, Behaviour] | None = None,
    exception: Problem | None = None,
) -> list[Array]:
    """Return the outputs of a problem in Keras' order; behaviours by the prefix of the half.

    `exception` has the weights at the steps of a behaviour.
    """
    arrays, behaviours = Arrays(problem, exception), behaviours or {}
    mask = problem.mask
    mask = np.ones(problem.inputs.shape[:2], bool) if mask is None else mask
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        return _run_layer(problem.layer, "", arrays, problem.inputs.data, mask, behaviours)


def _run_layer(
    layer: Layer,
    prefix: str,
    arrays: Arrays,
    x: Array,
    mask: Array,
    behaviours: Mapping[str, Behaviour],
) -> list[Array]:
    """Return the output (two with merge_mode None) and, if returned, the states."""
    if isinstance(layer, Stack):
        for index, inner in enumerate(layer.layers):
            outputs = _run_layer(inner, f"{index}/", arrays, x, mask, behaviours)
            x = outputs[0]
        return outputs
    pair = isinstance(layer, Bidirectional)
    halves = [("forward/", layer.forward), ("backward/", layer.backward)] if pair else [("", layer)]
    sequences, all_states = [], []
    for name, recurrent in halves:
        half = arrays.half(recurrent, behaviours.get(prefix + name, AS_KERAS))
        other = half
        if arrays.exception is not None:
            other = arrays.exception.half(recurrent, half.behaviour)
        numbers = half.behaviour.steps
        if name == "backward/":
            numbers = tuple(x.shape[1] - 1 - number for number in numbers)
        zeros = recurrent.return_sequences and (pair or recurrent.zero_output_for_mask)
        states = arrays.first_states(recurrent)
        sequence, states = run_half(half, x, mask, states, zeros, dict.fromkeys(numbers, other))
        if not recurrent.return_sequences:
            sequence = sequence[:, -1]
        elif name == "backward/":
            sequence = sequence[:, ::-1]
        sequences.append(sequence)
        all_states += states
    mode = layer.merge_mode if pair else None
    return [*_merged(mode, sequences), *(all_states if layer.return_state else [])]


def _merged(mode: str | None, sequences: list[Array]) -> list[Array]:
    if mode == "concat":
        return [np.concatenate(sequences, axis=-1)]
    if mode is None:
        return sequences
    forward, backward = sequences
    merged = {"sum": forward + backward, "mul": forward * backward}
    return [merged[mode] if mode in merged else (forward + backward) / 2]
