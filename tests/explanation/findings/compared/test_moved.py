"""Outputs in another position: what is claimed where several positions are equal."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import BOTH, SEQUENCES, random_problem, spec_of
from validation.off_list.cells import run
from validation.off_list.trials import with_arrays

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.findings.compared.moved import finite_findings, moved_findings
from rnnparity.explanation.findings.seen.view import Output, View
from rnnparity.problem.findings import PATTERNS, FindingType


def findings_of(problem, array):
    return diagnose(with_arrays(problem, [array])).explanation.findings


def test_part_that_may_be_of_several_steps_is_not_certain():
    problem = random_problem(spec_of("simple_rnn", **SEQUENCES), 0, (3, 4, 4))
    same = np.repeat(problem.inputs.data[:, :1], 4, axis=1)
    zero = replace(problem.weights[1], data=0 * problem.weights[1].data)
    weights = (problem.weights[0], zero, problem.weights[2])
    problem = replace(problem, weights=weights, inputs=replace(problem.inputs, data=same))
    (finding,) = findings_of(problem, run(problem)[0][:, 3:])
    assert finding.type is FindingType.STEPS_MISSING
    assert not finding.certain


def test_rows_of_zeros_are_not_taken_for_rows_that_are_masked():
    mask = ["111111", "111111", "000000"]
    problem = random_problem(spec_of("gru", **SEQUENCES), 0, (3, 6, 4), mask=mask)
    (array,) = run(problem)
    array[1] = 0
    types = {finding.type for finding in findings_of(problem, array)}
    assert FindingType.ZERO in types
    assert not types & {FindingType.ROWS_PERMUTED, FindingType.TIME_SHIFTED}


@pytest.mark.parametrize(
    ("move", "type_"),
    [
        (lambda array: array[[1, 0, 2]], FindingType.ROWS_PERMUTED),
        (lambda array: np.roll(array, 1, axis=1), FindingType.TIME_SHIFTED),
    ],
)
def test_noise_of_moved_values_is_that_of_where_they_come_from(move, type_):
    # Most values are zero, and so is their noise.
    problem = random_problem(spec_of("gru", use_bias=False, **SEQUENCES), 0, (3, 6, 4))
    inputs = problem.inputs.data.copy()
    inputs[1:] = 0
    problem = replace(problem, inputs=replace(problem.inputs, data=inputs))
    array = move(run(problem)[0])
    if type_ is FindingType.TIME_SHIFTED:
        array[:, 0] = 0
    (finding,) = [f for f in findings_of(problem, array) if f.type not in PATTERNS]
    assert finding.type is type_


def test_rows_that_are_repeated_in_all_outputs_are_not_zero_in_one():
    # Row 1 is masked: its sequence is zero, its states are the initial ones.
    problem = random_problem(
        spec_of("gru", zero_output_for_mask=True, **BOTH), 0, (3, 4, 4), initial=True,
        mask=["1111", "0000", "1111"],
    )  # fmt: skip
    outputs = [array[[0, 1, 1]] for array in run(problem)]
    findings = diagnose(with_arrays(problem, outputs)).explanation.findings
    accounting = {(f.type, f.numbers) for f in findings if f.type not in PATTERNS}
    assert accounting == {(FindingType.ROWS_PERMUTED, (0, 1, 1))}


def test_rows_that_are_equal_in_one_output_have_the_order_of_the_other():
    # The sequences of rows 2 and 3 are zero: they are masked, and start from other states.
    problem = random_problem(
        spec_of("gru", zero_output_for_mask=True, **BOTH), 0, (4, 4, 4), initial=True,
        mask=["1111", "1111", "0000", "0000"],
    )  # fmt: skip
    outputs = [array[[0, 1, 1, 2]] for array in run(problem)]
    outputs[0][3] = 0
    findings = diagnose(with_arrays(problem, outputs)).explanation.findings
    orders = {f.numbers for f in findings if f.type is FindingType.ROWS_PERMUTED}
    assert orders == {(0, 1, 1, 2)}


@pytest.mark.parametrize(("by", "expected"), [(7, [7]), (-7, [-7]), (0, [])])
def test_shift_of_a_long_sequence_is_found_in_the_memory_of_a_few_outputs(by, expected):
    """Each shift was kept until the last one was tried: a file of 34 MB took 24 GB."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((2, 600, 20))
    actual = np.roll(values, by, axis=1) if by else values + rng.standard_normal(values.shape)
    view = View("", (Output("output", actual, values, np.full(values.shape, 1e-6)),), 10.0)
    tracemalloc.start()
    found = [finding.numbers[0] for finding in moved_findings(view, zeros=False)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == expected
    assert peak < 20 * values.nbytes


@pytest.mark.parametrize(
    ("change", "numbers", "name"),
    [
        (lambda array: array.transpose(0, 2, 1), (0, 2, 1), ""),
        (lambda array: array.transpose(2, 1, 0), (2, 1, 0), ""),
        (lambda array: array.swapaxes(0, 1).reshape(array.shape), (1, 0, 2), "reshaped"),
        (lambda array: array.swapaxes(1, 2).reshape(array.shape), (0, 2, 1), "reshaped"),
    ],
)
def test_axes_in_another_order_are_found(change, numbers, name):
    problem = random_problem(spec_of("gru", 5, **SEQUENCES), 0, (3, 6, 4))
    findings = findings_of(problem, change(run(problem)[0]))
    assert [
        (finding.numbers, finding.name, finding.certain)
        for finding in findings
        if finding.type is FindingType.AXES_EXCHANGED
    ] == [(numbers, name, True)]


def test_axes_of_equal_length_are_told_apart():
    problem = random_problem(spec_of("gru", 6, **SEQUENCES), 0, (3, 6, 4))
    findings = findings_of(problem, run(problem)[0].transpose(0, 2, 1))
    assert [f.numbers for f in findings if f.type not in PATTERNS] == [(0, 2, 1)]


def test_axes_of_a_last_output_are_exchanged():
    problem = random_problem(spec_of("gru", 5), 0, (3, 6, 4))
    (finding,) = findings_of(problem, run(problem)[0].T)
    assert (finding.type, finding.numbers) == (FindingType.AXES_EXCHANGED, (1, 0))


@pytest.mark.parametrize(
    ("index", "name", "numbers"),
    [
        (np.s_[:, 4:], "step", (4, 5)),
        (np.s_[1], "row", (1,)),
        (np.s_[:, :, 2], "unit", (2,)),
        (np.s_[1, 3:], "", ()),
    ],
)
def test_values_that_are_not_finite_are_located_where_all_others_agree(index, name, numbers):
    problem = random_problem(spec_of("gru", **SEQUENCES), 0, (3, 6, 4))
    (array,) = run(problem)
    array[index] = np.nan
    (finding,) = [f for f in findings_of(problem, array) if f.type not in PATTERNS]
    assert finding.type is FindingType.FINITE_AGREES
    assert (finding.name, finding.numbers) == (name, numbers)
    array[0, 0, 0] += 0.1
    assert all(f.type in PATTERNS for f in findings_of(problem, array))


@pytest.mark.parametrize(("finite", "certain"), [(1, False), (8, True)])
def test_few_finite_values_that_agree_are_no_evidence(finite, certain):
    expected = np.linspace(1, 2, 24).reshape(3, 4, 2)
    actual = np.full_like(expected, np.nan)
    actual.flat[:finite] = expected.flat[:finite]
    output = Output("output", actual, expected, np.full(actual.shape, 1e-4))
    (finding,) = finite_findings(View("", (output,), 10.0))
    assert finding.certain == certain


def test_nothing_agrees_where_no_value_is_finite():
    problem = random_problem(spec_of("gru", **SEQUENCES), 0, (3, 6, 4))
    array = np.full_like(run(problem)[0], np.nan)
    assert all(f.type in PATTERNS for f in findings_of(problem, array))


def test_no_axis_is_named_where_several_outputs_are_not_finite():
    expected = np.linspace(1, 2, 24).reshape(3, 4, 2)
    outputs = []
    for name, index in (("output", np.s_[:, 2:]), ("h", np.s_[1])):
        actual = expected.copy() if name == "output" else expected[:, -1].copy()
        outputs.append(Output(name, actual, actual.copy(), np.full(actual.shape, 1e-6)))
        actual[index] = np.nan
    (finding,) = finite_findings(View("", tuple(outputs), 10.0))
    assert (finding.type, finding.name, finding.numbers) == (FindingType.FINITE_AGREES, "", ())


@pytest.mark.parametrize("rectified", [False, True])
def test_few_zeros_among_many_are_not_certain(rectified):
    """Of relu's values many are zero: a row of them may be by chance."""
    expected = np.linspace(1, 2, 24).reshape(3, 4, 2)
    if rectified:
        expected[:, :, 0] = 0
        expected[2, 1:] = 0
    actual = expected.copy()
    actual[2] = 0
    view = View("", (Output("output", actual, expected, np.full((3, 4, 2), 1e-6)),), 10.0)
    (finding,) = moved_findings(view)
    assert (finding.type, finding.name, finding.numbers) == (FindingType.ZERO, "row", (2,))
    assert finding.certain is not rectified
