"""The format of problem files, of fixtures, and of what is sent to a foreign program.

Data is flat and row-major. float32 is written as %.9g (which every float32 survives), float16 and
bfloat16 as their exact float32 values, float64 with 17 digits. NaN and infinity are the strings
"NaN", "Infinity", "-Infinity".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.errors import FormatError
from rnnparity.problem.json_text import MAX_BYTES, load_json, read_bytes, read_limited
from rnnparity.problem.keras_config import JsonObject, layer_spec, parse_layer
from rnnparity.problem.problem import Case, Gradients, Problem, Tensor, TrainingStep
from rnnparity.problem.short_form import is_short, parse_short

if TYPE_CHECKING:
    from rnnparity.problem.schema import (
        AnswerFields,
        ArrayFields,
        CaseFields,
        NamedArrayFields,
        TrainingStepFields,
    )

__all__ = [
    "dump_line",
    "dump_pretty",
    "load_json",
    "parse_answer",
    "parse_problem",
    "plain_fields",
    "read_bytes",
    "read_limited",
    "read_problem",
]

FORMAT, FORMAT_2 = "rnnparity/1", "rnnparity/2"
# The keys that only version 2 has.
KEYS_OF_2 = ("cotangents", "dropout_masks", "training_step")
MAX_AXES = 3
# The words of numbers that JSON has no literal for, as they are written and read.
WORDS = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}
NON_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_ORDER = (
    *("format", "id", "layer", "weights", "inputs", "mask", "initial_state", "calls"),
    *("dropout_masks", "training_step", "outputs", "cotangents", "gradients", "case"),
)


class _Layout:
    """How a problem is written: on one line, or with a line for each last-axis row of an array."""

    def __init__(self, line: str) -> None:
        self.line, self.separator = line, f",{line}" if line else ", "

    def joined(self, texts: Sequence[str]) -> str:
        return f"{self.line}{self.separator.join(texts)}{self.line}"


def dump_line(problem: Problem) -> str:
    """Return one problem on one line, as it goes through a pipe."""
    return _dump(problem, _Layout(""))


def dump_pretty(problem: Problem) -> str:
    """Return one problem with a line for every key and every row, so that a diff can be read."""
    return _dump(problem, _Layout("\n"))


def plain_fields(problem: Problem) -> JsonObject:
    """Return the fields of a problem that hold no arrays, as JSON values."""
    fields: JsonObject = {
        "format": FORMAT_2
        if any(getattr(problem, key) is not None for key in KEYS_OF_2)
        else FORMAT,
        "id": problem.id,
        "layer": layer_spec(problem.layer),
    }
    if problem.calls is not None:
        fields["calls"] = list(problem.calls)
    if problem.case is not None:
        fields["case"] = _case_fields(problem.case)
    return fields


def _dump(problem: Problem, layout: _Layout) -> str:
    states, mask = problem.initial_state, problem.mask
    texts = {key: _text(value) for key, value in plain_fields(problem).items()}
    texts["weights"] = _tensors(problem.weights, layout)
    texts["inputs"] = "{" + _tensor(problem.inputs, layout) + "}"
    texts["mask"] = "null" if mask is None else _mask(mask, layout)
    texts["initial_state"] = "null" if states is None else _tensors(states, layout)
    for key in ("dropout_masks", "outputs", "cotangents", "gradients"):
        if getattr(problem, key) is not None:
            texts[key] = _tensors(getattr(problem, key), layout)
    if problem.training_step is not None:
        step = problem.training_step
        texts["training_step"] = (
            f'{{"lr": {step.lr!r}, "targets": {_tensors(step.targets, layout)}}}'
        )
    members = [f"{_text(key)}: {texts[key]}" for key in _ORDER if key in texts]
    return "{" + layout.joined(members) + "}"


def _case_fields(case: Case) -> JsonObject:
    fields: JsonObject = {"tags": list(case.tags), "source": case.source, "why": case.why}
    if case.initializers is not None:
        fields["initializers"] = dict(case.initializers)
    if case.expect:
        fields["expect"] = dict(case.expect)
    return fields


def _tensors(tensors: Sequence[Tensor | None], layout: _Layout) -> str:
    texts = []
    for tensor in tensors:
        if tensor is None:
            texts.append("null")
        else:
            texts.append(f'{{"name": {_text(tensor.name)}, {_tensor(tensor, layout)}}}')
    return f"[{layout.joined(texts)}]"


def _tensor(tensor: Tensor, layout: _Layout) -> str:
    form = "%.17g" if tensor.dtype == "float64" else "%.9g"
    texts = [form % value for value in tensor.data.ravel().tolist()]
    if "-0" in texts:  # which JSON would read as the integer 0
        texts = ["-0.0" if text == "-0" else text for text in texts]
    if not np.isfinite(tensor.data).all():
        texts = [WORDS.get(text, text) for text in texts]
    return _array(texts, tensor.shape, tensor.dtype, layout)


def _mask(mask: Array, layout: _Layout) -> str:
    texts = ["true" if value else "false" for value in mask.ravel().tolist()]
    return "{" + _array(texts, mask.shape, "bool", layout) + "}"


def _array(texts: list[str], shape: tuple[int, ...], dtype: str, layout: _Layout) -> str:
    width = max(shape[-1], 1) if shape else 1
    rows = [", ".join(texts[start : start + width]) for start in range(0, len(texts), width)]
    data = f"[{layout.joined(rows)}]"
    return f'"shape": {_text(list(shape))}, "dtype": "{dtype}", "data": {data}'


def _text(value: object) -> str:
    """Return JSON that a terminal may be sent: no control characters, however they are spelled."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def read_problem(path: Path) -> Problem:
    """Return the problem in a file.

    Raises:
        FormatError: one line with the file, the path inside it and what is wrong.
    """
    return parse_problem(load_json(read_bytes(path), str(path)), str(path))


def parse_problem(fields: object, where: str) -> Problem:
    """Return the problem in a JSON value; `where` is the name of the file in messages."""
    from rnnparity.problem.schema import ProblemFields, validate

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
    from rnnparity.problem.schema import AnswerFields, validate

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
