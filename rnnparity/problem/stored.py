"""Stored runs: JSON of a named format, read back strictly."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from rnnparity.problem.errors import RequestError
from rnnparity.problem.json_text import load_json, read_bytes
from rnnparity.problem.schema import Strict
from rnnparity.problem.validation import first_error

Model = TypeVar("Model", bound=Strict)


def load_stored(path: Path, format: str, remedy: str) -> object:
    """Return the JSON value in a stored file of that format.

    `remedy` ends every message: how the file is written.

    Raises:
        RequestError: the file cannot be read, is cut off or malformed, or has another format.
    """
    try:
        value = load_json(read_bytes(path), str(path))
    except RequestError as error:
        raise RequestError(f"{error}; {remedy}") from None
    actual = value.get("format") if isinstance(value, dict) else None
    if actual != format:
        what = f"got format {actual!r:.60}" if actual else "got a file without a format"
        raise RequestError(f"{path}: {what}, expected {format!r}; {remedy}")
    return value


def validated(model: type[Model], value: object, where: str, remedy: str) -> Model:
    """Return the model in a JSON value.

    Raises:
        RequestError: a key is missing, unknown or of a wrong type.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise RequestError(f"{where}: {first_error(error)}; {remedy}") from None
