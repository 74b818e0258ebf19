"""Cases from a layer's configuration: the numbers, the masks, and the reason why a case exists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from rnnparity.catalogue.numbers import spread
from rnnparity.problem.answer_types import TrainingStep
from rnnparity.problem.case import Case
from rnnparity.problem.dtypes import Array, variable_dtype
from rnnparity.problem.keras_config import JsonObject, parse_layer
from rnnparity.problem.layers import Layer, halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import (
    Slot,
    dropout_slots,
    output_slots,
    state_slots,
    weight_slots,
)

# The input of all sources: one sentence of four words, five numbers each.
TRAIN_X = (
    (0.1, 4.2, 1.5, 1.1, 2.8),
    (1.0, 3.1, 2.5, 0.7, 1.1),
    (0.3, 2.1, 1.5, 2.1, 0.1),
    (2.2, 1.4, 0.5, 0.9, 1.1),
)
# The initializers of the sources; Keras' default sets the forget block of an LSTM's bias to 1.
CONSTANTS: JsonObject = {
    "kernel": 0.1,
    "recurrent_kernel": 0.1,
    "bias": 0.0,
    "unit_forget_bias": True,
}

# (B, T, D): with H = 5 all four are different, and neither D nor H is a number of gates, 3 or 4.
SHAPE = (2, 4, 6)
# Room for a leading, an interior and a trailing gap at once.
LONGER = (2, 6, 7)
# An exponent: weights twice as large as elsewhere, or their faults would hide in the noise of 16-bit
# dtypes and under the layers above.
LOUD = 1
# The share of spread numbers that are below -1/4, and the seed of the first dropout mask.
DROPOUT_RATE, FIRST_DROPOUT_SEED = 0.25, 120
# The seed of the first target of a training step.
FIRST_TARGET_SEED = 140

# One string for each row, one character for each step: 1 is used, 0 is masked.
MASKS = {
    "right": ("1100", "1110"),
    "left": ("0011", "0111"),
    "interior": ("1011", "1001"),
    "row": ("0000", "0101"),
}
# Padding with a row of length 0 or T, the limits for an engine that takes lengths.
LENGTH_MASKS = {
    "right_empty": ("0000", "1110"),
    "right_full": ("1111", "1100"),
    "left_empty": ("0000", "0111"),
    "left_full": ("1111", "0011"),
}
# Leading, interior and trailing gaps at once, and a row with fewer of them.
GAPS = ("010110", "110010")


def mask_of(rows: Sequence[str]) -> Array:
    """Return a mask (B, T) of bool from one string for each row."""
    return np.array([[step == "1" for step in row] for row in rows])


def spread_weights(
    layer: Layer, features: int, exponent: int = 0, recurrent_exponent: int | None = None
) -> tuple[Tensor, ...]:
    """Return weights of which every element differs; each array has its own seed."""
    recurrent = exponent if recurrent_exponent is None else recurrent_exponent
    weights = []
    for seed, slot in enumerate(weight_slots(layer, features)):
        scale = recurrent if "recurrent" in slot.name else exponent
        weights.append(_spread_tensor(slot, seed, scale, variable_dtype(slot.dtype)))
    return tuple(weights)


@cache
def _spread_tensor(slot: Slot, seed: int, exponent: int, dtype: str) -> Tensor:
    """Return spread numbers rounded to `dtype`; one tensor serves many cases."""
    values = spread(_known(slot), seed, exponent, _wide(slot.dtype))
    return _read_only(Tensor.of(slot.name, values, dtype))


def _read_only(tensor: Tensor) -> Tensor:
    tensor.data.setflags(write=False)
    return tensor


def constant_weights(
    layer: Layer, features: int, initializers: Mapping[str, Any]
) -> tuple[Tensor, ...]:
    """Return what `keras.initializers.Constant` and `unit_forget_bias` give."""
    ones = _initial_ones(layer) if initializers["unit_forget_bias"] else {}
    return tuple(
        _constant_tensor(slot, initializers[slot.name.rpartition("/")[2]], ones.get(slot.name))
        for slot in weight_slots(layer, features)
    )


@cache
def _constant_tensor(slot: Slot, value: float, ones: tuple[int, int] | None) -> Tensor:
    """Return one number everywhere but in the block `ones`; one tensor serves many cases."""
    values = np.full(_known(slot), value)
    if ones is not None:
        values[slice(*ones)] = 1
    return _read_only(Tensor.of(slot.name, values, variable_dtype(slot.dtype)))


def _initial_ones(layer: Layer) -> dict[str, tuple[int, int]]:
    """Return start and end of the block of each bias that `unit_forget_bias` sets to 1."""
    blocks = {}
    for prefix, half in halves(layer):
        if half.cell.initial_ones:
            start = half.cell.gates.index(half.cell.initial_ones) * half.units
            blocks[f"{prefix}bias"] = (start, start + half.units)
    return blocks


def spread_states(layer: Layer, batch: int) -> tuple[Tensor, ...]:
    """Return initial states of which every element differs, in float32 or float64."""
    states = []
    for seed, slot in enumerate(state_slots(layer, batch), 50):
        states.append(_spread_tensor(slot, seed, 0, _wide(slot.dtype)))
    return tuple(states)


@dataclass(frozen=True, eq=False)
class CaseSpec:
    """What a case is made of: `build` makes its numbers.

    Weights are spread unless `initializers` makes them constant; inputs are spread unless given.
    The exponents are powers of 2: scales of all weights, of the recurrent ones, of the inputs.
    `dropout` names what has dropout masks, `inputs` and `recurrent`: one for each gate, or one for
    all that is shared. `lr` is the learning rate of a training step with spread targets.
    """

    id: str
    spec: JsonObject
    why: str
    _: KW_ONLY
    tags: Sequence[str] = ()
    source: str = ""
    shape: tuple[int, int, int] = SHAPE
    inputs: Array | None = None
    weight_exponent: int = 0
    recurrent_exponent: int | None = None
    input_exponent: int = 1
    initializers: Mapping[str, Any] | None = None
    mask: Sequence[str] | None = None
    initial: bool = False
    calls: Sequence[int] | None = None
    dropout: Sequence[str] = ()
    shared_dropout: bool = False
    lr: float | None = None
    expect: Mapping[str, Any] | None = None

    @cached_property
    def layer(self) -> Layer:
        return parse_layer(self.spec)

    @property
    def all_tags(self) -> tuple[str, ...]:
        """The tags, with "plain" if the case needs only what every engine has.

        That is float32, no mask and no states in or out.
        """
        is_stateless = self.mask is None and not self.initial and self.calls is None
        infers = not self.dropout and self.lr is None
        plain = ("plain",) if is_stateless and infers and _is_plain(self.layer) else ()
        return (*self.tags, *plain)

    def build(self) -> Problem:
        """Return the problem."""
        layer = self.layer
        dtype = _wide(layer.compute_dtype)
        inputs = self.inputs
        if inputs is None:
            inputs = spread(self.shape, 90, self.input_exponent, dtype)
        batch, _, features = inputs.shape
        return Problem(
            layer=layer,
            weights=self._weights(layer, features),
            inputs=Tensor.of("inputs", inputs, dtype),
            mask=None if self.mask is None else mask_of(self.mask),
            initial_state=spread_states(layer, batch) if self.initial else None,
            calls=None if self.calls is None else tuple(self.calls),
            dropout_masks=self._dropout_masks(layer, batch, features) or None,
            training_step=self._training_step(layer, inputs.shape),
            id=self.id,
            case=Case(self.all_tags, self.why, self.source, self.initializers, self.expect or {}),
        )

    def _training_step(self, layer: Layer, shape: tuple[int, ...]) -> TrainingStep | None:
        if self.lr is None:
            return None
        slots = output_slots(layer, *shape[:2])
        targets = [
            _spread_tensor(slot, seed, 0, slot.dtype)
            for seed, slot in enumerate(slots, FIRST_TARGET_SEED)
        ]
        return TrainingStep(self.lr, tuple(targets))

    def _weights(self, layer: Layer, features: int) -> tuple[Tensor, ...]:
        if self.initializers is None:
            return spread_weights(layer, features, self.weight_exponent, self.recurrent_exponent)
        return constant_weights(layer, features, self.initializers)

    def _dropout_masks(self, layer: Layer, batch: int, features: int) -> tuple[Tensor, ...]:
        if not self.dropout:
            return ()
        slots = dropout_slots(layer, batch, features)
        return tuple(
            dropout_mask(slot, seed, self.shared_dropout)
            for seed, slot in enumerate(slots, FIRST_DROPOUT_SEED)
            if slot.name.rpartition("/")[2] in self.dropout
        )


def dropout_mask(slot: Slot, seed: int, shared: bool) -> Tensor:
    """Return a dropout mask: 0 where a spread number is below -1/4, else 4/3."""
    gates, *rest = _known(slot)
    values = spread((1 if shared else gates, *rest), seed)
    return Tensor.of(slot.name, np.where(values < -0.25, 0, 1 / (1 - DROPOUT_RATE)))


def _is_plain(layer: Layer) -> bool:
    """Return whether engines without states in or out, in float32 only, can run the layer."""
    dtypes = {layer.compute_dtype, *(half.compute_dtype for _, half in halves(layer))}
    return dtypes == {"float32"} and not layer.return_state


def _known(slot: Slot) -> tuple[int, ...]:
    return tuple(dim for dim in slot.shape if dim is not None)


def _wide(dtype: str) -> str:
    """Return the dtype in which inputs and states are stored: not a 16-bit one."""
    return "float64" if dtype == "float64" else "float32"
