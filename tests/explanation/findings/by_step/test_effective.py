"""The weights that were used are found where those of one gate account for all differences."""

from dataclasses import replace

import numpy as np
import pytest
from _support.edited_weights import (
    LAYERS,
    changed,
    edited,
    effective,
    random_problem,
    summary,
)

from rnnparity.explanation.findings.by_step.effective import effective_weights
from rnnparity.explanation.findings.changed_weights.block_changes import blocks_of
from rnnparity.problem.findings import BlockChange, WeightBlock
from rnnparity.problem.layers import ACTIVATIONS, Recurrent
from rnnparity.problem.problem import Tensor
from rnnparity.reference import compute
from rnnparity.reference.tolerance import expect

GATES = [(name, gate) for name, layer in LAYERS.items() for gate in layer.cell.gates]


@pytest.mark.parametrize(("name", "gate"), GATES)
@pytest.mark.parametrize("weights", ["kernel", "recurrent_kernel", "bias"])
def test_one_changed_block_of_every_gate_is_found(name, gate, weights):
    problem = random_problem(LAYERS[name])
    rows = 2 if name == "GRU" and weights == "bias" else 1
    for row in range(rows):
        block = WeightBlock(weights, gate, row if rows > 1 else None)
        findings, unknown = effective(problem, edited(problem, block, lambda w: -w))
        assert summary(findings) == [changed(block, BlockChange.NEGATED)]
        assert findings[0].sigma < 10
        assert unknown is None


@pytest.mark.parametrize(
    ("change", "edit"),
    [
        (BlockChange.MISSING, lambda w: 0 * w),
        (BlockChange.DOUBLED, lambda w: 2 * w),
        (BlockChange.SCALED, lambda w: 0.7 * w),
        (BlockChange.SHIFTED, lambda w: w + 0.25),
        (BlockChange.TRANSPOSED, lambda w: w.T),
        (BlockChange.REVERSED, lambda w: w[::-1]),
        (BlockChange.REVERSED, lambda w: w[:, ::-1]),
        (BlockChange.PERMUTED, lambda w: w[[1, 2, 0, 4, 3]]),
        (BlockChange.OTHER, lambda w: w + np.sin(np.arange(w.size)).reshape(w.shape)),
    ],
)
def test_what_was_done_to_a_block_is_told(change, edit):
    problem = random_problem(LAYERS["LSTM"])
    block = WeightBlock("recurrent_kernel", "f")
    (finding,), _ = effective(problem, edited(problem, block, edit))
    assert summary([finding]) == [changed(block, change)]
    if change is BlockChange.SCALED:
        assert finding.value == pytest.approx(0.7, abs=1e-5)
    if change is BlockChange.SHIFTED:
        assert finding.value == pytest.approx(0.25, abs=1e-5)
    if change is BlockChange.PERMUTED:
        assert finding.numbers == (1, 2, 0, 4, 3)


@pytest.mark.parametrize("change", [BlockChange.REPLACED, BlockChange.ADDED])
def test_the_block_that_was_used_instead_is_named(change):
    problem = random_problem(LAYERS["GRU"])
    block, source = WeightBlock("recurrent_kernel", "h"), WeightBlock("recurrent_kernel", "z")
    arrays = {tensor.name: tensor.data for tensor in problem.weights}
    other = blocks_of(problem.layer, arrays)[source]
    edit = (lambda w: other) if change is BlockChange.REPLACED else (lambda w: w + other)
    (finding,), _ = effective(problem, edited(problem, block, edit))
    assert summary([finding]) == [changed(block, change)]
    assert finding.source == source


def test_a_row_of_a_bias_that_is_used_twice_is_told():
    problem = random_problem(LAYERS["GRU"])
    row = WeightBlock("bias", "z", 1)
    (finding,), _ = effective(problem, edited(problem, row, lambda b: 2 * b))
    assert summary([finding]) == [changed(row, BlockChange.DOUBLED)]


def test_where_only_the_sum_of_two_rows_counts_no_row_is_named():
    problem = random_problem(LAYERS["GRU"])
    row = WeightBlock("bias", "r", 0)
    (finding,), _ = effective(problem, edited(problem, row, lambda b: b + 0.5))
    assert summary([finding]) == [changed(replace(row, row=None), BlockChange.SHIFTED)]


@pytest.mark.parametrize("row", [0, 1])
def test_rows_that_the_reset_gate_distinguishes_are_named(row):
    problem = random_problem(LAYERS["GRU"])
    block = WeightBlock("bias", "h", row)
    (finding,), _ = effective(problem, edited(problem, block, lambda b: b + 0.5))
    assert summary([finding]) == [changed(block, BlockChange.SHIFTED)]


@pytest.mark.parametrize("name", LAYERS)
def test_weights_that_make_more_noise_are_found_in_float32_arithmetic(name):
    layer = LAYERS[name]
    problem = random_problem(layer, size=0.5)
    block = WeightBlock("kernel", layer.cell.gates[-1])
    wrong = edited(problem, block, lambda w: 12 * w)
    output = Tensor("output", np.asarray(compute(wrong, np.float32)[0].data))
    answer = effective_weights(problem.with_outputs((output,)), expect(problem).sigmas[0])
    assert summary(answer.findings) == [changed(block, BlockChange.SCALED)]


def test_outputs_that_should_be_exact_zeros_have_noise_as_others():
    problem = random_problem(replace(LAYERS["SimpleRNN"], activation="relu"), steps=40)
    problem = edited(problem, WeightBlock("bias", "h"), lambda b: b - 1)
    block = WeightBlock("kernel", "h")
    (finding,), _ = effective(problem, edited(problem, block, lambda w: -w))
    assert summary([finding]) == [changed(block, BlockChange.NEGATED)]


def test_changes_of_two_arrays_of_a_gate_are_told_apart():
    problem = random_problem(LAYERS["LSTM"])
    kernel, bias = WeightBlock("kernel", "o"), WeightBlock("bias", "o")
    wrong = edited(edited(problem, kernel, lambda w: -w), bias, lambda b: 0 * b)
    findings, _ = effective(problem, wrong)
    expected = [changed(kernel, BlockChange.NEGATED), changed(bias, BlockChange.MISSING)]
    assert summary(findings) == expected


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", LAYERS)
def test_every_activation_is_inverted_where_it_can_be(name, activation):
    layer = replace(LAYERS[name], activation=activation)
    problem = random_problem(layer, steps=60, size=0.2)
    gate = layer.cell.gates[-1]
    block = WeightBlock("kernel", gate)
    findings, _ = effective(problem, edited(problem, block, lambda w: 1.5 * w))
    assert summary(findings) == [changed(block, BlockChange.SCALED)]


def test_a_long_sequence_is_cut():
    problem = random_problem(LAYERS["GRU"], batch=3, steps=1500)
    block = WeightBlock("kernel", "r")
    findings, _ = effective(problem, edited(problem, block, lambda w: 2 * w))
    assert summary(findings) == [changed(block, BlockChange.DOUBLED)]


@pytest.mark.parametrize(
    "edit", [lambda w: w[::-1], lambda w: w + np.sin(np.arange(w.size)).reshape(w.shape)]
)
def test_only_some_units_of_a_wide_layer_are_solved_for_at_first(edit):
    problem = random_problem(Recurrent("LSTM", 64, return_sequences=True), 10, 40, size=0.2)
    block = WeightBlock("recurrent_kernel", "i")
    (finding,), _ = effective(problem, edited(problem, block, edit))
    assert (finding.block, finding.certain) == (block, True)


def test_steps_follow_where_a_whole_run_does_not():
    problem = random_problem(LAYERS["SimpleRNN"], steps=60, size=2.0)
    block = WeightBlock("recurrent_kernel", "h")
    (finding,), _ = effective(problem, edited(problem, block, lambda w: 2 * w))
    assert summary([finding]) == [changed(block, BlockChange.DOUBLED)]
