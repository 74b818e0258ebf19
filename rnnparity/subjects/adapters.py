"""Make a subject from a function that computes one layer, or one half of a layer.

Stacks, calls of stateful runs, directions, merge modes and the selection of outputs are done here,
so that a port is tested by the function that it has: `half_subject`, `layer_subject`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from typing import TypeAlias

import numpy as np

from rnnparity.problem.answer import Unsupported
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.layers import Bidirectional, Recurrent
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import state_slots
from rnnparity.subjects.calls import Call, LayerStates, initial_states, layers_of, run_calls
from rnnparity.subjects.functions import Function
from rnnparity.subjects.user_arrays import as_tensor

Weights: TypeAlias = Mapping[str, Array]
Mask: TypeAlias = Array | None
States: TypeAlias = Sequence[Array]
# Of a half: the layer, its weights, inputs (B, T, D), mask (B, T) or None, states (B, H) -> the
# sequence (B, T, H) and the last states (B, H).
HalfFunction = Callable[
    [Recurrent, Weights, Array, Array | None, Sequence[Array]], tuple[Array, Sequence[Array]]
]
# Of a layer, with lengths (B,) or a mask (B, T) instead -> its outputs without states, and the last
# states (B, H) in Keras' order.
LayerFunction = Callable[
    [Recurrent | Bidirectional, Weights, Array, Array | None, Sequence[Array]],
    tuple[Sequence[Array], Sequence[Array]],
]


def half_subject(compute_half: HalfFunction) -> Function:
    """Return the subject of a function `half(layer, weights, x, mask, states)`; a decorator.

    `compute_half` computes one direction of one layer from the first step of `x` to the last: x (B, T, D)
    and the mask (B, T) are reversed before where the layer goes backwards. `layer` is a
    `Recurrent`, `weights` are by Keras' names (`kernel`, `recurrent_kernel`, `bias`), the mask may
    be None, `states` are (B, H) each, zeros by default; all floats are in the type that the layer
    computes in. It returns the output of every step (B, T, H) and the last states, and raises
    `Unsupported` with a reason for what it does not compute.

    Where the mask is False the states keep their values, and the output is that of the step before
    (zeros at first), or zeros if `layer.zero_output_for_mask and layer.return_sequences`.

    >>> import numpy as np
    >>> from rnnparity import Unsupported, assert_parity
    >>> from rnnparity.catalogue import catalogue
    >>> @half_subject
    ... def my_rnn(layer, weights, x, mask, states):
    ...     if layer.class_name != "SimpleRNN" or layer.activation != "tanh" or mask is not None:
    ...         raise Unsupported("only SimpleRNN with tanh, no masks")
    ...     (h,) = states
    ...     sequence = []
    ...     for t in range(x.shape[1]):
    ...         z = x[:, t] @ weights["kernel"] + h @ weights["recurrent_kernel"]
    ...         h = np.tanh(z + weights.get("bias", 0))
    ...         sequence.append(h)
    ...     return np.stack(sequence, axis=1), [h]
    >>> str(assert_parity(my_rnn, catalogue()["bi_simple_rnn-spread-sum-last"]).verdict)
    'agrees'
    """

    @wraps(compute_half)
    def subject(problem: Problem) -> list[Array]:
        outputs = layer_outputs(problem, partial(_layer_of_halves, compute_half))
        return [tensor.data for tensor in outputs]

    return subject


def layer_subject(compute_layer: LayerFunction) -> Function:
    """Return the subject of a function `compute(layer, weights, x, lengths, states)`; a decorator.

    `layer` is a `Recurrent` or a `Bidirectional`, whose weights are named `forward/kernel`, ..., and
    whose states are forward's, then backward's. `x` is (B, T, D) in forward time, `lengths` (B,) the
    number of used steps of each row, from 1 to T, or None; a mask that is no right padding is
    refused. It returns a list of the layer's outputs (two with `merge_mode=None`), without states,
    and the list of the last states (B, H).
    """

    @wraps(compute_layer)
    def subject(problem: Problem) -> list[Array]:
        return [tensor.data for tensor in layer_outputs(problem, with_lengths(compute_layer))]

    return subject


def with_lengths(compute_layer: LayerFunction) -> LayerFunction:
    """Return a function of a layer that takes a mask, from one that takes lengths."""

    def masked(
        layer: Recurrent | Bidirectional,
        weights: Weights,
        x: Array,
        mask: Array | None,
        states: Sequence[Array],
    ) -> tuple[Sequence[Array], Sequence[Array]]:
        lengths = None if mask is None else lengths_of(mask)
        return compute_layer(layer, weights, x, lengths, states)

    return masked


def layer_outputs(problem: Problem, compute_layer: LayerFunction) -> tuple[Tensor, ...]:
    """Return a problem's outputs, computed layer by layer and call by call, with masks.

    Raises:
        Unsupported: `compute_layer` does not compute it, or it has dropout masks, which it does not
            get.
    """
    if problem.dropout_masks is not None:
        raise Unsupported("a function of a layer gets no dropout masks; write one of a problem")
    weights = {tensor.name: tensor.data for tensor in problem.weights}

    def run(call: Call, states: Sequence[LayerStates]) -> tuple[list[Tensor], list[list[Array]]]:
        outputs: Sequence[Array] = [call.inputs]
        last: list[list[Array]] = []
        for (prefix, layer), start in zip(layers_of(problem), states, strict=True):
            first = start or _zero_states(layer, len(call.inputs))
            part = _part(weights, prefix)
            outputs, ends = compute_layer(layer, part, outputs[0], call.mask, first)
            last.append(list(ends))
        if problem.layer.return_state:
            outputs = [*outputs, *last[-1]]
        return [as_tensor("", output) for output in outputs], last

    return run_calls(problem, initial_states(problem), run)


def lengths_of(mask: Array, empty_rows: bool = False) -> Array:
    """Return the number of used steps of each row (B,) of a mask (B, T).

    Raises:
        Unsupported: the mask is no right padding, or has an empty row without `empty_rows`.
    """
    lengths: Array = mask.sum(axis=1)
    is_right_padding = (mask == (np.arange(mask.shape[1]) < lengths[:, None])).all()
    if not is_right_padding or not (empty_rows or lengths.all()):
        also = "" if empty_rows else ", and no empty row"
        raise Unsupported(f"lengths express only right padding{also}")
    return lengths


def _zero_states(layer: Recurrent | Bidirectional, batch: int) -> list[Array]:
    slots = state_slots(layer, batch)
    return [FLOAT_TYPES[s.dtype].round(np.zeros([size or 0 for size in s.shape])) for s in slots]


def _part(weights: Weights, prefix: str) -> dict[str, Array]:
    """Return the weights whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): array
        for name, array in weights.items()
        if name.startswith(prefix)
    }


def _layer_of_halves(
    compute_half: HalfFunction,
    layer: Recurrent | Bidirectional,
    weights: Weights,
    x: Array,
    mask: Array | None,
    states: Sequence[Array],
) -> tuple[Sequence[Array], Sequence[Array]]:
    """Return a layer's outputs without states, and its last states, computed half by half."""
    if isinstance(layer, Recurrent):
        y, ends = _run_half(compute_half, layer, weights, x, mask, states)
        return [y], ends
    outer = FLOAT_TYPES[layer.compute_dtype]
    count = len(layer.forward.states)
    parts = (
        ("forward/", layer.forward, states[:count]),
        ("backward/", layer.backward, states[count:]),
    )
    outputs, last = [], []
    for prefix, half, start in parts:
        y, ends = _run_half(compute_half, half, _part(weights, prefix), outer.round(x), mask, start)
        # A wrong type is left for the verdict.
        outputs.append(y if half.compute_dtype == layer.compute_dtype else outer.round(y))
        last += ends
    if layer.return_sequences:
        outputs[1] = outputs[1][:, ::-1]
    return merged(layer.merge_mode, *outputs), last


def _run_half(
    compute_half: HalfFunction,
    layer: Recurrent,
    weights: Weights,
    x: Array,
    mask: Array | None,
    states: Sequence[Array],
) -> tuple[Array, list[Array]]:
    """Return the output, (B, T, H) in processing order or (B, H), and the last states.

    Raises:
        TypeError: `compute_half` did not return a sequence and the states.
    """
    float_type = FLOAT_TYPES[layer.compute_dtype]
    order = slice(None, None, -1 if layer.go_backwards else 1)
    sequence, ends = compute_half(
        layer,
        {name: float_type.round(array) for name, array in weights.items()},
        float_type.round(x[:, order]),
        None if mask is None else mask[:, order],
        [float_type.round(state) for state in states],
    )
    # Plain lists have no type.
    arrays = [
        np.asarray(value) if hasattr(value, "dtype") else float_type.round(np.asarray(value))
        for value in (sequence, *ends)
    ]
    expected = [(*x.shape[:2], layer.units), *((len(x), layer.units) for _ in layer.states)]
    shapes = [array.shape for array in arrays]
    if shapes != expected:
        raise TypeError(f"a sequence and states: got the shapes {shapes}, expected {expected}")
    return arrays[0] if layer.return_sequences else arrays[0][:, -1], arrays[1:]


def merged(mode: str | None, y: Array, y_rev: Array) -> list[Array]:
    """Return the outputs of a Bidirectional from those of its halves, both in forward time."""
    if mode is None:
        return [y, y_rev]
    if mode == "concat":
        return [np.concatenate([y, y_rev], axis=-1)]
    if mode == "mul":
        return [y * y_rev]
    total = y + y_rev
    return [total / 2 if mode == "ave" else total]
