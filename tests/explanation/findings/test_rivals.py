"""Nothing is certain where something else gives the same outputs with these numbers."""

from dataclasses import replace

import numpy as np
import pytest
from _support.explanations import explanation_of, lstm, placed, with_faults, with_reference
from _support.random_problems import SEQUENCES, random_problem, spec_of
from validation import around_layer
from validation.mistakes.trials import Outcome as MistakeOutcome
from validation.mistakes.trials import mistakes
from validation.mistakes.trials import run_trial as run_mistake
from validation.off_list.changes import Change, ChangedImplementation, Kind
from validation.off_list.judge import Outcome
from validation.off_list.trials import run_trial, with_arrays

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.findings.finding_search import find
from rnnparity.faults import FAULTS
from rnnparity.problem.findings import (
    Finding,
    FindingType,
    OtherInputs,
    OtherMask,
    WeightBlock,
    accounts_for_values,
)
from rnnparity.problem.problem import Tensor
from rnnparity.reference.tolerance import expect
from rnnparity.report.explanation_json import as_json
from rnnparity.report.text.explanation import lines

LATE = placed("inputs-shifted: one step late, from zeros", "")


def with_one_input(problem):
    """Return the problem with a single step that is not zero, the third of six."""
    x = np.zeros((2, 6, 3), np.float32)
    x[:, 2] = np.linspace(0.5, 2, 6).reshape(2, 3)
    problem = replace(problem, inputs=Tensor("inputs", x), outputs=None, initial_state=None)
    return with_reference(problem)


def gru_with_closed_gate():
    """Return a GRU of which gate z has no weights, it is sigmoid(0), and that reads no state."""
    problem = random_problem(spec_of("gru", **SEQUENCES, reset_after=False), 0, (3, 6, 4))
    units = problem.layer.units
    kernel, recurrent, bias = (tensor.data.copy() for tensor in problem.weights)
    kernel[:, :units], bias[:units], recurrent[...] = 0, 0, 0
    weights = tuple(
        replace(tensor, data=array)
        for tensor, array in zip(problem.weights, (kernel, recurrent, bias), strict=True)
    )
    return replace(problem, weights=weights, mask=None)


def test_inputs_in_reverse_order_may_be_one_step_late():
    problem = with_one_input(lstm())
    explanation = explanation_of(with_faults(problem, LATE))
    (rival,) = explanation.cause.rivals
    assert (rival.type, rival.name) == (FindingType.INPUTS, OtherInputs.STEPS_REVERSED)
    assert explanation.cause.certain  # chance is ruled out
    assert not explanation.unambiguous
    (line,) = [line.text for line in lines(explanation) if "equally consistent" in line.text]
    assert "the inputs that were used: in reverse order of the steps" in line
    content = as_json(explanation)
    assert content["certain"] is False
    assert [each["name"] for each in content["rivals"]] == ["steps-reversed"]


def test_other_inputs_separate_what_is_late_from_what_is_reversed():
    problem = with_one_input(lstm())
    x = problem.inputs.data.copy()
    x[0, 4] = 1
    problem = with_reference(replace(problem, inputs=Tensor("inputs", x), outputs=None))
    explanation = explanation_of(with_faults(problem, LATE))
    assert explanation.cause.explained
    assert explanation.cause.rivals == ()


def test_finding_that_states_the_same_as_a_cause_is_no_rival():
    (variant,) = [f.variant for f in FAULTS if f.cause == "features-reversed"]
    explanation = explanation_of(with_faults(lstm(), placed(f"features-reversed: {variant}", "")))
    assert explanation.cause.rivals == ()
    assert explanation.unambiguous


def test_quantity_is_uncertain_where_another_activation_gives_the_same():
    problem = gru_with_closed_gate()
    finding = Finding(FindingType.ACTIVATION, "softsign", block=WeightBlock("kernel", "z"))
    problem = with_arrays(problem, ChangedImplementation(Change(Kind.ACTIVATION, finding))(problem))
    findings = find(Evidence(problem, problem.outputs, expect(problem))).findings
    assert {FindingType.OTHER_QUANTITY, FindingType.ACTIVATION} <= {each.type for each in findings}
    # A bias that closes the gate gives the same.
    accounts = (*findings, *diagnose(problem).explanation.findings)
    assert not any(map(accounts_for_values, accounts))


def test_quantity_is_certain_where_the_gate_has_weights():
    problem = random_problem(spec_of("gru", **SEQUENCES, reset_after=False), 0, (3, 6, 4))
    arrays = ChangedImplementation(
        Change(Kind.RETURNED, Finding(FindingType.OTHER_QUANTITY, "the candidate"))
    )(problem)
    (finding,) = diagnose(with_arrays(problem, arrays)).explanation.findings
    assert (finding.type, finding.certain) == (FindingType.OTHER_QUANTITY, True)


def test_symmetric_mask_does_not_show_which_mask_was_used():
    (reversed_mask,) = [each for each in around_layer.mistakes() if each.name == OtherMask.REVERSED]
    assert around_layer.run_trial(reversed_mask, 5030)[0] is not around_layer.Outcome.WRONG


@pytest.mark.parametrize("seed", [85000403, 85000649, 99000069])
def test_zeros_in_most_weights_are_not_misread(seed):
    assert run_trial(False, seed).outcome is not Outcome.WRONG


def test_previous_state_is_uncertain_where_another_recurrence_gives_the_same():
    (late_bias,) = [each for each in mistakes() if "at all steps but the first" in each.name]
    assert run_mistake(late_bias, 902)[0] is not MistakeOutcome.WRONG
