"""Faults on the way through time: directions, states and steps that go astray around the cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from rnnparity.faults.fault import Fault, Half, HalfRun, Result
from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem


def time_faults() -> Iterator[Fault]:
    """Every fault of directions, states and steps."""
    yield from _directions()
    yield from _initial_states()
    yield from _carried_states()
    yield from _lost_states()
    yield time_truncated("first", 1)
    yield time_truncated("last", 1)


def _directions() -> Iterator[Fault]:
    def read_forward(half: Half) -> Half | None:
        return (
            Half(replace(half.layer, go_backwards=False), half.weights)
            if half.layer.go_backwards
            else None
        )

    yield Fault(
        "reverse-ignored", "read forward", "The half that should read from the end reads from the start.",
        "Turn the sequence around before the first step.", half=read_forward,
    )  # fmt: skip

    def turned(half: HalfRun) -> Result | None:
        if not (half.layer.go_backwards and half.layer.return_sequences):
            return None
        output, states = half.as_it_is()
        return output[..., ::-1, :], states

    yield Fault(
        "reverse-output-order", "turned", "The outputs of the half that reads from the end stand in the other order.",
        "A layer with go_backwards gives its outputs in the order of processing; Bidirectional turns them back.",
        "Keras' go_backwards gives them in processing order, PyTorch and ONNX in time order", around=turned,
    )  # fmt: skip
    yield from _backward_halves(read_forward)
    yield from _padding()


def _backward_halves(read_forward: Callable[[Half], Half | None]) -> Iterator[Fault]:
    """Faults of a Bidirectional's backward half."""

    def not_turned(half: HalfRun) -> Result | None:
        if not half.place.endswith("backward/") or not half.layer.return_sequences:
            return None
        output, states = half.as_it_is()
        return output[..., ::-1, :], states  # which Bidirectional turns back

    yield Fault(
        "reverse-ignored", "read and returned forward",
        "The backward half reads from the start, and its outputs stand as they come.",
        "Turn the sequence around before the first step, and the outputs back after the last.",
        half=read_forward, around=not_turned,
    )  # fmt: skip

    def at_the_last_time(half: HalfRun) -> Result | None:
        if not half.place.endswith("backward/") or half.layer.return_sequences:
            return None
        last = slice(-1, None)
        output, _ = half.run(
            half.x[..., last, :], None if half.mask is None else half.mask[:, last], half.states
        )
        return output, half.as_it_is()[1]

    yield Fault(
        "reverse-output-order", "last time step", "The backward half's output is that of its first step.",
        "Without sequences take the backward half's output at the first time step, where it ends.",
        "PyTorch's output[:, -1] of a bidirectional layer", around=at_the_last_time,
    )  # fmt: skip


def _padding() -> Iterator[Fault]:
    def over_padding(half: HalfRun) -> Result | None:
        """As pack_padded_sequence and sequence lengths have it: each row's own steps are turned,
        its padding stays."""
        mask = half.mask
        if mask is None or not half.layer.go_backwards:
            return None
        steps = mask.shape[1]
        place = np.tile(np.arange(steps), (len(mask), 1))
        for row, kept in enumerate(mask):
            length = int(kept.sum())
            place[row, steps - length :] = np.arange(length)
            place[row, : steps - length] = np.arange(length, steps)
        places = np.broadcast_to(place[..., None], (*half.x.shape[:-1], 1))
        return half.run(np.take_along_axis(half.x, places, axis=-2), mask, half.states)

    yield Fault(
        "reverse-over-padding", "row by row", "Each row is turned by its own length; Keras turns padding and all.",
        "Turn the whole sequence and its mask, as Keras does; lengths per row are another framework's.",
        "PyTorch's packed sequences, ONNX's sequence_lens", around=over_padding,
    )  # fmt: skip


def _initial_states() -> Iterator[Fault]:
    def ignored(problem: Problem) -> Problem | None:
        return None if problem.initial_state is None else replace(problem, initial_state=None)

    yield Fault(
        "initial-state-ignored", "zeros instead", "The run starts from zeros, not from the initial state.",
        "Start every state where initial_state says.", problem=ignored,
    )  # fmt: skip

    def exchanged(problem: Problem) -> Problem | None:
        """Each half's h and c, as each other."""
        if problem.initial_state is None or not any(
            len(half.states) > 1 for _, half in halves(problem.layer)
        ):
            return None
        order: list[int] = []
        for _, half in halves(problem.layer):
            order += [len(order) + n for n in reversed(range(len(half.states)))]
        return _reordered(problem, order)

    yield Fault(
        "initial-state-swapped", "h and c", "The initial h and c are taken for each other.", "Keras' order is h, c.",
        problem=exchanged,
    )  # fmt: skip

    def of_other_half(problem: Problem) -> Problem | None:
        """The states of two halves alike, as each other's."""
        own = [half.states for _, half in halves(problem.layer)]
        if len(own) != 2 or own[0] != own[1]:
            return None
        count = len(own[0])
        return _reordered(problem, [*range(count, 2 * count), *range(count)])

    yield Fault(
        "initial-state-swapped", "two halves", "The two halves start from each other's initial states.",
        "Keras' order is the forward layer's states, then the backward layer's.", problem=of_other_half,
    )  # fmt: skip


def _carried_states() -> Iterator[Fault]:
    mend = "Start every call and every row from zeros unless the layer is stateful or initial_state is given."

    def from_run_before(half: HalfRun) -> Result | None:
        if half.started or half.layer.stateful:
            return None
        _, left = half.as_it_is()
        return half.run(half.x, half.mask, left)

    yield Fault(
        "state-carried-over", "from the run before", "The run starts from the states that an equal run has left.", mend,
        "engines that keep their states between calls", around=from_run_before,
    )  # fmt: skip

    def row_by_row(half: HalfRun) -> Result | None:
        batch = half.x.shape[-3]
        if half.started or half.layer.stateful or batch == 1:
            return None
        states, outputs, ends = [state[..., :1, :] for state in half.states], [], []
        for row in range(batch):
            own = slice(row, row + 1)
            output, states = half.run(
                half.x[..., own, :, :], None if half.mask is None else half.mask[own], states
            )
            outputs.append(output)
            ends.append(states)
        axis = -3 if half.layer.return_sequences else -2
        return np.concatenate(outputs, axis), [
            np.concatenate(parts, -2) for parts in zip(*ends, strict=True)
        ]

    yield Fault(
        "state-carried-over", "from row to row", "Each row starts from the states that the row before has left.", mend,
        "engines that take one sequence after the other", around=row_by_row,
    )  # fmt: skip

    def half_to_half(half: HalfRun) -> Result | None:
        if half.started or half.layer.stateful or half.earlier is None:
            return None
        if [s.shape[-2:] for s in half.earlier] != [s.shape[-2:] for s in half.states]:
            return None
        return half.run(half.x, half.mask, half.earlier)

    yield Fault(
        "state-carried-over", "from half to half", "The half starts from the states that the half before it has left.",
        mend, around=half_to_half,
    )  # fmt: skip


def _lost_states() -> Iterator[Fault]:
    mend = "With stateful=True the states of one call start the next."

    def not_carried(half: HalfRun) -> Result | None:
        if half.started or not half.layer.stateful or half.calls == 1:
            return None
        return half.run(half.x, half.mask, [np.zeros_like(state) for state in half.states])

    yield Fault(
        "state-not-carried", "calls start anew", "Each call starts from zeros.", mend, around=not_carried,
    )  # fmt: skip

    def as_the_first(half: HalfRun) -> Result | None:
        if not half.started or not half.layer.stateful or half.calls == 1:
            return None
        return half.run(half.x, half.mask, half.first)

    yield Fault(
        "state-not-carried", "calls start as the first", "Each call starts from the initial state of the first.", mend,
        "exported models, in which a stateful layer's states have become constants", around=as_the_first,
    )  # fmt: skip


def time_truncated(end: str, count: int) -> Fault:
    """So many steps at the "first" or "last" end are left out."""

    def edit(problem: Problem) -> Problem | None:
        if (
            problem.layer.return_sequences
            or problem.calls is not None
            or problem.inputs.shape[1] <= count
        ):
            return None
        return _steps(problem, slice(count, None) if end == "first" else slice(None, -count))

    which = f"{end} step" if count == 1 else f"{end} {count} steps"
    says = f"The {which} {'is' if count == 1 else 'are'} left out."
    return Fault("time-truncated", which, says, "Run over all T steps.", problem=edit)


def _steps(problem: Problem, span: slice) -> Problem:
    mask = None if problem.mask is None else problem.mask[:, span]
    inputs = replace(problem.inputs, data=problem.inputs.data[:, span])
    return replace(problem, inputs=inputs, mask=mask, calls=None)


def _reordered(problem: Problem, order: list[int]) -> Problem | None:
    """Other initial states under the same names, where their shapes allow it."""
    given = problem.initial_state
    if given is None or any(
        given[n].shape != tensor.shape for n, tensor in zip(order, given, strict=True)
    ):
        return None
    return replace(
        problem,
        initial_state=tuple(
            replace(tensor, data=given[n].data) for n, tensor in zip(order, given, strict=True)
        ),
    )
