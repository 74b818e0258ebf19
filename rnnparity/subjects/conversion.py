"""What converted models share: arguments call by call, their shapes, the states within, the outputs
by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnparity.problem.dtypes import Array, widened
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.subjects import as_tensor


def call_arguments(problem: Problem) -> list[dict[str, Array]]:
    """The arguments of each call: `x`, `mask`, `state_0`, ...; a stateful layer has its states in
    itself."""
    calls, start = [], 0
    for steps in problem.steps:
        span = slice(start, start + steps)
        arguments = {"x": widened(problem.inputs.data[:, span])}
        if problem.mask is not None:
            arguments["mask"] = problem.mask[:, span]
        if not problem.layer.stateful:
            arguments |= {
                f"state_{place}": widened(tensor.data)
                for place, tensor in enumerate(problem.initial_state or ())
            }
        calls.append(arguments)
        start += steps
    return calls


def open_shapes(problem: Problem) -> list[tuple[str, Array, list[int | None]]]:
    """Name, an array and the shape of each argument; a stateful layer, called for any length,
    leaves T open."""
    arguments = call_arguments(problem)[0]
    shapes: list[tuple[str, Array, list[int | None]]] = [
        (name, array, list(array.shape)) for name, array in arguments.items()
    ]
    for _, _, shape in shapes if problem.layer.stateful else []:
        shape[1] = None
    return shapes


def kept_states(model: Any) -> list[Any]:
    """The variables in which stateful layers keep their states, in Keras' order."""
    found: list[Any] = []
    for layer in getattr(model, "layers", [model]):
        halves = (
            (layer.forward_layer, layer.backward_layer)
            if hasattr(layer, "forward_layer")
            else (layer,)
        )
        found += [variable for half in halves if half.stateful for variable in half.states]
    return found


def start_states(model: Any, problem: Problem) -> None:
    """Put initial states into a stateful layer's variables, which are exported with their
    values."""
    if problem.layer.stateful and problem.initial_state is not None:
        for variable, tensor in zip(kept_states(model), problem.initial_state, strict=True):
            variable.assign(tensor.data)


def named_outputs(problem: Problem, calls: list[list[Array]]) -> tuple[Tensor, ...]:
    """The last call's outputs by name; sequences are joined along time."""
    names = [slot.name for slot in problem.output_slots()]
    names += [f"extra_{place}" for place in range(len(names), len(calls[-1]))]
    outputs = []
    for name, parts in zip(names, zip(*calls, strict=True), strict=False):
        joined = problem.layer.return_sequences and name.endswith("output")
        outputs.append(as_tensor(name, np.concatenate(parts, axis=1) if joined else parts[-1]))
    return tuple(outputs)
