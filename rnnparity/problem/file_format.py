"""The format `rnnparity/1`: problem files, fixtures and what goes to a foreign implementation are
the same JSON.

Data is flat and row-major. float32 stands as %.9g (which every float32 survives), float16 and
bfloat16 as their exact float32 values, float64 with 17 digits. NaN and infinity are the strings
"NaN", "Infinity", "-Infinity".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.errors import FormatError
from rnnparity.problem.keras_config import layer_spec, parse_layer
from rnnparity.problem.problem import Case, Problem, Tensor

FORMAT = "rnnparity/1"
# A problem of T=500, D=H=128, B=32 with its outputs takes some 50 MB; what is larger is no problem
# file.
MAX_BYTES = 256 * 2**20
# Lists and objects inside each other; a stack of Keras' own configurations takes some 15.
MAX_DEPTH = 64

_NON_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def dump_line(problem: Problem) -> str:
    """One problem on one line, as it goes through a pipe."""
    return _dump(problem, "", ", ")


def dump_pretty(problem: Problem) -> str:
    """One problem with a line for every key and for every last-axis row of its arrays, so that a
    diff reads."""
    return _dump(problem, "\n", ",\n")


def plain_fields(problem: Problem) -> dict[str, Any]:
    """The fields of a problem that hold no arrays, as JSON values."""
    fields: dict[str, Any] = {
        "format": FORMAT,
        "id": problem.id,
        "layer": layer_spec(problem.layer),
    }
    if problem.calls is not None:
        fields["calls"] = list(problem.calls)
    if problem.case is not None:
        fields["case"] = _case_fields(problem.case)
    return fields


def _dump(problem: Problem, line: str, separator: str) -> str:
    states = problem.initial_state
    texts = {key: _text(value) for key, value in plain_fields(problem).items()} | {
        "weights": _tensors(problem.weights, line, separator),
        "inputs": _tensor(problem.inputs, line, separator, named=False),
        "mask": "null" if problem.mask is None else _mask(problem.mask, line, separator),
        "initial_state": "null" if states is None else _tensors(states, line, separator),
    }
    if problem.outputs is not None:
        texts["outputs"] = _tensors(problem.outputs, line, separator)
    members = separator.join(f"{_text(key)}: {texts[key]}" for key in _ORDER if key in texts)
    return "{" + line + members + line + "}"


_ORDER = (
    "format",
    "id",
    "layer",
    "weights",
    "inputs",
    "mask",
    "initial_state",
    "calls",
    "outputs",
    "case",
)


def _case_fields(case: Case) -> dict[str, Any]:
    return {
        "tags": list(case.tags),
        "source": case.source,
        "why": case.why,
        **({"initializers": dict(case.initializers)} if case.initializers is not None else {}),
        **({"expect": dict(case.expect)} if case.expect else {}),
    }


def _tensors(tensors: Sequence[Tensor], line: str, separator: str) -> str:
    return (
        f"[{line}"
        + separator.join(_tensor(tensor, line, separator) for tensor in tensors)
        + f"{line}]"
    )


def _tensor(tensor: Tensor, line: str, separator: str, named: bool = True) -> str:
    form = "%.17g" if tensor.dtype == "float64" else "%.9g"
    texts = [form % value for value in tensor.data.ravel().tolist()]
    if "-0" in texts:  # which JSON would read as the integer 0
        texts = ["-0.0" if text == "-0" else text for text in texts]
    if not np.isfinite(tensor.data).all():
        names = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}
        texts = [names.get(text, text) for text in texts]
    name = f'"name": {_text(tensor.name)}, ' if named else ""
    return "{" + name + _data(texts, tensor.shape, tensor.dtype, line, separator) + "}"


def _mask(mask: Array, line: str, separator: str) -> str:
    texts = ["true" if value else "false" for value in mask.ravel().tolist()]
    return "{" + _data(texts, mask.shape, "bool", line, separator) + "}"


def _data(texts: list[str], shape: tuple[int, ...], dtype: str, line: str, separator: str) -> str:
    width = shape[-1] if shape else 1
    rows = [
        ", ".join(texts[start : start + width]) for start in range(0, len(texts), max(width, 1))
    ]
    body = separator.join(rows)
    return f'"shape": {_text(list(shape))}, "dtype": "{dtype}", "data": [{line}{body}{line}]'


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def read_problem(path: Path) -> Problem:
    """The problem in a file.

    Raises:
        FormatError: one line that names the file, the place in it and what is wrong.
    """
    return parse_problem(load_json(read_bytes(path), str(path)), str(path))


def read_bytes(path: Path) -> bytes:
    """The bytes of a file that is not oversized."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a name that no file can have
        raise FormatError(f"{path}: cannot be read: {error}") from None
    if len(content) > MAX_BYTES:
        raise FormatError(
            f"{path}: is larger than {MAX_BYTES // 2**20} MiB, too large for a problem file"
        )
    return content


def load_json(content: bytes, where: str) -> Any:
    """Strict JSON: no duplicate keys, no NaN or Infinity literals, no bottomless nesting, valid
    UTF-8."""
    try:
        value = json.loads(
            content.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant
        )
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: byte {error.start} is no UTF-8") from None
    except json.JSONDecodeError as error:
        raise FormatError(
            f"{where}: line {error.lineno}, column {error.colno}: is not JSON: {error.msg}"
        ) from None
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None
    except RecursionError:
        raise FormatError(f"{where}: is nested too deeply") from None
    except ValueError as error:  # an integer of more digits than Python converts
        raise FormatError(f"{where}: {str(error).split(';')[0]}") from None
    if _has_deep_brackets(content) and _is_deep(value):
        raise FormatError(f"{where}: is nested too deeply")
    return value


def _has_deep_brackets(content: bytes) -> bool:
    """Whether brackets nest that deeply, those inside of strings included: asked first, for it is
    ten times faster."""
    letters = np.frombuffer(content, np.uint8)
    opening = (letters == ord("[")) | (letters == ord("{"))
    closing = (letters == ord("]")) | (letters == ord("}"))
    return bool(np.cumsum(opening.astype(np.int32) - closing).max(initial=0) > MAX_DEPTH)


def _is_deep(value: Any) -> bool:
    """Deeper than MAX_DEPTH: what the parser just managed, a message that quotes it might not."""
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = [
            part.values() if isinstance(part, dict) else part
            for part in level
            if isinstance(part, dict | list)
        ]
        level = [part for parts in inner for part in parts if isinstance(part, dict | list)]
        if not level:
            return False
    return True


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise FormatError(f"the key {twice!r} stands twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise FormatError(
        f'the literal {name} is not JSON; outputs alone may hold it, as the string "{name}"'
    )


def parse_problem(fields: Any, where: str) -> Problem:
    """A problem from parsed JSON; `where` names the file in messages."""
    from rnnparity.problem.schema import ProblemFields, validate

    row = validate(ProblemFields, fields, where)
    try:
        return Problem(
            layer=parse_layer(row.layer),
            weights=tuple(_read_tensor(tensor, "weights") for tensor in row.weights),
            inputs=_read_tensor(row.inputs, "inputs"),
            mask=None if row.mask is None else _read_mask(row.mask),
            initial_state=None
            if row.initial_state is None
            else tuple(_read_tensor(tensor, "initial_state") for tensor in row.initial_state),
            calls=None if row.calls is None else tuple(row.calls),
            outputs=None
            if row.outputs is None
            else tuple(_read_tensor(tensor, "outputs") for tensor in row.outputs),
            id=row.id,
            case=None
            if row.case is None
            else Case(
                tuple(row.case.tags),
                row.case.why,
                row.case.source,
                fields["case"].get("initializers"),
                fields["case"].get("expect") or {},
            ),
        )
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None


def parse_answer(fields: Any, where: str) -> tuple[str, tuple[Tensor, ...] | None, str, str]:
    """A program's answer from parsed JSON: its id, the outputs, or why it does not support the
    problem or failed.

    What else the object holds, such as the problem's own keys, is passed over.

    Raises:
        FormatError: one line that says what is wrong.
    """
    from rnnparity.problem.schema import AnswerFields, validate

    known = (
        {key: fields[key] for key in AnswerFields.model_fields if key in fields}
        if isinstance(fields, dict)
        else fields
    )
    answer = validate(AnswerFields, known, where)
    try:
        outputs = (
            None
            if answer.outputs is None
            else tuple(_read_tensor(t, "outputs") for t in answer.outputs)
        )
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None
    return answer.id, outputs, answer.unsupported, answer.error


def _read_tensor(fields: Any, where: str) -> Tensor:
    name = getattr(fields, "name", "inputs")
    place = where if name == where else f"{where}: {name}"
    if fields.dtype not in FLOAT_TYPES:
        raise FormatError(f"{place} has dtype {fields.dtype!r}; known are {', '.join(FLOAT_TYPES)}")
    kinds = set(map(type, fields.data))
    data = fields.data
    if str in kinds and kinds <= {int, float, str}:
        data, kinds = _spell_out(data, place), {float}
    if not kinds <= {int, float}:
        raise FormatError(f"{place} holds data that are no numbers")
    try:
        values = np.array(data, np.float64)
    except OverflowError:
        raise FormatError(f"{place} holds an integer beyond all float types") from None
    _check_count(place, fields.shape, len(data))
    rounded = FLOAT_TYPES[fields.dtype].round(values)
    # Infinity is a word: a number that becomes infinite, in JSON (1e999) or in its own type, is too
    # large.
    if np.isinf(rounded).sum() > sum(fields.data.count(word) for word in ("Infinity", "-Infinity")):
        raise FormatError(f"{place} holds a number beyond {fields.dtype}")
    return Tensor(name, rounded.reshape(fields.shape))


def _spell_out(data: list[Any], place: str) -> list[float]:
    for value in data:
        if isinstance(value, str) and value not in _NON_FINITE:
            raise FormatError(
                f'{place} holds the string {value!r:.40}; allowed are "NaN", "Infinity", "-Infinity"'
            )
    return [_NON_FINITE[value] if isinstance(value, str) else value for value in data]


def _read_mask(fields: Any) -> Array:
    if fields.dtype != "bool" or not set(map(type, fields.data)) <= {bool}:
        raise FormatError("mask should have dtype bool and hold true and false")
    _check_count("mask", fields.shape, len(fields.data))
    return np.array(fields.data, bool).reshape(fields.shape)


def _check_count(place: str, shape: list[int], count: int) -> None:
    if len(shape) > 3 or not all(0 <= size <= MAX_BYTES for size in shape):
        raise FormatError(
            f"{place} has the shape {shape!r:.60}; should be at most three sizes that fit a file"
        )
    if prod(shape) != count:
        raise FormatError(f"{place} has {count} numbers, but its shape {shape} wants {prod(shape)}")
