"""What each gate must have computed at every step for the outputs to be the actual ones.

All other gates are taken as the given weights compute them from the actual outputs of the step
before. The pre-activation that one gate must have had is then a linear function of known numbers,
whose coefficients are the weights that were used. Axis letters: B batch, T time, D features, H
units, C the weights that a unit has in one block; N counts the steps that are not masked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rnnparity.explanation.findings.seen.inverse import has_inverse_everywhere, invert, value_range
from rnnparity.explanation.findings.seen.sequences import initial_states, states_before, used_steps
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.findings import WeightBlock
from rnnparity.problem.layers import Recurrent
from rnnparity.problem.problem import Problem
from rnnparity.reference.activations import ACTIVATIONS

# Nearer than so many sigma to a clipped value a number may be that value, which has no inverse.
MARGIN = 10.0
# Further than so many sigma outside of the range of an activation a number is none of its values.
OUTSIDE = 50.0


class OutOfRangeError(Exception):
    """An activation would have had a value that it does not have."""


@dataclass(frozen=True)
class Noisy:
    """Numbers with their sigma; NaN where they cannot be determined."""

    value: Array
    sigma: Array

    def times(self, factor: Array) -> Noisy:
        return Noisy(self.value * factor, self.sigma * np.abs(factor))

    def minus(self, other: Noisy) -> Noisy:
        return Noisy(self.value - other.value, np.hypot(self.sigma, other.sigma))

    def before(self, activation: str) -> Noisy:
        """Return the pre-activations that give these numbers.

        Raises:
            OutOfRangeError: one of them is not a value of the activation.
        """
        lowest, highest = value_range(activation)
        margin = OUTSIDE * self.sigma
        if ((self.value < lowest - margin) | (self.value > highest + margin)).any():
            raise OutOfRangeError
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

    It is the sum over the terms of their numbers times the change of their block. `without_inverse`
    are the activations because of which it cannot be determined at some steps.
    """

    gate: str
    difference: Noisy
    terms: tuple[Term, ...]
    without_inverse: tuple[str, ...] = ()


class ActualSteps(ABC):
    """The steps of a layer as its actual outputs have them: x (B, T, D), h and h' (B, T, H).

    What depends on the cell is in `cell_steps`.
    """

    def __init__(self, problem: Problem, layer: Recurrent, actual: Array, sigmas: Array) -> None:
        dtype = FLOAT_TYPES[layer.compute_dtype]
        self.layer, self.u = layer, dtype.u
        self.x = dtype.round(problem.inputs.data).astype(np.float64)
        self.used = used_steps(problem)
        states = initial_states(problem)
        self.initial_states = [dtype.round(state).astype(np.float64) for state in states]
        W, U, *biases = (dtype.round(t.data).astype(np.float64) for t in problem.weights)
        self.W, self.U = self._by_gate(W), self._by_gate(U)
        bias = biases[0] if biases else np.zeros((layer.bias_rows, W.shape[1]))
        self.b = [self._by_gate(row) for row in bias.reshape(layer.bias_rows, -1)]
        actual = np.where(self.used[..., None], actual, np.nan)
        self.h = Noisy(actual, np.hypot(sigmas, dtype.u * np.abs(actual)))
        self.h_before = self.before(actual, self.initial_states[0])
        self._active: dict[str, Array] = {}

    def equation(self, gate: str) -> GateEquation | None:
        """Return the equation of a gate; None if no value of it gives the actual outputs."""
        with np.errstate(all="ignore"):
            try:
                needed = self.needed(gate)
            except OutOfRangeError:
                return None
            sigma = np.hypot(needed.sigma, 2 * self.u * np.abs(needed.value))
            difference = needed.value - self.expected(gate)
        chosen = Noisy(difference[self.used], sigma[self.used])
        names = dict.fromkeys(self.inverted(gate)) if np.isnan(chosen.value).any() else ()
        partly = tuple(name for name in names if not has_inverse_everywhere(name))
        return GateEquation(gate, chosen, tuple(self.terms(gate)), partly)

    def _by_gate(self, array: Array) -> dict[str, Array]:
        gates = self.layer.cell.gates
        return dict(zip(gates, np.split(array, len(gates), axis=-1), strict=True))

    def before(self, states: Array, initial: Array) -> Array:
        """Return the state before every step."""
        return states_before(self.used, states, initial)

    def noisy_before(self, states: Noisy, initial: Array) -> Noisy:
        """Return `before` with its noise."""
        sigma = self.before(states.sigma, np.zeros_like(initial))
        return Noisy(self.before(states.value, initial), sigma)

    def expected(self, gate: str) -> Array:
        """Return the pre-activation of a gate with the weights of the problem."""
        z: Array = self.x @ self.W[gate] + self.h_before @ self.U[gate]
        return z + sum(row[gate] for row in self.b)

    def active(self, gate: str) -> Array:
        """Return a gate with the weights of the problem."""
        if gate not in self._active:
            with np.errstate(all="ignore"):  # infinity is correct here
                self._active[gate] = ACTIVATIONS[self.activation(gate)](self.expected(gate))
        return self._active[gate]

    def activation(self, gate: str) -> str:
        """Return the name of the activation of a gate."""
        layer = self.layer
        is_candidate = gate == layer.cell.candidate
        return layer.activation if is_candidate else layer.recurrent_activation

    def inverted(self, gate: str) -> tuple[str, ...]:
        """Return the activations that have to be inverted, or must not be 0 or 1, for that of a gate."""
        return (self.activation(gate),)

    @abstractmethod
    def output(self) -> Array:
        """Return the output of every step after the actual one before it."""

    @abstractmethod
    def needed(self, gate: str) -> Noisy:
        """Return the pre-activation of a gate that gives the actual outputs."""

    def terms(self, gate: str) -> Iterator[Term]:
        """Yield what the blocks of a gate are multiplied by; of two biases the sum counts."""
        yield Term(WeightBlock("kernel", gate), self.x[self.used])
        yield Term(WeightBlock("recurrent_kernel", gate), self.h_before[self.used])
        if self.layer.use_bias:
            yield Term(WeightBlock("bias", gate), np.ones((int(self.used.sum()), 1)))
