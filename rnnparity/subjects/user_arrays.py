"""What a user's function returns, as named tensors: arrays of any library, in order or by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnnparity.problem.answer_types import AnswerType, Gradients
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.problem import Problem, Tensor

DTYPE_WORDS = {"U": "text", "S": "bytes", "O": "objects", "c": "complex numbers"}
# The kinds of NumPy's types that hold real numbers: floats, integers, unsigned integers, bools.
REAL_KINDS = "fiub"


def named_outputs(problem: Problem, outputs: object) -> tuple[Tensor, ...]:
    """Return what a function returned as tensors; without names, they get those of the problem.

    Raises:
        TypeError: there are no outputs, they are nested, or they hold no real numbers.
    """
    if outputs is None:
        raise TypeError("returned None, expected outputs")
    if isinstance(outputs, Mapping):
        return tuple(as_tensor(str(name), value) for name, value in outputs.items())
    trains = problem.answer_type is AnswerType.TRAINED_WEIGHTS
    slots = problem.weight_slots() if trains else problem.output_slots()
    names = [slot.name for slot in slots]
    arrays: Sequence[object] = [outputs]
    if isinstance(outputs, list | tuple):
        arrays = outputs
        if len(arrays) != len(names):
            _check_flat(arrays, names)
    named = zip(numbered_names(names, len(arrays)), arrays, strict=True)
    return tuple(as_tensor(name, value) for name, value in named)


def named_gradients(problem: Problem, gradients: object) -> Gradients:
    """Return what a function returned as gradients: a sequence in the order of their slots, or by
    name; None stands for no gradient.

    Raises:
        TypeError: gradients are missing, or there are others.
    """
    names = [slot.name for slot in problem.gradient_slots()]
    if isinstance(gradients, Mapping):
        if set(gradients) != set(names):
            actual = ", ".join(map(str, gradients)) or "none"
            raise TypeError(f"gradients: got {actual}, expected {', '.join(names)}")
        gradients = [gradients[name] for name in names]
    if not isinstance(gradients, list | tuple) or len(gradients) != len(names):
        got = len(gradients) if isinstance(gradients, list | tuple) else "no sequence"
        raise TypeError(f"gradients: got {got}, expected {len(names)}: {', '.join(names)}")
    pairs = zip(names, gradients, strict=True)
    return tuple(None if value is None else as_tensor(name, value) for name, value in pairs)


def numbered_names(names: Sequence[str], count: int) -> list[str]:
    """Return `count` names; surplus outputs are named too, so that their count can be reported."""
    surplus = [f"extra_{index}" for index in range(len(names), count)]
    return [*names[:count], *surplus]


def _check_flat(arrays: Sequence[object], names: Sequence[str]) -> None:
    """Explain a wrong number of outputs that was not meant as such.

    Raises:
        TypeError: the outputs are nested, or the sequence is one output as plain numbers.
    """
    nested = [part for value in arrays if isinstance(value, list | tuple) for part in value]
    if any(hasattr(part, "shape") for part in nested):
        raise TypeError(f"nested outputs, expected a flat sequence: {', '.join(names)}")
    if arrays and not any(hasattr(value, "shape") for value in arrays):
        what = type(arrays).__name__
        raise TypeError(
            f"a {what} is a sequence of outputs: got {len(arrays)}, expected {len(names)}; "
            "return each output as an array"
        )


def as_tensor(name: str, value: object) -> Tensor:
    """Return anything array-like as a named tensor; its type is kept.

    Raises:
        TypeError: it does not hold real numbers.
    """
    array = np.asarray(value)
    if array.dtype.kind not in REAL_KINDS and array.dtype.name not in FLOAT_TYPES:
        what = DTYPE_WORDS.get(array.dtype.kind, array.dtype.name)
        raise TypeError(f"{name}: got an array of {what}, expected real numbers")
    return Tensor(name, array)
