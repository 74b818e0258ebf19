"""Faults of what flows back through time and masked steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from rnnparity.faults.backward_edit import (
    EditBackwardMaskedStep,
    EditBetweenSteps,
    Target,
    detached,
    unchanged,
)
from rnnparity.faults.fault import Fault
from rnnparity.problem.dtypes import Array
from rnnparity.reference.gradients.taped_array import TapedArray

THROUGH_TIME = "Let gradients flow back through every state of every step."
# Lengths of the parts of a sequence; others are tried where gradients are explained.
PARTS = (2, 3, 4, 5, 8)
_Numbers = list[TapedArray]


# Between two steps.


def _detach_every(count: int, step: int, states: _Numbers) -> _Numbers | None:
    return None if step % count else [detached(state) for state in states]


def _detach_state(index: int, _: int, states: _Numbers) -> _Numbers | None:
    if len(states) == 1:
        return None
    return [detached(state) if n == index else state for n, state in enumerate(states)]


# Through a masked step. Each function gets which steps are used, the state before the step and
# that of the cell.


def _as_if_used(_used: Array, _before: TapedArray, new: TapedArray) -> Sequence[Target]:
    return [(new, unchanged)]


def _stops(used: Array, _before: TapedArray, new: TapedArray) -> Sequence[Target]:
    return [(new, lambda gradient: np.where(used, gradient, 0))]


def _past_used_steps(used: Array, before: TapedArray, new: TapedArray) -> Sequence[Target]:
    return [(new, lambda gradient: np.where(used, gradient, 0)), (before, unchanged)]


def truncated_every(count: int) -> Fault:
    """Return the fault that cuts what flows back after each part of `count` steps."""
    return Fault("gradient-truncated", f"every {count} steps",
        f"Nothing flows back over the start of each part of {count} steps.",
        THROUGH_TIME,
        seen_in="truncated backpropagation through time",
        edit=EditBetweenSteps(partial(_detach_every, count), first=count))  # fmt: skip


def _truncated() -> Iterator[Fault]:
    yield Fault("gradient-truncated", "every step",
        "Nothing flows back from a step to the one before.",
        THROUGH_TIME,
        seen_in="states that are detached, or copied to arrays, in the time loop",
        edit=EditBetweenSteps(partial(_detach_every, 1)))  # fmt: skip
    yield from map(truncated_every, PARTS)
    for index, (state, other) in enumerate((("h", "c"), ("c", "h"))):
        yield Fault("gradient-truncated", f"LSTM, through {other} only",
            f"Between two steps gradients flow back through {other}, not through {state}.",
            THROUGH_TIME,
            edit=EditBetweenSteps(partial(_detach_state, index)))  # fmt: skip


# fmt: off
FLOW_FAULTS = (
    *_truncated(),
    Fault("masked-gradient", "as if used",
        "The gradient of a masked step flows to what the cell computed there.",
        "Pass all of the gradient of a masked step's states to the step before, which they repeat.",
        edit=EditBackwardMaskedStep(_as_if_used, _as_if_used), needs_mask=True),
    Fault("masked-gradient", "stops",
        "Nothing flows back over a masked step.",
        "Pass the gradient of a masked step's states to the step before, which they repeat.",
        edit=EditBackwardMaskedStep(_stops), needs_mask=True),
    Fault("masked-gradient", "past used steps",
        "The gradient of the states flows past every step, also where it is used.",
        "Pass gradients to the states before unchanged only over a masked step.",
        edit=EditBackwardMaskedStep(_past_used_steps), needs_mask=True),
    Fault("masked-gradient", "repeated output",
        "The cotangent of an output that a masked step repeats is lost.",
        "Add the cotangents of all masked steps that repeat an output to those of that output.",
        edit=EditBackwardMaskedStep(output=_stops), needs_mask=True),
)
# fmt: on
