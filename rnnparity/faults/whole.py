"""Faults of the whole layer: merging, flags, axes, and the order of outputs and states."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np

from rnnparity.faults.edit import EditOutputs, EditProblem
from rnnparity.faults.fault import Fault
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import MERGE_MODES, Bidirectional, Layer, Recurrent, Stack
from rnnparity.problem.problem import Problem


def _last(layer: Layer) -> Recurrent | Bidirectional:
    return layer.layers[-1] if isinstance(layer, Stack) else layer


# Merging, and swapped weights.


def _merge_modes() -> Iterator[Fault]:
    for mode in MERGE_MODES:

        def edit(problem: Problem, mode: str | None = mode) -> Problem | None:
            layer = problem.layer
            if not isinstance(layer, Bidirectional) or layer.merge_mode == mode:
                return None
            if mode not in ("concat", None) and layer.forward.units != layer.backward.units:
                return None
            return replace(problem, layer=replace(layer, merge_mode=mode))

        yield Fault("merge-mode", str(mode),
            f"The halves are merged by {mode}." if mode else "The halves are not merged.",
            "Merge the halves by the layer's merge_mode.",
            edit=EditProblem(edit))  # fmt: skip


def _swap_weights(problem: Problem, prefix: str, other_prefix: str) -> Problem | None:
    """Return the problem with the weights under two prefixes swapped, where the shapes allow it."""
    data = {tensor.name: tensor.data for tensor in problem.weights}
    names = {name.removeprefix(prefix) for name in data if name.startswith(prefix)}
    other_names = {
        name.removeprefix(other_prefix) for name in data if name.startswith(other_prefix)
    }
    if not names or names != other_names:
        return None
    if any(data[prefix + name].shape != data[other_prefix + name].shape for name in names):
        return None
    swapped = dict(data)
    for name in names:
        swapped[prefix + name] = data[other_prefix + name]
        swapped[other_prefix + name] = data[prefix + name]
    weights = tuple(replace(tensor, data=swapped[tensor.name]) for tensor in problem.weights)
    return replace(problem, weights=weights)


def _swap_directions(problem: Problem) -> Problem | None:
    if not isinstance(problem.layer, Bidirectional):
        return None
    return _swap_weights(problem, "forward/", "backward/")


def _swap_outputs(problem: Problem, outputs: list[Array]) -> list[Array] | None:
    layer = problem.layer
    if not isinstance(layer, Bidirectional):
        return None
    units = layer.forward.units
    if layer.merge_mode == "concat":
        output, *states = outputs
        return [np.concatenate([output[..., units:], output[..., :units]], axis=-1), *states]
    if layer.merge_mode is None and units == layer.backward.units:
        forward, backward, *states = outputs
        return [backward, forward, *states]
    return None


def _layer_orders() -> Iterator[Fault]:
    for n, m in combinations(range(4), 2):

        def edit(
            problem: Problem, prefixes: tuple[str, str] = (f"{n}/", f"{m}/")
        ) -> Problem | None:
            return _swap_weights(problem, *prefixes) if isinstance(problem.layer, Stack) else None

        yield Fault("layer-order", f"{n} and {m}",
            f"The weights of layers {n} and {m} of the stack are swapped.",
            "Load the layers' weights in the order of the stack.",
            edit=EditProblem(edit))  # fmt: skip


# Flags.


def _flags() -> Iterator[Fault]:
    for name in ("return_sequences", "return_state"):
        for value in (True, False):

            def edit(problem: Problem, name: str = name, value: bool = value) -> Problem | None:
                if getattr(problem.layer, name) == value or problem.calls is not None:
                    return None
                return replace(problem, layer=with_flag(problem.layer, name, value))

            yield Fault("return-flags", f"{name} {value}",
                f"{name} is {value} in the implementation.",
                f"Set {name} to {not value}, the layer's value.",
                edit=EditProblem(edit))  # fmt: skip


def with_flag(layer: Layer, name: str, value: bool) -> Layer:
    """Return the layer with another value of return_sequences or return_state."""
    if isinstance(layer, Stack):
        last = with_flag(layer.layers[-1], name, value)
        assert not isinstance(last, Stack)  # noqa: S101 - a stack contains no stack
        return Stack((*layer.layers[:-1], last))
    if isinstance(layer, Recurrent):
        return _flagged(layer, name, value)
    forward, backward = (_flagged(half, name, value) for half in (layer.forward, layer.backward))
    if name == "return_sequences":  # Bidirectional passes it on to both halves
        forward = replace(forward, zero_output_for_mask=value)
        backward = replace(backward, zero_output_for_mask=value)
    return replace(layer, forward=forward, backward=backward)


def _flagged(layer: Recurrent, name: str, value: bool) -> Recurrent:
    if name == "return_sequences":
        return replace(layer, return_sequences=value)
    return replace(layer, return_state=value)


# Axes.


def _read_inputs_as(order: tuple[int, int, int]) -> Callable[[Problem], Problem | None]:
    """Return the edit that reads the inputs' memory as an array with its axes in that order."""

    def edit(problem: Problem) -> Problem | None:
        data = problem.inputs.data
        shape = tuple(data.shape[axis] for axis in order)
        scattered = data.reshape(shape).transpose(np.argsort(order))
        if np.array_equal(scattered, data):
            return None
        return replace(problem, inputs=replace(problem.inputs, data=scattered))

    return edit


def _time_first(problem: Problem, outputs: list[Array]) -> list[Array] | None:
    if not problem.layer.return_sequences:
        return None
    swapped = []
    for array in outputs:
        is_sequence = array.ndim >= 3 and array.shape[-3:-1] == problem.inputs.shape[:2]
        swapped.append(np.swapaxes(array, -3, -2) if is_sequence else array)
    return swapped


# The order of returned states.


def _reorder_states(
    order_of: Callable[[Recurrent | Bidirectional], list[int] | None],
) -> EditOutputs:
    """Return the edit that puts the returned states of the last layer in another order."""

    def edit(problem: Problem, outputs: list[Array]) -> list[Array] | None:
        layer = _last(problem.layer)
        order = order_of(layer) if layer.return_state else None
        if order is None:
            return None
        count = len(order)
        states = outputs[-count:]
        reordered = [states[index] for index in order]
        if any(a.shape != b.shape for a, b in zip(states, reordered, strict=True)):
            return None
        return [*outputs[:-count], *reordered]

    return EditOutputs(edit)


def _c_before_h(layer: Recurrent | Bidirectional) -> list[int] | None:
    names = [name.rpartition("_")[2] for name in layer.states]
    if "c" not in names:
        return None
    order: list[int] = []
    for index, name in enumerate(names):
        if name == "h":
            has_c = names[index + 1 : index + 2] == ["c"]
            order += [index + 1, index] if has_c else [index]
    return order


def _backward_before_forward(layer: Recurrent | Bidirectional) -> list[int] | None:
    if not isinstance(layer, Bidirectional):
        return None
    forward = len(layer.forward.states)
    return [*range(forward, len(layer.states)), *range(forward)]


def _all_h_before_all_c(layer: Recurrent | Bidirectional) -> list[int] | None:
    return [0, 2, 1, 3] if len(layer.states) == 4 else None


# fmt: off
WHOLE_FAULTS = (
    *_merge_modes(),
    Fault("directions-swapped", "weights",
        "The weights of the two directions are swapped.",
        "Load the weights in Keras' order: those of the forward layer, then those of the backward layer.",
        edit=EditProblem(_swap_directions)),
    Fault("directions-swapped", "outputs",
        "The backward output comes before the forward output.",
        "Join the forward output, then the backward output.",
        edit=EditOutputs(_swap_outputs)),
    *_layer_orders(),
    *_flags(),
    Fault("axis-swapped", "time and features",
        "The inputs are read as (B, D, T); they are (B, T, D).",
        "Transpose the inputs; reshape scatters them.",
        edit=EditProblem(_read_inputs_as((0, 2, 1)))),
    Fault("axis-swapped", "batch and time",
        "The inputs are read as (T, B, D); they are (B, T, D).",
        "Transpose the inputs, or set batch_first; reshape scatters them.",
        seen_in="PyTorch and ONNX have time first", edit=EditProblem(_read_inputs_as((1, 0, 2)))),
    Fault("axis-swapped", "outputs time first",
        "The outputs are (T, B, H).",
        "Return the outputs with the batch first: (B, T, H).",
        seen_in="PyTorch without batch_first, ONNX's layout 0", edit=EditOutputs(_time_first)),
    Fault("state-order", "c before h",
        "The returned states are c, h.",
        "Return h, then c.",
        edit=_reorder_states(_c_before_h)),
    Fault("state-order", "backward before forward",
        "The states of the backward half come first.",
        "Return the states of the forward half, then those of the backward half.",
        edit=_reorder_states(_backward_before_forward)),
    Fault("state-order", "both h, then both c",
        "The returned states are h and h, then c and c.",
        "Return h, c of the forward half, then h, c of the backward half.",
        seen_in="PyTorch's h_n, c_n", edit=_reorder_states(_all_h_before_all_c)),
)
# fmt: on
