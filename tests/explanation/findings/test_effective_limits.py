"""No weights are found where nothing differs, where too little is known, or in mere noise."""

from dataclasses import replace

import numpy as np
import pytest
from _support.edited_weights import (
    FEATURES,
    LAYERS,
    UNITS,
    changed,
    edited,
    effective,
    random_problem,
    summary,
)

from rnnparity.explanation.findings.by_step.effective import effective_weights
from rnnparity.problem.findings import BlockChange, WeightBlock
from rnnparity.problem.problem import Tensor
from rnnparity.reference import compute
from rnnparity.reference.tolerance import expect


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_correct_outputs_have_no_finding(name, dtype):
    for seed in range(5):
        problem = random_problem(replace(LAYERS[name], dtype=dtype), seed=seed)
        assert effective(problem, problem, dtype) == ([], None)


def test_gates_without_enough_steps_are_not_identifiable():
    problem = random_problem(LAYERS["LSTM"], batch=1, steps=4)
    problem = replace(problem, mask=None)
    other = edited(problem, WeightBlock("kernel", "f"), lambda w: w + np.arange(15).reshape(3, 5))
    findings, unknown = effective(problem, other)
    assert findings == []
    assert "f" in unknown.gates
    assert unknown.usable <= 4
    assert unknown.needed == FEATURES + UNITS + 2
    assert unknown.without_inverse == ()


def test_steps_in_which_relu_is_zero_cannot_be_used():
    problem = random_problem(replace(LAYERS["SimpleRNN"], activation="relu"), batch=2, steps=8)
    low = edited(problem, WeightBlock("bias", "h"), lambda b: b - 1)
    findings, unknown = effective(problem, low)
    assert [finding.change for finding in findings] in ([], [BlockChange.SHIFTED])
    assert unknown.gates == "h"
    assert unknown.usable < unknown.needed == FEATURES + UNITS + 2
    assert unknown.without_inverse == ("relu",)


@pytest.mark.parametrize("name", LAYERS)
def test_noise_is_not_taken_for_weights(name):
    problem = random_problem(LAYERS[name])
    expected = compute(problem)[0].data
    rng = np.random.default_rng(1)
    for size in (1e-5, 1e-3, 0.1):
        noisy = expected + size * rng.standard_normal(expected.shape)
        output = Tensor.of("output", noisy)
        answer = effective_weights(problem.with_outputs((output,)), expect(problem).sigmas[0])
        assert answer.findings == []


@pytest.mark.parametrize("name", LAYERS)
def test_outputs_of_a_coarser_type_are_not_taken_for_other_weights(name):
    problem = random_problem(LAYERS[name])
    assert effective(problem, problem, "float16")[0] == []


@pytest.mark.parametrize("name", LAYERS)
def test_small_differences_in_a_coarse_type_are_not_attributed_with_certainty(name):
    problem = random_problem(replace(LAYERS[name], dtype="float16"), steps=60)
    output = Tensor.of("output", 1.01 * compute(problem)[0].data, "float16")
    answer = effective_weights(problem.with_outputs((output,)), expect(problem).sigmas[0])
    assert not any(finding.certain for finding in answer.findings)


@pytest.mark.parametrize("value", [0.0, 0.5, np.nan])
@pytest.mark.parametrize("name", LAYERS)
def test_a_constant_output_says_nothing_about_weights(name, value):
    problem = random_problem(LAYERS[name])
    output = Tensor.of("output", np.full(problem.output_slots()[0].shape, value))
    sigmas = expect(problem).sigmas[0]
    answer = effective_weights(problem.with_outputs((output,)), sigmas)
    assert (answer.findings, answer.unknown) == ([], None)


def test_changes_of_two_gates_are_not_attributed_to_one():
    problem = random_problem(LAYERS["LSTM"])
    wrong = problem
    for gate in "if":
        wrong = edited(wrong, WeightBlock("kernel", gate), lambda w: -w)
    findings, unknown = effective(problem, wrong)
    assert (findings, unknown.gates) == ([], "")


@pytest.mark.parametrize("seed", [0, 3])
def test_noise_is_that_of_the_weights_that_were_used(seed):
    # With these the recurrence amplifies rounding errors, in float32 arithmetic, more than expected.
    problem = random_problem(LAYERS["SimpleRNN"], seed=seed)
    amplified = edited(problem, WeightBlock("recurrent_kernel", "h"), lambda w: 20 * w)
    output = Tensor.of("output", compute(amplified, np.float32)[0].data)
    sigmas = expect(problem).sigmas[0]
    (finding,) = effective_weights(problem.with_outputs((output,)), sigmas).findings
    assert (finding.change, finding.certain) == (BlockChange.SCALED, True)
    assert finding.value == pytest.approx(20, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "gate"), [("SimpleRNN", "h"), ("LSTM", "f"), ("GRU", "r"), ("GRU, reset before", "z")]
)
def test_only_units_that_differ_count_as_fitted(name, gate):
    # One weight is different: fewer values differ than there are weights in all units.
    problem = replace(random_problem(LAYERS[name], batch=2, steps=11), mask=None)
    block = WeightBlock("recurrent_kernel", gate)
    wrong = edited(problem, block, lambda w: w + 0.1 * (np.arange(25).reshape(5, 5) == 7))
    findings, _ = effective(problem, wrong)
    assert summary(findings) == [changed(block, BlockChange.OTHER)]


@pytest.mark.parametrize("name", ["GRU", "GRU, reset before"])
def test_gate_that_agrees_wherever_it_is_known_is_ruled_out(name):
    # Where the state is kept z is 1, which has no inverse; all other steps show the given weights.
    masked = random_problem(LAYERS[name])
    findings, unknown = effective(replace(masked, mask=None), masked)
    assert (findings, unknown.gates) == ([], "")


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("LSTM", 4 * (FEATURES + UNITS + 1) + 1),
        ("GRU", 3 * (FEATURES + UNITS + 1) + 2),
        ("GRU, reset before", 3 * (FEATURES + UNITS + 1) + 1),
    ],
)
def test_steps_for_the_weights_of_all_gates_are_those_that_are_documented(name, needed):
    problem = random_problem(LAYERS[name])
    wrong = problem
    for gate in LAYERS[name].cell.gates:
        wrong = edited(wrong, WeightBlock("kernel", gate), lambda w: -w)
    _, unknown = effective(problem, wrong)
    assert (unknown.gates, unknown.needed) == ("", needed)
