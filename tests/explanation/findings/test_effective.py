"""The weights that were used are found where those of one gate account for all differences."""

from dataclasses import replace

import numpy as np
import pytest

from rnnparity.explanation.findings.accounts import blocks_of
from rnnparity.explanation.findings.effective import effective_weights
from rnnparity.explanation.findings.inverse import invert
from rnnparity.problem.findings import BlockChange, FindingType, WeightBlock
from rnnparity.problem.layers import ACTIVATIONS, Recurrent
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import state_slots, weight_slots
from rnnparity.reference import activations, compute
from rnnparity.reference.tolerance import expect

BATCH, STEPS, FEATURES, UNITS = 4, 30, 3, 5
RESET_BEFORE = Recurrent("GRU", UNITS, reset_after=False, return_sequences=True)
LAYERS = {
    "SimpleRNN": Recurrent("SimpleRNN", UNITS, return_sequences=True),
    "LSTM": Recurrent("LSTM", UNITS, return_sequences=True),
    "GRU": Recurrent("GRU", UNITS, return_sequences=True),
    "GRU, reset before": RESET_BEFORE,
}
GATES = [(name, gate) for name, layer in LAYERS.items() for gate in layer.cell.gates]


def random_problem(layer, batch=BATCH, steps=STEPS, seed=0, size=1.0):
    """Return a problem with an initial state and a mask with gaps."""
    rng = np.random.default_rng(seed)

    def draw(slot, scale):
        return Tensor.of(slot.name, scale * rng.standard_normal(slot.shape), slot.dtype)

    return Problem(
        layer,
        tuple(draw(slot, size / 2) for slot in weight_slots(layer, FEATURES)),
        Tensor.of("inputs", rng.standard_normal((batch, steps, FEATURES))),
        rng.random((batch, steps)) < 0.9,
        tuple(
            Tensor.of(slot.name, rng.standard_normal(slot.shape) / 2)
            for slot in state_slots(layer, batch)
        ),
    )


def edited(problem, block, edit):
    """Return the problem with one block of its weights edited."""
    weights = []
    for tensor in problem.weights:
        data = tensor.data.copy()
        if tensor.name == block.weights:
            start = problem.layer.cell.gates.index(block.gate) * problem.layer.units
            rows = data if block.row is None else data[block.row]
            columns = rows[..., start : start + problem.layer.units]
            columns[...] = edit(columns.copy())
        weights.append(replace(tensor, data=data))
    return replace(problem, weights=tuple(weights))


def effective(problem, actual, dtype="float32"):
    """Return what is found where the outputs are those of another problem."""
    output = Tensor.of("output", compute(actual)[0].data, dtype)
    return effective_weights(problem.with_outputs((output,)), expect(problem).sigmas[0])


def changed(block, change):
    return FindingType.EFFECTIVE_WEIGHTS, block, change, True


def summary(findings):
    return [(f.type, f.block, f.change, f.certain) for f in findings]


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
        assert unknown == []


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
    other = blocks_of(problem)[source]
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


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_correct_outputs_have_no_finding(name, dtype):
    for seed in range(5):
        problem = random_problem(replace(LAYERS[name], dtype=dtype), seed=seed)
        assert effective(problem, problem, dtype) == ([], [])


def test_gates_without_enough_steps_are_not_identifiable():
    problem = random_problem(LAYERS["LSTM"], batch=1, steps=4)
    problem = replace(problem, mask=None)
    other = edited(problem, WeightBlock("kernel", "f"), lambda w: w + np.arange(15).reshape(3, 5))
    findings, unknown = effective(problem, other)
    assert findings == []
    gates = {gate.gate: gate for gate in unknown}
    assert gates["f"].usable <= 4
    assert gates["f"].needed == FEATURES + UNITS + 2


def test_steps_in_which_relu_is_zero_cannot_be_used():
    problem = random_problem(replace(LAYERS["SimpleRNN"], activation="relu"), batch=2, steps=8)
    low = edited(problem, WeightBlock("bias", "h"), lambda b: b - 1)
    findings, unknown = effective(problem, low)
    assert [finding.change for finding in findings] in ([], [BlockChange.SHIFTED])
    (gate,) = unknown
    assert gate.usable < gate.needed == FEATURES + UNITS + 2


@pytest.mark.parametrize("name", LAYERS)
def test_noise_is_not_taken_for_weights(name):
    problem = random_problem(LAYERS[name])
    expected = compute(problem)[0].data
    rng = np.random.default_rng(1)
    for size in (1e-5, 1e-3, 0.1):
        noisy = expected + size * rng.standard_normal(expected.shape)
        output = Tensor.of("output", noisy)
        findings, _ = effective_weights(problem.with_outputs((output,)), expect(problem).sigmas[0])
        assert findings == []


@pytest.mark.parametrize("name", LAYERS)
def test_outputs_of_a_coarser_type_are_not_taken_for_other_weights(name):
    problem = random_problem(LAYERS[name])
    assert effective(problem, problem, "float16")[0] == []


@pytest.mark.parametrize("name", LAYERS)
def test_small_differences_in_a_coarse_type_are_not_attributed_with_certainty(name):
    problem = random_problem(replace(LAYERS[name], dtype="float16"), steps=60)
    output = Tensor.of("output", 1.01 * compute(problem)[0].data, "float16")
    findings, _ = effective_weights(problem.with_outputs((output,)), expect(problem).sigmas[0])
    assert not any(finding.certain for finding in findings)


@pytest.mark.parametrize("value", [0.0, 0.5, np.nan])
@pytest.mark.parametrize("name", LAYERS)
def test_a_constant_output_says_nothing_about_weights(name, value):
    problem = random_problem(LAYERS[name])
    output = Tensor.of("output", np.full(problem.output_slots()[0].shape, value))
    sigmas = expect(problem).sigmas[0]
    assert effective_weights(problem.with_outputs((output,)), sigmas) == ([], [])


def test_changes_of_two_gates_are_not_attributed_to_one():
    problem = random_problem(LAYERS["LSTM"])
    wrong = problem
    for gate in "if":
        wrong = edited(wrong, WeightBlock("kernel", gate), lambda w: -w)
    assert effective(problem, wrong) == ([], [])


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


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_inverses_are_exact_or_missing(name):
    function = activations.ACTIVATIONS[name]
    x = np.linspace(-6, 60, 661)
    y = function(x)
    inverse = invert(name, y)
    told = ~np.isnan(inverse)
    assert told.any()
    with np.errstate(divide="ignore", invalid="ignore"):
        error = 4 * np.finfo(float).eps * (1 + np.abs(y) / np.abs(function.slope(x, y)))
    assert (np.abs(inverse - x) <= error * (1 + np.abs(x)))[told].all()
    assert np.isnan(invert("relu", np.array([0.0, -1.0]))).all()
    assert np.isnan(invert("hard_sigmoid", np.array([0.0, 1.0]))).all()
