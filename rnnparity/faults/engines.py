"""Faults of one engine, which are tried only for the known difference that lists them."""

from __future__ import annotations

from dataclasses import replace

from rnnparity.faults.edit import EditRun, HalfRun, Result
from rnnparity.faults.fault import Fault


def _states_of_first_step(half: HalfRun) -> Result | None:
    if half.x.shape[-2] == 1 or half.mask is not None:
        return None
    output, _ = half.run()
    first = half.x[..., -1:, :] if half.layer.go_backwards else half.x[..., :1, :]
    _, states = replace(half, x=first).run()
    return (output if half.layer.return_sequences else states[0]), states


# fmt: off
ENGINE_FAULTS = (
    Fault("returned-state", "after the first step",
        "The last states, and the last output, are those after the first step that is processed.",
        "Return the states after the last processed step, also where the sequence is read backwards.",
        edit=EditRun(_states_of_first_step)),
)
# fmt: on
