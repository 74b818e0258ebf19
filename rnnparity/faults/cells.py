"""Faults of equations: a cell that computes something similar."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from rnnparity.faults.edit import EditCell
from rnnparity.faults.fault import Fault
from rnnparity.faults.options import ACTIVATIONS as NAMES
from rnnparity.problem.dtypes import Array
from rnnparity.reference.activations import ACTIVATIONS
from rnnparity.reference.cells import LSTM, Cell, OtherActivations, Step, altered
from rnnparity.reference.number import Function


class Clipped(LSTM[Array]):
    """An LSTM whose cell state is clipped."""

    limit: float

    def step(self, x: Array, *states: Array) -> Step[Array]:
        (_, c), gates = super().step(x, *states)
        clipped = np.clip(c, -self.limit, self.limit)
        return (gates["o"] * self.act(clipped), clipped), gates


class Peephole(LSTM[Array]):
    """An LSTM whose gates see the cell state as well."""

    def step(self, x: Array, *states: Array) -> Step[Array]:
        _, c = states
        return super().step(x + np.concatenate([c, c, c, np.zeros_like(c)], axis=-1), *states)


class PreviousCellState(LSTM[Array]):
    """An LSTM whose output is computed from the cell state before the step."""

    def step(self, x: Array, *states: Array) -> Step[Array]:
        _, previous = states
        (_, c), gates = super().step(x, *states)
        return (gates["o"] * self.act(previous), c), gates


def _as(
    faulty: type[LSTM[Array]], **attributes: Function[Array] | float
) -> Callable[[Cell[Array]], Cell[Array] | None]:
    """Return the edit that makes an LSTM one of another class, with the same weights."""

    def edit(cell: Cell[Array]) -> Cell[Array] | None:
        if not isinstance(cell, LSTM) or type(cell) is not LSTM or cell.act in attributes.values():
            return None
        return altered(cell, faulty, **attributes)

    return edit


def _activations() -> Iterator[Fault]:
    for name in NAMES:
        function = ACTIVATIONS[name].value
        for part, equation, edit in (
            ("candidate", "g = act(z_c)", _as(OtherActivations, act_g=function)),
            ("output", "h = o * act(c)", _as(OtherActivations, act_h=function)),
        ):
            yield Fault("activation", f"LSTM, {name} for the {part}",
                f"Only the {part} uses {name}.",
                f"Use the layer's own activation: {equation}.",
                edit=EditCell(edit, activation=(part, name)))  # fmt: skip


def cell_clipped(limit: float) -> Fault:
    """Return the fault that clips the cell state at -limit and limit."""
    return Fault("peephole-or-clip", f"LSTM, cell clipped at {limit:.4g}",
        f"The cell state is clipped at {limit:.4g}.",
        "Remove the clipping: Keras' LSTM has none.",
        seen_in="TensorFlow 1's cell_clip, ONNX's clip", edit=EditCell(_as(Clipped, limit=limit)))  # fmt: skip


# fmt: off
CELL_FAULTS = (
    *_activations(),
    Fault("peephole-or-clip", "LSTM, peephole",
        "The gates see the cell state as well.",
        "Remove the peepholes: Keras' LSTM has none.",
        seen_in="TensorFlow 1's LSTMCell(use_peepholes=True), ONNX's P",
        edit=EditCell(_as(Peephole))),
    cell_clipped(0.1),
    Fault("output-of-previous-cell-state", "LSTM",
        "The output is computed from the cell state before the step.",
        "Compute c first, then h = o * act(c) from it.",
        seen_in="ports that update c after h",
        edit=EditCell(_as(PreviousCellState))),
)
# fmt: on
