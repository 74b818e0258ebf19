"""Weights that differ in several gates at once are found, or how many steps it would take."""

from dataclasses import replace

import numpy as np
import pytest
from _support.edited_weights import FEATURES, LAYERS, UNITS, edited, random_problem
from _support.random_problems import SEQUENCES, spec_of, stack_of, two_ways
from _support.random_problems import random_problem as layer_problem

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.findings.by_step import fitted_gates as limits
from rnnparity.explanation.findings.by_step.accounts import ActualSequence
from rnnparity.explanation.findings.by_step.effective import fitted_weights
from rnnparity.explanation.findings.by_step.fitted_gates import fitted_gates, weights_of_unit
from rnnparity.problem.findings import (
    BlockChange,
    FindingType,
    WeightBlock,
    accounts_for_values,
    is_undetermined,
    undetermined,
    undetermined_last,
)
from rnnparity.problem.problem import Tensor
from rnnparity.reference import compute
from rnnparity.reference.tolerance import expect
from rnnparity.report.text.findings import finding_text

GATED = [name for name in LAYERS if name != "SimpleRNN"]


def with_array(problem, name, edit):
    """Return the problem with one weight array edited."""
    weights = [
        replace(tensor, data=edit(tensor.data).astype(np.float32))
        if tensor.name == name
        else tensor
        for tensor in problem.weights
    ]
    return replace(problem, weights=tuple(weights))


def explained(problem, wrong):
    """Return the findings about float32 outputs of a problem with other weights."""
    output = Tensor("output", np.asarray(compute(wrong, np.float32)[0].data))
    return diagnose(problem.with_outputs((output,))).explanation.findings


def fitted_to(problem, outputs):
    """Return the weights that give some outputs."""
    problem = problem.with_outputs((Tensor.of("output", outputs),))
    gates = "".join(problem.layer.cell.gates)
    return fitted_weights(problem, expect(problem).sigmas[0], gates)


def sequence_of(problem):
    return ActualSequence(problem, expect(problem).sigmas[0])


def noise(array):
    return array + 0.2 * np.random.default_rng(3).standard_normal(array.shape)


@pytest.mark.parametrize("name", GATED)
@pytest.mark.parametrize("array", ["kernel", "recurrent_kernel", "bias"])
def test_other_numbers_in_all_gates_of_an_array_are_found(name, array):
    problem = random_problem(LAYERS[name], seed=1)
    (finding,) = explained(problem, with_array(problem, array, noise))
    assert (finding.block, finding.change) == (WeightBlock(array, ""), BlockChange.OTHER)
    assert finding.certain


def test_bias_of_all_gates_needs_few_steps():
    problem = random_problem(LAYERS["LSTM"], batch=2, steps=6, seed=1)
    (finding,) = explained(problem, with_array(problem, "bias", noise))
    assert (finding.block, finding.certain) == (WeightBlock("bias", ""), True)


@pytest.mark.parametrize("name", GATED)
@pytest.mark.parametrize("steps", [8, 30])
def test_factor_of_an_array_is_found(name, steps):
    problem = random_problem(LAYERS[name], batch=2, steps=steps, seed=1)
    for array in ("recurrent_kernel", "bias"):
        (finding,) = explained(problem, with_array(problem, array, lambda w: 0.7 * w))
        assert (finding.block, finding.change) == (WeightBlock(array, ""), BlockChange.SCALED)
        assert finding.value == pytest.approx(0.7, abs=1e-4)


def test_factor_of_an_array_is_found_from_last_outputs():
    layer = replace(LAYERS["LSTM"], return_sequences=False)
    problem = random_problem(layer, batch=6, seed=1)
    (finding,) = explained(problem, with_array(problem, "bias", lambda b: 0.7 * b))
    assert (finding.block, finding.change) == (WeightBlock("bias", ""), BlockChange.SCALED)


def test_scaled_kernel_is_stated_as_scaled_inputs():
    problem = random_problem(LAYERS["GRU"], seed=1)
    (finding,) = explained(problem, with_array(problem, "kernel", lambda w: 0.7 * w))
    assert finding.type is FindingType.INPUTS


def test_scaled_kernel_of_one_direction_is_found():
    layer = two_ways(spec_of("gru", **SEQUENCES))
    problem = layer_problem(layer, 2, (3, 8, 4))
    found = explained(problem, with_array(problem, "backward/kernel", lambda w: 0.7 * w))
    (finding,) = (each for each in found if accounts_for_values(each))
    assert (finding.half, finding.block) == ("backward/", WeightBlock("kernel", ""))
    assert finding.value == pytest.approx(0.7, abs=1e-4)


@pytest.mark.parametrize("layer", ["0/", "1/"])
def test_scaled_kernel_of_a_layer_of_a_stack_is_stated_as_scaled_inputs(layer):
    stack = stack_of(spec_of("gru", **SEQUENCES), spec_of("lstm", **SEQUENCES))
    problem = layer_problem(stack, 2, (3, 8, 4))
    found = explained(problem, with_array(problem, f"{layer}kernel", lambda w: 0.7 * w))
    assert [f.type for f in found if accounts_for_values(f)] == [FindingType.INPUTS]


def test_changes_of_two_gates_are_described():
    problem = random_problem(LAYERS["LSTM"], seed=1)
    kernel, recurrent = WeightBlock("kernel", "i"), WeightBlock("recurrent_kernel", "f")
    wrong = edited(edited(problem, kernel, lambda w: -w), recurrent, lambda w: w.T)
    found = {(f.block, f.change) for f in explained(problem, wrong)}
    assert found == {(kernel, BlockChange.NEGATED), (recurrent, BlockChange.TRANSPOSED)}


def test_gate_whose_steps_cannot_be_inverted_is_fitted():
    layer = replace(LAYERS["LSTM"], recurrent_activation="relu")
    problem = random_problem(layer, seed=0)
    findings = explained(problem, edited(problem, WeightBlock("kernel", "c"), noise))
    (finding,) = (f for f in findings if f.type is FindingType.EFFECTIVE_WEIGHTS)
    assert (finding.block, finding.certain) == (WeightBlock("kernel", "c"), True)


def test_activation_without_inverse_is_the_reason_why_steps_cannot_be_used():
    layer = replace(LAYERS["LSTM"], recurrent_activation="relu")
    problem = random_problem(layer, batch=2, steps=6)
    findings = explained(problem, edited(problem, WeightBlock("kernel", "i"), noise))
    finding = findings[-1]
    assert is_undetermined(finding)
    assert not finding.certain
    assert "i" in finding.block.gate
    assert finding.name == "relu"
    assert finding.numbers[0] < finding.numbers[1]
    assert "because relu has no inverse at some values" in finding_text(finding)


def test_steps_that_several_gates_need_are_stated():
    problem = random_problem(LAYERS["LSTM"], batch=2, steps=6, seed=1)
    (finding,) = explained(problem, with_array(problem, "kernel", noise))
    usable = int(problem.mask.sum())
    assert finding == replace(undetermined(None, (usable, 4 * (FEATURES + UNITS + 1) + 1)))
    assert finding_text(finding) == (
        f"no other weights of one gate give these outputs; for several gates: {usable} usable steps "
        "of 37 needed; more steps, or rows with different inputs, would do"
    )


@pytest.mark.parametrize("name", GATED)
def test_noise_is_not_taken_for_weights_of_several_gates(name):
    problem = random_problem(LAYERS[name], seed=1)
    expected = compute(problem)[0].data
    for size in (1e-5, 1e-3, 0.1):
        noisy = expected + size * np.random.default_rng(0).standard_normal(expected.shape)
        assert not fitted_to(problem, noisy)


def test_other_equations_are_not_taken_for_weights():
    problem = random_problem(LAYERS["GRU"], seed=1)
    assert not fitted_to(problem, compute(problem)[0].data ** 3)


def test_weights_of_a_unit_are_counted_in_both_rows_of_a_bias():
    counts = {"LSTM": 4 * (3 + 5 + 1), "GRU": 3 * (3 + 5 + 1) + 1, "GRU, reset before": 27}
    for name, count in counts.items():
        problem = random_problem(LAYERS[name])
        output = Tensor("output", compute(problem)[0].data)
        assert weights_of_unit(sequence_of(problem.with_outputs((output,)))) == count


def test_too_many_weights_are_not_fitted(monkeypatch):
    problem = random_problem(LAYERS["LSTM"], seed=1)
    output = Tensor("output", compute(with_array(problem, "bias", noise))[0].data)
    whole = sequence_of(problem.with_outputs((output,)))
    assert fitted_gates(whole, lambda count: whole, "")
    monkeypatch.setattr(limits, "MOST_WORK", 10)
    assert not fitted_gates(whole, lambda count: whole, "")


def test_what_cannot_be_determined_comes_last():
    problem = random_problem(LAYERS["LSTM"], batch=2, steps=6, seed=1)
    (found,) = explained(problem, with_array(problem, "bias", noise))
    unknown = undetermined(WeightBlock("", "i"), (3, 10))
    assert undetermined_last([unknown, found]) == (found, unknown)
