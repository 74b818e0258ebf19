"""One problem file with everything that a problem can have, and how it is refused once something is
wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from _support.random_problems import BOTH, random_problem, spec_of

from rnnparity.problem import file_format
from rnnparity.problem.errors import FormatError

PROBLEM = random_problem(
    spec_of("lstm", 2, stateful=True, **BOTH),
    0,
    (2, 3, 1),
    mask=("011", "110"),
    initial=True,
    calls=(2, 1),
)
OUTPUTS = {
    "name": "output",
    "shape": [2, 3, 2],
    "dtype": "float32",
    "data": [0.25, "NaN", "Infinity", "-Infinity", *[0] * 8],
}
VALID: dict[str, Any] = {
    **json.loads(file_format.dump_line(PROBLEM)),
    "outputs": [OUTPUTS],
    "case": {
        "tags": ["a"],
        "source": "s",
        "why": "w",
        "initializers": {
            "kernel": 0.1,
            "recurrent_kernel": 0.1,
            "bias": 0.0,
            "unit_forget_bias": True,
        },
        "expect": {
            "digits": {"output": [[["0.25"]]]},
            "shapes": {"output": [2, 3, 2]},
            "relations": ["output[:, -1] == h"],
            "returned": 3,
            "parameters": 32,
            "summary": [["(None, 3, 2)", 32]],
            "batch_shape": [None, 3, 1],
        },
    },
}


def put(*path: Any) -> Any:
    """A change of one place: all but the last word are the way there, the last one is what to put,
    ... to delete it."""

    def change(fields: Any) -> None:
        *way, last, value = path
        for key in way:
            fields = fields[key]
        if value is ...:
            del fields[last]
        else:
            fields[last] = value

    return change


def refusal(path: Path) -> str:
    """The one line with which a file is refused, without its name."""
    with pytest.raises(FormatError) as caught:
        file_format.read_problem(path)
    line = str(caught.value)
    assert line.isprintable()
    assert line.startswith(f"{path}: ")
    return line.removeprefix(f"{path}: ")


def refusal_of(folder: Path, text: str | bytes) -> str:
    """The same for what a file holds."""
    path = folder / "problem.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return refusal(path)
