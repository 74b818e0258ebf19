"""What converted models share: the arguments of each call, their shapes, and states inside."""

from __future__ import annotations

from rnnparity.problem.dtypes import Array, widened
from rnnparity.problem.problem import Problem
from rnnparity.subjects.calls import Call, calls_of, initial_states
from rnnparity.subjects.keras_backend import KerasModel
from rnnparity.subjects.keras_layers import kept_states


def call_arguments(problem: Problem) -> list[dict[str, Array]]:
    """Return the arguments of each call: `x`, `mask`, `state_0`, ...

    A stateful layer has its states inside, so they are no arguments.
    """
    return [_arguments(call, problem.layer.stateful) for call in calls_of(problem)]


def _arguments(call: Call, stateful: bool) -> dict[str, Array]:
    arguments = {"x": widened(call.inputs)}
    if call.mask is not None:
        arguments["mask"] = call.mask
    if not stateful:
        for index, state in enumerate(call.initial_state or ()):
            arguments[f"state_{index}"] = widened(state)
    return arguments


def open_shapes(problem: Problem) -> list[tuple[str, Array, list[int | None]]]:
    """Return name, array and shape of each argument; T is None where a stateful layer takes any."""
    arguments = call_arguments(problem)[0]
    shapes = []
    for name, array in arguments.items():
        shape: list[int | None] = list(array.shape)
        if problem.layer.stateful:
            shape[1] = None
        shapes.append((name, array, shape))
    return shapes


def set_initial_states(model: KerasModel, problem: Problem) -> None:
    """Set a stateful layer's states, which are exported with their values."""
    if problem.layer.stateful and problem.initial_state is not None:
        states = [state for start in initial_states(problem) for state in start or ()]
        for variable, state in zip(kept_states(model), states, strict=True):
            variable.assign(state)
