"""What a case's source prints, and what the layer's facts must be."""

from dataclasses import replace

import numpy as np
import pytest

from rnnparity.catalogue import catalogue
from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.case import Case
from rnnparity.problem.errors import FormatError
from rnnparity.problem.verdicts import FactType
from rnnparity.reference.tolerance import expect
from rnnparity.verdict.expectations import (
    RELATIONS,
    check_expectations,
    check_facts,
    stated_facts,
)

PROBLEM = catalogue()["lstm-spread-state"]
EXPECTED = expect(PROBLEM)
OUTPUTS = golden_outputs(PROBLEM)


def facts_of(differences):
    return [(found.fact, found.output, found.actual, found.expected) for found in differences]


def checked(source, outputs=OUTPUTS):
    problem = replace(PROBLEM, case=Case((), "", "why", expect=source))
    return facts_of(check_expectations(problem, EXPECTED, outputs, {}))


def test_a_source_that_holds_gives_no_difference():
    digits = [[f"{value:.5f}" for value in row] for row in OUTPUTS[0].data]
    shapes = {"output": list(OUTPUTS[0].shape)}
    source = {"digits": {"output": digits}, "shapes": shapes, "relations": ["output == h"]}
    assert checked({**source, "returned": 3}) == []


def test_the_number_of_returned_values_is_compared():
    assert checked({"returned": 2}) == [(FactType.RETURNED, "", 3, 2)]


def test_printed_shapes_are_compared():
    shape = OUTPUTS[0].shape
    assert checked({"shapes": {"output": [9, 9]}}) == [(FactType.SHAPE, "output", shape, (9, 9))]
    digits = {"digits": {"output": [["0.1"]]}}
    assert checked(digits) == [(FactType.SHAPE, "output", shape, (1, 1))]


def test_relations_hold_to_the_last_bit():
    output, h, c = OUTPUTS
    moved = replace(h, data=np.nextafter(h.data, np.float32(9)))
    relation = "output == h"
    expected = [(FactType.RELATION, "", None, relation)]
    assert checked({"relations": [relation]}, (output, moved, c)) == expected


@pytest.mark.parametrize(
    ("relation", "parts"),
    [
        ("output == h", {"h": np.s_[:]}),
        ("output[:, -1] == h", {"h": np.s_[:, -1]}),
        (
            "output == concat(forward_h, backward_h)",
            {"forward_h": np.s_[..., :2], "backward_h": np.s_[..., 2:]},
        ),
        ("output[:, -1, :H] == forward_h", {"forward_h": np.s_[:, -1, :2]}),
        (
            "output[:, 0, H:] == backward_h",
            {"forward_h": np.s_[:, 0, :2], "backward_h": np.s_[:, 0, 2:]},
        ),
    ],
)
def test_a_relation_compares_the_parts_that_it_names(relation, parts):
    output = np.arange(24.0).reshape(2, 3, 4)
    arrays = {name: output[part] for name, part in parts.items()}
    left, right = RELATIONS[relation]({"output": output, **arrays})
    assert np.array_equal(left, right)


def test_an_unknown_relation_is_refused():
    with pytest.raises(FormatError, match="unknown relation: got 'a == b', expected one of"):
        checked({"relations": ["a == b"]})


@pytest.mark.parametrize(("off", "count"), [(0.4e-3, 0), (0.6e-3, 1)])
def test_printed_digits_allow_half_a_unit_of_the_last_digit(off, count):
    output, *states = OUTPUTS
    printed = np.round(output.data.astype(float), 3)
    digits = [[f"{value:.3f}" for value in row] for row in printed]
    moved = replace(output, data=(printed + off).astype(np.float32))
    found = checked({"digits": {"output": digits}}, (moved, *states))
    assert len(found) == count
    if found:
        assert found[0] == (FactType.DIGITS, "output", float(moved.data[0, 0]), digits[0][0])


def test_the_facts_of_the_reference_hold():
    assert check_facts(PROBLEM, stated_facts(PROBLEM)) == ()


SUMMARIES = [case for case in catalogue().values() if "summary" in case.case.expect]


@pytest.mark.parametrize("case", SUMMARIES, ids=lambda case: case.id)
def test_the_stated_summary_is_that_of_the_source(case):
    summary = case.case.expect["summary"]
    facts = stated_facts(case)
    assert facts["summary"] == summary
    assert check_facts(case, facts) == ()
    wrong = [["(None, 1)", 1], *summary[1:]]
    (found,) = check_facts(case, {"summary": wrong})
    assert found.fact is FactType.SUMMARY


def test_wrong_facts_are_differences():
    units = PROBLEM.weights[1].shape[0]
    parameters = stated_facts(PROBLEM)["parameters"]
    found = check_facts(PROBLEM, {"parameters": 1, "symbolic": [[None, units]]})
    assert facts_of(found) == [
        (FactType.PARAMETERS, "", 1, parameters),
        (FactType.SYMBOLIC_SHAPES, "", ((None, units),), ((None, units),) * 3),
    ]


def test_a_printed_parameter_count_comes_before_the_computed_one():
    problem = replace(PROBLEM, case=Case((), "", "why", expect={"parameters": 7}))
    assert check_facts(problem, {"parameters": 7}) == ()
