"""Findings about what was computed in float16 for a layer of float32: its noise is allowed."""

from functools import partial

import numpy as np
import pytest
from _support.random_problems import SEQUENCES, random_problem, spec_of
from validation.off_list.changes import Change, ChangedImplementation, Kind
from validation.off_list.trials import in_float16, with_arrays, with_numbers_in

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.findings.seen.claim import Claim, weigh
from rnnparity.problem.findings import BlockChange, Finding, FindingType, WeightBlock

SHIFTED = Finding(FindingType.INITIAL_STATE, "h", change=BlockChange.SHIFTED, value=0.375)
SCALED = Finding(
    FindingType.BLOCK,
    value=1.7,
    block=WeightBlock("recurrent_kernel", "r"),
    change=BlockChange.SCALED,
)
ROWS = Finding(FindingType.ROWS_PERMUTED, numbers=(2, 0, 1))


def explained(problem, kind, finding):
    """The explanation of the outputs of changed cells that compute in float16."""
    cells = partial(in_float16, ChangedImplementation(Change(kind, finding)))
    return diagnose(with_arrays(problem, cells(problem))).explanation


def gru(dtype="float32"):
    return random_problem(spec_of("gru", dtype=dtype, **SEQUENCES), 4, (3, 8, 4))


@pytest.mark.parametrize(
    ("kind", "finding"),
    [(Kind.INITIAL_STATE, SHIFTED), (Kind.BLOCK, SCALED), (Kind.ROWS, ROWS)],
)
def test_change_in_float16_is_found(kind, finding):
    explanation = explained(gru(), kind, finding)
    assert explanation.accounted
    types = (
        {FindingType.BLOCK, FindingType.EFFECTIVE_WEIGHTS} if kind is Kind.BLOCK else {finding.type}
    )
    (found,) = [each for each in explanation.findings if each.type in types]
    assert found.certain
    assert (found.change, found.numbers) == (finding.change, finding.numbers)
    if finding.value is not None:
        assert found.value == pytest.approx(finding.value, rel=0.02)
    assert explanation.precision == "float16"


def test_state_is_fitted_where_the_layer_rounds_it():
    """A change of a float16 number by a millionth is none: its effect has no slope."""
    problem = gru("float16")
    cells = ChangedImplementation(Change(Kind.INITIAL_STATE, SHIFTED))
    arrays = cells(with_numbers_in(problem, np.float16))
    explanation = diagnose(with_arrays(problem, arrays)).explanation
    (found,) = [f for f in explanation.findings if f.type is FindingType.INITIAL_STATE]
    assert found.certain
    assert found.value == pytest.approx(0.375, rel=0.01)


@pytest.mark.parametrize(("left", "certain"), [(0.01, True), (0.9, False)])
def test_claim_that_leaves_much_of_the_differences_is_not_certain(left, certain):
    expected = np.linspace(0, 1, 40)
    allowed = np.full(40, 1e-3)
    moved = np.full(40, 1e-2)
    claim = Claim(ROWS, expected + left * allowed, expected, allowed, moved)
    (found,) = weigh([claim], 10)
    assert found.certain is certain


def test_claim_with_less_contrast_than_asked_for_is_not_certain():
    expected = np.linspace(0, 1, 40)
    claim = Claim(ROWS, expected, expected, np.full(40, 1e-3), np.full(40, 1e-2))
    assert claim.contrast == pytest.approx(10)
    assert [f.certain for f in weigh([claim], 10, contrast=9)] == [True]
    assert [f.certain for f in weigh([claim], 10, contrast=11)] == [False]
