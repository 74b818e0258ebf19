"""What the sequences of a problem start from, which steps of them count, and what is before each.

Axis letters: B batch, T time, H units.
"""

from __future__ import annotations

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.problem import Problem
from rnnparity.problem.shapes import state_slots


def used_steps(problem: Problem) -> Array:
    """Return which steps count: (B, T)."""
    return np.ones(problem.inputs.shape[:2], bool) if problem.mask is None else problem.mask


def initial_states(problem: Problem) -> list[Array]:
    """Return the initial states (B, H) in float64, zeros without any."""
    if problem.initial_state is not None:
        return [tensor.data.astype(np.float64) for tensor in problem.initial_state]
    slots = state_slots(problem.layer, len(problem.inputs.data))
    return [np.zeros(tuple(size or 0 for size in slot.shape)) for slot in slots]


def states_before(used: Array, after: Array, initial: Array) -> Array:
    """Return the state before every step, (B, T, H), from those after it; masked steps keep it."""
    batch, steps = used.shape
    last = np.maximum.accumulate(np.where(used, np.arange(1, steps + 1), 0), axis=1)
    last = np.concatenate([np.zeros((batch, 1), int), last[:, :-1]], axis=1)
    states = np.concatenate([initial[:, None], after], axis=1)
    return np.take_along_axis(states, last[..., None], axis=1)
