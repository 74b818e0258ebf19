"""Another activation of one gate is found, and which one it is."""

from dataclasses import replace

import pytest
from _support.random_problems import SEQUENCES, random_problem, spec_of, stack_of, two_ways
from validation.off_list.changes import Change, ChangedImplementation, Kind
from validation.off_list.trials import with_arrays

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.findings.changed_weights import activations
from rnnparity.problem.findings import Finding, FindingType, WeightBlock

PLACES = [("simple_rnn", "h"), ("lstm", ""), *(("lstm", gate) for gate in "ifco")]
PLACES += [(kind, gate) for kind in ("gru", "gru_before") for gate in "zrh"]


def found(problem, gate, name, prefix=""):
    block = WeightBlock(f"{prefix}kernel", gate) if gate else None
    change = Change(
        Kind.ACTIVATION, Finding(FindingType.ACTIVATION, name, half=prefix, block=block)
    )
    arrays = ChangedImplementation(change)(problem)
    findings = diagnose(with_arrays(problem, arrays)).explanation.findings
    return [finding for finding in findings if finding.type is FindingType.ACTIVATION]


@pytest.mark.parametrize("name", ["softsign", "hard_sigmoid"])
@pytest.mark.parametrize(("kind", "gate"), PLACES)
def test_activation_of_one_gate_is_named(kind, gate, name):
    problem = random_problem(spec_of(kind, **SEQUENCES), 0, (3, 6, 4))
    (finding,) = found(problem, gate, name)
    assert (finding.name, finding.certain) == (name, True)
    assert (finding.block.gate if finding.block else "") == gate


@pytest.mark.parametrize("mode", ["concat", "sum"])
def test_activation_of_one_half_is_named(mode):
    spec = two_ways(spec_of("gru", **SEQUENCES), merge_mode=mode)
    problem = random_problem(spec, 1, (3, 6, 4))
    (finding,) = found(problem, "z", "softsign", "backward/")
    assert (finding.half, finding.name) == ("backward/", "softsign")


def test_activation_of_a_layer_below_is_named():
    spec = stack_of(spec_of("lstm", **SEQUENCES), spec_of("gru", **SEQUENCES))
    (finding,) = found(random_problem(spec, 2, (3, 6, 4)), "f", "softsign", "0/")
    assert (finding.half, finding.name) == ("0/", "softsign")


def test_activations_that_cannot_be_distinguished_are_not_certain():
    problem = random_problem(spec_of("gru", **SEQUENCES), 0, (3, 6, 4), scale=0.2)
    bias = problem.weights[2]
    # The pre-activations of all gates are positive.
    problem = replace(
        problem, weights=(*problem.weights[:2], replace(bias, data=bias.data * 0 + 1))
    )
    findings = found(problem, "r", "relu")
    assert {finding.name for finding in findings} == {"relu", "linear", "elu"}
    assert not any(finding.certain for finding in findings)


def test_activation_that_fits_a_few_rows_only_is_no_finding(monkeypatch):
    problem = random_problem(spec_of("simple_rnn", **SEQUENCES), 0, (5, 6, 4))
    monkeypatch.setattr(activations, "FIRST_ROWS", 1)
    change = Change(
        Kind.ACTIVATION,
        Finding(FindingType.ACTIVATION, "softsign", block=WeightBlock("kernel", "h")),
    )
    (array,) = ChangedImplementation(change)(problem)
    (usual,) = ChangedImplementation(replace(change, finding=replace(change.finding, name="tanh")))(
        problem
    )
    array[3] = usual[3]
    array[4] += 1e-3
    findings = diagnose(with_arrays(problem, [array])).explanation.findings
    assert FindingType.ACTIVATION not in {finding.type for finding in findings}
