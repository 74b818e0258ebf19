"""Faults of the layer as a whole: what is merged, exchanged, transposed, scaled or dropped around
its halves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from rnnparity.faults.fault import Fault, HalfRun, Result
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import MERGE_MODES, Bidirectional, Layer, Recurrent, Stack
from rnnparity.problem.problem import Problem, Tensor


def whole_faults() -> Iterator[Fault]:
    """Every fault of the layer as a whole and of its outputs."""
    yield from _halves()
    yield from _flags()
    yield from _axes()
    yield from _state_order()
    for factor in (0.5, 2.0):
        yield unit_scale(factor)
    yield unit_shift(0.1)
    yield dropout_on_inputs(0.5)
    yield dropout_on_outputs(0.5)


def _halves() -> Iterator[Fault]:
    for mode in MERGE_MODES:
        yield Fault(
            "merge-mode", str(mode), f"The halves are merged by {mode}.", "Merge as merge_mode says.",
            problem=_merged(mode),
        )  # fmt: skip
    yield Fault(
        "directions-swapped", "weights", "The two directions have each other's weights.",
        "Keras' weights are the forward layer's, then the backward layer's.",
        problem=lambda p: _exchanged(p, "forward/", "backward/") if isinstance(p.layer, Bidirectional) else None,
    )  # fmt: skip

    def backward_first(problem: Problem, outputs: list[Any]) -> list[Any] | None:
        layer = problem.layer
        if not isinstance(layer, Bidirectional) or layer.merge_mode not in ("concat", None):
            return None
        first, *states = outputs
        if layer.merge_mode is None:
            return (
                [states[0], first, *states[1:]]
                if layer.forward.units == layer.backward.units
                else None
            )
        units = layer.forward.units
        return [np.concatenate([first[..., units:], first[..., :units]], axis=-1), *states]

    yield Fault(
        "directions-swapped", "outputs", "The backward output stands before the forward output.",
        "Join forward, then backward.", outputs=backward_first,
    )  # fmt: skip
    for n, m in combinations(range(4), 2):
        yield Fault(
            "layer-order", f"{n} and {m}", f"Layers {n} and {m} of the stack have each other's weights.",
            "Load the layers' weights in the order of the stack.", problem=_exchanged_layers(n, m),
        )  # fmt: skip


def _flags() -> Iterator[Fault]:
    for name in ("return_sequences", "return_state"):
        for value in (True, False):

            def edit(problem: Problem, name: str = name, value: bool = value) -> Problem | None:
                if getattr(problem.layer, name) == value or problem.calls is not None:
                    return None
                return replace(problem, layer=with_flag(problem.layer, name, value))

            yield Fault(
                "return-flags", f"{name} {value}", f"{name} is {value} there.",
                f"Set {name} as the layer has it.", problem=edit,
            )  # fmt: skip


def _axes() -> Iterator[Fault]:
    def read_as(order: tuple[int, int, int]) -> Callable[[Problem], Problem | None]:
        def edit(problem: Problem) -> Problem | None:
            data = problem.inputs.data
            shape = tuple(data.shape[axis] for axis in order)
            other = data.reshape(shape).transpose(np.argsort(order))
            return (
                None
                if np.array_equal(other, data)
                else replace(problem, inputs=replace(problem.inputs, data=other))
            )

        return edit

    yield Fault(
        "axis-swapped", "time and features", "The inputs are read as (B, D, T) where they are (B, T, D).",
        "Transpose the inputs; reshape scatters them.", problem=read_as((0, 2, 1)),
    )  # fmt: skip
    yield Fault(
        "axis-swapped", "batch and time", "The inputs are read as (T, B, D) where they are (B, T, D).",
        "Transpose the inputs, or set batch_first; reshape scatters them.", "PyTorch and ONNX have time first",
        problem=read_as((1, 0, 2)),
    )  # fmt: skip

    def time_first(problem: Problem, outputs: list[Any]) -> list[Any] | None:
        if not problem.layer.return_sequences:
            return None
        return [
            np.swapaxes(array, -3, -2) if _is_sequence(problem, array) else array
            for array in outputs
        ]

    yield Fault(
        "axis-swapped", "outputs time first", "The outputs are (T, B, H).", "Keras has the batch first: (B, T, H).",
        "PyTorch without batch_first, ONNX's layout 0", outputs=time_first,
    )  # fmt: skip


def _is_sequence(problem: Problem, array: Array) -> bool:
    return array.ndim >= 3 and array.shape[-3:-1] == problem.inputs.shape[:2]


def _state_order() -> Iterator[Fault]:
    def reordered(
        order: Callable[[Problem, int], list[int] | None],
    ) -> Callable[..., list[Any] | None]:
        def edit(problem: Problem, outputs: list[Any]) -> list[Any] | None:
            count = len(_last(problem.layer).states) if problem.layer.return_state else 0
            places = order(problem, count) if count else None
            if places is None:
                return None
            sequences, states = outputs[: len(outputs) - count], outputs[len(outputs) - count :]
            if any(states[n].shape != state.shape for n, state in zip(places, states, strict=True)):
                return None
            return [*sequences, *(states[n] for n in places)]

        return edit

    def c_first(problem: Problem, count: int) -> list[int] | None:
        names = [name.rpartition("_")[2] for name in _last(problem.layer).states]
        pairs = [
            [n + 1, n] if names[n : n + 2] == ["h", "c"] else [n]
            for n in range(count)
            if names[n] == "h"
        ]
        return [n for pair in pairs for n in pair] if "c" in names else None

    def backward_first(problem: Problem, count: int) -> list[int] | None:
        layer = _last(problem.layer)
        if not isinstance(layer, Bidirectional):
            return None
        forward = len(layer.forward.states)
        return [*range(forward, count), *range(forward)]

    def by_kind(_: Problem, count: int) -> list[int] | None:
        return [0, 2, 1, 3] if count == 4 else None

    says = "The returned states are c, h."
    yield Fault(
        "state-order", "c before h", says, "Keras returns h, then c.", outputs=reordered(c_first)
    )
    yield Fault(
        "state-order", "backward before forward", "The backward half's states stand first.",
        "Keras returns the forward half's states, then the backward half's.", outputs=reordered(backward_first),
    )  # fmt: skip
    yield Fault(
        "state-order", "both h, then both c", "The states are h and h, then c and c.",
        "Keras returns h, c of the forward half, then h, c of the backward half.", "PyTorch's h_n, c_n",
        outputs=reordered(by_kind),
    )  # fmt: skip


def unit_scale(factor: float) -> Fault:
    """The outputs are so many times what they should be."""
    return Fault(
        "unit-scale", f"outputs times {factor:.6g}", f"The outputs are {factor:.6g} times what they should be.",
        "Look for a scale, a dropout's 1 / (1 - rate) or a normalization after the layer.",
        around=lambda half: _with_output(half, lambda y: y * factor),
    )  # fmt: skip


def unit_shift(by: float) -> Fault:
    """So much is added to the outputs."""
    return Fault(
        "unit-scale", f"outputs shifted by {by:.4g}", f"{by:.4g} is added to the outputs.",
        "Look for a bias or a normalization after the layer.",
        around=lambda half: _with_output(half, lambda y: y + by),
    )  # fmt: skip


def dropout_on_inputs(rate: float, keep: Array | None = None) -> Fault:
    """Some features of each row are dropped for the whole run, the others grow: Keras' own dropout,
    not switched off.

    `keep` (B, D) says which are left; without it every other one.
    """

    def around(half: HalfRun) -> Result | None:
        batch, _, features = half.x.shape[-3:]
        kept = (
            np.add.outer(np.arange(batch), np.arange(features)) % 2 == 0 if keep is None else keep
        )
        if kept.shape != (batch, features):
            return None
        return half.run(half.x * kept[:, None, :] / (1 - rate), half.mask, half.states)

    return Fault(
        "dropout-active", f"inputs, rate {rate:g}", "Features of the inputs are dropped, the others scaled up.",
        "Dropout belongs to training: call the layer with training=False, set eval().", around=around,
    )  # fmt: skip


def dropout_on_outputs(rate: float, keep: Array | None = None) -> Fault:
    """Some outputs are zero, the others grow. `keep` has the outputs' shape; without it every other
    one is left."""

    def around(half: HalfRun) -> Result | None:
        output, states = half.as_it_is()
        places = np.indices(
            output.shape[-3:] if half.layer.return_sequences else output.shape[-2:]
        ).sum(0)
        kept = places % 2 == 0 if keep is None else keep
        return None if kept.shape != places.shape else (output * kept / (1 - rate), states)

    return Fault(
        "dropout-active", f"outputs, rate {rate:g}", "Some outputs are zero, the others scaled up.",
        "Dropout belongs to training: switch it off.", "PyTorch's dropout between the layers of a stack", around=around,
    )  # fmt: skip


def with_flag(layer: Layer, name: str, value: bool) -> Layer:
    """The layer with other return flags."""
    if isinstance(layer, Bidirectional):
        flag: dict[str, Any] = {name: value}
        if name == "return_sequences":  # which Bidirectional hands on to both halves
            flag["zero_output_for_mask"] = value
        return replace(
            layer, forward=replace(layer.forward, **flag), backward=replace(layer.backward, **flag)
        )
    if isinstance(layer, Stack):
        last = with_flag(layer.layers[-1], name, value)
        return Stack((*layer.layers[:-1], last))  # type: ignore[arg-type]  # the last of a stack is none
    return replace(layer, **{name: value})  # type: ignore[arg-type]  # the names are those of the flags


def _last(layer: Layer) -> Recurrent | Bidirectional:
    return layer.layers[-1] if isinstance(layer, Stack) else layer


def _with_output(half: HalfRun, edit: Callable[[Any], Any]) -> Result:
    output, states = half.as_it_is()
    return edit(output), states


def _merged(mode: str | None) -> Callable[[Problem], Problem | None]:
    def edit(problem: Problem) -> Problem | None:
        layer = problem.layer
        if not isinstance(layer, Bidirectional) or layer.merge_mode == mode:
            return None
        if mode not in ("concat", None) and layer.forward.units != layer.backward.units:
            return None
        return replace(problem, layer=replace(layer, merge_mode=mode))

    return edit


def _exchanged_layers(n: int, m: int) -> Callable[[Problem], Problem | None]:
    return lambda problem: (
        _exchanged(problem, f"{n}/", f"{m}/") if isinstance(problem.layer, Stack) else None
    )


def _exchanged(problem: Problem, one: str, other: str) -> Problem | None:
    """The weights under two prefixes as each other's, where their shapes allow it."""
    data = {tensor.name: tensor.data for tensor in problem.weights}
    shapes = [
        {n.removeprefix(p): array.shape for n, array in data.items() if n.startswith(p)}
        for p in (one, other)
    ]
    names = list(shapes[0])
    if not names or shapes[0] != shapes[1]:
        return None
    swap = {one + n: data[other + n] for n in names} | {other + n: data[one + n] for n in names}
    return replace(
        problem,
        weights=tuple(Tensor(t.name, swap.get(t.name, t.data), t.dtype) for t in problem.weights),
    )
