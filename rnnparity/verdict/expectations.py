"""What is known of a case before it runs, compared with outputs and with the subject's facts.

A source may print digits, shapes, relations, the number of returned values or a summary; symbolic
shapes and parameter counts follow from the layer. Printed digits hold within the noise plus half a
unit of the last printed digit. Relations hold to the last bit: both sides are the same numbers of
the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import FormatError
from rnnparity.problem.layers import Layer, Stack
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import output_slots, parameter_count
from rnnparity.problem.verdicts import Difference, DifferenceType, FactType, Scalar, Value
from rnnparity.reference.tolerance import Expected

Sides = Callable[[Mapping[str, Array]], tuple[Array, Array]]


def _last_output_and_state(outputs: Mapping[str, Array]) -> tuple[Array, Array]:
    return outputs["output"][:, -1], outputs["h"]


def _halves_and_states(outputs: Mapping[str, Array]) -> tuple[Array, Array]:
    states = [outputs["forward_h"], outputs["backward_h"]]
    return outputs["output"], np.concatenate(states, axis=-1)


def _forward_half_and_state(outputs: Mapping[str, Array]) -> tuple[Array, Array]:
    state = outputs["forward_h"]
    return outputs["output"][:, -1, : state.shape[-1]], state


def _backward_half_and_state(outputs: Mapping[str, Array]) -> tuple[Array, Array]:
    units = outputs["forward_h"].shape[-1]
    return outputs["output"][:, 0, units:], outputs["backward_h"]


RELATIONS: dict[str, Sides] = {
    "output == h": lambda outputs: (outputs["output"], outputs["h"]),
    "output[:, -1] == h": _last_output_and_state,
    "output == concat(forward_h, backward_h)": _halves_and_states,
    "output[:, -1, :H] == forward_h": _forward_half_and_state,
    "output[:, 0, H:] == backward_h": _backward_half_and_state,
}


def check_expectations(
    problem: Problem, expected: Expected, outputs: Sequence[Tensor], facts: Mapping[str, object]
) -> tuple[Difference, ...]:
    """Return what outputs of the right structure, and facts, contradict of the case's source."""
    arrays = {tensor.name: tensor.data for tensor in outputs}
    source = problem.case.expect if problem.case else {}
    differences: list[Difference] = []
    if "returned" in source and len(outputs) != source["returned"]:
        differences.append(_fact(FactType.RETURNED, len(outputs), source["returned"]))
    for name, listed in source.get("shapes", {}).items():
        shape = tuple(listed)
        if arrays[name].shape != shape:
            differences.append(_fact(FactType.SHAPE, arrays[name].shape, shape, name))
    for relation in source.get("relations", ()):
        left, right = _relation(relation)(arrays)
        if left.shape != right.shape or not np.array_equal(left, right):
            differences.append(_fact(FactType.RELATION, None, relation))
    for name, digits in source.get("digits", {}).items():
        differences += _digits(name, np.array(digits), arrays[name], expected)
    return tuple(differences) + check_facts(problem, facts)


def check_facts(problem: Problem, facts: Mapping[str, object]) -> tuple[Difference, ...]:
    """Compare what a subject states without computing with the layer and, if printed, the source."""
    source = problem.case.expect if problem.case else {}
    expected = {**_facts_of_the_layer(problem), "summary": source.get("summary")}
    if "parameters" in source:
        expected["parameters"] = source["parameters"]
    return tuple(
        _fact(FactType(name), fact, expected[name])
        for name, fact in facts.items()
        if fact != expected[name]
    )


def stated_facts(problem: Problem) -> dict[str, object]:
    """Return the facts of the reference: stated by hand, in the form that subjects use."""
    facts = _facts_of_the_layer(problem)
    source = problem.case.expect if problem.case else {}
    if "summary" in source:
        batch, steps, _ = source.get("batch_shape", (None, None, None))
        facts["summary"] = _summary(problem.layer, problem.inputs.shape[-1], batch, steps)
    return facts


def _facts_of_the_layer(problem: Problem) -> dict[str, object]:
    slots = output_slots(problem.layer, None, None)
    return {
        "parameters": parameter_count(problem.layer, problem.inputs.shape[-1]),
        "symbolic": [list(slot.shape) for slot in slots],
    }


def _summary(
    layer: Layer, features: int, batch: int | None, steps: int | None
) -> list[list[str | int]]:
    """Return the rows of Keras' summary: shape and number of parameters of each layer."""
    rows: list[list[str | int]] = []
    for inner in layer.layers if isinstance(layer, Stack) else (layer,):
        shape = output_slots(inner, batch, steps)[0].shape
        rows.append([str(shape), parameter_count(inner, features)])
        width = shape[-1]
        features = width if width is not None else features
    return rows


def _digits(name: str, printed: Array, values: Array, expected: Expected) -> Iterator[Difference]:
    """Yield the first value that contradicts its printed digits, if there is one."""
    if printed.shape != values.shape:
        yield _fact(FactType.SHAPE, values.shape, printed.shape, name)
        return
    names = [tensor.name for tensor in expected.outputs]
    sigma = expected.sigmas[names.index(name)]
    half_digit = np.vectorize(_half_of_the_last_digit, otypes=[float])(printed)
    allowed = half_digit + expected.dtype.threshold * sigma
    wrong = np.abs(values - printed.astype(np.float64)) > allowed
    for position in np.argwhere(wrong)[:1]:
        index = tuple(int(axis_index) for axis_index in position)
        yield _fact(FactType.DIGITS, float(values[index]), str(printed[index]), name, index)


def _half_of_the_last_digit(text: str) -> float:
    decimals = text.partition(".")[2]
    return float(0.5 * 10.0 ** -len(decimals))


def _relation(text: str) -> Sides:
    if text not in RELATIONS:
        known = ", ".join(RELATIONS)
        raise FormatError(f"unknown relation: got {text!r}, expected one of {known}")
    return RELATIONS[text]


def _fact(
    fact: FactType, actual: object, expected: object, output: str = "", index: tuple[int, ...] = ()
) -> Difference:
    return Difference(
        DifferenceType.FACT, output, _value(actual), _value(expected), index=index, fact=fact
    )


def _value(stated: object) -> Value:
    """Return what a subject or a source states as a frozen value."""
    return tuple(map(_item, stated)) if isinstance(stated, list | tuple) else _scalar(stated)


def _item(stated: object) -> Scalar | tuple[Scalar, ...]:
    return tuple(map(_scalar, stated)) if isinstance(stated, list | tuple) else _scalar(stated)


def _scalar(stated: object) -> Scalar:
    if stated is None or isinstance(stated, float | int | str):
        return stated
    return str(stated)
