"""Strict reading of JSON: what the parser accepts silently elsewhere is refused here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

import numpy as np

from rnnparity.problem.errors import FormatError

# The limit of a file, of standard input and of a program's answer. A problem of T=500, D=H=128,
# B=32 with its outputs takes some 50 MB.
MAX_BYTES = 256 * 2**20
# Lists and objects inside each other; a stack of Keras' own configurations takes some 15.
MAX_DEPTH = 64
# Brackets are counted in so many bytes at a time, which takes no memory to speak of.
BLOCK = 2**16


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        FormatError: it cannot be read, or is larger than MAX_BYTES.
    """
    try:
        with path.open("rb") as file:
            return read_limited(file.read, str(path))
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a name that no file can have
        raise FormatError(f"{path}: cannot be read: {error}") from None


def read_limited(read: Callable[[int], bytes], where: str) -> bytes:
    """Return what a stream's `read` or `readline` returns.

    Raises:
        FormatError: it is larger than MAX_BYTES.
    """
    content = read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise FormatError(f"{where}: larger than {MAX_BYTES // 2**20} MiB, the limit")
    return content


def load_json(content: bytes, where: str) -> object:
    """Return the value of strict JSON.

    Raises:
        FormatError: duplicate keys, the literals NaN and Infinity, nesting beyond MAX_DEPTH,
        invalid UTF-8, Unicode or JSON; one line with the location.
    """
    try:
        value = json.loads(
            content.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant
        )
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: invalid UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        location = f"line {error.lineno}, column {error.colno}"
        raise FormatError(f"{where}: {location}: invalid JSON: {error.msg}") from None
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None
    except RecursionError:
        raise FormatError(f"{where}: nested too deeply") from None
    except ValueError as error:  # an integer of more digits than Python converts
        message = str(error).split(";", maxsplit=1)[0]
        raise FormatError(f"{where}: {message}") from None
    if _has_deep_brackets(content) and _is_deep(value):
        raise FormatError(f"{where}: nested too deeply")
    if b"\\ud" in content.lower():
        _check_unicode(value, where)
    return value


def _check_unicode(value: object, where: str, path: str = "") -> None:
    """Check that no text has a lone surrogate, which UTF-8 cannot hold but an escape can spell.

    Raises:
        FormatError: one has.
    """
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        what = path.removesuffix(".") or "the whole file"
        raise FormatError(f"{where}: {what}: got {value!r:.60}, expected a string of valid Unicode")
    parts: Iterable[tuple[object, object]] = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for key, part in parts:
        _check_unicode(key, where, path)
        _check_unicode(part, where, f"{path}{key}.")


def _has_deep_brackets(content: bytes) -> bool:
    """Return whether brackets nest too deeply, those in strings included: ten times faster."""
    depth = 0
    for start in range(0, len(content), BLOCK):
        letters = np.frombuffer(content[start : start + BLOCK], np.uint8)
        opening = (letters == ord("[")) | (letters == ord("{"))
        closing = (letters == ord("]")) | (letters == ord("}"))
        depths = depth + np.cumsum(opening.astype(np.int8) - closing, dtype=np.int64)
        if depths.max() > MAX_DEPTH:
            return True
        depth = int(depths[-1])
    return False


def _is_deep(value: object) -> bool:
    """Return whether a value is deeper than MAX_DEPTH: a message that quotes it might fail."""
    level = [value]
    for _ in range(MAX_DEPTH):
        parts: list[object] = []
        for part in level:
            if isinstance(part, dict):
                parts += part.values()
            elif isinstance(part, list):
                parts += part
        level = [part for part in parts if isinstance(part, dict | list)]
        if not level:
            return False
    return True


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        keys = [key for key, _ in pairs]
        duplicate = next(key for key in keys if keys.count(key) > 1)
        raise FormatError(f"duplicate key {duplicate!r}")
    return values


def _no_constant(name: str) -> NoReturn:
    raise FormatError(f'invalid literal {name}: write it as the string "{name}", in outputs only')
