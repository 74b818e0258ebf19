"""The cells: one step of SimpleRNN, LSTM and GRU, one equation a line, in the letters of the
papers.

x is the step's input already projected (x W + b), h and c are the previous states, U the recurrent
weights. The arrays may be plain NumPy ones, carry their noise, or hold numbers of many digits (see
`arithmetic`): the equations are the same. Each step returns the new states, the output first, and
every gate by its letter.

Sources: Elman 1990 (SimpleRNN); Hochreiter & Schmidhuber 1997, Gers et al. 2000 (LSTM); Cho et al.
2014 (GRU, `reset_after=False`), its cuDNN form for `reset_after=True`;
https://keras.io/api/layers/recurrent_layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent

# Operator overloading stands behind these letters: a plain array, one with its noise, or one of
# many digits.
Number = Any
Function = Callable[[Number], Number]
Step = tuple[tuple[Number, ...], dict[str, Number]]


class Cell(Protocol):
    """Its weights are W (D, G*H), U (H, G*H), b (1, G*H) for G gates; states (B, H) each."""

    W: Number

    def project(self, x: Number) -> Number:
        """x W + b for rows of inputs: (rows, D) -> (rows, G*H)."""

    def step(self, x: Number, *states: Number) -> Step:
        """One time step: x (B, G*H) and the previous states -> the new states and the gates."""


class SimpleRNN:
    """h = act(x W + h' U + b)."""

    def __init__(self, weights: Sequence[Number], act: Function) -> None:
        self.W, self.U, self.b = weights
        self.act = act

    def project(self, x: Number) -> Number:
        return x @ self.W + self.b

    def step(self, x: Number, *states: Number) -> Step:
        (h,) = states
        h = self.act(x + h @ self.U)
        return (h,), {}


class LSTM:
    """Gates i, f, o and the candidate g. The weights' blocks stand as i, f, o, c: one call of ract
    serves the gates."""

    def __init__(self, weights: Sequence[Number], act: Function, ract: Function) -> None:
        self.W, self.U, self.b = weights
        self.act, self.ract = act, ract

    @staticmethod
    def gates_first(w: Array) -> Array:
        """Keras' blocks i, f, c, o in the order i, f, o, c."""
        i, f, c, o = np.split(w, 4, axis=-1)
        return np.concatenate([i, f, o, c], axis=-1)

    def project(self, x: Number) -> Number:
        return x @ self.W + self.b

    def step(self, x: Number, *states: Number) -> Step:
        h, c = states
        z_ifo, z_c = split(x + h @ self.U, 3, 1)
        i, f, o = split(self.ract(z_ifo), 1, 1, 1)
        g = self.act(z_c)
        c = f * c + i * g
        h = o * self.act(c)
        return (h, c), {"i": i, "f": f, "g": g, "o": o}


class GRU:
    """The form with `reset_after`: the reset gate acts on the projected state, which has a bias of
    its own."""

    def __init__(self, weights: Sequence[Number], act: Function, ract: Function) -> None:
        self.W, self.U, self.b, self.b_h = weights
        self.act, self.ract = act, ract

    def project(self, x: Number) -> Number:
        return x @ self.W + self.b

    def step(self, x: Number, *states: Number) -> Step:
        (h,) = states
        x_zr, x_h = split(x, 2, 1)
        h_zr, h_h = split(h @ self.U + self.b_h, 2, 1)
        z, r = split(self.ract(x_zr + h_zr), 1, 1)
        g = self.act(x_h + r * h_h)
        h = z * h + (1 - z) * g
        return (h,), {"z": z, "r": r, "g": g}


class GRUResetBefore:
    """The form without `reset_after`: the reset gate acts on the state before it is projected."""

    def __init__(self, weights: Sequence[Number], act: Function, ract: Function) -> None:
        self.W, U, self.b = weights
        self.U_zr, self.U_h = split(U, 2, 1)
        self.act, self.ract = act, ract

    def project(self, x: Number) -> Number:
        return x @ self.W + self.b

    def step(self, x: Number, *states: Number) -> Step:
        (h,) = states
        x_zr, x_h = split(x, 2, 1)
        z, r = split(self.ract(x_zr + h @ self.U_zr), 1, 1)
        g = self.act(x_h + (r * h) @ self.U_h)
        h = z * h + (1 - z) * g
        return (h,), {"z": z, "r": r, "g": g}


def split(z: Number, *blocks: int) -> list[Number]:
    """The last axis in parts of so many blocks each: split(z, 3, 1) of (B, 4H) gives (B, 3H) and
    (B, H)."""
    units, parts, start = z.shape[-1] // sum(blocks), [], 0
    for count in blocks:
        parts.append(z[..., start : start + count * units])
        start += count * units
    return parts


def make_cell(
    layer: Recurrent, arrays: Sequence[Array], known: Function, act: Function, ract: Function
) -> Cell:
    """The cell that `layer` names, its weights made letters by `known`.

    The arrays are W, U, b as Keras holds them, and for GRU with `reset_after` the second bias.
    """
    if layer.class_name == "LSTM":
        return LSTM([known(LSTM.gates_first(array)) for array in arrays], act, ract)
    weights = [known(array) for array in arrays]
    if layer.class_name == "SimpleRNN":
        return SimpleRNN(weights, act)
    return GRU(weights, act, ract) if layer.reset_after else GRUResetBefore(weights, act, ract)
