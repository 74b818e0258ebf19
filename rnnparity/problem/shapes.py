"""The names, shapes, dtypes and parameter counts of a layer's arrays, stated by hand.

Nothing here is taken from a run: reference and subjects are both compared with these statements.
Axis letters: B batch, T time, D input features, H units; B and T may be None (not known yet).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack, halves


@dataclass(frozen=True)
class Slot:
    """Name, shape (None where a size is not known) and dtype of an array."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


def weight_slots(layer: Layer, features: int) -> list[Slot]:
    """Return the weights in the order of Keras' `get_weights()`; `features` is D of the first layer."""
    if isinstance(layer, Recurrent):
        return _cell_weights("", layer, features)
    if isinstance(layer, Bidirectional):
        return [
            slot for prefix, half in halves(layer) for slot in _cell_weights(prefix, half, features)
        ]
    slots: list[Slot] = []
    for index, inner in enumerate(layer.layers):
        slots += [
            Slot(f"{index}/{slot.name}", slot.shape, slot.dtype)
            for slot in weight_slots(inner, features)
        ]
        features = output_width(inner)
    return slots


def _cell_weights(prefix: str, layer: Recurrent, features: int) -> list[Slot]:
    units, columns = layer.units, len(layer.cell.gates) * layer.units
    slots = [
        Slot(f"{prefix}kernel", (features, columns), layer.dtype),
        Slot(f"{prefix}recurrent_kernel", (units, columns), layer.dtype),
    ]
    if layer.use_bias:
        shape = (columns,) if layer.bias_rows == 1 else (layer.bias_rows, columns)
        slots.append(Slot(f"{prefix}bias", shape, layer.dtype))
    return slots


def state_slots(layer: Layer, batch: int | None) -> list[Slot]:
    """Return the states in the order of `initial_state`: half by half, layer by layer."""
    if isinstance(layer, Recurrent):
        return [Slot(name, (batch, layer.units), layer.compute_dtype) for name in layer.states]
    if isinstance(layer, Bidirectional):
        return [
            Slot(f"{side}_{name}", (batch, half.units), half.compute_dtype)
            for side, half in (("forward", layer.forward), ("backward", layer.backward))
            for name in half.states
        ]
    return [
        Slot(f"{index}/{slot.name}", slot.shape, slot.dtype)
        for index, inner in enumerate(layer.layers)
        for slot in state_slots(inner, batch)
    ]


def dropout_slots(layer: Layer, batch: int, features: int) -> list[Slot]:
    """Return the dropout masks that a layer may have: of the inputs and of the recurrent product.

    The shapes are (G, B, D) and (G, B, H), one mask for each of G gates; one for all is (1, ...).
    """
    slots = []
    widths = {slot.name: slot.shape[0] for slot in weight_slots(layer, features)}
    for prefix, half in halves(layer):
        gates, dtype = len(half.cell.gates), half.compute_dtype
        width = widths[f"{prefix}kernel"]
        slots.append(Slot(f"{prefix}inputs", (gates, batch, width), dtype))
        slots.append(Slot(f"{prefix}recurrent", (gates, batch, half.units), dtype))
    return slots


def output_slots(layer: Layer, batch: int | None, steps: int | None) -> list[Slot]:
    """Return the outputs in Keras' order: the output (two with merge_mode None), then states."""
    if isinstance(layer, Stack):
        last = f"{len(layer.layers) - 1}/"
        slots = output_slots(layer.layers[-1], batch, steps)
        return [
            Slot(s.name if s.name.endswith("output") else last + s.name, s.shape, s.dtype)
            for s in slots
        ]
    leading = (batch, steps) if layer.return_sequences else (batch,)
    if isinstance(layer, Bidirectional) and layer.merge_mode is None:
        outputs = [
            Slot("forward_output", (*leading, layer.forward.units), layer.compute_dtype),
            Slot("backward_output", (*leading, layer.backward.units), layer.compute_dtype),
        ]
    else:
        outputs = [Slot("output", (*leading, output_width(layer)), layer.compute_dtype)]
    return outputs + (state_slots(layer, batch) if layer.return_state else [])


def output_width(layer: Recurrent | Bidirectional) -> int:
    """Return the size of the last axis of the merged output."""
    if isinstance(layer, Recurrent):
        return layer.units
    if layer.merge_mode == "concat":
        return layer.forward.units + layer.backward.units
    return layer.forward.units


def parameter_count(layer: Layer, features: int) -> int:
    """Return the number of trainable numbers, as `count_params()` does."""
    return sum(
        prod(dim for dim in slot.shape if dim is not None) for slot in weight_slots(layer, features)
    )


# The axes of weights; the last one is of all gates, and that of two bias rows has no letter.
_WEIGHT_AXES = {"kernel": ("D", "GH"), "recurrent_kernel": ("H", "GH"), "bias": ("", "GH")}


def axis_letters(name: str, rank: int) -> Sequence[str]:
    """Return the axis letters of inputs ("BTD"), mask ("BT"), an output ("BTH") or state ("BH").

    The columns of weights are those of G gates, "GH".
    """
    last_part = name.rpartition("/")[2]
    if last_part in _WEIGHT_AXES:
        return _WEIGHT_AXES[last_part][-rank:]
    if name == "inputs":
        return "BTD"
    if name == "mask":
        return "BT"
    return "BTH" if rank == 3 else "BH"
