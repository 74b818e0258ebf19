"""Rows, steps and units in another order, and what is not called so."""

import numpy as np
import pytest
from _support.random_problems import BOTH, SEQUENCES, random_problem, spec_of
from validation.off_list.cells import run
from validation.off_list.trials import with_arrays

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.findings.compared.permuted import permuted
from rnnparity.explanation.findings.seen.view import Output, View
from rnnparity.problem.findings import PATTERNS, Finding, FindingType, accounts_for_values
from rnnparity.report.text.findings import finding_text

# Ends of different lengths, and one row without a mask.
ENDS = ["11111111", "11100000", "11111000", "11000000"]
EARLY_ENDS = ["11100000", "11100000", "11000000", "11000000"]


def explanation_of(problem, arrays):
    return diagnose(with_arrays(problem, arrays)).explanation


def accounting(explanation):
    return {(f.type, f.numbers) for f in explanation.findings if f.type not in PATTERNS}


@pytest.mark.parametrize("mask", [None, ENDS, EARLY_ENDS])
@pytest.mark.parametrize("kind", ["lstm", "gru", "simple_rnn"])
def test_sequence_in_reverse_order_is_found(kind, mask):
    problem = random_problem(spec_of(kind, **SEQUENCES), 0, (4, 8, 3), mask=mask)
    explanation = explanation_of(problem, [run(problem)[0][:, ::-1]])
    reverse = tuple(range(7, -1, -1))
    assert accounting(explanation) == {(FindingType.STEPS_PERMUTED, reverse)}
    assert explanation.accounted


@pytest.mark.parametrize("mask", [None, ENDS, EARLY_ENDS])
def test_last_step_repeated_is_not_called_early(mask):
    """Masked steps at the end are equal: those of a sequence that is early would be as well."""
    problem = random_problem(spec_of("lstm", **BOTH), 1, (4, 8, 3), mask=mask)
    output, *states = run(problem)
    explanation = explanation_of(problem, [np.repeat(output[:, -1:], 8, axis=1), *states])
    assert accounting(explanation) == {(FindingType.STEPS_PERMUTED, (7,) * 8)}


def test_steps_in_any_order_are_found():
    problem = random_problem(spec_of("gru", **SEQUENCES), 2, (3, 6, 4))
    order = (2, 0, 5, 1, 4, 3)
    explanation = explanation_of(problem, [run(problem)[0][:, order]])
    assert accounting(explanation) == {(FindingType.STEPS_PERMUTED, order)}


@pytest.mark.parametrize("config", [SEQUENCES, BOTH, {"return_state": True}])
def test_units_in_another_order_are_found_once_for_all_outputs(config):
    problem = random_problem(spec_of("lstm", 5, **config), 3, (3, 6, 4))
    order = (4, 2, 0, 1, 3)
    explanation = explanation_of(problem, [array[..., order] for array in run(problem)])
    assert accounting(explanation) == {(FindingType.UNITS_PERMUTED, order)}
    assert explanation.accounted


def test_order_of_the_units_of_one_output_does_not_account_for_another():
    problem = random_problem(spec_of("gru", 5, return_state=True), 4, (3, 6, 4))
    output, state = run(problem)
    explanation = explanation_of(problem, [output[..., ::-1], state * 1.3 + 0.1])
    assert not explanation.accounted


def test_one_value_in_another_place_is_no_order():
    """Of 2 units and one row two values are exchanged or not: chance is not ruled out."""
    values = np.array([[0.1, 0.1000003]])
    output = Output("output", values[:, ::-1], values, np.full((1, 2), 1e-7))
    findings = list(permuted(View("", (output,), 10.0), output, "unit"))
    assert not any(map(accounts_for_values, findings))


def test_numbers_that_are_none_of_the_expected_have_no_order():
    rng = np.random.default_rng(0)
    values, actual = rng.standard_normal((2, 3, 7, 5))
    output = Output("output", actual, values, np.full(values.shape, 1e-6))
    view = View("", (output,), 10.0)
    assert [list(permuted(view, output, axis)) for axis in ("row", "step", "unit")] == [[], [], []]


def test_orders_are_stated_in_words_where_there_is_one():
    def sentence(type_, numbers):
        return finding_text(Finding(type_, numbers=numbers))

    assert sentence(FindingType.STEPS_PERMUTED, (2, 1, 0)).endswith("steps are in reverse order")
    assert sentence(FindingType.STEPS_PERMUTED, (2, 2, 2)) == "every step is what step 2 should be"
    assert sentence(FindingType.ROWS_PERMUTED, (1, 0)).endswith("the rows are in the order 1, 0")
    assert sentence(FindingType.UNITS_PERMUTED, (1, *range(99))).endswith(", ...")
