"""From a layer and a few words to a case: the numbers, the masks and the sentence that says why it
is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnparity.catalogue.numbers import spread
from rnnparity.problem.dtypes import Array, variable_dtype
from rnnparity.problem.keras_config import parse_layer
from rnnparity.problem.layers import Layer, halves
from rnnparity.problem.problem import Case, Problem, Tensor
from rnnparity.problem.shapes import Slot, state_slots, weight_slots

# The input of the sources: one sentence of four words, five numbers each (shared by all five of
# them).
TRAIN_X = (
    (0.1, 4.2, 1.5, 1.1, 2.8),
    (1.0, 3.1, 2.5, 0.7, 1.1),
    (0.3, 2.1, 1.5, 2.1, 0.1),
    (2.2, 1.4, 0.5, 0.9, 1.1),
)
# The initializers of the sources; Keras' default sets the forget block of an LSTM's bias to 1.
CONSTANTS: dict[str, Any] = {
    "kernel": 0.1,
    "recurrent_kernel": 0.1,
    "bias": 0.0,
    "unit_forget_bias": True,
}

# B, T, D, H pairwise different, and the sources' own numbers where they have one.
BATCH, STEPS, FEATURES, UNITS = 2, 4, 5, 3
# Room for a leading, an interior and a trailing gap at once.
LONGER = (2, 6, 5)

# One string a row, one letter a step: 1 is used, 0 is masked.
MASKS = {
    "right": ("1100", "1110"),
    "left": ("0011", "0111"),
    "interior": ("1011", "1001"),
    "row": ("0000", "0101"),
}


def mask_of(rows: Sequence[str]) -> Array:
    """(B, T) of bool from one string a row."""
    return np.array([[letter == "1" for letter in row] for row in rows])


def spread_weights(
    layer: Layer, features: int, exponent: int = 0, recurrent_exponent: int | None = None
) -> tuple[Tensor, ...]:
    """Weights of which every element differs; each array has a seed of its own."""
    weights = []
    for seed, slot in enumerate(weight_slots(layer, features)):
        own = (
            recurrent_exponent
            if recurrent_exponent is not None and "recurrent" in slot.name
            else exponent
        )
        weights.append(
            Tensor.of(slot.name, spread(_known(slot), seed, own), variable_dtype(slot.dtype))
        )
    return tuple(weights)


def constant_weights(
    layer: Layer, features: int, initializers: Mapping[str, Any]
) -> tuple[Tensor, ...]:
    """What `keras.initializers.Constant` and `unit_forget_bias` give: one number an array."""
    forget_blocks = {
        f"{prefix}bias": half.cell.gates.index(half.cell.initial_ones) * half.units
        for prefix, half in halves(layer)
        if half.cell.initial_ones and initializers["unit_forget_bias"]
    }
    units = {f"{prefix}bias": half.units for prefix, half in halves(layer)}
    weights = []
    for slot in weight_slots(layer, features):
        values = np.full(_known(slot), initializers[slot.name.rpartition("/")[2]])
        if slot.name in forget_blocks:
            start = forget_blocks[slot.name]
            values[start : start + units[slot.name]] = 1
        weights.append(Tensor.of(slot.name, values, variable_dtype(slot.dtype)))
    return tuple(weights)


def spread_states(layer: Layer, batch: int) -> tuple[Tensor, ...]:
    """Initial states of which every element differs, in float32 or the layer's own wider type."""
    return tuple(
        Tensor.of(
            slot.name,
            spread(_known(slot), 50 + seed),
            "float64" if slot.dtype == "float64" else "float32",
        )
        for seed, slot in enumerate(state_slots(layer, batch))
    )


def build(
    id: str,
    spec: Mapping[str, Any],
    why: str,
    *,
    tags: Sequence[str] = (),
    source: str = "",
    shape: tuple[int, int, int] = (BATCH, STEPS, FEATURES),
    inputs: Array | None = None,
    weight_exponent: int = 0,
    recurrent_exponent: int | None = None,
    input_exponent: int = 1,
    initializers: Mapping[str, Any] | None = None,
    mask: Sequence[str] | None = None,
    initial: bool = False,
    calls: Sequence[int] | None = None,
    expect: Mapping[str, Any] | None = None,
) -> Problem:
    """One case. Weights are spread unless `initializers` makes them constant; inputs are spread
    unless given."""
    layer = parse_layer(spec)
    if inputs is None:
        inputs = spread(shape, 90, input_exponent)
    batch, _, features = inputs.shape
    wide = "float64" if layer.compute_dtype == "float64" else "float32"
    if initializers is None:
        weights = spread_weights(layer, features, weight_exponent, recurrent_exponent)
    else:
        weights = constant_weights(layer, features, initializers)
    return Problem(
        layer=layer,
        weights=weights,
        inputs=Tensor.of("inputs", inputs, wide),
        mask=None if mask is None else mask_of(mask),
        initial_state=spread_states(layer, batch) if initial else None,
        calls=None if calls is None else tuple(calls),
        id=id,
        case=Case(tuple(tags), why, source, initializers, expect or {}),
    )


def recurrent(class_name: str, units: int = UNITS, **config: Any) -> dict[str, Any]:
    """A layer's configuration, spelled short."""
    return {"class_name": class_name, "config": {"units": units, **config}}


def bidirectional(layer: Mapping[str, Any], **config: Any) -> dict[str, Any]:
    """A Bidirectional around a layer's configuration."""
    return {"class_name": "Bidirectional", "config": {"layer": layer, **config}}


def stack(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """A Sequential of configurations."""
    return {"class_name": "Sequential", "config": {"layers": list(layers)}}


def _known(slot: Slot) -> tuple[int, ...]:
    return tuple(dim for dim in slot.shape if dim is not None)
