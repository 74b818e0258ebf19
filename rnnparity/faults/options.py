"""Faults of options: a layer that computes with other words than it was given, and states, masks and steps that go
astray around its cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from rnnparity.dtypes import Array
from rnnparity.faults.fault import Fault, Half
from rnnparity.layers import MERGE_MODES, Bidirectional, Recurrent, Stack, halves
from rnnparity.problem import Problem, Tensor

SIGMOIDS = ("sigmoid", "hard_sigmoid", "hard_sigmoid_keras2")
ACTIVATIONS = ("tanh", "relu", "linear", "sigmoid")


def option_faults() -> Iterator[Fault]:
    """Every fault of a half's options, of masks, states, directions and of what is given as a whole."""
    yield from _activations()
    yield from _reset_after()
    yield from _directions()
    yield from _masks()
    yield from _states()
    yield from _whole()


def _activations() -> Iterator[Fault]:
    for name in SIGMOIDS:
        yield Fault(
            "recurrent-activation", name, f"The gates use {name}.",
            "Keras' default is sigmoid; hard_sigmoid was Keras 2's, with a slope of 0.2 where Keras 3 has 1/6.",
            "Keras 1 and 2 models, ONNX's HardSigmoid", half=_option("recurrent_activation", name, gated=True),
        )  # fmt: skip
    for name in ACTIVATIONS:
        yield Fault(
            "activation", name, f"The candidate and the output use {name}.",
            "Use the layer's own activation, both times.",
            half=_option("activation", name),
        )  # fmt: skip


def _reset_after() -> Iterator[Fault]:
    def flipped(half: Half) -> Half | None:
        if half.layer.class_name != "GRU":
            return None
        weights = dict(half.weights)
        if "bias" in weights:
            b = weights["bias"]
            weights["bias"] = b.sum(0) if half.layer.reset_after else np.stack([b, np.zeros_like(b)])
        return Half(replace(half.layer, reset_after=not half.layer.reset_after), weights)

    yield Fault(
        "reset-after", "flipped", "The reset gate acts on the other side of the recurrent product.",
        "reset_after=True (Keras' default, cuDNN, PyTorch): g = act(x W + b + r * (h U + b')); "
        "False: g = act(x W + b + (r * h) U).",
        "ONNX's linear_before_reset, whose default is the other one", half=flipped,
    )  # fmt: skip


def _directions() -> Iterator[Fault]:
    yield Fault(
        "reverse-ignored", "read forward", "The half that should read from the end reads from the start.",
        "Turn the sequence around before the first step.",
        half=lambda half: _option("go_backwards", False)(half) if half.layer.go_backwards else None,
    )  # fmt: skip

    def turned(layer: Recurrent, output: Any, states: list[Any]) -> tuple[Any, list[Any]] | None:
        return (output[..., ::-1, :], states) if layer.go_backwards and layer.return_sequences else None

    yield Fault(
        "reverse-output-order", "turned", "The outputs of the half that reads from the end stand in the other order.",
        "A layer with go_backwards gives its outputs in the order of processing; Bidirectional turns them back.",
        "Keras' go_backwards gives them in processing order, PyTorch and ONNX in time order", outputs=turned,
    )  # fmt: skip

    def over_padding(layer: Recurrent, x: Any, mask: Array | None) -> Any:
        """As pack_padded_sequence and sequence lengths have it: each row's own steps are turned, its padding stays."""
        if mask is None or not layer.go_backwards:
            return None
        steps = mask.shape[1]
        place = np.tile(np.arange(steps), (len(mask), 1))
        for row, kept in enumerate(mask):
            length = int(kept.sum())
            place[row, steps - length :] = np.arange(length)
            place[row, : steps - length] = np.arange(length, steps)
        return np.take_along_axis(x, place[..., None], axis=-2)

    yield Fault(
        "reverse-over-padding", "row by row", "Each row is turned by its own length; Keras turns padding and all.",
        "Turn the whole sequence and its mask, as Keras does; lengths per row are another framework's.",
        "PyTorch's packed sequences, ONNX's sequence_lens", inputs=over_padding,
    )  # fmt: skip


def _masks() -> Iterator[Fault]:
    def every_step(_: Recurrent, mask: Array) -> Array:
        return np.ones_like(mask)

    def not_turned(layer: Recurrent, mask: Array) -> Array | None:
        return mask[:, ::-1] if layer.go_backwards else None

    yield Fault(
        "mask-ignored", "every step counts", "Masked steps are computed like any other.",
        "Where the mask is False every state keeps its value.", mask=every_step,
    )  # fmt: skip
    yield Fault(
        "mask-not-reversed", "as given", "The sequence is turned, the mask is not.", "Turn the mask with the sequence.",
        "tf.keras itself with unroll=True", mask=not_turned,
    )  # fmt: skip
    for zero in (True, False):
        what = "zero" if zero else "held"
        yield Fault(
            "masked-output", what, f"The output of a masked step is {'zero' if zero else 'the last one'}.",
            "Keras repeats the last output; zero_output_for_mask (which Bidirectional sets) makes it zero.",
            masked=True, half=_zero_output(zero),
        )  # fmt: skip

    def zeroed(_: Recurrent, x: Any, mask: Array | None) -> Any:
        return None if mask is None else np.where(mask[..., None], x, 0)

    yield Fault(
        "masked-state", "inputs zeroed", "Masked inputs are set to zero and computed like any other.",
        "A masked step changes no state, whatever its inputs.", inputs=zeroed, mask=every_step,
    )  # fmt: skip


def _states() -> Iterator[Fault]:
    def ignored(problem: Problem) -> Problem | None:
        return None if problem.initial_state is None else replace(problem, initial_state=None)

    def exchanged(problem: Problem) -> Problem | None:
        """Each half's h and c, as each other."""
        if problem.initial_state is None or not any(half.class_name == "LSTM" for _, half in halves(problem.layer)):
            return None
        states = list(problem.initial_state)
        place = 0
        for _, half in halves(problem.layer):
            if half.class_name == "LSTM":
                h, c = states[place : place + 2]
                states[place : place + 2] = [replace(h, data=c.data), replace(c, data=h.data)]
            place += len(half.states)
        return replace(problem, initial_state=tuple(states))

    yield Fault(
        "initial-state-ignored", "zeros instead", "The run starts from zeros, not from the initial state.",
        "Start every state where initial_state says.", problem=ignored,
    )  # fmt: skip
    yield Fault(
        "initial-state-swapped", "h and c", "The initial h and c are taken for each other.", "Keras' order is h, c.",
        problem=exchanged,
    )  # fmt: skip

    def swapped(layer: Recurrent, output: Any, states: list[Any]) -> tuple[Any, list[Any]] | None:
        return (output, states[::-1]) if len(states) > 1 and layer.return_state else None

    yield Fault(
        "state-order", "c before h", "The returned states are c, h.", "Keras returns h, then c.", outputs=swapped
    )

    def not_carried(problem: Problem) -> Problem | None:
        """The last call alone, from zeros: with sequences the earlier calls' outputs would be missing."""
        if problem.calls is None or problem.layer.return_sequences or problem.initial_state is not None:
            return None
        start = sum(problem.calls[:-1])
        data = problem.inputs.data[:, start:]
        mask = None if problem.mask is None else problem.mask[:, start:]
        return replace(problem, inputs=replace(problem.inputs, data=data), mask=mask, calls=None)

    yield Fault(
        "state-not-carried", "calls start anew", "Each call starts from zeros.",
        "With stateful=True the states of one call start the next.", problem=not_carried,
    )  # fmt: skip


def _whole() -> Iterator[Fault]:
    for mode in MERGE_MODES:
        if mode not in ("concat", None):
            yield Fault(
                "merge-mode", str(mode), f"The halves are merged by {mode}.", "Merge as merge_mode says.",
                problem=_merged(mode),
            )  # fmt: skip
    yield Fault(
        "directions-swapped", "weights", "The two directions have each other's weights.",
        "Keras' weights are the forward layer's, then the backward layer's.", problem=_swapped_directions,
    )  # fmt: skip
    yield Fault(
        "layer-order", "first two", "Two layers of the stack have each other's weights.",
        "Load the layers' weights in the order of the stack.", problem=_swapped_layers,
    )  # fmt: skip
    yield Fault(
        "axis-swapped", "time and features", "The inputs are read as (B, D, T) where they are (B, T, D).",
        "Transpose the inputs; reshape scatters them.",
        problem=_axes_swapped,
    )  # fmt: skip
    for which, span in (("first step", slice(1, None)), ("last step", slice(None, -1))):
        yield Fault(
            "time-truncated", which, f"The {which} is left out.", "Run over all T steps.", problem=_without_step(span),
        )  # fmt: skip
    for factor in (0.5, 2.0):
        yield Fault(
            "unit-scale", f"outputs times {factor:g}", f"The outputs are {factor:g} times what they should be.",
            "Look for a scale, a dropout's 1 / (1 - rate) or a normalization after the layer.",
            outputs=_scaled(factor),
        )  # fmt: skip


def _axes_swapped(problem: Problem) -> Problem:
    batch, steps, features = problem.inputs.shape
    data = problem.inputs.data.reshape(batch, features, steps).swapaxes(1, 2)
    return replace(problem, inputs=replace(problem.inputs, data=data))


def _scaled(factor: float) -> Callable[[Recurrent, Any, list[Any]], tuple[Any, list[Any]]]:
    return lambda _, output, states: (output * factor, states)


def _option(name: str, value: str | bool, gated: bool = False) -> Callable[[Half], Half | None]:
    def half_edit(half: Half) -> Half | None:
        if getattr(half.layer, name) == value or (gated and half.layer.class_name == "SimpleRNN"):
            return None
        return Half(replace(half.layer, **{name: value}), half.weights)  # type: ignore[arg-type]

    return half_edit


def _zero_output(zero: bool) -> Callable[[Half], Half | None]:
    def half_edit(half: Half) -> Half | None:
        if half.layer.zero_output_for_mask == zero or not half.layer.return_sequences:
            return None
        return Half(replace(half.layer, zero_output_for_mask=zero), half.weights)

    return half_edit


def _merged(mode: str) -> Callable[[Problem], Problem | None]:
    def edit(problem: Problem) -> Problem | None:
        layer = problem.layer
        if not isinstance(layer, Bidirectional) or layer.merge_mode in (mode, "concat", None):
            return None
        return replace(problem, layer=replace(layer, merge_mode=mode))

    return edit


def _swapped_directions(problem: Problem) -> Problem | None:
    if not isinstance(problem.layer, Bidirectional):
        return None
    return _exchanged(problem, "forward/", "backward/")


def _swapped_layers(problem: Problem) -> Problem | None:
    if not isinstance(problem.layer, Stack):
        return None
    pairs = [(f"{n}/", f"{m}/") for n in range(len(problem.layer.layers)) for m in range(n)]
    return next((changed for one, other in pairs if (changed := _exchanged(problem, one, other))), None)


def _exchanged(problem: Problem, one: str, other: str) -> Problem | None:
    """The weights under two prefixes as each other's, where their shapes allow it."""
    data = {tensor.name: tensor.data for tensor in problem.weights}
    names = [name.removeprefix(one) for name in data if name.startswith(one)]
    if [data[one + n].shape for n in names] != [data[other + n].shape for n in names if other + n in data]:
        return None
    swap = {one + n: data[other + n] for n in names} | {other + n: data[one + n] for n in names}
    return replace(problem, weights=tuple(Tensor(t.name, swap.get(t.name, t.data), t.dtype) for t in problem.weights))


def _without_step(span: slice) -> Callable[[Problem], Problem | None]:
    def edit(problem: Problem) -> Problem | None:
        if problem.layer.return_sequences or problem.calls is not None or problem.inputs.shape[1] == 1:
            return None
        mask = None if problem.mask is None else problem.mask[:, span]
        return replace(problem, inputs=replace(problem.inputs, data=problem.inputs.data[:, span]), mask=mask)

    return edit
