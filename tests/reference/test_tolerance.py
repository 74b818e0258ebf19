"""What follows from the noise: thresholds, visible faults, problems that cannot be judged."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from _support.random_problems import (
    BOTH,
    KINDS,
    SEQUENCES,
    STATE,
    problem_of,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
)

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.build import constant_weights
from rnnparity.problem.findings import WeightBlock
from rnnparity.problem.problem import Tensor
from rnnparity.reference import compute, compute_with_noise
from rnnparity.reference.tolerance import expect
from rnnparity.verdict.compare import compare_values

HALVES, WEIGHTS = ("forward", "backward"), ("kernel", "recurrent_kernel", "bias")

every_kind = pytest.mark.parametrize("kind", KINDS)


def rounded_to_its_dtype(problem, outputs):
    """Return what a correct implementation would return."""
    return [
        Tensor.of(slot.name, tensor.data, slot.dtype)
        for slot, tensor in zip(problem.output_slots(), outputs, strict=True)
    ]


def differences(expected, outputs):
    return compare_values(
        outputs, expected.outputs, expected.sigmas, expected.dtype.threshold
    ).differences


def sigmas_of_float32(problem, expected):
    """Return the largest error of a run in float32, in sigma."""
    return compare_values(
        compute(problem, np.float32), expected.outputs, expected.sigmas, expected.dtype.threshold
    ).sigma


def changed_by(problem, name, factor):
    weights = [
        replace(t, data=t.data * t.data.dtype.type(factor)) if t.name == name else t
        for t in problem.weights
    ]
    return replace(problem, weights=tuple(weights))


# Constant weights.


def constant_problem(kind, units, shape, seed, most):
    """Return a problem with a constant for each kernel, as in the sources: all units err alike."""
    batch, steps = shape
    problem = random_problem(spec_of(kind, units, **BOTH), seed, (batch, steps, 5))
    kernel, recurrent_kernel = np.random.default_rng([seed, units, steps]).uniform(0.02, most, 2)
    initializers = {
        "kernel": kernel,
        "recurrent_kernel": recurrent_kernel,
        "bias": 0.0,
        "unit_forget_bias": True,
    }
    return replace(problem, weights=constant_weights(problem.layer, 5, initializers))


@every_kind
@pytest.mark.parametrize(("units", "steps"), [(1, 20), (3, 4), (3, 20), (5, 12), (8, 20)])
def test_constant_weights_stay_within_the_threshold(kind, units, steps):
    """The sizes are those of the catalogue. Measured in ten times as many rows: 4.3 sigma."""
    worst = 0.0
    for seed in range(8):
        problem = constant_problem(kind, units, (4, steps), seed, most=0.15)
        expected = expect(problem)
        assert not expected.unpredictable
        worst = max(worst, sigmas_of_float32(problem, expected))
    assert 0.3 < worst < 10


def test_larger_constant_weights_stay_within_the_threshold_or_are_inconclusive():
    """32 units, 20 steps, the sources' 0.1: 11 to 67 sigma, always in a few of 128 rows."""
    for seed in range(3):
        problem = random_problem(spec_of("lstm", 32, **BOTH), seed, (128, 20, 5))
        initializers = {
            "kernel": 0.1,
            "recurrent_kernel": 0.1,
            "bias": 0.0,
            "unit_forget_bias": True,
        }
        problem = replace(problem, weights=constant_weights(problem.layer, 5, initializers))
        expected = expect(problem)
        assert expected.inconclusive or sigmas_of_float32(problem, expected) < 10


# Faults that must not stay hidden.


def spread_cases():
    """Return every 29th spread case, which cover all families and types."""
    return [case for case in catalogue().values() if not case.case.initializers][::29]


@pytest.mark.parametrize("problem", spread_cases(), ids=lambda problem: problem.id)
def test_a_change_by_the_fault_size_is_visible(problem):
    """In every weight array that has any influence; a correct run has no differences."""
    expected = expect(problem)
    assert expected.inconclusive == ""
    assert not differences(expected, rounded_to_its_dtype(problem, expected.outputs))
    assert (
        not differences(expected, compute(problem, np.float32)) or expected.dtype.name == "float64"
    )
    for name, thresholds in expected.visible.items():
        faulty = compute(changed_by(problem, name, 1 + expected.dtype.fault))
        assert bool(differences(expected, rounded_to_its_dtype(problem, faulty))) == (
            thresholds > 0
        ), name


@every_kind
def test_visible_is_the_effect_of_a_change_in_thresholds(kind):
    problem = random_problem(
        two_ways(spec_of(kind, dtype="float64", **BOTH)), 4, (2, 4, 3), initial=True
    )
    expected = expect(problem)
    for tensor in problem.weights:
        changed = compute(changed_by(problem, tensor.name, 1.001))
        distance = compare_values(changed, expected.outputs, expected.sigmas, 10).sigma
        assert expected.visible[tensor.name] == pytest.approx(distance / 10, rel=1e-6)


@every_kind
@pytest.mark.parametrize("initial", [False, True], ids=["no_state", "initial"])
def test_an_array_without_influence_hides_no_fault(kind, initial):
    """The recurrent kernel has none in a single step from a zero state."""
    expected = expect(random_problem(spec_of(kind, **BOTH), 5, (2, 1, 3), initial=initial))
    assert expected.inconclusive == ""
    assert (expected.visible["recurrent_kernel"] > 1) == initial
    assert initial or expected.visible["recurrent_kernel"] == 0
    assert expected.visible["kernel"] > 1


def test_a_problem_whose_noise_hides_a_fault_is_inconclusive():
    """A recurrent kernel so small that a thousandth of it is below rounding."""
    problem = random_problem(spec_of("lstm", **BOTH), 6, (2, 4, 3))
    weak = expect(changed_by(problem, "recurrent_kernel", 1e-5))
    assert expect(problem).inconclusive == ""
    assert (
        weak.inconclusive
        == "a relative change of 0.001 in recurrent_kernel would stay under the threshold"
    )
    assert weak.visible["recurrent_kernel"] <= 1 < weak.visible["kernel"]
    assert not weak.unpredictable
    assert not differences(
        weak,
        rounded_to_its_dtype(problem, compute(changed_by(problem, "recurrent_kernel", 1.001e-5))),
    )


def test_a_problem_without_influence_of_its_weights_is_inconclusive():
    problem = random_problem(
        spec_of("gru", **BOTH), 7, (2, 3, 4), mask=("000", "000"), initial=True
    )
    expected = expect(problem)
    assert expected.inconclusive == "no weight has any influence on the outputs"
    assert not expected.unpredictable


@pytest.mark.parametrize(
    ("dtype", "threshold", "fault"),
    [("float64", 10, 1e-3), ("float32", 10, 1e-3), ("float16", 5, 3e-2), ("bfloat16", 5, 0.3)],
)
def test_the_coarsest_type_sets_threshold_and_fault_size(dtype, threshold, fault):
    layers = [spec_of("lstm", dtype="float64", **SEQUENCES), spec_of("gru", dtype=dtype, **STATE)]
    coarsest = expect(random_problem(stack_of(*layers), 8)).dtype
    assert (coarsest.name, coarsest.threshold, coarsest.fault) == (dtype, threshold, fault)


# Blocks of one gate.


def with_block_times(problem, name, columns, factor):
    weights = []
    for tensor in problem.weights:
        data = tensor.data.copy()
        if tensor.name == name:
            data[..., columns] *= factor
        weights.append(replace(tensor, data=data))
    return replace(problem, weights=tuple(weights))


@every_kind
def test_blind_to_are_the_gates_whose_change_stays_in_the_noise(kind):
    """A millionth of the block of one gate hides a change of it, but no change of another gate."""
    problem = random_problem(spec_of(kind, **BOTH), 4, (2, 4, 3), initial=True)
    units, gates = problem.layer.units, problem.layer.cell.gates
    assert expect(problem, by_gate=True).blind_to == ()
    for name, (index, gate) in product(("kernel", "recurrent_kernel"), enumerate(gates)):
        columns = slice(index * units, (index + 1) * units)
        weak = with_block_times(problem, name, columns, 1e-6)
        expected = expect(weak, by_gate=True)
        if len(gates) == 1:  # the block is the whole array
            assert expected.inconclusive
            continue
        hidden = {WeightBlock(name, gate)}
        if (kind, name, gate) == ("gru_before", "recurrent_kernel", "h"):
            # The reset gate multiplies only what has become so small.
            hidden |= {WeightBlock(array, "r") for array in WEIGHTS}
        assert set(expected.blind_to) == hidden
        assert not expected.inconclusive
        changed = compute(with_block_times(weak, name, columns, 1.001))
        assert not differences(expected, rounded_to_its_dtype(weak, changed))
        assert expect(weak).blind_to == ()  # not asked for


@every_kind
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_change_in_every_other_block_is_detected(kind, policy):
    """In 16 bits many blocks are near the limit, on either side."""
    problem = catalogue()[f"dtype-{policy}-{kind}-forward-mask"]
    expected, units = expect(problem, by_gate=True), problem.layer.units
    for name, (index, gate) in product(WEIGHTS, enumerate(problem.layer.cell.gates)):
        columns = slice(index * units, (index + 1) * units)
        changed = with_block_times(problem, name, columns, np.float64(1 + expected.dtype.fault))
        undetected = not differences(expected, compute(changed))
        assert undetected == (WeightBlock(name, gate) in expected.blind_to), (name, gate)


def test_blocks_of_a_bidirectional_have_the_names_of_its_weights():
    problem = random_problem(two_ways(spec_of("gru", **BOTH)), 4, (2, 4, 3))
    weak = changed_by(problem, "backward/bias", 1e-6)
    assert {block.weights for block in expect(weak, by_gate=True).blind_to} == {"backward/bias"}


def test_a_block_without_influence_hides_no_fault():
    """A single step from a zero state."""
    problem = random_problem(spec_of("lstm", **BOTH), 5, (2, 1, 3))
    assert expect(problem, by_gate=True).blind_to == ()


@pytest.mark.slow
def test_no_spread_case_in_float32_is_blind_to_a_gate():
    blind = {
        case.id: blocks
        for case in catalogue().values()
        if case.threshold_type == "float32"
        and not case.case.initializers
        and (blocks := expect(case, by_gate=True).blind_to)
    }
    assert blind == {}


# Chaos.


def test_a_chaotic_problem_is_unpredictable():
    """Long and with huge weights: float32 ends elsewhere, by no multiple of sigma."""
    farthest = 0.0
    for seed in range(4):
        problem = random_problem(spec_of("gru_before", 12, **BOTH), seed, (2, 120, 5), scale=10)
        expected = expect(problem)
        assert expected.unpredictable
        assert expected.inconclusive.startswith(
            "the rounding noise of h has grown too far at processed step "
        )
        assert expected.visible == {}
        off = compute(problem, np.float32)[0].data - expected.outputs[0].data
        farthest = max(farthest, np.abs(off).max())
        # Before the step that is named the noise still holds.
        step = int(expected.inconclusive.rpartition(" ")[2])
        assert (np.abs(off) <= 10 * expected.sigmas[0])[:, :step].all()
    assert farthest > 0.5


@every_kind
@pytest.mark.parametrize(
    ("dtype", "limit"),
    [("float32", 300 * 2.0**-24), ("float16", 0.1 / 5)],
    ids=["float32", "float16"],
)
def test_a_problem_is_unpredictable_where_noise_exceeds_a_limit(kind, dtype, limit):
    """In any state at any step, relative to 1 or to the state; short of it a healthy run is within
    the threshold."""
    predictable = []
    for seed in range(12):
        spec = spec_of(kind, 8, dtype=dtype, **BOTH)
        problem = random_problem(spec, seed, (2, 60, 5), scale=(3, 6, 12)[seed % 3])
        expected, extremes = expect(problem), compute_with_noise(problem).extremes
        largest = max(extreme.relative_sigma.max() for extreme in extremes.values())
        assert expected.unpredictable == (largest > limit), seed
        if dtype == "float32" and not expected.unpredictable:
            predictable.append(sigmas_of_float32(problem, expected))
    assert dtype == "float16" or 0 < len(predictable) < 12
    assert max(predictable, default=0) < 5


@pytest.mark.parametrize(("dtype", "steps"), [("float32", 200), ("float16", 40)])
def test_values_that_leave_the_range_are_unpredictable(dtype, steps):
    spec = spec_of("simple_rnn", activation="linear", dtype=dtype, **BOTH)
    expected = expect(random_problem(spec, 9, (2, steps, 5), scale=4))
    assert expected.unpredictable
    assert expected.inconclusive == f"h leaves the range of {dtype}"


FLOAT16 = {"dtype": "float16"}


def product_of_halves(x):
    spec = two_ways(spec_of("simple_rnn", 1, activation="relu", **FLOAT16), merge_mode="mul")
    return problem_of(spec, [np.ones((1, 1)), np.zeros((1, 1)), np.zeros(1)] * 2, [[[x]]])


def cast_to_a_narrower_type(x):
    spec = two_ways(spec_of("simple_rnn", 1, activation="relu"), merge_mode="sum")
    spec["config"] |= FLOAT16
    return problem_of(spec, [np.ones((1, 1)), np.zeros((1, 1)), np.zeros(1)] * 2, [[[x]]])


def part_of_a_sum(x):
    spec = spec_of("simple_rnn", 1, use_bias=False, **FLOAT16)
    return problem_of(spec, [np.array([[1.0], [-0.99]]), np.ones((1, 1))], [[[x, x]]])


def projected_state_below_a_closed_gate(x):
    """r = sigmoid(-12) makes 0.4 of 6e4."""
    bias = np.array([[0.0, -12.0, 0.0], [0.0, 0.0, 0.0]])
    weights = [np.ones((1, 3)), np.array([[0.0, 0.0, x]]), bias]
    return problem_of(spec_of("gru", 1, **FLOAT16), weights, [[[0.0]]], initial=[[[1000.0]]])


def activation_below_a_closed_gate(x):
    """o = sigmoid(-6) makes 150 of exp(11)."""
    spec = spec_of("lstm", 1, activation="exponential", **FLOAT16)
    weights = [np.zeros((1, 4)), np.zeros((1, 4)), np.array([20.0, 0.0, x, -6.0])]
    return problem_of(spec, weights, [[[0.0]]])


@pytest.mark.parametrize(("part", "leaves"), [(0.99, False), (1.01, True)])
def test_a_state_may_use_a_sixteenth_of_the_range(part, leaves):
    spec = spec_of("simple_rnn", 1, activation="linear", use_bias=False, **FLOAT16)
    largest = float(np.finfo(np.float16).max)
    problem = problem_of(spec, [np.ones((1, 1)), np.ones((1, 1))], [[[part * largest / 16]]])
    assert expect(problem).unpredictable == leaves


IN_BETWEEN = "a value that h is computed from leaves the range of float16"


@pytest.mark.parametrize(
    ("problem_with", "small", "large", "reason"),
    [
        (product_of_halves, 100, 400, "output leaves the range of float16"),
        (cast_to_a_narrower_type, 100, 4e4, "output leaves the range of float16"),
        (part_of_a_sum, 10, 4e4, IN_BETWEEN),
        (projected_state_below_a_closed_gate, 30, 60, IN_BETWEEN),
        (activation_below_a_closed_gate, 1.0, 2.4, IN_BETWEEN),
    ],
)
def test_a_value_that_may_overflow_is_unpredictable_wherever_it_is(
    problem_with, small, large, reason
):
    assert not expect(problem_with(small)).unpredictable
    expected = expect(problem_with(large))
    assert (expected.unpredictable, expected.inconclusive) == (True, reason)
    assert np.isfinite(expected.outputs[0].data).all()


@pytest.mark.parametrize("size", [1e-140, 1e-155, 1e-200, 1e-300])
def test_the_last_bit_of_a_tiny_float64_number_is_noise(size):
    """Also where the variance of its rounding is below the smallest number."""
    spec = spec_of("simple_rnn", 1, activation="exponential", use_bias=False, dtype="float64")
    problem = problem_of(spec, [np.ones((1, 1)), np.zeros((1, 1))], [[[np.log(size)]]])
    expected = expect(problem)
    (output,) = expected.outputs
    last_bit = replace(output, data=np.nextafter(output.data, 1))
    assert not differences(expected, [last_bit])
    assert differences(expected, [replace(output, data=output.data + 1e-130)])


def test_noise_in_a_state_that_is_not_returned_counts():
    """The tanh of the second layer bounds what the first has amplified."""
    wild = spec_of("simple_rnn", activation="linear", **SEQUENCES)
    expected = expect(
        random_problem(stack_of(wild, spec_of("simple_rnn")), 10, (2, 200, 5), scale=4)
    )
    assert expected.unpredictable
    assert expected.inconclusive.startswith("0/h ")


@every_kind
def test_problems_with_moderate_weights_are_conclusive(kind):
    for seed in range(5):
        expected = expect(
            random_problem(two_ways(spec_of(kind, 6, **BOTH)), seed, (2, 12, 4), initial=True)
        )
        assert expected.inconclusive == ""
        assert not expected.unpredictable
        assert set(expected.visible) == {f"{half}/{name}" for half in HALVES for name in WEIGHTS}
