"""Other states at the start are found: which state, and how it differs."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import BOTH, SEQUENCES, random_problem, spec_of, two_ways
from validation.off_list.changes import Change, ChangedImplementation, Kind
from validation.off_list.trials import with_arrays

from rnnparity.catalogue import catalogue
from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.findings.changed_weights.initial import initial_findings
from rnnparity.explanation.findings.seen.half_problem import view_of
from rnnparity.problem.findings import (
    BlockChange,
    Finding,
    FindingType,
    WeightBlock,
    accounts_for_values,
)
from rnnparity.problem.recurrences import OtherRecurrence
from rnnparity.problem.tensor import Tensor
from rnnparity.reference import compute
from rnnparity.reference.tolerance import expect

STATES = [("gru", "h"), ("simple_rnn", "h"), ("lstm", "h"), ("lstm", "c"), ("lstm", "")]


def found(problem, name, change, value, half=""):
    finding = Finding(FindingType.INITIAL_STATE, name, change=change, value=value, half=half)
    arrays = ChangedImplementation(Change(Kind.INITIAL_STATE, finding))(problem)
    findings = diagnose(with_arrays(problem, arrays)).explanation.findings
    return [each for each in findings if each.type is FindingType.INITIAL_STATE]


@pytest.mark.parametrize("config", [{}, SEQUENCES, BOTH])
@pytest.mark.parametrize("change", [BlockChange.SHIFTED, BlockChange.SCALED])
@pytest.mark.parametrize(("kind", "name"), STATES)
def test_changed_initial_state_is_named_with_its_number(kind, name, change, config):
    problem = random_problem(spec_of(kind, **config), 4, (3, 5, 4), initial=True)
    (finding,) = found(problem, name, change, 0.375)
    assert (finding.name, finding.change, finding.certain) == (name, change, True)
    assert finding.value == pytest.approx(0.375, rel=1e-3)


@pytest.mark.parametrize("mode", ["concat", "ave"])
def test_half_whose_initial_state_differs_is_named(mode):
    spec = two_ways(spec_of("gru", **SEQUENCES), merge_mode=mode)
    problem = random_problem(spec, 1, (3, 5, 4))
    (finding,) = found(problem, "h", BlockChange.SHIFTED, 0.25, "backward/")
    assert (finding.half, finding.name) == ("backward/", "h")


def test_noise_is_that_of_the_states_that_were_used():
    # The expected outputs are saturated, and so have less noise than the actual ones.
    problem = random_problem(
        spec_of("simple_rnn", **SEQUENCES), 0, (3, 4, 4), scale=9, initial=True
    )
    (finding,) = found(problem, "h", BlockChange.SCALED, 0.0625)
    assert finding.change is BlockChange.SCALED


def test_a_state_that_accounts_for_it_is_not_all_states():
    # h has no influence here: it may be shifted as well.
    problem = random_problem(spec_of("lstm", **SEQUENCES), 4, (3, 5, 4), initial=True)
    weights = [
        replace(tensor, data=tensor.data * (tensor.name != "recurrent_kernel"))
        for tensor in problem.weights
    ]
    problem = replace(problem, weights=tuple(weights))
    (finding,) = found(problem, "c", BlockChange.SHIFTED, 0.375)
    assert finding.name == "c"


def test_rows_that_start_at_other_steps_are_no_change_at_these_steps():
    # With h scaled at its first step each row computes as with a scaled recurrent kernel there.
    mask = ["1111", "0001", "0000", "0000"]
    problem = random_problem(
        spec_of("simple_rnn", **SEQUENCES), 1, (4, 4, 4), initial=True, mask=mask
    )
    finding = Finding(FindingType.INITIAL_STATE, "h", change=BlockChange.SCALED, value=0.75)
    arrays = ChangedImplementation(Change(Kind.INITIAL_STATE, finding))(problem)
    findings = diagnose(with_arrays(problem, arrays)).explanation.findings
    accounting = [each.type for each in findings if accounts_for_values(each)]
    assert accounting == [FindingType.INITIAL_STATE]


def test_state_that_accounts_for_some_rows_only_is_no_finding():
    # Where row 1 starts the recurrent kernel is doubled, as if its h were; row 0 starts before.
    problem = random_problem(
        spec_of("simple_rnn", **SEQUENCES), 1, (2, 4, 4), initial=True, mask=["1111", "0011"]
    )
    block = WeightBlock("recurrent_kernel", "h")
    finding = Finding(FindingType.BLOCK, block=block, change=BlockChange.DOUBLED, numbers=(2,))
    (sequence,) = ChangedImplementation(Change(Kind.AT_STEPS, finding))(problem)
    (expected,) = compute(problem)
    sequence[0] = expected.data[0]
    findings = diagnose(with_arrays(problem, [sequence])).explanation.findings
    assert FindingType.INITIAL_STATE not in {each.type for each in findings}


def test_several_states_that_fit_are_none_for_certain():
    """Constant weights give one number a row: a shift of h gives it as well as one of c."""
    problem = catalogue()["lstm-constant-backwards-last-mask_row"]
    outputs = [Tensor.of("output", _lstm_that_updates_c_at_masked_steps(problem))]
    problem = problem.with_outputs(outputs)
    view = view_of(Evidence(problem, problem.outputs, expect(problem)))
    found = list(initial_findings(problem, "", view))
    assert {finding.name for finding in found} == {"h", "c"}
    assert not any(finding.certain for finding in found)
    explanation = diagnose(problem).explanation
    assert OtherRecurrence.ONLY_H_KEPT in {finding.name for finding in explanation.findings}
    assert not any(map(accounts_for_values, explanation.findings))


def _lstm_that_updates_c_at_masked_steps(problem):
    kernel, recurrent_kernel, bias = (tensor.data for tensor in problem.weights)
    h = c = np.zeros((len(problem.inputs.data), problem.layer.units))
    for t in reversed(range(problem.inputs.shape[1])):
        z = problem.inputs.data[:, t] @ kernel + h @ recurrent_kernel + bias
        i, f, g, o = np.split(z, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = np.where(problem.mask[:, t, None], sigmoid(o) * np.tanh(c), h)
    return h


def sigmoid(z):
    return 1 / (1 + np.exp(-z))
