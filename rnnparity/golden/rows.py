"""The rows of a fixture file, each compared with the case of the catalogue that it records.

Cheaper than reading every row as a problem: nothing is validated that the comparison covers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from rnnparity.golden.manifest import REMEDY
from rnnparity.problem.answer_types import AnswerType, TrainingStep
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.errors import FormatError
from rnnparity.problem.format_writing import KEYS_OF_2, plain_fields
from rnnparity.problem.json_text import load_json
from rnnparity.problem.keras_config import JsonObject
from rnnparity.problem.problem import Problem, Tensor

ARRAYS = ("weights", "inputs", "mask", "initial_state")


def read_rows(content: bytes, path: Path, count: int) -> list[JsonObject]:
    """Return the rows of a file in the order of their ids.

    Raises:
        FormatError: not a list of objects with ids, `count` of them, sorted, without duplicates.
    """
    rows = load_json(content, str(path))
    if not isinstance(rows, list) or not all(map(_has_id, rows)):
        raise FormatError(f"{path}: expected a list of problems, each with an id; {REMEDY}")
    ids = [row["id"] for row in rows]
    if len(ids) != count:
        raise FormatError(f"{path}: got {len(ids)} rows, expected {count}; {REMEDY}")
    for previous, current in pairwise(ids):
        if previous >= current:
            mistake = "duplicate id" if previous == current else "out of order"
            raise FormatError(f"{path}: {current}: {mistake}; {REMEDY}")
    return rows


def _has_id(row: object) -> bool:
    return isinstance(row, dict) and type(row.get("id")) is str


def golden_of(row: JsonObject, problem: Problem, path: Path) -> tuple[Tensor, ...]:
    """Return the outputs of a row, or its gradients where the problem has cotangents.

    Everything else in it must be what the catalogue has.

    Raises:
        FormatError: one key differs, or the outputs are not those of the layer.
    """
    where = f"{path}: {problem.id}"
    key = "gradients" if problem.answer_type is AnswerType.GRADIENTS else "outputs"
    outputs = row.pop(key, None)
    changed = _first_change(row, problem)
    if changed:
        raise FormatError(f"{where}: {changed} differs from the catalogue; {REMEDY}")
    slots = problem.answer_slots()
    heads = [(slot.name, list(slot.shape), slot.dtype) for slot in slots]
    if not isinstance(outputs, list) or [_head(output, named=True) for output in outputs] != heads:
        message = f"names, shapes or dtypes of the {key} are not those of the layer"
        raise FormatError(f"{where}: {message}; {REMEDY}")
    tensors = []
    for slot, output in zip(slots, outputs, strict=True):
        array = _array(output, slot.dtype)
        if array is None:
            expected = f"{prod(output['shape'])} numbers"
            raise FormatError(f"{where}: {slot.name}: data must be {expected}; {REMEDY}")
        tensors.append(Tensor(slot.name, array))
    return tuple(tensors)


def _first_change(row: JsonObject, problem: Problem) -> str:
    """Return the first key that differs from the catalogue's problem, or ""."""
    plain = plain_fields(problem)
    present = [key for key in KEYS_OF_2 if getattr(problem, key) is not None]
    odd = set(row) ^ {*plain, *ARRAYS, *present}
    if odd:
        return f"the key {min(odd)!r}"
    for key, value in plain.items():
        if repr(row[key]) != repr(value):  # for == 1, 1.0 and true are the same
            return key
    pairs: list[_Pair] = []
    for key in (*ARRAYS, *KEYS_OF_2):
        found = _paired(key, row.get(key), getattr(problem, key))
        if found is None:
            return key
        pairs += found
    # All arrays of a type at once: a call of NumPy for each would take most of the time.
    if all(_agree([pair for pair in pairs if pair.dtype == dtype]) for dtype in _dtypes(pairs)):
        return ""
    return next(pair.key for pair in pairs if not _agree([pair]))


class _Pair(NamedTuple):
    """The recorded numbers of an array, and the catalogue's array, which has as many."""

    key: str
    dtype: str
    recorded: list[object]
    array: Array


def _paired(key: str, fields: object, expected: object) -> list[_Pair] | None:
    """Return the arrays of a key in pairs, or None where they are not of the same form."""
    if expected is None:
        return None if fields is not None else []
    if isinstance(expected, TrainingStep):
        if not isinstance(fields, dict) or set(fields) != {"lr", "targets"}:
            return None
        same_lr = repr(fields["lr"]) == repr(expected.lr)
        return _paired(key, fields["targets"], expected.targets) if same_lr else None
    if not isinstance(expected, tuple):
        data = expected.data if isinstance(expected, Tensor) else expected
        return _pairs(key, [fields], [Tensor("", np.asarray(data))])
    if not isinstance(fields, list) or len(fields) != len(expected):
        return None
    return _pairs(key, fields, expected)


def _pairs(key: str, fields: Sequence[object], tensors: Sequence[Tensor]) -> list[_Pair] | None:
    pairs = []
    for recorded, tensor in zip(fields, tensors, strict=True):
        name, data, dtype = tensor.name, tensor.data, tensor.dtype
        if _head(recorded, bool(name)) != (name, list(data.shape), dtype):
            return None
        numbers = cast("JsonObject", recorded)["data"]
        if not isinstance(numbers, list) or len(numbers) != data.size:
            return None
        pairs.append(_Pair(key, dtype, numbers, data))
    return pairs


def _dtypes(pairs: Sequence[_Pair]) -> set[str]:
    return {pair.dtype for pair in pairs}


def _agree(pairs: Sequence[_Pair]) -> bool:
    """Return whether all recorded numbers are those of the catalogue; all are of one dtype."""
    recorded = _numbers([number for pair in pairs for number in pair.recorded], pairs[0].dtype)
    if recorded is None:
        return False
    return bool((recorded == np.concatenate([pair.array.ravel() for pair in pairs])).all())


def _head(fields: object, named: bool) -> tuple[object, object, object] | None:
    """Return name, shape and dtype of an array's fields, or None if the keys are not those."""
    keys = {"name", "shape", "dtype", "data"} if named else {"shape", "dtype", "data"}
    if not isinstance(fields, dict) or set(fields) != keys:
        return None
    if not isinstance(fields["shape"], list) or not set(map(type, fields["shape"])) <= {int}:
        return None
    return fields.get("name", ""), fields["shape"], fields["dtype"]


def _array(fields: JsonObject, dtype: str) -> Array | None:
    """Return the data in the shape and dtype that the head states, or None."""
    data, shape = fields["data"], fields["shape"]
    if not isinstance(data, list) or len(data) != prod(shape):
        return None
    numbers = _numbers(data, dtype)
    return None if numbers is None else numbers.reshape(shape)


def _numbers(data: list[object], dtype: str) -> Array | None:
    """Return a list of numbers, or of true and false, as an array; None if it is of anything else."""
    if not set(map(type, data)) <= ({bool} if dtype == "bool" else {int, float}):
        return None
    if dtype == "bool":
        return np.array(data, bool)
    try:
        return FLOAT_TYPES[dtype].round(np.array(data, np.float64))
    except OverflowError:
        return None
