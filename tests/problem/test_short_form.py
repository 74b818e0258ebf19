"""The short form of a problem, for numbers that somebody has typed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from rnnparity.catalogue import catalogue
from rnnparity.explanation.diagnosis import diagnose
from rnnparity.problem.errors import FormatError
from rnnparity.problem.format_reading import parse_problem
from rnnparity.problem.format_writing import dump_line
from rnnparity.problem.layers import describe_layer
from rnnparity.problem.problem import Problem
from rnnparity.problem.short_form import outputs_of
from rnnparity.report.text.explanation import verdict_text

ROOT = Path(__file__).parents[2]

CASES = [
    case
    for case in catalogue().values()
    if case.calls is None and "dtype" not in describe_layer(case.layer)
][::40]


@pytest.mark.parametrize("id_", ["lstm-spread-sequences-state", "gru-spread-state"])
def test_one_array_is_the_output_where_several_are_expected(id_):
    slots = catalogue()[id_].output_slots()
    arrays = [np.full(slot.shape, 0.5).tolist() for slot in slots]
    assert [tensor.name for tensor in outputs_of(arrays[0], slots)] == ["output"]
    assert len(outputs_of(arrays, slots)) == len(slots)


def short(case, by_name):
    """Return a case in the short form."""

    def written(tensors):
        if by_name:
            return {tensor.name: tensor.data.tolist() for tensor in tensors}
        return [tensor.data.tolist() for tensor in tensors]

    fields = {"id": case.id, "layer": describe_layer(case.layer)}
    fields |= {"weights": written(case.weights), "inputs": case.inputs.data.tolist()}
    if case.mask is not None:
        fields["mask"] = case.mask.tolist()
    if case.initial_state is not None:
        fields["initial_state"] = written(case.initial_state)
    return json.loads(json.dumps(fields))


@pytest.mark.parametrize("by_name", [False, True], ids=["in order", "by name"])
def test_a_case_in_the_short_form_is_the_same_problem(by_name):
    assert len(CASES) > 50
    for case in CASES:
        read = parse_problem(short(case, by_name), "s.json")
        whole = Problem(
            *(case.layer, case.weights, case.inputs, case.mask, case.initial_state), id=case.id
        )
        assert dump_line(read) == dump_line(whole)


GRU = {
    "layer": "GRU(1)",
    "inputs": [[[1, 2]]],
    "weights": [[[1, 2, 3]] * 2, [[1, 2, 3]], [[0] * 3] * 2],
}


def test_outputs_may_be_one_array_or_several():
    one = parse_problem(GRU | {"outputs": [[0.5]]}, "s.json")
    assert [tensor.name for tensor in one.outputs] == ["output"]
    several = GRU | {"layer": "GRU(1, return_state=True)", "outputs": [[[0.5]], [[0.25]]]}
    outputs = parse_problem(several, "s.json").outputs
    assert [(tensor.name, tensor.data.item()) for tensor in outputs] == [
        ("output", 0.5),
        ("h", 0.25),
    ]


def test_an_output_too_many_is_kept_for_the_verdict():
    outputs = parse_problem(
        GRU | {"layer": "GRU(1, return_state=True)", "outputs": [[[1]], [[2]], [[3]]]}, "s.json"
    ).outputs
    assert [tensor.name for tensor in outputs] == ["output", "h", "extra_0"]
    assert all(np.isfinite(tensor.data).all() for tensor in outputs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"inputs": None},
            's.json: inputs: missing; write "inputs": [[[0.1, 0.2], [0.3, 0.4]]], with the',
        ),
        ({"inputs": [[1, 2]]}, "s.json: inputs: got shape (1, 2); write"),
        ({"inputs": [[[1, 2], [1]]]}, "s.json: inputs: expected nested lists of numbers of equal"),
        (
            {"weights": ...},
            "s.json: weights: missing; GRU(1) with D=2 has kernel (2, 3), recurrent_k",
        ),
        (
            {"weights": [[[1]]]},
            "s.json: weights: got 1 arrays; expected kernel (2, 3), recurrent_ker",
        ),
        ({"weights": {"kernel": 1}}, "s.json: weights: got kernel; expected kernel (2, 3), recurr"),
        ({"weight": 1}, "s.json: unknown key 'weight'; did you mean weights?"),
    ],
)
def test_what_is_missing_is_asked_for_by_name_with_an_example(change, message):
    fields = {key: value for key, value in (GRU | change).items() if value is not ...}
    with pytest.raises(FormatError) as raised:
        parse_problem(fields, "s.json")
    assert str(raised.value).startswith(message)


def test_the_example_of_the_documentation_agrees():
    page = (ROOT / "docs" / "format.md").read_text("utf-8")
    (text,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    explanation = diagnose(parse_problem(json.loads(text), "format.md")).explanation
    assert verdict_text(explanation) == "agrees to the 4 printed decimals"
