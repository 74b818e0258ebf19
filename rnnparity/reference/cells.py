"""The cells of the engine: one step of SimpleRNN, LSTM and GRU, one equation a line.

The letters are those of `spec`, except that x is the step's input already projected (x W + b). The
numbers may be NumPy arrays of any type or arrays with their noise: the equations are the same. Each
step returns the new states, the output first, and every gate by its letter.

Sources: Elman 1990 (SimpleRNN); Hochreiter & Schmidhuber 1997, Gers et al. 2000 (LSTM); Cho et al.
2014 (GRU, `reset_after=False`), its cuDNN form for `reset_after=True`;
https://keras.io/api/layers/recurrent_layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Generic, Protocol, TypeAlias, TypeVar

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent
from rnnparity.reference.arithmetic import Arithmetic
from rnnparity.reference.number import Function, N
from rnnparity.reference.products import Dropout, Product, split

C = TypeVar("C")
Step: TypeAlias = tuple[tuple[N, ...], dict[str, N]]


class Cell(Protocol[N]):
    """A cell with weights W (D, G*H), U (H, G*H), b (1, G*H) for G gates, and states (B, H).

    `of_x` is the product with W.
    """

    W: N
    U: N
    of_x: Product[N]

    def project(self, x: N) -> N:
        """Return x W + b for rows of inputs: (rows, D) -> (rows, G*H)."""

    def step(self, x: N, *states: N) -> Step[N]:
        """Return the states after one time step, and its gates; x (B, G*H) is projected."""


class SimpleRNN(Generic[N]):
    """h = act(x W + h' U + b)."""

    def __init__(self, weights: Sequence[N], dropout: Dropout[N], act: Function[N]) -> None:
        self.W, self.U, self.b = weights
        self.of_x, self.of_h = dropout.of_inputs(self.W), dropout.of_states(self.U)
        self.act = act

    def project(self, x: N) -> N:
        return self.of_x(x) + self.b

    def step(self, x: N, *states: N) -> Step[N]:
        (h,) = states
        h = self.act(x + self.of_h(h))
        return (h,), {}


class LSTM(Generic[N]):
    """Gates i, f, o and the candidate g, in blocks i, f, o, c: one call of ract does the gates."""

    def __init__(
        self, weights: Sequence[N], dropout: Dropout[N], act: Function[N], ract: Function[N]
    ) -> None:
        self.W, self.U, self.b = weights
        self.of_x, self.of_h = dropout.of_inputs(self.W), dropout.of_states(self.U)
        self.act, self.ract = act, ract

    @staticmethod
    def gates_first(w: Array) -> Array:
        """Return Keras' blocks i, f, c, o in the order i, f, o, c."""
        i, f, c, o = split(w, 1, 1, 1, 1)
        return np.concatenate([i, f, o, c], axis=-1)

    @staticmethod
    def gate_order(masks: Sequence[Array]) -> Sequence[Array]:
        """Return one mask, or those of Keras' gates i, f, c, o, in the order i, f, o, c."""
        return masks if len(masks) < 2 else [masks[0], masks[1], masks[3], masks[2]]

    def project(self, x: N) -> N:
        return self.of_x(x) + self.b

    def step(self, x: N, *states: N) -> Step[N]:
        h, c = states
        z_ifo, z_c = split(x + self.of_h(h), 3, 1)
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
        z_ifo, z_c = split(x + self.of_h(h), 3, 1)
        i, f, o = split(self.ract(z_ifo), 1, 1, 1)
        g = (self.act_g or self.act)(z_c)
        c = f * c + i * g
        h = o * (self.act_h or self.act)(c)
        return (h, c), {"i": i, "f": f, "g": g, "o": o}


class GRU(Generic[N]):
    """The form with `reset_after`: the reset gate acts on the projected state and its bias b_h."""

    def __init__(
        self, weights: Sequence[N], dropout: Dropout[N], act: Function[N], ract: Function[N]
    ) -> None:
        self.W, self.U, self.b, self.b_h = weights
        self.of_x, self.of_h = dropout.of_inputs(self.W), dropout.of_states(self.U)
        self.act, self.ract = act, ract

    def project(self, x: N) -> N:
        return self.of_x(x) + self.b

    def step(self, x: N, *states: N) -> Step[N]:
        (h,) = states
        x_zr, x_h = split(x, 2, 1)
        h_zr, h_h = split(self.of_h(h) + self.b_h, 2, 1)
        z, r = split(self.ract(x_zr + h_zr), 1, 1)
        g = self.act(x_h + r * h_h)
        h = z * h + (1 - z) * g
        return (h,), {"z": z, "r": r, "g": g}


class GRUResetBefore(Generic[N]):
    """The form without `reset_after`: the reset gate acts on the state before it is projected."""

    def __init__(
        self, weights: Sequence[N], dropout: Dropout[N], act: Function[N], ract: Function[N]
    ) -> None:
        self.W, self.U, self.b = weights
        U_zr, U_h = split(self.U, 2, 1)
        self.of_x, self.of_h = dropout.of_inputs(self.W), dropout.of_states(U_zr, slice(2))
        self.of_rh = dropout.of_states(U_h, slice(-1, None))
        self.act, self.ract = act, ract

    def project(self, x: N) -> N:
        return self.of_x(x) + self.b

    def step(self, x: N, *states: N) -> Step[N]:
        (h,) = states
        x_zr, x_h = split(x, 2, 1)
        z, r = split(self.ract(x_zr + self.of_h(h)), 1, 1)
        g = self.act(x_h + self.of_rh(r * h))
        h = z * h + (1 - z) * g
        return (h,), {"z": z, "r": r, "g": g}


def altered(cell: C, cell_class: type[C] | None = None, **attributes: object) -> C:
    """Return a copy of a cell with other attributes, of another class where one is given."""
    other = copy(cell)
    if cell_class is not None:
        other.__class__ = cell_class
    vars(other).update(attributes)
    return other


def make_cell(
    layer: Recurrent,
    arrays: Sequence[Array],
    masks: Mapping[str, Sequence[Array]],
    arithmetic: Arithmetic[N],
) -> Cell[N]:
    """Return the cell of `layer`, its weights and dropout masks as numbers of the arithmetic.

    The arrays are W, U, b as Keras keeps them, and for GRU with `reset_after` the second bias. The
    masks of `inputs` and of `recurrent` products, where there are any, are one or one a gate.
    """
    from_array, is_lstm = arithmetic.from_array, layer.class_name == "LSTM"
    act = arithmetic.activation(layer.activation)
    ract = arithmetic.activation(layer.recurrent_activation)
    inputs, recurrent = (
        [from_array(mask) for mask in (LSTM.gate_order(found) if is_lstm else found)]
        for found in (masks.get("inputs", ()), masks.get("recurrent", ()))
    )
    dropout = Dropout(inputs, recurrent, arithmetic.join_columns)
    if is_lstm:
        return LSTM([from_array(LSTM.gates_first(array)) for array in arrays], dropout, act, ract)
    weights = [from_array(array) for array in arrays]
    if layer.class_name == "SimpleRNN":
        return SimpleRNN(weights, dropout, act)
    cell_class = GRU if layer.reset_after else GRUResetBefore
    return cell_class(weights, dropout, act, ract)
