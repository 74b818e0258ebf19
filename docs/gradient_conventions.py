"""Measure what frameworks do where a gradient is a convention, for docs/gradients.md and its test.

`python docs/gradient_conventions.py` asks every subject of `COLUMNS`, each in a process of its own,
and stores the table in docs/measurements.json; `docs/generate.py` writes it into the document.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from rnnparity.problem.answer_types import Gradients
from rnnparity.problem.dtypes import Array
from rnnparity.problem.keras_config import parse_layer
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import state_slots
from rnnparity.session.outcome import Outcome
from rnnparity.session.session import open_session

NAME = "gradient_conventions"
STORED = Path(__file__).parent / "measurements.json"
COLUMNS = {
    "reference": "reference",
    "keras": "tf.keras",
    "keras:xla": "tf.keras, XLA",
    "keras-jax": "Keras on JAX",
    "keras-torch": "Keras on PyTorch",
    "torch": "PyTorch",
    "tf-keras": "Keras 2",
}
# The steps of a row, used or masked, of the problems with a mask.
PADDED, EMPTY, FULL = (True, False), (False, False), (True, True)


@dataclass(frozen=True)
class Convention:
    """A question whose answer is a number that is read off the gradients of a problem."""

    question: str
    problem: Problem
    read: Callable[[Mapping[str, Array | None]], Array | None]


def conventions() -> list[Convention]:
    """Return the rows of the table, each with the problem that shows it."""
    kinks = (
        ("relu", 0.0),
        ("hard_sigmoid", -3.0),
        ("hard_sigmoid", 3.0),
        ("hard_sigmoid_keras2", -2.5),
        ("hard_sigmoid_keras2", 2.5),
        ("elu", 0.0),
        ("selu", 0.0),
        ("softsign", 0.0),
    )
    rows = [
        Convention(f"slope of `{name}` at {x:g}", _unit(name, [x]), _first("inputs"))
        for name, x in kinks
    ]
    last, states = _initial("output"), _initial("h")
    padded = _linear(PADDED, return_sequences=True)
    rows += [
        Convention("row without a used step: from the output to the initial state", last, _state),
        Convention("row without a used step: from the state to the initial state", states, _state),
        Convention("from the output of a masked step to the used step before it",
            _with_cotangents(padded, output=[[[0.0], [1.0]]]), _first("inputs")),
        Convention("from the output of a masked step to its own inputs",
            _with_cotangents(padded, output=[[[0.0], [1.0]]]), _last("inputs")),
        Convention("from the last call of a stateful layer to the inputs of the call before",
            _with_cotangents(replace(_linear(None, stateful=True), calls=(1, 1)), output=[[1.0]]),
            _first("inputs")),
    ]  # fmt: skip
    return rows


def text_of(convention: Convention, outcome: Outcome) -> str:
    """Return a cell of the table: the number, "none" for no gradient, or "unsupported"."""
    if outcome.unsupported:
        return "unsupported"
    if outcome.answer is None or outcome.answer.gradients is None:
        return "error"
    value = convention.read(_named(convention.problem, outcome.answer.gradients))
    return "none" if value is None else f"{float(value) + 0.0:.4g}"


def column(ask: Callable[[Problem], Outcome]) -> list[str]:
    """Return the column of a subject, which is asked by a function."""
    return [text_of(row, ask(row.problem)) for row in conventions()]


def entry() -> dict[str, object]:
    """Return the table as docs/measurements.json has it."""
    columns, versions = [], {}
    for name in COLUMNS:
        with open_session(name) as session:
            versions |= dict(session.versions)
            columns.append(column(session.ask))
    rows = [
        [convention.question, *row]
        for convention, row in zip(conventions(), zip(*columns, strict=True), strict=True)
    ]
    return {
        "command": "python docs/gradient_conventions.py",
        "date": f"{datetime.now(UTC):%Y-%m}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "header": ["gradient", *COLUMNS.values()],
        "rows": rows,
    }


def _unit(activation: str, steps: Sequence[float]) -> Problem:
    """Return one unit y = act(x) with the cotangent 1."""
    problem = _problem({"activation": activation}, steps, weight=0.0)
    return _with_cotangents(problem, output=[[1.0]])


def _linear(mask: tuple[bool, bool] | None, **options: bool) -> Problem:
    """Return one unit h = relu(x + h' / 2), of positive numbers, with two steps."""
    problem = _problem({"activation": "relu", **options}, [1.0, 1.0], weight=0.5)
    return problem if mask is None else replace(problem, mask=np.array([mask]))


def _initial(output: str) -> Problem:
    """Return h = x + h' / 2 with one row that has no used step, and one cotangent that is not 0."""
    problem = _linear(EMPTY, return_state=True)
    slots = state_slots(problem.layer, 1)
    problem = replace(problem, initial_state=(Tensor.of(slots[0].name, [[1.0]]),))
    numbers = {name: [[float(name == output)]] for name in ("output", "h")}
    return _with_cotangents(problem, **numbers)


def _problem(config: Mapping[str, object], steps: Sequence[float], weight: float) -> Problem:
    layer = parse_layer(
        {"class_name": "SimpleRNN", "config": {"units": 1, "use_bias": False, **config}}
    )
    weights = (Tensor.of("kernel", [[1.0]]), Tensor.of("recurrent_kernel", [[weight]]))
    return Problem(layer, weights, Tensor.of("inputs", np.reshape(steps, (1, -1, 1))))


def _with_cotangents(problem: Problem, **numbers: object) -> Problem:
    tensors = tuple(Tensor.of(name, np.asarray(value)) for name, value in numbers.items())
    return replace(problem, cotangents=tensors)


def _named(problem: Problem, gradients: Gradients) -> dict[str, Array | None]:
    slots = problem.gradient_slots()
    return {
        slot.name: None if tensor is None else tensor.data
        for slot, tensor in zip(slots, gradients, strict=True)
    }


def _first(name: str) -> Callable[[Mapping[str, Array | None]], Array | None]:
    return lambda named: None if (array := named[name]) is None else array.ravel()[0]


def _last(name: str) -> Callable[[Mapping[str, Array | None]], Array | None]:
    return lambda named: None if (array := named[name]) is None else array.ravel()[-1]


_state = _first("initial_state/h")


if __name__ == "__main__":
    stored = json.loads(STORED.read_text("utf-8")) | {NAME: entry()}
    STORED.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", "utf-8")
