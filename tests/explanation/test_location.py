"""Where outputs differ: the first mismatch, the gates, what the locations show, the picture."""

import numpy as np
import pytest
from _support.explanations import (
    bidirectional_gru,
    explanation_of,
    lstm,
    placed,
    with_faults,
    with_output,
    with_reference,
)
from _support.random_problems import BOTH, SEQUENCES, SHAPE, random_problem, spec_of

from rnnparity.explanation.picture import COLUMNS, ROWS, levels, shrunk
from rnnparity.problem.explanations import Mismatch
from rnnparity.problem.findings import LOCATIONS, Finding, FindingType
from rnnparity.problem.problem import Tensor

MASKED = random_problem(
    spec_of("gru", **BOTH), 0, SHAPE, mask=["111111", "110111", "111111", "011111", "111111"]
)
LOCATING_TYPES = LOCATIONS | {FindingType.ONE_DIRECTION_ONLY}


def with_one_wrong_value(row, step, unit):
    problem = with_reference(lstm())
    wrong = problem.outputs[0].data.copy()
    wrong[row, step, unit] += 1e-3
    return with_output(problem, wrong)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_first_mismatch_is_in_the_order_of_processing(direction):
    """The backward half's first step is the last of the sequence."""
    problem = bidirectional_gru(SEQUENCES, seed=0)
    fault = placed("recurrence-missing: recurrent kernel", f"{direction}/")
    step = 1 if direction == "forward" else SHAPE[1] - 2
    first = explanation_of(with_faults(problem, fault)).first
    assert first == Mismatch("output", 0, 0, step, direction, ("z", "r", "h"))


@pytest.mark.parametrize("gate", "ifo")
def test_gate_that_changes_first_is_named(gate):
    fault = placed(f"recurrent-transposed: LSTM gate {gate}")
    first = explanation_of(with_faults(lstm(), fault)).first
    assert (first.step, first.gates) == (1, (gate,))


def test_mismatch_of_a_state_has_no_step():
    problem = with_reference(lstm())
    output, h, c = problem.outputs
    wrong = c.data.copy()
    wrong[3, 2] += 1e-3
    states = problem.with_outputs([output, h, Tensor(c.name, wrong)])
    assert explanation_of(states).first == Mismatch("c", row=3, unit=2)


@pytest.mark.parametrize(
    ("problem", "fault", "expected"),
    [
        (
            lstm(),
            placed("recurrent-transposed: whole"),
            [Finding(FindingType.FIRST_STEP_AGREES)],
        ),
        (
            lstm(),
            placed("state-order: c before h"),
            [Finding(FindingType.OUTPUT_AGREES)],
        ),
        (
            MASKED,
            placed("mask-ignored: every step counts"),
            [Finding(FindingType.MASKED_ROWS)],
        ),
        (
            bidirectional_gru(SEQUENCES, seed=0),
            placed("bias-missing: all of it", "backward/"),
            [Finding(FindingType.ONE_DIRECTION_ONLY, "backward", half="backward/")],
        ),
        (lstm(), placed("bias-missing: all of it"), []),
    ],
)
def test_locations_show_what_agrees(problem, fault, expected):
    findings = explanation_of(with_faults(problem, fault)).findings
    assert [finding for finding in findings if finding.type in LOCATING_TYPES] == expected


def test_only_row_and_unit_that_differ_are_found():
    findings = explanation_of(with_one_wrong_value(2, 4, 1)).findings
    assert findings[:2] == (
        Finding(FindingType.ROWS, numbers=(2,)),
        Finding(FindingType.UNITS, numbers=(1,)),
    )


def test_picture_has_a_row_for_each_unit_and_a_column_for_each_step():
    picture = explanation_of(with_one_wrong_value(2, 4, 1)).picture
    assert (picture.output, picture.across, picture.shape) == ("output", "time", (4, SHAPE[1]))
    marked = np.argwhere(np.array(picture.levels))
    assert marked.tolist() == [[1, 4]]


def test_picture_of_a_last_output_has_the_rows_across():
    problem = with_reference(random_problem(spec_of("lstm"), 0, SHAPE))
    wrong = problem.outputs[0].data.copy()
    wrong[2, 1] += 1e-3
    picture = explanation_of(with_output(problem, wrong)).picture
    assert (picture.across, picture.shape) == ("rows", (4, SHAPE[0]))
    assert np.argwhere(np.array(picture.levels)).tolist() == [[1, 2]]


def test_large_picture_is_coarser_than_its_output():
    problem = with_reference(random_problem(spec_of("simple_rnn", 80, **SEQUENCES), 0, (1, 90, 3)))
    wrong = problem.outputs[0].data.copy()
    wrong[0, 89, 79] += 1e-3
    picture = explanation_of(with_output(problem, wrong)).picture
    assert picture.shape == (80, 90)
    marked = np.argwhere(np.array(picture.levels))
    assert marked.tolist() == [[ROWS - 1, COLUMNS - 1]]


def test_levels_grow_with_the_distance():
    distances = np.array([0.0, 10.0, 11.0, 1e3, 1e5, 1e7, 1e9, np.inf])
    assert levels(distances, 10.0).tolist() == [0, 0, 1, 3, 6, 8, 8, 8]


def test_neighbours_that_share_a_square_show_the_largest():
    assert shrunk(np.array([[1, 5, 2, 3, 9, 0]]), 4, 3).tolist() == [[5, 3, 9]]
