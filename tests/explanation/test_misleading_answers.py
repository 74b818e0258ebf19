"""Outputs for which an answer once stated, with certainty, what is not so."""

import numpy as np
from _support.explanations import explanation_of, with_expected, with_output
from _support.random_problems import SEQUENCES, SHAPE, random_problem, spec_of

from rnnparity.problem.findings import AfterLayer, FindingType
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.recurrences import OtherRecurrence
from rnnparity.reference import compute
from rnnparity.report.text.explanation import lines


def sequence_of_an_lstm():
    return random_problem(spec_of("lstm", **SEQUENCES), 0, SHAPE)


def types(explanation):
    return [finding.type for finding in explanation.findings]


def with_first_output(problem, data):
    return with_output(with_expected(problem), np.float32(data))


def test_coarse_numbers_that_are_far_off_are_not_called_correct():
    """A few invented numbers of one decimal: each is within three steps of what is expected."""
    weights = [np.float32([[1, 2, 3, 4, 5, 6, 7, 8]]) / 10]
    weights.append(np.float32([[1, 2, 3, 4, 5, 6, 7, 8], [8, 7, 6, 5, 4, 3, 2, 1]]) / 10)
    spec = {
        "class_name": "LSTM",
        "config": {"units": 2, "return_sequences": True, "use_bias": False},
    }
    problem = Problem.from_arrays(spec, weights, np.float32([[[1], [2], [3]]]))
    given = np.arange(1, 7).reshape(1, 3, 2) / 10
    explanation = explanation_of(with_first_output(problem, given))
    assert not explanation.accounted
    assert not any(f.certain for f in explanation.findings if f.type is FindingType.QUANTIZED)
    # Whatever gives such numbers by chance is not listed one after the other.
    assert len([f for f in explanation.findings if not f.certain]) <= 4


def test_pooled_steps_are_no_other_return_flags():
    problem = with_expected(sequence_of_an_lstm())
    (output,) = problem.outputs
    explanation = explanation_of(with_output(problem, output.data.max(axis=1)))
    assert [f.name for f in explanation.findings if f.certain] == [AfterLayer.MAXIMUM]
    assert explanation.accounted
    assert not explanation.cause.explained


def test_evidence_of_a_reading_with_a_finding_is_that_of_the_finding():
    problem = with_expected(sequence_of_an_lstm())
    (output,) = problem.outputs
    wrong = output.data[:, -1].copy()
    wrong[1] = 0
    explanation = explanation_of(with_output(problem, wrong))
    assert explanation.cause.faults[0].cause == "return-flags"
    assert FindingType.ZERO in types(explanation)
    assert explanation.sigma_with_cause <= explanation.threshold


def test_steps_after_a_restart_are_not_said_to_be_wrong_as_well():
    problem = sequence_of_an_lstm()
    (sequence,) = compute(problem)
    steps = problem.inputs.shape[1]
    parts = [slice(start, start + 4) for start in range(0, steps, 4)]
    inputs = problem.inputs.data
    restarted = [
        compute(Problem(problem.layer, problem.weights, Tensor("inputs", inputs[:, part])))[0].data
        for part in parts
    ]
    assert len(parts) > 1
    actual = np.concatenate(restarted, axis=1)
    assert actual.shape == sequence.shape
    explanation = explanation_of(with_first_output(problem, actual))
    (found,) = [f for f in explanation.findings if f.type is FindingType.RECURRENCE]
    assert (found.name, found.numbers) == (OtherRecurrence.RESTARTS, (4,))
    assert FindingType.STEP_FOLLOWS not in types(explanation)
    assert FindingType.FIRST_STEP_AGREES not in types(explanation)


def test_what_a_finding_states_is_said_to_be_the_cause():
    problem = sequence_of_an_lstm()
    (output,) = compute(problem)
    explanation = explanation_of(with_first_output(problem, output.data[::-1]))
    text = "\n".join(line.text for line in lines(explanation))
    assert "cause: stated by the finding, no fault of the list" in text
