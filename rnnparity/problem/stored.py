"""Stored runs: JSON of a named format, read back strictly, and the machine of a run."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from rnnparity.problem.errors import RequestError
from rnnparity.problem.json_text import load_json, read_bytes
from rnnparity.problem.results import Machine
from rnnparity.problem.schema import Strict
from rnnparity.problem.validation import first_error

__all__ = ["MachineFields", "Strict", "load_stored", "this_machine", "validated"]

Model = TypeVar("Model", bound=Strict)


class MachineFields(Strict):
    """A `results.Machine` as it is stored."""

    processor: str
    cores: int
    system: str
    python: str


def this_machine() -> Machine:
    """Return the machine of this process: no name of a host or a user, no path."""
    return Machine(
        processor=_processor() or platform.processor() or platform.machine() or "unknown",
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
    )


def _processor() -> str:
    """Return the name of the processor that Linux reports; `platform` does not read it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ""
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "")


def load_stored(path: Path, format: str, again: str) -> object:
    """Return the JSON value in a stored file of that format.

    `again` is the advice that ends every message: how the file is written.

    Raises:
        RequestError: the file cannot be read, is cut off or malformed, or has another format.
    """
    try:
        value = load_json(read_bytes(path), str(path))
    except RequestError as error:
        raise RequestError(f"{error}; {again}") from None
    actual = value.get("format") if isinstance(value, dict) else None
    if actual != format:
        what = f"got format {actual!r:.60}" if actual else "got a file without a format"
        raise RequestError(f"{path}: {what}, expected {format!r}; {again}")
    return value


def validated(model: type[Model], value: object, where: str, again: str) -> Model:
    """Return the model in a JSON value.

    Raises:
        RequestError: a key is missing, unknown or of a wrong type.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise RequestError(f"{where}: {first_error(error)}; {again}") from None
