"""Zoneout at inference: after every step each state keeps a part of what it was before.

Source: Krueger et al. 2017, Zoneout: Regularizing RNNs by randomly preserving hidden activations,
https://arxiv.org/abs/1606.01305; at inference the mask is replaced by its mean, the rate.
"""

from __future__ import annotations

from rnnparity.faults.edit import EditCell
from rnnparity.faults.fault import Fault
from rnnparity.problem.dtypes import Array
from rnnparity.reference.cells import LSTM, Cell, Step, altered

# The rates that are usual; 0.1 is that of Tacotron 2.
RATES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5)


def zoneout(rate: float, state: str = "") -> Fault:
    """Return the fault that keeps a part of one state of an LSTM, h or c, or of every state."""

    def edit(cell: Cell[Array]) -> Cell[Array] | None:
        is_lstm = isinstance(cell, LSTM)
        if state and not is_lstm:
            return None
        rates = [rate if state in ("", name) else 0.0 for name in ("hc" if is_lstm else "h")]

        def step(x: Array, *states: Array) -> Step[Array]:
            new_states, gates = cell.step(x, *states)
            mixed = tuple(
                kept * before + (1 - kept) * new
                for kept, before, new in zip(rates, states, new_states, strict=True)
            )
            return mixed, gates

        return altered(cell, step=step)

    subject = state or "every state"
    where = f"LSTM, {state}, " if state else ""
    return Fault("zoneout", f"{where}rate {rate:g}",
        f"After a step {subject} is {1 - rate:g} times the new value plus {rate:g} times the one before.",
        "Set the zoneout to 0: Keras' layers have none.",
        seen_in="Tacotron 2's ZoneoutLSTMCell, Haste's zoneout", edit=EditCell(edit))  # fmt: skip


ZONEOUT_FAULTS = (zoneout(0.1), zoneout(0.1, "h"), zoneout(0.1, "c"))
