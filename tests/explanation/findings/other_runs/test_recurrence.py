"""Other ways to pass states on are named; where two give the same, none is certain."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import SEQUENCES, random_problem, spec_of, two_ways
from validation.mistakes import loops
from validation.mistakes.port import LAST, Port
from validation.off_list.trials import with_arrays

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.findings.other_runs.ways import Rule, Way, run_ways
from rnnparity.problem.findings import FindingType, OtherInputs, accounts_for_values
from rnnparity.problem.recurrences import OtherRecurrence
from rnnparity.reference import compute

MASK = ["1111111", "1101110", "0111100"]


def accounts(problem, port):
    explanation = diagnose(with_arrays(problem, port(problem))).explanation
    return [f for f in explanation.findings if accounts_for_values(f)]


def problem_of(class_name, mask=None, **options):
    return random_problem(spec_of(class_name, 4, **options), 3, (3, 7, 4), mask=mask)


@pytest.mark.parametrize("options", [SEQUENCES, {}])
@pytest.mark.parametrize(
    ("class_name", "loop", "name"),
    [
        ("gru", loops.TwoStepsBack(), OtherRecurrence.H_OF_TWO_STEPS_AGO),
        ("lstm", loops.BothTwoStepsBack(), OtherRecurrence.STATES_OF_TWO_STEPS_AGO),
        ("lstm", loops.InPlace(), OtherRecurrence.IN_PLACE),
        ("lstm", loops.BiasAt(first=False), OtherRecurrence.BIAS_NOT_AT_FIRST_STEP),
        ("simple_rnn", loops.FeedsBack(), OtherRecurrence.OUTPUT_AS_INPUT),
        ("gru", loops.OfRowBefore(), OtherRecurrence.OF_ROW_BEFORE),
        ("gru", loops.OneStateForAll(), OtherRecurrence.OF_FIRST_ROW),
        ("lstm", loops.OneAfterAnother(), OtherRecurrence.ONE_FOR_ALL_ROWS),
        ("lstm", loops.MeanState(), OtherRecurrence.MEAN_OF_ROWS),
    ],
)
def test_way_to_pass_states_on_is_named(class_name, loop, name, options):
    (finding,) = accounts(problem_of(class_name, **options), Port(loop))
    assert (finding.type, finding.name) == (FindingType.RECURRENCE, name)


def test_bias_of_the_first_step_is_named():
    (finding,) = accounts(problem_of("gru"), Port(loops.BiasAt(first=True)))
    assert finding.name == OtherRecurrence.BIAS_AT_FIRST_STEP_ONLY


@pytest.mark.parametrize(
    ("loop", "name"),
    [
        (loops.KeepsOnly("h"), OtherRecurrence.ONLY_H_KEPT),
        (loops.KeepsOnly("c"), OtherRecurrence.ONLY_C_KEPT),
        (loops.MaskedLate(), OtherRecurrence.MASKED_LATE),
        (loops.GoesOn(), OtherRecurrence.ONLY_OUTPUT_MASKED),
    ],
)
def test_states_that_are_kept_otherwise_at_masked_steps_are_named(loop, name):
    (finding,) = accounts(problem_of("lstm", MASK, **SEQUENCES), Port(loop))
    assert finding.name == name


@pytest.mark.parametrize("state", ["h", "c"])
@pytest.mark.parametrize("options", [SEQUENCES, {}])
def test_number_at_which_a_state_is_clipped_is_read_off(state, options):
    problem = problem_of("lstm", **options)
    (finding,) = accounts(problem, Port(loops.Clips(state, np.float32(0.12))))
    assert finding.name == f"{state}-clipped"
    assert finding.value == pytest.approx(0.12, rel=1e-5)


def test_number_at_which_pre_activations_are_clipped_is_read_off():
    (finding,) = accounts(problem_of("gru"), Port(loops.ClipsPreactivations(np.float32(0.25))))
    assert finding.name == OtherRecurrence.PREACTIVATIONS_CLIPPED
    assert finding.value == pytest.approx(0.25, rel=1e-5)


def test_steps_between_two_restarts_are_counted():
    (finding,) = accounts(problem_of("lstm", **SEQUENCES), Port(loops.Restarts(3)))
    assert (finding.name, finding.numbers) == (OtherRecurrence.RESTARTS, (3,))


def test_last_output_after_a_restart_is_one_without_the_first_steps():
    """Whatever was computed before the last restart is not seen."""
    problem = problem_of("lstm")
    assert not accounts(problem, Port(loops.Restarts(4)))
    actual = with_arrays(problem, Port(loops.Restarts(4))(problem))
    cause = diagnose(actual).explanation.cause
    assert [fault.variant for fault in cause.faults] == ["first 4 steps"]


def test_inputs_of_one_step_at_all_steps_are_named():
    (finding,) = accounts(problem_of("gru"), Port(loops.FirstInputs()))
    assert (finding.type, finding.name) == (FindingType.INPUTS, OtherInputs.OF_FIRST_STEP)


def test_unit_that_is_left_out_is_named():
    (finding,) = accounts(problem_of("gru"), Port(loops.ForgetsUnit(-1)))
    assert (finding.name, finding.numbers) == (OtherRecurrence.UNIT_LEFT_OUT, (-1,))


@pytest.mark.parametrize(("halves", "half"), [(LAST, "backward/"), ("forward/", "forward/")])
def test_half_that_differs_is_named(halves, half):
    problem = random_problem(two_ways(spec_of("gru", 4, **SEQUENCES)), 0, (3, 7, 4))
    (finding,) = [
        f
        for f in accounts(problem, Port(loops.TwoStepsBack(), halves))
        if not f.name.endswith("ward")
    ]
    assert (finding.name, finding.half) == (OtherRecurrence.H_OF_TWO_STEPS_AGO, half)


def test_two_ways_that_give_the_same_are_none_for_certain():
    """In calls of one step the rows are exchanged between calls, or between steps."""
    problem = problem_of("gru", stateful=True, **SEQUENCES)
    problem = replace(problem, calls=(1,) * 7)
    port = Port(loops.OfRowBefore())
    explanation = diagnose(with_arrays(problem, port(problem)), thorough=False).explanation
    (finding,) = [f for f in explanation.findings if f.type is FindingType.RECURRENCE]
    assert not finding.certain


def test_rule_that_changes_nothing_gives_the_expected_outputs():
    problem = random_problem(two_ways(spec_of("lstm", 4, **SEQUENCES)), 0, (3, 7, 4), mask=MASK)
    ways = [Way(None, {"forward/": Rule(), "backward/": Rule()})] * 2
    for actual, expected in zip(run_ways(problem, ways), compute(problem), strict=True):
        np.testing.assert_array_equal(actual[0], actual[1])
        np.testing.assert_allclose(actual[0], expected.data, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mask", [None, MASK])
def test_healthy_layer_has_no_finding(mask):
    problem = problem_of("lstm", mask, **SEQUENCES)
    explanation = diagnose(with_arrays(problem, Port()(problem))).explanation
    assert not explanation.findings
