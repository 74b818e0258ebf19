"""Reading problems and answers in the project's JSON format (docs/format.md).

Nothing is converted or ignored; what is wrong is reported in one line with its path in the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from rnnparity.problem.answer_types import Gradients, TrainingStep
from rnnparity.problem.case import Case
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.errors import FormatError
from rnnparity.problem.format_writing import FORMAT_2, KEYS_OF_2
from rnnparity.problem.json_text import MAX_BYTES, load_json, read_bytes
from rnnparity.problem.keras_config import JsonObject, parse_layer
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.short_form import is_short, parse_short

if TYPE_CHECKING:
    from rnnparity.problem.schema import (
        AnswerFields,
        ArrayFields,
        CaseFields,
        NamedArrayFields,
        TrainingStepFields,
    )

MAX_AXES = 3
NON_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def read_problem(path: Path) -> Problem:
    """Return the problem in a file.

    Raises:
        FormatError: one line with the file, the path inside it and what is wrong.
    """
    return parse_problem(load_json(read_bytes(path), str(path)), str(path))


def parse_problem(fields: object, where: str) -> Problem:
    """Return the problem in a JSON value; `where` is the name of the file in messages."""
    from rnnparity.problem.schema import ProblemFields
    from rnnparity.problem.validation import validate

    if is_short(fields):
        return parse_short(cast("JsonObject", fields), where)
    row = validate(ProblemFields, fields, where)
    states, outputs, cotangents = row.initial_state, row.outputs, row.cotangents
    masks = row.dropout_masks
    for key in KEYS_OF_2:
        if getattr(row, key) is not None and row.format != FORMAT_2:
            expected = f"{FORMAT_2!r}, which has {key}"
            raise FormatError(f"{where}: format: got {row.format!r}, expected {expected}")
    try:
        return Problem(
            layer=parse_layer(row.layer),
            weights=_read_tensors(row.weights, "weights"),
            inputs=_read_tensor(row.inputs, "inputs", "inputs"),
            mask=None if row.mask is None else _read_mask(row.mask),
            initial_state=None if states is None else _read_tensors(states, "initial_state"),
            calls=None if row.calls is None else tuple(row.calls),
            outputs=None if outputs is None else _read_tensors(outputs, "outputs"),
            cotangents=None if cotangents is None else _read_tensors(cotangents, "cotangents"),
            gradients=_read_gradients(row.gradients),
            training_step=_read_training_step(row.training_step),
            dropout_masks=None if masks is None else _read_tensors(masks, "dropout_masks"),
            id=row.id,
            case=None if row.case is None else _read_case(row.case, fields),
        )
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None


def parse_answer(
    fields: object, where: str
) -> tuple[AnswerFields, tuple[Tensor, ...] | None, Gradients | None]:
    """Return a program's answer, with its outputs and gradients as tensors if it has any.

    Other keys of the object, such as those of the problem, are ignored.

    Raises:
        FormatError: one line with what is wrong.
    """
    from rnnparity.problem.schema import AnswerFields
    from rnnparity.problem.validation import validate

    known = fields
    if isinstance(fields, Mapping):
        known = {key: fields[key] for key in AnswerFields.model_fields if key in fields}
    answer = validate(AnswerFields, known, where)
    outputs = None
    try:
        if answer.outputs is not None:
            outputs = _read_tensors(answer.outputs, "outputs")
        return answer, outputs, _read_gradients(answer.gradients)
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None


def _read_case(case: CaseFields, fields: object) -> Case:
    # From the checked JSON, because a model does not keep the order of the keys.
    values = cast("JsonObject", fields)["case"]
    initializers, expect = values.get("initializers"), values.get("expect") or {}
    return Case(tuple(case.tags), case.why, case.source, initializers, expect)


def _read_gradients(arrays: Sequence[NamedArrayFields | None] | None) -> Gradients | None:
    if arrays is None:
        return None
    return tuple(
        None if fields is None else _read_tensor(fields, fields.name, f"gradients: {fields.name}")
        for fields in arrays
    )


def _read_training_step(fields: TrainingStepFields | None) -> TrainingStep | None:
    if fields is None:
        return None
    return TrainingStep(fields.lr, _read_tensors(fields.targets, "training_step: targets"))


def _read_tensors(arrays: Sequence[NamedArrayFields], where: str) -> tuple[Tensor, ...]:
    return tuple(_read_tensor(fields, fields.name, f"{where}: {fields.name}") for fields in arrays)


def _read_tensor(fields: ArrayFields, name: str, where: str) -> Tensor:
    if fields.dtype not in FLOAT_TYPES:
        known = ", ".join(FLOAT_TYPES)
        raise FormatError(f"{where}: got dtype {fields.dtype!r:.60}, expected one of {known}")
    values = _numbers(fields.data, where)
    _check_count(where, fields.shape, len(values))
    rounded = FLOAT_TYPES[fields.dtype].round(values)
    # Infinity is a word: a number that becomes infinite, in JSON (1e999) or in its dtype, is too
    # large.
    words = sum(fields.data.count(word) for word in ("Infinity", "-Infinity"))
    if np.isinf(rounded).sum() > words:
        raise FormatError(f"{where}: a number is beyond the range of {fields.dtype}")
    return Tensor(name, rounded.reshape(fields.shape))


def _numbers(data: list[object], where: str) -> Array:
    types = set(map(type, data))
    if str in types:
        for value in data:
            if isinstance(value, str) and value not in NON_FINITE:
                words = '"NaN", "Infinity" or "-Infinity"'
                raise FormatError(f"{where}: got the string {value!r:.40}, expected {words}")
        data = [NON_FINITE[value] if isinstance(value, str) else value for value in data]
    if not types <= {int, float, str}:
        raise FormatError(f"{where}: data must be numbers")
    try:
        return np.array(data, np.float64)
    except OverflowError:
        raise FormatError(f"{where}: an integer is beyond the range of float64") from None


def _read_mask(fields: ArrayFields) -> Array:
    if fields.dtype != "bool" or not set(map(type, fields.data)) <= {bool}:
        raise FormatError("mask: must have dtype bool and data of true and false")
    _check_count("mask", fields.shape, len(fields.data))
    return np.array(fields.data, bool).reshape(fields.shape)


def _check_count(where: str, shape: list[int], count: int) -> None:
    if len(shape) > MAX_AXES or not all(0 <= size <= MAX_BYTES for size in shape):
        expected = f"at most {MAX_AXES} sizes that fit into a file"
        raise FormatError(f"{where}: got shape {shape!r:.60}, expected {expected}")
    if prod(shape) != count:
        raise FormatError(
            f"{where}: got {count} elements, expected {prod(shape)} for shape {shape}"
        )
