"""Arrays of any library, under the names that a layer has for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from rnnparity.problem.dtypes import Array, variable_dtype
from rnnparity.problem.errors import FormatError
from rnnparity.problem.shapes import Slot
from rnnparity.problem.tensor import Tensor

# Anything that numpy.asarray takes.
ArrayLike: TypeAlias = Any


def named_weights(arrays: Sequence[ArrayLike], slots: Sequence[Slot]) -> tuple[Tensor, ...]:
    """Return weights in Keras' order under their names, rounded to the types of the layer.

    Raises:
        FormatError: one is missing.
    """
    if len(arrays) < len(slots):
        raise FormatError(
            f"layer: got {len(arrays)} weight arrays, expected {len(slots)}; "
            "build the layer or call it once before"
        )
    # In some versions the states of a stateful layer follow its weights: zip stops before them.
    return tuple(
        Tensor.of(slot.name, as_float(array), variable_dtype(slot.dtype))
        for slot, array in zip(slots, arrays, strict=False)
    )


def named_states(
    states: ArrayLike | None, slots: Sequence[Slot], dtype: str
) -> tuple[Tensor, ...] | None:
    """Return states, one array (B, H) or a list of them in Keras' order, under their names.

    Raises:
        FormatError: their number is not that of the layer.
    """
    if states is None:
        return None
    arrays = list(states) if isinstance(states, list | tuple) else [states]
    if len(arrays) != len(slots):
        raise FormatError(f"initial_state: got {len(arrays)} arrays, expected {len(slots)}")
    return tuple(
        Tensor.of(slot.name, as_float(array), dtype)
        for slot, array in zip(slots, arrays, strict=True)
    )


def as_array(value: ArrayLike) -> Array:
    """Return anything array-like as an array of its own; tensors of PyTorch are detached.

    bfloat16, which NumPy cannot read from PyTorch, becomes float32.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
        value = value.numpy()
    return np.array(value)


def as_float(array: ArrayLike) -> Array:
    """Return float32 of anything array-like, bfloat16 included; float64 stays."""
    values: Array = np.asarray(array)
    return values if values.dtype == np.float64 else values.astype(np.float32)
