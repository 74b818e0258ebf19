"""Text that attacks what shows it, and functions and programs whose every text is like that."""

from __future__ import annotations

import sys
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum

import numpy as np

from rnnparity.problem.answer import Unsupported

# An escape sequence, one of C1, DEL, a change of direction, a lone surrogate, ends of lines, HTML,
# Markdown, and the markup of rich.
HOSTILE = "\x1b[2J\x9b\x7f\u202e\ud800\r\nx <script>alert(1)</script>|`x`[link](u) [red]\x00"
# What a program can write: JSON refuses a lone surrogate when it is read.
ENCODABLE = HOSTILE.replace("\ud800", "")


def assert_harmless(text: str) -> None:
    """Assert that text has lines of printable characters."""
    assert not {character for character in text if not character.isprintable()} - {"\n"}


def with_hostile_text(value: object) -> object:
    """Return results with hostile text in every field but ids of cases and dates."""
    if isinstance(value, str) and not isinstance(value, StrEnum):
        return HOSTILE
    if isinstance(value, dict):
        return dict.fromkeys([HOSTILE], HOSTILE)
    if isinstance(value, tuple):
        return tuple(map(with_hostile_text, value))
    if not is_dataclass(value):
        return value
    kept = {"id", "date", "catalogue", "direction", "across", "location"}
    changed = {field.name: getattr(value, field.name) for field in fields(value)}
    return replace(
        value,
        **{key: with_hostile_text(item) for key, item in changed.items() if key not in kept},
    )


def fails(problem):
    raise ValueError(HOSTILE)


def refuses(problem):
    raise Unsupported(HOSTILE)


def names(problem):
    return {HOSTILE + slot.name: np.zeros(slot.shape) for slot in problem.output_slots()}


# The statements of a program in Python that answers a problem; `text` is ENCODABLE.
PROGRAM = """
import json, sys
text = {text!r}
for line in sys.stdin:
    problem = json.loads(line)
    print(text, file=sys.stderr, flush=True)
    {statement}
    sys.stdout.flush()
"""
STATEMENTS = {
    "error": "print(json.dumps({'id': problem['id'], 'error': text}))",
    "unsupported": "print(json.dumps({'id': problem['id'], 'unsupported': text}))",
    "id": "print(json.dumps({'id': text, 'error': text}))",
    "key": "print(json.dumps({'id': problem['id'], text: text}))",
    "name": "array = {'name': text, 'shape': [0], 'dtype': 'float32', 'data': []}\n"
    "    print(json.dumps({'id': problem['id'], 'outputs': [array]}))",
    "dtype": "array = {'name': text, 'shape': [0], 'dtype': text, 'data': []}\n"
    "    print(json.dumps({'id': problem['id'], 'outputs': [array]}))",
    "data": "array = {'name': text, 'shape': [1], 'dtype': 'float32', 'data': [text]}\n"
    "    print(json.dumps({'id': problem['id'], 'outputs': [array]}))",
    "line": "print(text * 100)",
    "part": "sys.stdout.write(text.replace('\\n', '')); break",
    "status": "sys.exit(3)",
    "surrogate": "print(json.dumps({'id': problem['id'], 'error': '\\ud800'}))",
}


def program(path, statement: str) -> str:
    """Write a program and return its name as a subject."""
    path.write_text(PROGRAM.format(text=ENCODABLE, statement=STATEMENTS[statement]))
    return f"cmd:{sys.executable} {path}"
