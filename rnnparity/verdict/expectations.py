"""What a case knows beforehand: printed digits, shapes, relations, symbolic shapes, summary rows,
parameter counts.

Printed digits hold within the noise plus half a unit of the last digit printed. Relations hold to
the last bit: both sides are the same numbers of the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import FormatError
from rnnparity.problem.layers import Layer, Stack
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import output_slots, parameter_count
from rnnparity.reference.tolerance import Expected
from rnnparity.verdict.compare import Difference

Sides = Callable[[Mapping[str, Array]], tuple[Array, Array]]

RELATIONS: dict[str, Sides] = {
    "output == h": lambda o: (o["output"], o["h"]),
    "output[:, -1] == h": lambda o: (o["output"][:, -1], o["h"]),
    "output == concat(forward_h, backward_h)": lambda o: (
        o["output"],
        np.concatenate([o["forward_h"], o["backward_h"]], axis=-1),
    ),
    "output[:, -1, :H] == forward_h": lambda o: (
        o["output"][:, -1, : o["forward_h"].shape[-1]],
        o["forward_h"],
    ),
    "output[:, 0, H:] == backward_h": lambda o: (
        o["output"][:, 0, o["forward_h"].shape[-1] :],
        o["backward_h"],
    ),
}


def check_expectations(
    problem: Problem, expected: Expected, outputs: Sequence[Tensor], facts: Mapping[str, Any]
) -> tuple[Difference, ...]:
    """Hold outputs (whose structure is right) and stated facts against what the case and the
    layer's own words say."""
    found = {tensor.name: tensor.data for tensor in outputs}
    said = problem.case.expect if problem.case else {}
    differences = []
    if "returned" in said and len(outputs) != said["returned"]:
        differences.append(
            _fact("", f"{len(outputs)} values returned, but the source has {said['returned']}")
        )
    for name, shape in said.get("shapes", {}).items():
        if list(found[name].shape) != list(shape):
            differences.append(
                _fact(
                    name, f"{name} has shape {found[name].shape}, but the source has {tuple(shape)}"
                )
            )
    for relation in said.get("relations", ()):
        left, right = _relation(relation)(found)
        if left.shape != right.shape or not np.array_equal(left, right):
            differences.append(_fact("", f"the relation {relation} does not hold"))
    for name, digits in said.get("digits", {}).items():
        differences += _digits(name, digits, found[name], expected)
    return tuple(differences) + check_facts(problem, facts)


def check_facts(problem: Problem, facts: Mapping[str, Any]) -> tuple[Difference, ...]:
    """What a subject states without computing, against the layer's own words and, where printed,
    the source's."""
    said = problem.case.expect if problem.case else {}
    features = problem.inputs.shape[-1]
    right = {
        "parameters": said.get("parameters", parameter_count(problem.layer, features)),
        "symbolic": [list(slot.shape) for slot in output_slots(problem.layer, None, None)],
        "summary": said.get("summary"),
    }
    return tuple(
        _fact("", f"{_CALLED[name]} {fact}, but should be {right[name]}")
        for name, fact in facts.items()
        if fact != right[name]
    )


_CALLED = {
    "parameters": "count_params() is",
    "symbolic": "the symbolic shapes are",
    "summary": "summary() prints",
}


def stated_facts(problem: Problem) -> dict[str, Any]:
    """The facts as the project states them by hand, in the form that a subject gives them (the
    reference's part)."""
    features = problem.inputs.shape[-1]
    facts: dict[str, Any] = {
        "parameters": parameter_count(problem.layer, features),
        "symbolic": [list(slot.shape) for slot in output_slots(problem.layer, None, None)],
    }
    said = problem.case.expect if problem.case else {}
    if "summary" in said:
        facts["summary"] = _summary(problem.layer, features, *_summary_axes(problem))
    return facts


def _summary_axes(problem: Problem) -> tuple[int | None, int | None]:
    """B and T that the summary is printed for: those that the case names, else unknown."""
    said = problem.case.expect if problem.case else {}
    batch, steps, _ = said.get("batch_shape", (None, None, None))
    return batch, steps


def _summary(layer: Layer, features: int, batch: int | None, steps: int | None) -> list[list[Any]]:
    rows = []
    for inner in layer.layers if isinstance(layer, Stack) else (layer,):
        shape = output_slots(inner, batch, steps)[0].shape
        rows.append([str(shape), parameter_count(inner, features)])
        width = shape[-1]
        features = width if width is not None else features
    return rows


def _digits(name: str, printed: Any, values: Array, expected: Expected) -> list[Difference]:
    names = [tensor.name for tensor in expected.outputs]
    sigma = expected.sigmas[names.index(name)]
    texts = np.array(printed)
    if texts.shape != values.shape:
        return [
            _fact(name, f"{name} has shape {values.shape}, but the source prints {texts.shape}")
        ]
    right = texts.astype(np.float64)
    half_digit = np.vectorize(_half_of_the_last_digit, otypes=[float])(texts)
    wrong = np.abs(values - right) > half_digit + expected.kind.threshold * sigma
    return [
        _fact(
            name,
            f"{name}{list(map(int, i))}={values[tuple(i)]:.9g}, but the source prints {texts[tuple(i)]}",
        )
        for i in np.argwhere(wrong)[:1]
    ]


def _half_of_the_last_digit(text: str) -> float:
    return float(0.5 * 10.0 ** -len(text.partition(".")[2]))


def _relation(text: str) -> Sides:
    if text not in RELATIONS:
        raise FormatError(f"the relation {text!r} is unknown; known are {', '.join(RELATIONS)}")
    return RELATIONS[text]


def _fact(output: str, text: str) -> Difference:
    return Difference("fact", output, text)
