"""Faults of equations: a cell that computes something near, but not it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from rnnparity.faults.fault import Fault
from rnnparity.reference.cells import GRU, LSTM, Cell, Letter, SimpleRNN, Step, split


class BiasOutsideReset(GRU):
    """The recurrent bias of the candidate stands outside of the reset gate."""

    def step(self, x: Letter, *states: Letter) -> Step:
        (h,) = states
        x_zr, x_h = split(x, 2, 1)
        b_zr, b_h = split(self.b_h, 2, 1)
        h_zr, h_h = split(h @ self.U, 2, 1)
        z, r = split(self.ract(x_zr + h_zr + b_zr), 1, 1)
        g = self.act(x_h + r * h_h + b_h)
        h = z * h + (1 - z) * g
        return (h,), {"z": z, "r": r, "g": g}


class OtherActivations(LSTM):
    """The candidate's activation, or the output's, is left out."""

    candidate = output = True

    def step(self, x: Letter, *states: Letter) -> Step:
        h, c = states
        z_ifo, z_c = split(x + h @ self.U, 3, 1)
        i, f, o = split(self.ract(z_ifo), 1, 1, 1)
        g = self.act(z_c) if self.candidate else z_c
        c = f * c + i * g
        h = o * self.act(c) if self.output else o * c
        return (h, c), {"i": i, "f": f, "g": g, "o": o}


class NoCandidateActivation(OtherActivations):
    """g = z_c."""

    candidate = False


class NoOutputActivation(OtherActivations):
    """h = o * c."""

    output = False


class Clipped(LSTM):
    """The cell state is clipped."""

    limit = 0.1

    def step(self, x: Letter, *states: Letter) -> Step:
        (_, c), gates = super().step(x, *states)
        clipped = np.clip(c, -self.limit, self.limit)
        return (gates["o"] * self.act(clipped), clipped), gates


class Peephole(LSTM):
    """The gates see the cell state as well."""

    def step(self, x: Letter, *states: Letter) -> Step:
        _, c = states
        return super().step(x + np.concatenate([c, c, c, np.zeros_like(c)], axis=-1), *states)


def cell_faults() -> Iterator[Fault]:
    """Every fault that is another equation."""
    yield Fault(
        "bias-outside-reset", "GRU", "The candidate's second bias is added outside of the reset gate.",
        "With reset_after the reset gate multiplies h U_h + b'_h, bias and all.", "ports that add both biases at once",
        cell=_as(GRU, BiasOutsideReset),
    )  # fmt: skip
    yield Fault(
        "activation", "LSTM, none for the candidate", "The candidate has no activation.", "g = act(z_c).",
        cell=_as(LSTM, NoCandidateActivation),
    )  # fmt: skip
    yield Fault(
        "activation", "LSTM, none for the output", "The cell state has no activation in the output.",
        "h = o * act(c).", cell=_as(LSTM, NoOutputActivation),
    )  # fmt: skip
    yield Fault(
        "peephole-or-clip", "LSTM, peephole", "The gates see the cell state as well.", "Keras' LSTM has no peepholes.",
        "TensorFlow 1's LSTMCell(use_peepholes=True), ONNX's P", cell=_as(LSTM, Peephole),
    )  # fmt: skip
    yield Fault(
        "peephole-or-clip", "LSTM, cell clipped", "The cell state is clipped.", "Keras' LSTM does not clip.",
        "TensorFlow 1's cell_clip, ONNX's clip", cell=_as(LSTM, Clipped),
    )  # fmt: skip


def _as(kind: type[GRU] | type[LSTM] | type[SimpleRNN], faulty: type[Cell]) -> Callable[[Cell], Cell | None]:
    """The same weights in another cell."""

    def edit(cell: Cell) -> Cell | None:
        if type(cell) is not kind:
            return None
        other = object.__new__(faulty)
        other.__dict__.update(cell.__dict__)
        return other

    return edit
