"""Writing files so that nothing is lost and nothing is half-written."""

from __future__ import annotations

import os
from pathlib import Path

from rnnparity.problem.errors import RequestError

TEMPORARY = ".tmp"


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file atomically: temporary name, sync, rename."""
    temporary = path.with_name(f"{path.name}{TEMPORARY}")
    with temporary.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_where_asked(path: Path, content: str | bytes) -> None:
    """Write to a path that a user chose; links, devices and pipes are followed, never replaced.

    Raises:
        RequestError: it cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        else:
            write_whole(path.resolve(), content)
    except OSError as error:
        raise RequestError(f"{path}: cannot be written: {error.strerror or error}") from None


def check_writable(path: Path) -> None:
    """Check before long work that its result can be written.

    Raises:
        RequestError: it cannot.
    """
    if path.is_dir():
        raise RequestError(f"{path}: cannot be written: it is a folder; name a file in it")
    target = path if path.exists() else path.resolve().parent
    if not path.exists() and not target.is_dir():
        raise RequestError(f"{path}: cannot be written: folder {target} not found")
    if not os.access(target, os.W_OK):
        raise RequestError(f"{path}: cannot be written: Permission denied")
