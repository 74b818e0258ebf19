"""The cells: one step of SimpleRNN, LSTM and GRU, one equation a line, in the letters of the papers.

x is the step's input already projected (x W + b), h and c are the previous states, U the recurrent weights. The
arrays may be plain NumPy ones, carry their noise, or hold numbers of many digits (see `arithmetic`): the equations are
the same. Each step returns the new states, the output first, and every gate by its letter.

Sources: Elman 1990 (SimpleRNN); Hochreiter & Schmidhuber 1997, Gers et al. 2000 (LSTM); Cho et al. 2014 (GRU,
`reset_after=False`), its cuDNN form for `reset_after=True`; https://keras.io/api/layers/recurrent_layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from rnnparity.layers import Recurrent

# Operator overloading stands behind these letters: a plain array, one with its noise, or one of many digits.
Letter = Any
Function = Callable[[Letter], Letter]
Step = tuple[tuple[Letter, ...], dict[str, Letter]]


class Cell(Protocol):
    """`weights` are W (D, G*H), U (H, G*H), b (1, G*H) for G gates; states (B, H) each."""

    def project(self, x: Letter) -> Letter:
        """x W + b for rows of inputs: (rows, D) -> (rows, G*H)."""

    def step(self, x: Letter, *states: Letter) -> Step:
        """One time step: x (B, G*H) and the previous states -> the new states and the gates."""


class SimpleRNN:
    """h = act(x W + h' U + b)."""

    def __init__(self, weights: Sequence[Letter], act: Function) -> None:
        self.W, self.U, self.b = weights
        self.act = act

    def project(self, x: Letter) -> Letter:
        return x @ self.W + self.b

    def step(self, x: Letter, *states: Letter) -> Step:
        (h,) = states
        h = self.act(x + h @ self.U)
        return (h,), {}


class LSTM:
    """Gates i, f, o and the candidate g; the kernel's blocks stand as i, f, c, o."""

    def __init__(self, weights: Sequence[Letter], act: Function, ract: Function) -> None:
        self.W, self.U, self.b = weights
        self.act, self.ract = act, ract

    def project(self, x: Letter) -> Letter:
        return x @ self.W + self.b

    def step(self, x: Letter, *states: Letter) -> Step:
        h, c = states
        act, ract = self.act, self.ract
        z_i, z_f, z_c, z_o = split(x + h @ self.U, 4)
        i = ract(z_i)
        f = ract(z_f)
        o = ract(z_o)
        g = act(z_c)
        c = f * c + i * g
        h = o * act(c)
        return (h, c), {"i": i, "f": f, "g": g, "o": o}


class GRU:
    """The form with `reset_after`: the reset gate acts on the projected state, which has a bias of its own."""

    def __init__(self, weights: Sequence[Letter], act: Function, ract: Function) -> None:
        self.W, self.U, self.b, self.b_h = weights
        self.act, self.ract = act, ract

    def project(self, x: Letter) -> Letter:
        return x @ self.W + self.b

    def step(self, x: Letter, *states: Letter) -> Step:
        (h,) = states
        x_z, x_r, x_h = split(x, 3)
        h_z, h_r, h_h = split(h @ self.U + self.b_h, 3)
        z = self.ract(x_z + h_z)
        r = self.ract(x_r + h_r)
        g = self.act(x_h + r * h_h)
        h = z * h + (1 - z) * g
        return (h,), {"z": z, "r": r, "g": g}


class GRUResetBefore:
    """The form without `reset_after`: the reset gate acts on the state before it is projected."""

    def __init__(self, weights: Sequence[Letter], act: Function, ract: Function) -> None:
        self.W, U, self.b = weights
        units = U.shape[-2]
        self.U_zr, self.U_h = U[..., : 2 * units], U[..., 2 * units :]
        self.act, self.ract = act, ract

    def project(self, x: Letter) -> Letter:
        return x @ self.W + self.b

    def step(self, x: Letter, *states: Letter) -> Step:
        (h,) = states
        x_z, x_r, x_h = split(x, 3)
        h_z, h_r = split(h @ self.U_zr, 2)
        z = self.ract(x_z + h_z)
        r = self.ract(x_r + h_r)
        g = self.act(x_h + (r * h) @ self.U_h)
        h = z * h + (1 - z) * g
        return (h,), {"z": z, "r": r, "g": g}


def split(z: Letter, parts: int) -> list[Letter]:
    """Equal blocks of the last axis."""
    units = z.shape[-1] // parts
    return [z[..., n * units : (n + 1) * units] for n in range(parts)]


def make_cell(layer: Recurrent, weights: Sequence[Letter], act: Function, ract: Function) -> Cell:
    """The cell that `layer` names; `weights` are W, U, b, and for GRU with `reset_after` the second bias."""
    if layer.class_name == "SimpleRNN":
        return SimpleRNN(weights, act)
    if layer.class_name == "LSTM":
        return LSTM(weights, act, ract)
    return GRU(weights, act, ract) if layer.reset_after else GRUResetBefore(weights, act, ract)
