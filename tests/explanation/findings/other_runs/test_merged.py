"""What is wrong in halves that are merged into one value, where no half is seen by itself."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import BOTH, SEQUENCES, random_problem, spec_of, two_ways
from validation.off_list.trials import with_arrays

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.findings.compared.masked import masked_alternatives
from rnnparity.explanation.findings.other_runs.merged import merged_findings
from rnnparity.explanation.findings.seen.half_problem import merged_halves
from rnnparity.problem.findings import FindingType, accounts_for_values
from rnnparity.reference import compute, trace
from rnnparity.reference.tolerance import expect

MERGE = {"sum": np.add, "mul": np.multiply, "ave": lambda a, b: (a + b) / 2}
MASK = ["111100", "111111", "110000", "011110"]


def merged_problem(mode, kind="gru", sequences=True, **options):
    inner = spec_of(kind, **(SEQUENCES if sequences else {}))
    return random_problem(two_ways(inner, merge_mode=mode), 0, (4, 6, 3), **options)


def halves_of(problem):
    """The problems of both halves, and their sequences in the order of processing."""
    outputs = compute(problem)
    return merged_halves(Evidence(problem, outputs, expect(problem)))


def found_in(problem, array):
    explanation = diagnose(with_arrays(problem, [array])).explanation
    findings = [f for f in explanation.findings if accounts_for_values(f)]
    return explanation, {(f.type, f.name, f.half) for f in findings}


def restarted(half):
    """Every step from the initial states, by the reference."""
    data = half.problem.inputs.data
    steps = [
        compute(with_inputs(half.problem, data[:, step : step + 1]))[0].data
        for step in range(data.shape[1])
    ]
    return np.concatenate(steps, axis=1)


def with_inputs(problem, data):
    return replace(problem, inputs=replace(problem.inputs, data=data), mask=None)


@pytest.mark.parametrize("mode", MERGE)
@pytest.mark.parametrize("wrong", [("forward/",), ("backward/",), ("forward/", "backward/")])
def test_restarts_in_merged_halves_are_found(mode, wrong):
    problem = merged_problem(mode, initial=True)
    arrays = []
    for half in halves_of(problem):
        prefix = half.view.prefix
        values = restarted(half) if prefix in wrong else half.view.outputs[0].expected
        arrays.append(values[:, ::-1] if prefix == "backward/" else values)
    explanation, found = found_in(problem, MERGE[mode](*arrays))
    assert found == {(FindingType.RESTARTS_EVERY_STEP, "", prefix) for prefix in wrong}
    assert explanation.accounted


@pytest.mark.parametrize("mode", MERGE)
@pytest.mark.parametrize("wrong", [("forward/",), ("backward/",), ("forward/", "backward/")])
@pytest.mark.parametrize("gate", ["z", "r"])
def test_gates_that_merged_halves_return_are_found(mode, wrong, gate):
    problem = merged_problem(mode)
    arrays = []
    for half in halves_of(problem):
        prefix = half.view.prefix
        values = half.view.outputs[0].expected
        if prefix in wrong:
            values = np.stack([step.gates[gate] for step in trace(half.problem)], axis=1)
        arrays.append(values[:, ::-1] if prefix == "backward/" else values)
    explanation, found = found_in(problem, MERGE[mode](*arrays))
    assert found == {(FindingType.OTHER_QUANTITY, f"gate {gate}", prefix) for prefix in wrong}
    assert explanation.accounted


@pytest.mark.parametrize(
    ("mode", "wrong"),
    [
        ("sum", ("backward/",)),
        ("ave", ("forward/",)),
        *((m, ("forward/", "backward/")) for m in MERGE),
    ],
)
@pytest.mark.parametrize("name", ["kept-state", "new-state"])
def test_masked_steps_in_merged_halves_are_found(mode, wrong, name):
    problem = merged_problem(mode, "lstm", mask=MASK, initial=True)
    arrays = []
    for half in halves_of(problem):
        prefix, values = half.view.prefix, half.view.outputs[0].expected
        if prefix in wrong:
            masked = dict(masked_alternatives(half))[name]
            values = np.where(half.all_units(half.used), values, masked)
        arrays.append(values[:, ::-1] if prefix == "backward/" else values)
    actual = with_arrays(problem, [MERGE[mode](*arrays)]).outputs
    evidence = Evidence(problem, actual, expect(problem))
    found = list(merged_findings(evidence, problem.layer))
    assert [(f.type, f.name, f.half) for f in found] == [
        (FindingType.MASKED_STEPS_ONLY, name, prefix) for prefix in wrong
    ]
    assert all(finding.certain for finding in found)


def test_nothing_is_found_where_returned_states_differ():
    problem = random_problem(two_ways(spec_of("gru", **BOTH), merge_mode="sum"), 0, (4, 6, 3))
    outputs = [tensor.data + 0.1 for tensor in compute(problem)]
    evidence = Evidence(problem, with_arrays(problem, outputs).outputs, expect(problem))
    assert list(merged_findings(evidence, problem.layer)) == []


def test_last_outputs_of_merged_halves_that_restart_are_found():
    problem = merged_problem("sum", sequences=False)
    arrays = []
    for half in halves_of(problem):
        data = half.problem.inputs.data[:, -1:]  # in the order of processing
        arrays.append(compute(with_inputs(half.problem, data))[0].data)
    explanation, found = found_in(problem, np.add(*arrays))
    assert explanation.accounted
    assert found == {
        (FindingType.RESTARTS_EVERY_STEP, "", prefix) for prefix in ("forward/", "backward/")
    }


@pytest.mark.parametrize("mode", MERGE)
def test_restart_that_changes_nothing_in_one_half_is_not_claimed_of_it(mode):
    """The forward half does not use the previous state."""
    problem = merged_problem(mode, "simple_rnn", initial=True)
    weights = [
        replace(tensor, data=np.zeros_like(tensor.data))
        if tensor.name == "forward/recurrent_kernel"
        else tensor
        for tensor in problem.weights
    ]
    problem = replace(problem, weights=tuple(weights))
    first, second = halves_of(problem)
    output = MERGE[mode](first.view.outputs[0].expected, restarted(second)[:, ::-1])
    _, found = found_in(problem, output)
    assert found == {(FindingType.RESTARTS_EVERY_STEP, "", "backward/")}
