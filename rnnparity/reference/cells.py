"""The cells of the engine: one step of SimpleRNN, LSTM and GRU, one equation a line.

The letters are those of `spec`, except that x is the step's input already projected (x W + b). The
numbers may be NumPy arrays of any type or arrays with their noise: the equations are the same. Each
step returns the new states, the output first, and every gate by its letter.

Sources: Elman 1990 (SimpleRNN); Hochreiter & Schmidhuber 1997, Gers et al. 2000 (LSTM); Cho et al.
2014 (GRU, `reset_after=False`), its cuDNN form for `reset_after=True`;
https://keras.io/api/layers/recurrent_layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Generic, Protocol, TypeAlias, TypeVar

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent
from rnnparity.reference.number import Function, Index, N

C = TypeVar("C")
Step: TypeAlias = tuple[tuple[N, ...], dict[str, N]]


class Cell(Protocol[N]):
    """A cell with weights W (D, G*H), U (H, G*H), b (1, G*H) for G gates, and states (B, H)."""

    W: N
    U: N

    def project(self, x: N) -> N:
        """Return x W + b for rows of inputs: (rows, D) -> (rows, G*H)."""

    def step(self, x: N, *states: N) -> Step[N]:
        """Return the states after one time step, and its gates; x (B, G*H) is projected."""


class SimpleRNN(Generic[N]):
    """h = act(x W + h' U + b)."""

    def __init__(self, weights: Sequence[N], act: Function[N]) -> None:
        self.W, self.U, self.b = weights
        self.act = act

    def project(self, x: N) -> N:
        return x @ self.W + self.b

    def step(self, x: N, *states: N) -> Step[N]:
        (h,) = states
        h = self.act(x + h @ self.U)
        return (h,), {}


class LSTM(Generic[N]):
    """Gates i, f, o and the candidate g, in blocks i, f, o, c: one call of ract does the gates."""

    def __init__(self, weights: Sequence[N], act: Function[N], ract: Function[N]) -> None:
        self.W, self.U, self.b = weights
        self.act, self.ract = act, ract

    @staticmethod
    def gates_first(w: Array) -> Array:
        """Return Keras' blocks i, f, c, o in the order i, f, o, c."""
        i, f, c, o = split(w, 1, 1, 1, 1)
        return np.concatenate([i, f, o, c], axis=-1)

    def project(self, x: N) -> N:
        return x @ self.W + self.b

    def step(self, x: N, *states: N) -> Step[N]:
        h, c = states
        z_ifo, z_c = split(x + h @ self.U, 3, 1)
        i, f, o = split(self.ract(z_ifo), 1, 1, 1)
        g = self.act(z_c)
        c = f * c + i * g
        h = o * self.act(c)
        return (h, c), {"i": i, "f": f, "g": g, "o": o}


class OtherActivations(LSTM[N]):
    """An LSTM with another activation for the candidate or for the output."""

    act_g: Function[N] | None = None
    act_h: Function[N] | None = None

    def step(self, x: N, *states: N) -> Step[N]:
        h, c = states
        z_ifo, z_c = split(x + h @ self.U, 3, 1)
        i, f, o = split(self.ract(z_ifo), 1, 1, 1)
        g = (self.act_g or self.act)(z_c)
        c = f * c + i * g
        h = o * (self.act_h or self.act)(c)
        return (h, c), {"i": i, "f": f, "g": g, "o": o}


class GRU(Generic[N]):
    """The form with `reset_after`: the reset gate acts on the projected state and its bias b_h."""

    def __init__(self, weights: Sequence[N], act: Function[N], ract: Function[N]) -> None:
        self.W, self.U, self.b, self.b_h = weights
        self.act, self.ract = act, ract

    def project(self, x: N) -> N:
        return x @ self.W + self.b

    def step(self, x: N, *states: N) -> Step[N]:
        (h,) = states
        x_zr, x_h = split(x, 2, 1)
        h_zr, h_h = split(h @ self.U + self.b_h, 2, 1)
        z, r = split(self.ract(x_zr + h_zr), 1, 1)
        g = self.act(x_h + r * h_h)
        h = z * h + (1 - z) * g
        return (h,), {"z": z, "r": r, "g": g}


class GRUResetBefore(Generic[N]):
    """The form without `reset_after`: the reset gate acts on the state before it is projected."""

    def __init__(self, weights: Sequence[N], act: Function[N], ract: Function[N]) -> None:
        self.W, self.U, self.b = weights
        self.U_zr, self.U_h = split(self.U, 2, 1)
        self.act, self.ract = act, ract

    def project(self, x: N) -> N:
        return x @ self.W + self.b

    def step(self, x: N, *states: N) -> Step[N]:
        (h,) = states
        x_zr, x_h = split(x, 2, 1)
        z, r = split(self.ract(x_zr + h @ self.U_zr), 1, 1)
        g = self.act(x_h + (r * h) @ self.U_h)
        h = z * h + (1 - z) * g
        return (h,), {"z": z, "r": r, "g": g}


def altered(cell: C, cell_class: type[C] | None = None, **attributes: object) -> C:
    """Return a copy of a cell with other attributes, of another class where one is given."""
    other = copy(cell)
    if cell_class is not None:
        other.__class__ = cell_class
    vars(other).update(attributes)
    return other


def split(z: N, *blocks: int) -> list[N]:
    """Split the last axis into blocks of H columns: split(z, 3, 1) gives (B, 3H) and (B, H)."""
    return [z[index] for index in _indices(z.shape[-1], blocks)]


@lru_cache
def _indices(columns: int, blocks: tuple[int, ...]) -> list[Index]:
    """Return the index of each block, kept since every step has the same."""
    units = columns // sum(blocks)
    ends = [units * end for end in accumulate(blocks, initial=0)]
    return [(..., slice(start, end)) for start, end in pairwise(ends)]


def make_cell(
    layer: Recurrent,
    arrays: Sequence[Array],
    from_array: Callable[[Array], N],
    act: Function[N],
    ract: Function[N],
) -> Cell[N]:
    """Return the cell of `layer`, its weights converted by `from_array`.

    The arrays are W, U, b as Keras keeps them, and for GRU with `reset_after` the second bias.
    """
    if layer.class_name == "LSTM":
        return LSTM([from_array(LSTM.gates_first(array)) for array in arrays], act, ract)
    weights = [from_array(array) for array in arrays]
    if layer.class_name == "SimpleRNN":
        return SimpleRNN(weights, act)
    return GRU(weights, act, ract) if layer.reset_after else GRUResetBefore(weights, act, ract)
