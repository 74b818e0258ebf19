"""A problem: a layer with all its numbers, which is all that an implementation needs to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array, variable_dtype
from rnnparity.problem.errors import FormatError
from rnnparity.problem.keras_config import parse_layer
from rnnparity.problem.layers import Layer, halves
from rnnparity.problem.shapes import Slot, output_slots, state_slots, weight_slots


@dataclass(frozen=True, eq=False)
class Tensor:
    """A named array. Its dtype is one of `FLOAT_TYPES`, or whatever else a subject returned."""

    name: str
    data: Array

    @property
    def dtype(self) -> str:
        return self.data.dtype.name

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.data.shape)

    @classmethod
    def of(cls, name: str, values: Any, dtype: str = "float32") -> Tensor:
        """Round `values` to `dtype` and name them."""
        return cls(name, FLOAT_TYPES[dtype].round(np.asarray(values)))


@dataclass(frozen=True)
class Case:
    """What the catalogue says of a problem: why it is there and what is known of it beforehand.

    `initializers` holds one number for `kernel`, `recurrent_kernel` and `bias`, and
    `unit_forget_bias`, where the layer is to be built with `keras.initializers.Constant`. `expect`
    holds printed digits, relations, symbolic shapes and parameter counts (see
    `rnnparity.verdict.expectations`).
    """

    tags: tuple[str, ...]
    why: str
    source: str = ""
    initializers: Mapping[str, Any] | None = None
    expect: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Problem:
    """A layer, its weights (in the order of `get_weights()`), inputs (B, T, D), mask (B, T) of bool
    or None, initial states (each (B, H)) or None. `calls` splits T for a stateful run; `outputs` is
    what somebody computed.

    Raises:
        FormatError: a name, shape or type that the layer does not have, or a number that is not
        finite.
    """

    layer: Layer
    weights: tuple[Tensor, ...]
    inputs: Tensor
    mask: Array | None = None
    initial_state: tuple[Tensor, ...] | None = None
    calls: tuple[int, ...] | None = None
    outputs: tuple[Tensor, ...] | None = None
    id: str = "problem"
    case: Case | None = None

    def __post_init__(self) -> None:
        _check(self)

    @property
    def steps(self) -> tuple[int, ...]:
        """How many time steps each call takes; one call unless the run is stateful."""
        return self.calls or (self.inputs.shape[1],)

    @property
    def threshold_type(self) -> str:
        """The coarsest type that any half computes in: its threshold and its fault size judge the
        problem."""
        types = {half.compute_dtype for _, half in halves(self.layer)} | {self.layer.compute_dtype}
        return min(types, key=lambda name: FLOAT_TYPES[name].bits)

    def output_slots(self) -> list[Slot]:
        """Names, shapes and types that the outputs must have.

        A stateful run's sequences are joined along time; what a call gives once (its last output,
        its states) is kept from the last call.
        """
        batch, steps, _ = self.inputs.shape
        return output_slots(self.layer, batch, steps)

    def with_outputs(self, outputs: Sequence[Tensor]) -> Problem:
        return replace(self, outputs=tuple(outputs))

    @classmethod
    def from_keras(
        cls,
        layer: Any,
        inputs: Any,
        mask: Any = None,
        initial_state: Any = None,
        *,
        id: str = "from_keras",
    ) -> Problem:
        """Catch a live, built Keras layer (or Sequential) with its weights.

        `inputs` is (B, T, D), `mask` (B, T), `initial_state` one array (B, H) or a list of them in
        Keras' order. No framework is imported: the layer is asked through its own methods.

        Raises:
            FormatError: the layer is not built, or is one that is not computed here.
        """
        if not hasattr(layer, "get_config"):
            raise FormatError(f"layer: is {type(layer).__name__}; should be a Keras layer")
        spec = {"class_name": type(layer).__name__, "config": layer.get_config()}
        parsed = parse_layer(spec)
        arrays = [np.asarray(array) for array in layer.get_weights()]
        inputs = np.asarray(inputs)
        if inputs.ndim != 3:
            raise FormatError(f"inputs: has shape {inputs.shape}; should have the axes B, T, D")
        slots = weight_slots(parsed, inputs.shape[-1])
        # A stateful layer's states follow its weights in get_weights() of some versions; they are
        # no weights.
        if len(arrays) < len(slots):
            raise FormatError(
                f"layer: has {len(arrays)} weight arrays of {len(slots)}; build it or call it once before"
            )
        weights = tuple(
            Tensor.of(slot.name, _as_float(array), variable_dtype(slot.dtype))
            for slot, array in zip(slots, arrays, strict=False)
        )
        states = None
        if initial_state is not None:
            given = (
                list(initial_state) if isinstance(initial_state, list | tuple) else [initial_state]
            )
            names = state_slots(parsed, inputs.shape[0])
            if len(given) != len(names):
                raise FormatError(
                    f"initial_state: has {len(given)} arrays; the layer takes {len(names)}"
                )
            states = tuple(
                Tensor.of(slot.name, _as_float(value), "float32")
                for slot, value in zip(names, given, strict=True)
            )
        kept_mask = None if mask is None else np.asarray(mask).astype(bool)
        return cls(
            parsed, weights, Tensor.of("inputs", _as_float(inputs)), kept_mask, states, id=id
        )


def _as_float(array: Any) -> Array:
    """float32 of anything array-like: bfloat16 arrays of other libraries among it; float64
    stays."""
    values: Array = np.asarray(array)
    return values if values.dtype == np.float64 else values.astype(np.float32)


def _check(problem: Problem) -> None:
    where = problem.id
    if problem.inputs.data.ndim != 3:
        raise FormatError(
            f"{where}: inputs has shape {problem.inputs.shape}; should have the axes B, T, D"
        )
    batch, steps, features = problem.inputs.shape
    for letter, size, what in (
        ("B", batch, "batch"),
        ("T", steps, "time"),
        ("D", features, "feature"),
    ):
        if size == 0:
            raise FormatError(
                f"{where}: inputs has shape {problem.inputs.shape}: its {what} axis {letter} is empty"
            )
    _check_tensors(f"{where}: weights", problem.weights, weight_slots(problem.layer, features))
    _check_finite(f"{where}: inputs", problem.inputs)
    if problem.mask is not None and (
        problem.mask.dtype != bool or problem.mask.shape != (batch, steps)
    ):
        raise FormatError(
            f"{where}: mask is {problem.mask.dtype} of shape {problem.mask.shape}; should be bool of {(batch, steps)}"
        )
    if problem.initial_state is not None:
        _check_tensors(
            f"{where}: initial_state", problem.initial_state, state_slots(problem.layer, batch)
        )
    if problem.calls is not None:
        if not problem.layer.stateful:
            raise FormatError(f"{where}: calls is given, but the layer is not stateful")
        if min(problem.calls, default=0) < 1 or sum(problem.calls) != steps:
            raise FormatError(
                f"{where}: calls is {list(problem.calls)}; should be positive and sum to T={steps}"
            )


def _check_tensors(where: str, tensors: Sequence[Tensor], slots: Sequence[Slot]) -> None:
    names = [slot.name for slot in slots]
    if [tensor.name for tensor in tensors] != names:
        given = ", ".join(tensor.name for tensor in tensors) or "nothing"
        raise FormatError(f"{where} are {given}; should be {', '.join(names)}")
    for tensor, slot in zip(tensors, slots, strict=True):
        if tensor.shape != slot.shape:
            raise FormatError(
                f"{where}: {tensor.name} has shape {tensor.shape}; should have {slot.shape}"
            )
        _check_finite(f"{where}: {tensor.name}", tensor)


def _check_finite(where: str, tensor: Tensor) -> None:
    if not np.isfinite(tensor.data).all():
        index = [int(i) for i in np.argwhere(~np.isfinite(tensor.data))[0]]
        raise FormatError(
            f"{where}{index} is {tensor.data[tuple(index)]}; every number given must be finite"
        )
