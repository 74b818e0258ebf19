"""Faults of equations: a cell that computes something near, but not it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rnnparity.faults.fault import Fault
from rnnparity.faults.options import OTHERS
from rnnparity.reference.activations import ACTIVATIONS
from rnnparity.reference.cells import LSTM, Cell, Function, Number, Step, split


class OtherActivations(LSTM):
    """The candidate's activation, or the output's, is another one."""

    act_g: Function | None = None
    act_h: Function | None = None

    def step(self, x: Number, *states: Number) -> Step:
        h, c = states
        z_ifo, z_c = split(x + h @ self.U, 3, 1)
        i, f, o = split(self.ract(z_ifo), 1, 1, 1)
        g = (self.act_g or self.act)(z_c)
        c = f * c + i * g
        h = o * (self.act_h or self.act)(c)
        return (h, c), {"i": i, "f": f, "g": g, "o": o}


class Clipped(LSTM):
    """The cell state is clipped."""

    limit: float

    def step(self, x: Number, *states: Number) -> Step:
        (_, c), gates = super().step(x, *states)
        clipped = np.clip(c, -self.limit, self.limit)
        return (gates["o"] * self.act(clipped), clipped), gates


class Peephole(LSTM):
    """The gates see the cell state as well."""

    def step(self, x: Number, *states: Number) -> Step:
        _, c = states
        return super().step(x + np.concatenate([c, c, c, np.zeros_like(c)], axis=-1), *states)


def cell_faults() -> Iterator[Fault]:
    """Every fault that is another equation."""
    for name in OTHERS:
        for part, letters, attribute in (
            ("candidate", "g = act(z_c)", "act_g"),
            ("output", "h = o * act(c)", "act_h"),
        ):
            yield Fault(
                "activation", f"LSTM, {name} for the {part}", f"The {part} alone uses {name}.",
                f"Use the layer's own activation: {letters}.",
                cell=_as(OtherActivations, **{attribute: ACTIVATIONS[name].value}),
            )  # fmt: skip
    yield Fault(
        "peephole-or-clip", "LSTM, peephole", "The gates see the cell state as well.", "Keras' LSTM has no peepholes.",
        "TensorFlow 1's LSTMCell(use_peepholes=True), ONNX's P", cell=_as(Peephole),
    )  # fmt: skip
    yield cell_clipped(0.1)


def cell_clipped(limit: float) -> Fault:
    """The cell state is kept within -limit and limit."""
    return Fault(
        "peephole-or-clip", f"LSTM, cell clipped at {limit:.4g}", f"The cell state is clipped at {limit:.4g}.",
        "Keras' LSTM does not clip.", "TensorFlow 1's cell_clip, ONNX's clip", cell=_as(Clipped, limit=limit),
    )  # fmt: skip


def _as(faulty: type[LSTM], **words: Any) -> Callable[[Cell], Cell | None]:
    """The same weights in another LSTM, with what it has of its own."""

    def edit(cell: Cell) -> Cell | None:
        if type(cell) is not LSTM or any(function is cell.act for function in words.values()):
            return None
        other = object.__new__(faulty)
        other.__dict__.update(cell.__dict__, **words)
        return other

    return edit
