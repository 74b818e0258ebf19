"""What each gate must have computed at every step for the outputs to be the actual ones.

All other gates are taken as the given weights compute them from the actual outputs of the step
before. The pre-activation that one gate must have had is then a linear function of known numbers,
whose coefficients are the weights that were used. Axis letters: B batch, T time, D features, H
units, C the weights that a unit has in one block; N counts the steps that are not masked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rnnparity.explanation.findings.inverse import invert, value_range
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.findings import WeightBlock
from rnnparity.problem.layers import Recurrent
from rnnparity.problem.problem import Problem
from rnnparity.reference.activations import ACTIVATIONS

# Nearer than so many sigma to a clipped value a number may be that value, which has no inverse.
MARGIN = 10.0
# Further than so many sigma outside of the range of an activation a number is none of its values.
OUTSIDE = 50.0


class _OutOfRangeError(Exception):
    """An activation would have had a value that it does not have."""


@dataclass(frozen=True)
class Noisy:
    """Numbers with their sigma; NaN where they cannot be told."""

    value: Array
    sigma: Array

    def times(self, factor: Array) -> Noisy:
        return Noisy(self.value * factor, self.sigma * np.abs(factor))

    def minus(self, other: Noisy) -> Noisy:
        return Noisy(self.value - other.value, np.hypot(self.sigma, other.sigma))

    def before(self, activation: str) -> Noisy:
        """Return the pre-activations that give these numbers.

        Raises:
            _OutOfRangeError: one of them is not a value of the activation.
        """
        lowest, highest = value_range(activation)
        margin = OUTSIDE * self.sigma
        if ((self.value < lowest - margin) | (self.value > highest + margin)).any():
            raise _OutOfRangeError
        x = invert(activation, self.value)
        if x is None:
            x = np.full_like(self.value, np.nan)
        function = ACTIVATIONS[activation]
        for kink in (0.0,) if function.scales else function.kinks:
            apart = np.abs(self.value - function(np.array([kink])))
            x = np.where(apart > MARGIN * self.sigma, x, np.nan)
        return Noisy(x, self.sigma / np.abs(function.slope(x, self.value)))


@dataclass(frozen=True)
class Term:
    """A block of weights, and the numbers that it is multiplied by: (N, C), or (H, N, C) by unit."""

    block: WeightBlock
    numbers: Array


@dataclass(frozen=True)
class GateEquation:
    """The pre-activation (N, H) that a gate must have had, less the expected one, with its noise.

    It is the sum over the terms of their numbers times the change of their block.
    """

    gate: str
    difference: Noisy
    terms: tuple[Term, ...]


def actual_steps(problem: Problem, actual: Array, sigmas: Array) -> ActualSteps:
    """Return the steps of a layer that reads forward.

    `actual` is the sequence of its outputs, `sigmas` their noise: (B, T, H).
    """
    layer = problem.layer
    assert isinstance(layer, Recurrent)  # noqa: S101 - the half of a layer is one
    return _STEPS[layer.class_name](problem, layer, actual, sigmas)


class ActualSteps:
    """The steps of a layer as its actual outputs have them: x (B, T, D), h and h' (B, T, H)."""

    def __init__(self, problem: Problem, layer: Recurrent, actual: Array, sigmas: Array) -> None:
        dtype = FLOAT_TYPES[layer.compute_dtype]
        self.layer, self.u = layer, dtype.u
        self.x = dtype.round(problem.inputs.data).astype(np.float64)
        batch, steps, _ = self.x.shape
        self.used = np.ones((batch, steps), bool) if problem.mask is None else problem.mask
        self.initial_states = [np.zeros((batch, layer.units))] * len(layer.states)
        if problem.initial_state is not None:
            tensors = problem.initial_state
            self.initial_states = [dtype.round(t.data).astype(np.float64) for t in tensors]
        W, U, *biases = (dtype.round(t.data).astype(np.float64) for t in problem.weights)
        self.W, self.U = self._by_gate(W), self._by_gate(U)
        bias = biases[0] if biases else np.zeros((layer.bias_rows, W.shape[1]))
        self.b = [self._by_gate(row) for row in bias.reshape(layer.bias_rows, -1)]
        actual = np.where(self.used[..., None], actual, np.nan)
        self.h = Noisy(actual, np.hypot(sigmas, dtype.u * np.abs(actual)))
        self.h_before = self.before(actual, self.initial_states[0])
        self._active: dict[str, Array] = {}

    def equations(self) -> Iterator[GateEquation]:
        """Yield the equation of each gate but those that no value makes give the actual outputs."""
        for gate in self.layer.cell.gates:
            with np.errstate(all="ignore"):
                try:
                    needed = self.needed(gate)
                except _OutOfRangeError:
                    continue
                sigma = np.hypot(needed.sigma, self.rounding(gate))
                difference = needed.value - self.expected(gate)
            chosen = Noisy(difference[self.used], sigma[self.used])
            yield GateEquation(gate, chosen, tuple(self.terms(gate)))

    def _by_gate(self, array: Array) -> dict[str, Array]:
        gates = self.layer.cell.gates
        return dict(zip(gates, np.split(array, len(gates), axis=-1), strict=True))

    def before(self, states: Array, initial: Array) -> Array:
        """Return the state before every step: that of the last step that is not masked."""
        batch, steps = self.used.shape
        last = np.maximum.accumulate(np.where(self.used, np.arange(1, steps + 1), 0), axis=1)
        last = np.concatenate([np.zeros((batch, 1), int), last[:, :-1]], axis=1)
        all_states = np.concatenate([initial[:, None], states], axis=1)
        return np.take_along_axis(all_states, last[..., None], axis=1)

    def noisy_before(self, states: Noisy, initial: Array) -> Noisy:
        """Return `before` with its noise."""
        sigma = self.before(states.sigma, np.zeros_like(initial))
        return Noisy(self.before(states.value, initial), sigma)

    def expected(self, gate: str) -> Array:
        """Return the pre-activation of a gate with the weights of the problem."""
        z: Array = self.x @ self.W[gate] + self.h_before @ self.U[gate]
        return z + sum(row[gate] for row in self.b)

    def rounding(self, gate: str) -> Array:
        """Return the rounding error of a pre-activation, whatever comes of it."""
        squares: Array = self.x**2 @ self.W[gate] ** 2 + self.h_before**2 @ self.U[gate] ** 2
        squares += sum(row[gate] ** 2 for row in self.b)
        return np.sqrt(squares) * self.u

    def active(self, gate: str) -> Array:
        """Return a gate with the weights of the problem."""
        if gate not in self._active:
            self._active[gate] = ACTIVATIONS[self.activation(gate)](self.expected(gate))
        return self._active[gate]

    def activation(self, gate: str) -> str:
        """Return the name of the activation of a gate."""
        candidate = gate in ("h", "c")
        return self.layer.activation if candidate else self.layer.recurrent_activation

    def output(self) -> Array:
        """Return the output of every step after the actual one before it."""
        raise NotImplementedError

    def needed(self, gate: str) -> Noisy:
        """Return the pre-activation of a gate that gives the actual outputs."""
        raise NotImplementedError

    def terms(self, gate: str) -> Iterator[Term]:
        """Yield what the blocks of a gate are multiplied by; of two biases the sum counts."""
        yield Term(WeightBlock("kernel", gate), self.x[self.used])
        yield Term(WeightBlock("recurrent_kernel", gate), self.h_before[self.used])
        if self.layer.use_bias:
            yield Term(WeightBlock("bias", gate), np.ones((int(self.used.sum()), 1)))


class _SimpleRNNSteps(ActualSteps):
    def output(self) -> Array:
        return self.active("h")

    def needed(self, gate: str) -> Noisy:
        return self.h.before(self.activation(gate))


class _LSTMSteps(ActualSteps):
    def output(self) -> Array:
        return self.active("o") * self._read

    def needed(self, gate: str) -> Noisy:
        if gate == "o":
            return self.h.times(1 / self._read).before(self.activation(gate))
        c, c_before = self._actual_c
        i, f, g = (self.active(name) for name in "ifc")
        if gate == "f":
            value = (c.value - i * g) / c_before.value
            sigma = np.hypot(c.sigma, value * c_before.sigma) / np.abs(c_before.value)
            return Noisy(value, sigma).before(self.activation(gate))
        rest = c.minus(c_before.times(f))
        return rest.times(1 / (g if gate == "i" else i)).before(self.activation(gate))

    @cached_property
    def _actual_c(self) -> tuple[Noisy, Noisy]:
        """The cell states after and before every step, from h = o act(c)."""
        c = self.h.times(1 / self.active("o")).before(self.layer.activation)
        return c, self.noisy_before(c, self.initial_states[1])

    @cached_property
    def _read(self) -> Array:
        """act(c) of the cell states that the weights compute from the actual outputs."""
        i, f, g = (self.active(name) for name in "ifc")
        c, states = self.initial_states[1], []
        for step in range(self.used.shape[1]):
            new = f[:, step] * c + i[:, step] * g[:, step]
            c = np.where(self.used[:, step, None], new, c)
            states.append(c)
        return ACTIVATIONS[self.layer.activation](np.stack(states, axis=1))


class _GRUSteps(ActualSteps):
    def output(self) -> Array:
        z = self.active("z")
        h: Array = z * self.h_before + (1 - z) * self.active("h")
        return h

    def expected(self, gate: str) -> Array:
        if gate != "h":
            return super().expected(gate)
        z: Array = self.x @ self.W["h"] + self.b[0]["h"]
        if self.layer.reset_after:
            z += self.active("r") * self._recurrent_part
        else:
            z += (self.active("r") * self.h_before) @ self.U["h"]
        return z

    @property
    def _recurrent_part(self) -> Array:
        """What the reset gate is multiplied by where it is applied after the product."""
        product: Array = self.h_before @ self.U["h"] + self.b[-1]["h"]
        return product

    def needed(self, gate: str) -> Noisy:
        activation = self.activation(gate)
        if gate == "z":
            g = self.active("h")
            shift = Noisy(self.h.value - g, self.h.sigma)
            return shift.times(1 / (self.h_before - g)).before(activation)
        z = self.active("z")
        candidate = Noisy(self.h.value - z * self.h_before, self.h.sigma).times(1 / (1 - z))
        before = candidate.before(self.activation("h"))
        if gate == "h":
            return before
        before = Noisy(before.value - self.x @ self.W["h"] - self.b[0]["h"], before.sigma)
        if self.layer.reset_after:
            return before.times(1 / self._recurrent_part).before(activation)
        inverse = np.linalg.pinv(self.U["h"])
        sigma = np.sqrt(before.sigma**2 @ inverse**2)
        return Noisy(before.value @ inverse, sigma).times(1 / self.h_before).before(activation)

    def terms(self, gate: str) -> Iterator[Term]:
        if gate != "h":
            yield from super().terms(gate)
            return
        r, h_before = self.active("r")[self.used], self.h_before[self.used]
        ones = np.ones((len(h_before), 1))
        after = self.layer.reset_after
        row = 0 if after else None
        yield Term(WeightBlock("kernel", gate), self.x[self.used])
        products = r.T[..., None] * h_before if after else r * h_before
        yield Term(WeightBlock("recurrent_kernel", gate), products)
        if self.layer.use_bias:
            yield Term(WeightBlock("bias", gate, row), ones)
        if self.layer.use_bias and after:
            yield Term(WeightBlock("bias", gate, 1), r.T[..., None])


_STEPS: dict[str, type[ActualSteps]] = {
    "SimpleRNN": _SimpleRNNSteps,
    "LSTM": _LSTMSteps,
    "GRU": _GRUSteps,
}
