"""One problem file with everything that a problem can have, and how it is refused once something is
wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _support.random_problems import BOTH, random_problem, spec_of

from rnnparity.problem.errors import FormatError
from rnnparity.problem.format_reading import read_problem
from rnnparity.problem.format_writing import dump_line
from rnnparity.problem.tensor import Tensor

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
# One gradient is missing, which is not the same as zeros.
BACKWARD = replace(
    PROBLEM,
    dropout_masks=(
        Tensor.of("inputs", np.ones((1, 2, 1))),
        Tensor.of("recurrent", np.ones((4, 2, 2))),
    ),
    cotangents=tuple(Tensor.of(s.name, np.ones(s.shape), s.dtype) for s in PROBLEM.output_slots()),
    gradients=(None, *(Tensor.of(s.name, np.ones(s.shape)) for s in PROBLEM.gradient_slots()[1:])),
)
VALID: dict[str, Any] = {
    **json.loads(dump_line(BACKWARD)),
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
        read_problem(path)
    line = str(caught.value)
    assert line.isprintable()
    assert line.startswith(f"{path}: ")
    return line.removeprefix(f"{path}: ")


def refusal_of(folder: Path, text: str | bytes) -> str:
    """The same for what a file holds."""
    path = folder / "problem.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return refusal(path)
