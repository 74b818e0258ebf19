"""What runs store: JSON of a named format, read back strictly, and the machine that ran them,
without its name."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from rnnparity.problem.errors import RequestError
from rnnparity.problem.file_format import load_json


class Strict(BaseModel):
    """A value of a stored file: nothing is converted, nothing unknown is let in."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


Model = TypeVar("Model", bound=Strict)


class Machine(Strict):
    """What ran it."""

    processor: str
    cores: int
    system: str
    python: str


def this_machine() -> Machine:
    """The machine that we are on: no host's name, no user's, no path."""
    return Machine(
        processor=_processor() or platform.processor() or platform.machine() or "unknown",
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
    )


def _processor() -> str:
    """The processor as Linux calls it, which `platform` does not ask."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ""
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), ""
    )


def load_stored(path: Path, format: str, again: str) -> Any:
    """The JSON value in a stored file of that format; `again` says how it is written anew.

    Raises:
        RequestError: the file cannot be read, is cut off or malformed, or is of another format.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        value = load_json(content, str(path))
    except RequestError as error:
        raise RequestError(f"{error}; {again}") from None
    said = value.get("format") if isinstance(value, dict) else None
    if said != format:
        what = f"is of the format {said!r}" if said else 'is no stored run (it has no "format")'
        raise RequestError(f"{path}: {what}; {format!r} is read here: {again}")
    return value


def validated(model: type[Model], value: Any, where: str, again: str) -> Model:
    """The model in a JSON value.

    Raises:
        RequestError: something is missing, unknown or of a wrong type.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RequestError(f"{where}: {place}: {first['msg']}; {again}") from None
