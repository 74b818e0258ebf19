"""The numbers of a half that an experiment identifies, as one vector.

Its weights as they are used, and the states that it starts from: with given states each is a
combination of them plus a shift, `mix` (S, S) and `shift` (S, H); without, it is `start` (S, H).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from rnnparity.explanation.fitting.model import Weights
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent


@dataclass(frozen=True)
class Parameters:
    """The parts of a parameter vector, each with the leading axes of the vector."""

    kernel: Array
    recurrent_kernel: Array
    bias: Array
    second_bias: Array
    mix: Array
    shift: Array
    start: Array

    @property
    def weights(self) -> Weights:
        """The weights that are used."""
        return Weights(self.kernel, self.recurrent_kernel, self.bias, self.second_bias)

    @property
    def vector(self) -> Array:
        """All parts as one vector (P,)."""
        return np.concatenate([part.ravel() for part in vars(self).values()])

    def states(self, given: Sequence[Array] | None) -> list[Array]:
        """Return the states (..., N, H) at the start, from given ones (N, H) or without."""
        count = self.start.shape[-2]
        if given is None:
            return [self.start[..., s, None, :] for s in range(count)]
        return [
            sum(
                (self.mix[..., s, k, None, None] * state for k, state in enumerate(given)),
                self.shift[..., s, None, :],
            )
            for s in range(count)
        ]


def split(half: Recurrent, features: int, vector: Array) -> Parameters:
    """Return the parts of vectors (..., P)."""
    parts, start = [], 0
    for shape in _shapes(half, features):
        end = start + prod(shape)
        parts.append(vector[..., start:end].reshape(*vector.shape[:-1], *shape))
        start = end
    return Parameters(*parts)


def count(half: Recurrent, features: int) -> int:
    """Return the number of parameters of a half."""
    return sum(prod(shape) for shape in _shapes(half, features))


def are_weights(half: Recurrent, features: int) -> Array:
    """Return whether each parameter is a weight, not one of the initial states."""
    flags = np.ones(count(half, features), bool)
    states = len(half.states)
    flags[-(states * states + 2 * states * half.units) :] = False
    return flags


def by_unit(half: Recurrent, features: int) -> Array:
    """Return the indices (H, n) of the weights of each unit."""
    weights = np.flatnonzero(are_weights(half, features))
    return weights.reshape(-1, half.units).T


def by_gate(half: Recurrent, features: int) -> list[Array]:
    """Return the indices of the block of each gate in each array."""
    indices = split(half, features, np.arange(count(half, features)))
    gates = len(half.cell.gates)
    arrays = (indices.kernel, indices.recurrent_kernel, indices.bias)
    blocks = [part.ravel() for array in arrays for part in np.split(array, gates, axis=-1)]
    return [*blocks, indices.second_bias] if half.bias_rows == 2 else blocks


def _shapes(half: Recurrent, features: int) -> list[tuple[int, ...]]:
    units, states = half.units, len(half.states)
    columns = len(half.cell.gates) * units
    second = units if half.bias_rows == 2 else 0
    return [
        (features, columns),
        (units, columns),
        (columns,),
        (second,),
        (states, states),
        (states, units),
        (states, units),
    ]


def declared(half: Recurrent, arrays: Sequence[Array]) -> Array:
    """Return the parameters (P,) of a half that uses its weights and its states as they are given."""
    kernel, recurrent_kernel, *rest = (array.astype(np.float64) for array in arrays)
    columns, states = kernel.shape[1], len(half.states)
    bias = rest[0].reshape(-1, columns) if rest else np.zeros((half.bias_rows, columns))
    first, second = bias[0].copy(), np.zeros(0)
    if len(bias) == 2:
        gates = columns - half.units
        first[:gates] += bias[1, :gates]
        second = bias[1, gates:]
    no_shift = np.zeros((states, half.units))
    return Parameters(
        kernel, recurrent_kernel, first, second, np.eye(states), no_shift, no_shift
    ).vector
