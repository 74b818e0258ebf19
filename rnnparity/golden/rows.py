"""The rows of a fixture file, each compared with the case of the catalogue that it records.

Cheaper than reading every row as a problem: nothing is validated that the comparison covers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from pathlib import Path

import numpy as np

from rnnparity.golden.manifest import REMEDY
from rnnparity.problem.answer_types import AnswerType, TrainingStep
from rnnparity.problem.dtypes import Array
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
    mask = problem.mask
    same = {
        "weights": _same_tensors(row["weights"], problem.weights),
        "initial_state": _same_tensors(row["initial_state"], problem.initial_state),
        "inputs": _same(row["inputs"], problem.inputs.data),
        "mask": row["mask"] is None if mask is None else _same(row["mask"], mask),
        "cotangents": _same_tensors(row.get("cotangents"), problem.cotangents),
        "dropout_masks": _same_tensors(row.get("dropout_masks"), problem.dropout_masks),
        "training_step": _same_step(row.get("training_step"), problem.training_step),
    }
    return next((key for key, unchanged in same.items() if not unchanged), "")


def _same_step(fields: object, step: TrainingStep | None) -> bool:
    if step is None or not isinstance(fields, dict) or set(fields) != {"lr", "targets"}:
        return fields is step
    same_lr = repr(fields["lr"]) == repr(step.lr)
    return same_lr and _same_tensors(fields["targets"], step.targets)


def _same_tensors(fields: object, tensors: Sequence[Tensor] | None) -> bool:
    if tensors is None or not isinstance(fields, list):
        return fields is tensors
    if len(fields) != len(tensors):
        return False
    pairs = zip(fields, tensors, strict=True)
    return all(_same(array, tensor.data, tensor.name) for array, tensor in pairs)


def _same(fields: object, data: Array, name: str = "") -> bool:
    dtype = data.dtype.name
    if _head(fields, bool(name)) != (name, list(data.shape), dtype):
        return False
    assert isinstance(fields, dict)  # noqa: S101 - it has a head
    array = _array(fields, dtype)
    return array is not None and bool((array == data).all())


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
    types = {bool} if dtype == "bool" else {int, float}
    if not isinstance(data, list) or len(data) != prod(shape) or not set(map(type, data)) <= types:
        return None
    if dtype == "bool":
        return np.array(data, bool).reshape(shape)
    try:
        return Tensor.of("", np.array(data, np.float64), dtype).data.reshape(shape)
    except OverflowError:
        return None
