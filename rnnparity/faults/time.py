"""Faults of the run through time: initial states, states between calls, missing steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from rnnparity.faults.edit import EditProblem, EditRun, HalfRun, Result
from rnnparity.faults.fault import Fault
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem

START_FROM_ZEROS = "Start every call and every row from zeros."
FEED_THE_STEP = "Feed x[:, t] at step t."
STATES_GO_ON = (
    "Start each call from the states at the end of the call before: the layer is stateful."
)


def _ignore_initial_state(problem: Problem) -> Problem | None:
    if problem.initial_state is None:
        return None
    return replace(problem, initial_state=None)


def _swap_h_and_c(problem: Problem) -> Problem | None:
    states = [half.states for _, half in halves(problem.layer)]
    if all(len(names) == 1 for names in states):
        return None
    order: list[int] = []
    for names in states:
        first = len(order)
        order += reversed(range(first, first + len(names)))
    return _reorder_states(problem, order)


def _swap_halves(problem: Problem) -> Problem | None:
    states = [half.states for _, half in halves(problem.layer)]
    if len(states) != 2 or states[0] != states[1]:
        return None
    count = len(states[0])
    return _reorder_states(problem, [*range(count, 2 * count), *range(count)])


def _reorder_states(problem: Problem, order: Sequence[int]) -> Problem | None:
    """Return the problem with its initial states in another order, where the shapes allow it."""
    states = problem.initial_state
    if states is None:
        return None
    reordered = []
    for index, tensor in zip(order, states, strict=True):
        if states[index].shape != tensor.shape:
            return None
        reordered.append(replace(tensor, data=states[index].data))
    return replace(problem, initial_state=tuple(reordered))


def _starts_from_zeros(half: HalfRun) -> bool:
    return not half.has_initial_state and not half.layer.stateful


def _from_previous_run(half: HalfRun) -> Result | None:
    if not _starts_from_zeros(half):
        return None
    _, states = half.run()
    return replace(half, states=states).run()


def _from_row_to_row(half: HalfRun) -> Result | None:
    batch = half.x.shape[-3]
    if not _starts_from_zeros(half) or batch == 1:
        return None
    states = [state[..., :1, :] for state in half.states]
    outputs, last_states = [], []
    for row in range(batch):
        x = half.x[..., row : row + 1, :, :]
        mask = None if half.mask is None else half.mask[row : row + 1]
        output, states = replace(half, x=x, mask=mask, states=states).run()
        outputs.append(output)
        last_states.append(states)
    joined = [np.concatenate(rows, axis=-2) for rows in zip(*last_states, strict=True)]
    return np.concatenate(outputs, axis=-3 if half.layer.return_sequences else -2), joined


def _from_half_to_half(half: HalfRun) -> Result | None:
    states = half.previous_states
    if states is None or not _starts_from_zeros(half):
        return None
    if _shapes(states) != _shapes(half.states):
        return None
    return replace(half, states=states).run()


def _shapes(states: Sequence[Array]) -> list[tuple[int, ...]]:
    return [state.shape[-2:] for state in states]


def _passes_states_on(half: HalfRun) -> bool:
    return half.layer.stateful and len(half.problem.steps) > 1


def _start_every_call_from_zeros(half: HalfRun) -> Result | None:
    if half.has_initial_state or not _passes_states_on(half):
        return None
    return replace(half, states=[np.zeros_like(state) for state in half.states]).run()


def _start_every_call_from_initial(half: HalfRun) -> Result | None:
    if not half.has_initial_state or not _passes_states_on(half):
        return None
    return replace(half, states=half.first_states).run()


def _shift_inputs(wraps: bool, half: HalfRun) -> Result | None:
    """Feed each step, in the order of processing, the inputs of the step before."""
    if half.x.shape[-2] < 2:
        return None
    step, first = (-1, -1) if half.layer.go_backwards else (1, 0)
    shifted = np.roll(half.x, step, axis=-2)
    if not wraps:
        shifted[..., first, :] = 0
    return replace(half, x=shifted).run()


def time_truncated(end: str, count: int) -> Fault:
    """Return the fault that leaves out `count` steps at the "first" or "last" end."""
    kept = slice(count, None) if end == "first" else slice(None, -count)

    def edit(problem: Problem) -> Problem | None:
        layer, inputs, mask = problem.layer, problem.inputs, problem.mask
        if layer.return_sequences or problem.calls is not None or inputs.shape[1] <= count:
            return None
        return replace(
            problem,
            inputs=replace(inputs, data=inputs.data[:, kept]),
            mask=None if mask is None else mask[:, kept],
        )

    steps = f"{end} step" if count == 1 else f"{end} {count} steps"
    return Fault("time-truncated", steps,
        f"The {steps} {'is' if count == 1 else 'are'} left out.",
        "Run over all T steps.",
        edit=EditProblem(edit))  # fmt: skip


# fmt: off
TIME_FAULTS = (
    Fault("initial-state-ignored", "zeros instead",
        "The run starts from zeros instead of the initial state.",
        "Start every state from initial_state.",
        edit=EditProblem(_ignore_initial_state)),
    Fault("initial-state-swapped", "h and c",
        "The initial h and c are swapped.",
        "Pass the initial states in Keras' order: h, then c.",
        edit=EditProblem(_swap_h_and_c)),
    Fault("initial-state-swapped", "two halves",
        "The two halves start from each other's initial states.",
        "Pass the initial states of the forward half first, then those of the backward half.",
        edit=EditProblem(_swap_halves)),
    Fault("state-carried-over", "from the run before",
        "The run starts from the states at the end of an equal run.",
        START_FROM_ZEROS,
        seen_in="engines that keep their states between calls", edit=EditRun(_from_previous_run)),
    Fault("state-carried-over", "from row to row",
        "Each row starts from the states at the end of the row before.",
        START_FROM_ZEROS,
        seen_in="engines that process one sequence after the other",
        edit=EditRun(_from_row_to_row)),
    Fault("state-carried-over", "from half to half",
        "The half starts from the states at the end of the half before.",
        START_FROM_ZEROS,
        edit=EditRun(_from_half_to_half)),
    Fault("state-not-carried", "every call starts from zeros",
        "Every call starts from zeros.",
        STATES_GO_ON,
        edit=EditRun(_start_every_call_from_zeros)),
    Fault("state-not-carried", "every call starts from the initial state",
        "Every call starts from the initial state of the first call.",
        STATES_GO_ON,
        seen_in="exported models, in which a stateful layer's states have become constants",
        edit=EditRun(_start_every_call_from_initial)),
    Fault("inputs-shifted", "one step late, from zeros",
        "Each step gets the inputs of the step before; the first gets zeros.",
        FEED_THE_STEP,
        seen_in="decoders that are trained on shifted targets",
        edit=EditRun(partial(_shift_inputs, False))),
    Fault("inputs-shifted", "one step late, from the last",
        "Each step gets the inputs of the step before; the first gets those of the last.",
        FEED_THE_STEP,
        seen_in="loops over x[:, t - 1], where Python's index -1 is the last step",
        edit=EditRun(partial(_shift_inputs, True))),
    time_truncated("first", 1),
    time_truncated("last", 1),
)
# fmt: on
