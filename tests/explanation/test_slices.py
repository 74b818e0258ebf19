"""Slices: a huge problem is explained on a part of it, with the row indices of the whole."""

from dataclasses import replace

import numpy as np
import pytest
from _support.explanations import (
    cause_name,
    explanation_of,
    large_gru,
    placed,
    with_faults,
    with_output,
    with_reference,
)
from _support.random_problems import SEQUENCES, random_problem, spec_of, stack_of, two_ways

from rnnparity.problem.explanations import Cause
from rnnparity.problem.findings import BlockChange, Finding, FindingType, is_undetermined
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.explanation_json import as_json
from rnnparity.report.text.messages import fault_name

ROWS_SWAPPED = placed("bias-rows-swapped: GRU")


@pytest.mark.parametrize("sequences", [True, False])
def test_huge_problem_is_explained_on_a_slice(sequences):
    problem = large_gru(return_sequences=sequences)
    explanation = explanation_of(with_faults(problem, ROWS_SWAPPED))
    assert explanation.cause == Cause((ROWS_SWAPPED.id,))
    part = explanation.slice
    assert (len(part.rows), part.batch, part.total_steps) == (2, 16, 40)
    assert (part.steps < part.total_steps) == sequences
    assert part.rest_fits is True


def test_cause_that_does_not_fit_the_rest_is_reported():
    """Only the last two rows are wrong; the fault would change all of them."""
    problem = with_reference(large_gru())
    wrong = with_faults(problem, ROWS_SWAPPED).outputs[0].data
    expected = problem.outputs[0].data
    mixed = np.where(np.arange(16)[:, None, None] >= 14, wrong, expected)
    explanation = explanation_of(with_output(problem, mixed))
    part = explanation.slice
    assert (part.rows, part.rest_fits) == ((14, 15), False)
    assert explanation.cause.unambiguous
    assert as_json(explanation)["certain"] is False


def test_huge_problem_with_expected_outputs_agrees():
    explanation = explanation_of(with_reference(large_gru(return_sequences=False)))
    assert (explanation.verdict, explanation.cause) == (Verdict.AGREES, None)
    assert explanation.slice is None


def test_stack_is_cut_to_its_first_steps():
    layers = [spec_of(kind, 64, **SEQUENCES) for kind in ("gru", "lstm")]
    problem = random_problem(stack_of(*layers), 0, (9, 50, 48))
    fault = placed("recurrence-missing: recurrent kernel", "1/")
    assert cause_name(with_faults(problem, fault)) == fault_name(fault.id)


def test_indices_of_a_slice_are_those_of_the_whole_problem():
    problem = with_reference(large_gru())
    wrong = problem.outputs[0].data.copy()
    wrong[13, 5, 7] += 0.1
    explanation = explanation_of(with_output(problem, wrong))
    first = explanation.first
    assert (first.row, first.step, first.unit) == (13, 5, 7)
    assert explanation.differences[0].index == (13, 5, 7)
    # Which rows of the slice differ means nothing for the whole problem, unlike the steps.
    finding, unknown = explanation.findings
    assert (finding.type, finding.numbers) == (FindingType.STEP_FOLLOWS, (5, 6))
    assert is_undetermined(unknown)


def test_value_that_is_not_finite_has_the_index_of_the_whole_problem():
    problem = with_reference(large_gru())
    wrong = problem.outputs[0].data.copy()
    wrong[13, 5, 7] = np.nan
    findings = explanation_of(with_output(problem, wrong)).findings
    assert findings == (Finding(FindingType.NOT_FINITE, "output", (13, 5, 7)),)


def test_rows_of_a_huge_problem_that_are_permuted_are_found():
    problem = with_reference(large_gru())
    order = (2, 11, 3, 10, 0, 4, 7, 5, 14, 12, 6, 9, 13, 8, 1, 15)
    explanation = explanation_of(with_output(problem, problem.outputs[0].data[list(order)]))
    (finding,) = explanation.findings
    assert (finding.type, finding.numbers) == (FindingType.ROWS_PERMUTED, order)
    assert finding.certain
    assert explanation.accounted
    assert explanation.slice.batch == 16


@pytest.mark.parametrize(
    ("index", "name", "numbers"),
    [(np.s_[1:], "row", range(1, 16)), (np.s_[:, 30:], "step", range(30, 40))],
)
def test_zeros_in_a_huge_problem_are_found(index, name, numbers):
    problem = with_reference(large_gru())
    data = problem.outputs[0].data.copy()
    data[index] = 0
    (finding,) = explanation_of(with_output(problem, data)).findings
    assert (finding.type, finding.name) == (FindingType.ZERO, name)
    assert finding.numbers == tuple(numbers)


def with_changed_output(problem, index, factor=1.01):
    data = problem.outputs[0].data.copy()
    data[index] *= factor
    return with_output(problem, data)


def long_gru(**config):
    """A problem with so many steps that it is explained on a slice."""
    return random_problem(spec_of("gru", 6, **{**SEQUENCES, **config}), 0, (4, 220, 5))


@pytest.mark.parametrize("backwards", [False, True])
def test_difference_that_starts_late_is_explained_on_the_steps_around_it(backwards):
    problem = with_reference(long_gru(return_state=True, go_backwards=backwards))
    explanation = explanation_of(with_changed_output(problem, np.s_[3, 200:]))
    part = explanation.slice
    assert (part.start, part.steps, part.total_steps) == (192, 13, 220)
    assert (explanation.first.row, explanation.first.step) == (3, 200)
    assert (explanation.picture.start, explanation.picture.shape[1]) == (192, 13)
    (difference,) = explanation.differences
    assert difference.first_step == 200
    assert difference.index[0] == 3
    assert difference.index[1] >= 200
    finding, unknown = explanation.findings
    assert (finding.type, finding.numbers) == (FindingType.STEP_FOLLOWS, tuple(range(200, 220)))
    assert is_undetermined(unknown)


def test_cause_that_acts_late_is_found_and_fits_the_whole():
    """The mask begins at step 205; before it nothing differs."""
    problem = long_gru()
    mask = np.ones((4, 220), bool)
    mask[:, 205:208] = False
    problem = replace(problem, mask=mask)
    fault = placed("masked-output: zero")
    explanation = explanation_of(with_faults(problem, fault))
    assert explanation.cause.faults == (fault.id,)
    assert (explanation.slice.start, explanation.slice.rest_fits) == (197, True)


LONG = {
    "concat": two_ways(spec_of("lstm", 6, **SEQUENCES)),
    "sum": two_ways(spec_of("gru", 6, **SEQUENCES), merge_mode="sum"),
    "forward, backwards": stack_of(
        spec_of("lstm", 6, **SEQUENCES), spec_of("gru", 5, **SEQUENCES, go_backwards=True)
    ),
}


@pytest.mark.parametrize(
    ("name", "fault", "location", "cut"),
    [
        ("concat", "gate-order: LSTM iofc (ONNX) in all weights", "every half", True),
        ("concat", "gate-order: LSTM iofc (ONNX) in all weights", "backward/", True),
        ("concat", "reverse-output-order: reversed", "backward/", False),
        ("sum", "recurrence-missing: recurrent kernel", "forward/", True),
        ("sum", "recurrence-missing: recurrent kernel", "every half", True),
        ("forward, backwards", "gate-order: LSTM iofc (ONNX) in all weights", "0/", True),
        ("forward, backwards", "gate-order: GRU rzh (PyTorch, cuDNN) in all weights", "1/", True),
    ],
)
def test_layers_that_read_both_ways_are_explained_on_some_steps(name, fault, location, cut):
    """What decides which step is processed when is tried on all steps."""
    problem = random_problem(LONG[name], 0, (4, 220, 5))
    injected = placed(fault, location)
    explanation = explanation_of(with_faults(problem, injected))
    assert explanation.cause == Cause((injected.id,))
    assert explanation.slice.rest_fits is True
    assert (explanation.slice.steps < 220) == cut


def test_one_wrong_half_is_explained_from_the_end_that_it_starts_at():
    problem = random_problem(LONG["concat"], 0, (4, 220, 5))
    injected = placed("recurrence-missing: recurrent kernel", "backward/")
    explanation = explanation_of(with_faults(problem, injected))
    assert explanation.cause.faults == (injected.id,)
    assert explanation.slice.start + explanation.slice.steps == problem.inputs.shape[1]


def test_halves_that_both_differ_are_searched_for_findings_by_themselves():
    """One block of the recurrent kernel of each is scaled, which no fault does."""
    problem = random_problem(LONG["concat"], 0, (4, 220, 5))
    weights = []
    for tensor in problem.weights:
        data = tensor.data.copy()
        if tensor.name.endswith("recurrent_kernel"):
            data[:, 6:12] *= 1.25
        weights.append(replace(tensor, data=data))
    outputs = with_reference(replace(problem, weights=tuple(weights))).outputs
    explanation = explanation_of(problem.with_outputs(outputs))
    assert explanation.accounted
    assert explanation.slice.steps < 220
    found = {
        (finding.half, finding.type, finding.change)
        for finding in explanation.findings
        if finding.certain and finding.block
    }
    expected = (FindingType.BLOCK, BlockChange.SCALED)
    assert found == {("forward/", *expected), ("backward/", *expected)}


def test_last_output_of_many_steps_is_explained_on_both_ends():
    problem = random_problem(spec_of("gru", 9), 0, (16, 400, 6))
    explanation = explanation_of(with_faults(problem, ROWS_SWAPPED))
    part = explanation.slice
    assert explanation.cause == Cause((ROWS_SWAPPED.id,))
    assert 0 < 2 * part.joined == part.steps < part.total_steps == 400
    assert part.rest_fits is True


def test_last_output_that_remembers_every_step_is_explained_on_all_of_them():
    problem = random_problem(spec_of("simple_rnn", 5, activation="linear"), 0, (4, 220, 6))
    weights = list(problem.weights)
    weights[1] = replace(weights[1], data=np.roll(np.eye(5, dtype=np.float32), 1, axis=0))
    problem = with_reference(replace(problem, weights=tuple(weights)))
    part = explanation_of(with_changed_output(problem, np.s_[3], factor=0.5)).slice
    assert (part.steps, part.joined) == (220, 0)
