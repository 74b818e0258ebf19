"""Outputs of another shape: some of the rows or steps, axes exchanged or joined to one."""

import pytest
from _support.explanations import from_port
from _support.random_problems import BOTH, SEQUENCES, random_problem, spec_of

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.findings.partial import partial_findings
from rnnparity.problem.findings import FindingType
from rnnparity.reference import compute
from rnnparity.report.text.finding_fixes import fix_of
from rnnparity.report.text.findings import finding_text

ROWS, STEPS = FindingType.ROWS_MISSING, FindingType.STEPS_MISSING
AXES = FindingType.AXES_EXCHANGED


def sequence(seed=0, shape=(4, 6, 3), config=SEQUENCES):
    return random_problem(spec_of("lstm", 5, **config), seed, shape)


def explained(problem, edit):
    """The explanation of a problem whose first output is edited."""

    def port(problem):
        first, *others = (tensor.data for tensor in compute(problem))
        return [edit(first), *others]

    return diagnose(from_port(problem, port)).explanation


def fields(finding):
    return finding.type, finding.name, finding.numbers


@pytest.mark.parametrize("config", [SEQUENCES, BOTH])
@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda y: y[0], [(ROWS, "without-axis", (0,))]),
        (lambda y: y[2], [(ROWS, "without-axis", (2,))]),
        (lambda y: y[:3], [(ROWS, "", (0, 1, 2))]),
        (lambda y: y[3:], [(ROWS, "", (3,))]),
        (lambda y: y.reshape(24, 5), [(AXES, "first-joined", (0, 1, 2))]),
        (lambda y: y.swapaxes(0, 1).reshape(24, 5), [(AXES, "first-joined", (1, 0, 2))]),
        (lambda y: y.reshape(4, 30), [(AXES, "last-joined", (0, 1, 2))]),
        (lambda y: y.ravel(), [(AXES, "all-joined", (0, 1, 2))]),
        (lambda y: y[:, -1].T, [(STEPS, "", (5,)), (AXES, "", (1, 0))]),
    ],
)
def test_output_of_another_shape_is_named_and_correct(edit, found, config):
    explanation = explained(sequence(config=config), edit)
    assert [fields(finding) for finding in explanation.findings] == found
    assert all(finding.certain for finding in explanation.findings)
    assert explanation.accounted
    assert not explanation.cause.explained


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda y: y[1], (ROWS, "without-axis", (1,))),
        (lambda y: y[:2], (ROWS, "", (0, 1))),
        (lambda y: y.ravel(), (AXES, "all-joined", (0, 1))),
        (lambda y: y.T.ravel(), (AXES, "all-joined", (1, 0))),
    ],
)
def test_last_output_of_another_shape_is_named(edit, found):
    (finding,) = explained(sequence(config={}), edit).findings
    assert fields(finding) == found


def test_row_that_has_the_shape_of_a_last_output_is_named():
    (finding,) = explained(sequence(shape=(5, 5, 3)), lambda y: y[2]).findings
    assert fields(finding) == (ROWS, "without-axis", (2,))


def test_wrong_values_of_another_shape_have_no_finding():
    problem = sequence()
    for edit in (lambda y: y[0] + 0.01, lambda y: (y * 1.01).reshape(24, 5)):
        assert not explained(problem, edit).accounted


def test_row_that_is_equal_to_another_is_not_certain():
    problem = sequence()
    problem.inputs.data[1] = problem.inputs.data[0]
    actual = [tensor.data[0] for tensor in compute(problem)]
    (finding,) = partial_findings(problem, from_port(problem, lambda _: actual).outputs).findings
    assert not finding.certain


def test_joined_axes_are_reshaped_where_they_are_in_order():
    (in_order,) = explained(sequence(), lambda y: y.reshape(24, 5)).findings
    (time_first,) = explained(sequence(), lambda y: y.swapaxes(0, 1).reshape(24, 5)).findings
    assert finding_text(in_order).endswith("batch and steps are one axis: (batch * steps, units)")
    assert fix_of(in_order) == "Reshape the output to the axes of Keras."
    assert fix_of(time_first).startswith("Transpose")
