"""The noise model compared with real arithmetic: float32 with float64, float64 with many digits.

Errors are in sigma (`sigmas_off`). The thresholds are 10 sigma in float32, 5 in float16.
"""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import (
    BOTH,
    KINDS,
    SEQUENCES,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
)

from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.keras_config import parse_layer
from rnnparity.problem.layers import ACTIVATIONS
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import (
    Unroller,
    compute,
    compute_exactly,
    compute_with_noise,
    extremes,
)
from rnnparity.reference.activations import ACTIVATIONS as FUNCTIONS
from rnnparity.reference.arithmetic import PlainArithmetic
from rnnparity.reference.noisy_array import NoisyArray
from rnnparity.reference.tolerance import expect

every_kind = pytest.mark.parametrize("kind", KINDS)


def sigmas_off(actual, expected, sigmas):
    """Return the distances of all values of all outputs, in sigma."""
    return np.concatenate(
        [
            np.abs(np.asarray(x, np.float64) - np.asarray(y, np.float64)).ravel()
            / np.maximum(sigma, 1e-300).ravel()
            for x, y, sigma in zip(actual, expected, sigmas, strict=True)
        ]
    )


def arrays(tensors):
    return [tensor.data for tensor in tensors]


def float32_is_off(problem, expected):
    return sigmas_off(
        arrays(compute(problem, np.float32)), arrays(expected.outputs), expected.sigmas
    )


def rms(distances):
    return float(np.sqrt(np.mean(distances**2)))


def healthy_problem(kind, seed):
    """Return a random layer with T to 40, H to 32 and weights of 0.05 to 2 over the root of the fan-in.

    Any direction, some stacks.
    """
    rng = np.random.default_rng([seed, len(kind)])
    batch, steps, features, units = (int(rng.integers(1, most + 1)) for most in (3, 40, 12, 32))
    activations = [
        name for name in ACTIVATIONS if name != "exponential"
    ]  # only exponential grows without limit
    config = {"activation": str(rng.choice(activations))} if seed % 3 == 0 else {}
    spec = spec_of(kind, units, **BOTH, **config)
    direction = ("forward", "backwards", "concat", "sum", "mul", "ave", None)[seed % 7]
    if direction == "backwards":
        spec["config"]["go_backwards"] = True
    elif direction != "forward":
        spec = two_ways(spec, merge_mode=direction)
    if seed % 10 == 9:
        spec = stack_of(
            spec_of("lstm", units, **SEQUENCES), spec_of(kind, units + 1, **SEQUENCES), spec
        )
    mask = (
        ["".join(rng.choice(["0", "1", "1"], steps)) for _ in range(batch)]
        if seed % 4 == 1
        else None
    )
    scale = float(np.exp(rng.uniform(np.log(0.05), np.log(2))))
    return random_problem(
        spec, seed, (batch, steps, features), scale=scale, mask=mask, initial=seed % 2 == 0
    )


@every_kind
def test_float32_is_within_the_threshold_and_sigma_is_not_too_large(kind):
    """Measured: at most 1.8 sigma, rms 0.15 to 0.46 of each of 50 problems, 0.35 of all."""
    squares = []
    for seed in range(50):
        problem = healthy_problem(kind, seed)
        expected = expect(problem)
        assert not expected.unpredictable, seed
        off = float32_is_off(problem, expected)
        assert off.max() < 5, seed
        assert 0.02 < rms(off) < 1, seed
        squares.append(rms(off))
    assert 0.2 < rms(np.array(squares)) < 0.6


@every_kind
@pytest.mark.parametrize("dtype", ["float16", "mixed_float16"])
def test_float16_is_within_its_threshold(kind, dtype):
    """Measured: at most 1.2 sigma, rms 0.25 to 0.4."""
    squares = []
    for seed in range(6):
        spec = spec_of(kind, 3 + 2 * seed, dtype=dtype, **BOTH)
        problem = random_problem(
            two_ways(spec) if seed % 2 else spec,
            seed,
            (2, 3 * seed + 1, 4),
            scale=0.4,
            initial=True,
        )
        expected = expect(problem)
        assert expected.dtype.name == "float16"
        assert not expected.unpredictable
        off = sigmas_off(
            Unroller(problem, PlainArithmetic(np.float16)).run(),
            arrays(expected.outputs),
            expected.sigmas,
        )
        assert off.max() < 2.5
        squares.append(rms(off))
    assert 0.15 < rms(np.array(squares)) < 0.6


@every_kind
def test_float64_is_within_the_threshold_of_exact_arithmetic(kind):
    """The goldens of float64 cases are judged by the same model."""
    squares = []
    for seed in range(3):
        spec = spec_of(kind, 4, dtype="float64", **BOTH)
        problem = random_problem(
            two_ways(spec) if seed == 2 else spec, seed, (2, 6, 3), mask=("110111", "111111")
        )
        expected = expect(problem)
        assert expected.inconclusive == ""
        off = sigmas_off(
            arrays(compute(problem)), arrays(compute_exactly(problem)), expected.sigmas
        )
        assert off.max() < 5
        squares.append(rms(off))
    assert 0.1 < rms(np.array(squares)) < 1


def test_the_policy_of_bidirectional_rounds_its_output():
    """Around float32 halves: u of float16 in the output, float32's noise in the states."""
    problem = random_problem(two_ways(spec_of("gru", **BOTH), dtype="mixed_float16"), 4)
    noisy = compute_with_noise(problem)
    values, sigmas = arrays(noisy.outputs), noisy.sigmas
    np.testing.assert_allclose(sigmas[0], np.hypot(2.0**-11 * values[0], 2.0**-14), rtol=1e-3)
    assert all((sigma < 2.0**-20).all() for sigma in sigmas[1:])


def test_sigma_of_exact_values_is_zero():
    """Masked steps without a step before them are zero in any arithmetic; all else has noise."""
    problem = random_problem(spec_of("lstm", **BOTH), 1, (2, 6, 3), mask=("001101", "000000"))
    noisy = compute_with_noise(problem)
    output, h, _ = noisy.sigmas
    assert (
        (output > 0).all(axis=-1) == [[False, False, True, True, True, True], [False] * 6]
    ).all()
    assert ((h > 0).all(axis=-1) == [True, False]).all()


@pytest.mark.parametrize("held", [1, 20, 2**14])
def test_extremes_are_those_of_every_step_of_every_state(held, monkeypatch):
    """However many steps are reduced together; 20 numbers are three steps of six."""
    monkeypatch.setattr(extremes, "HELD_VALUES", held)
    problem = random_problem(
        stack_of(two_ways(spec_of("gru", 3, **SEQUENCES)), spec_of("lstm", 2, **BOTH)), 2, (3, 6, 5)
    )
    noisy = compute_with_noise(problem)
    assert set(noisy.extremes) == {"0/forward/h", "0/backward/h", "1/h", "1/c"}
    values, sigmas = np.abs(noisy.outputs[0].data), noisy.sigmas[0]
    extreme = noisy.extremes["1/h"]
    assert (extreme.magnitude == values.max(axis=(0, 2))).all()
    assert (extreme.relative_sigma == (sigmas / np.maximum(1, values)).max(axis=(0, 2))).all()
    assert noisy.extremes["1/c"].magnitude[-1] == np.abs(noisy.outputs[2].data).max()


# Kinks.

KINKED = [(name, kink) for name in FUNCTIONS for kink in FUNCTIONS[name].kinks]


@pytest.mark.parametrize(("name", "kink"), KINKED, ids=str)
def test_sigma_is_not_zero_on_the_flat_side_of_a_kink(name, kink):
    """x W + b is the kink but for rounding: one side is flat, and float32 lands on either."""
    spec = spec_of("simple_rnn", 200, activation=name, return_sequences=True)
    problem = random_problem(spec, 3, (1, 1, 24), scale=20)
    W, U, _ = problem.weights
    products = problem.inputs.data[0, 0].astype(np.float64) @ W.data.astype(np.float64)
    problem = replace(problem, weights=(W, U, Tensor.of("bias", kink - products)))
    expected, actual = expect(problem), compute(problem, np.float32)[0].data
    flat = expected.outputs[0].data == FUNCTIONS[name](np.float64(kink))
    assert (
        actual[flat] != expected.outputs[0].data[flat]
    ).any() or name == "selu"  # whose slope on the flat side is not 0
    assert (actual != expected.outputs[0].data).sum() > 20
    assert float32_is_off(problem, expected).max() < 5


@pytest.mark.parametrize(("name", "kink"), KINKED, ids=str)
@pytest.mark.parametrize("side", [-1, 1])
def test_the_steeper_slope_counts_within_four_sigma_of_a_kink(name, kink, side):
    """Farther away the slope of each side counts."""
    function, sigma = FUNCTIONS[name], 1e-3
    near, far = (
        NoisyArray(
            np.array([kink + side * distance * sigma]), np.array([sigma**2]), FLOAT_TYPES["float64"]
        ).apply(function)
        for distance in (3.9, 4.1)
    )
    assert near.sigma[0] == pytest.approx(sigma * function.steepest, rel=1e-6)
    slope = function.slope(far.value * 0 + kink + side * 4.1 * sigma, far.value)[0]
    assert far.sigma[0] == pytest.approx(sigma * slope, rel=1e-6, abs=1e-15)


@pytest.mark.parametrize("mode", ["sum", "mul", "ave"])
def test_errors_of_two_directions_are_independent(mode):
    """Halves with one and with two states, merged after the last step: variances add."""
    half = spec_of("lstm", go_backwards=True)
    apart, merged = (
        compute_with_noise(
            random_problem(
                two_ways(spec_of("simple_rnn"), merge_mode=merging, backward_layer=half), 3
            )
        )
        for merging in (None, mode)
    )
    (y, y_rev), (sigma, sigma_rev) = (tensor.data for tensor in apart.outputs), apart.sigmas
    slope, slope_rev = {"sum": (1, 1), "ave": (0.5, 0.5), "mul": (y_rev, y)}[mode]
    passed_on = np.square(sigma * slope) + np.square(sigma_rev * slope_rev)
    rounding = np.square(FLOAT_TYPES["float32"].u * merged.outputs[0].data)
    np.testing.assert_allclose(np.square(merged.sigmas[0]), passed_on + rounding, rtol=1e-6)


def gru_of(kernel, recurrent_kernel, inputs):
    """Return a GRU without bias, its arrays given as (..., gate, unit)."""
    units = kernel.shape[-1]
    weights = [
        Tensor.of("kernel", kernel.reshape(-1, 3 * units), "float32"),
        Tensor.of("recurrent_kernel", recurrent_kernel.reshape(units, 3 * units), "float32"),
    ]
    layer = parse_layer({"class_name": "GRU", "config": {"units": units, "use_bias": False}})
    return Problem(layer, tuple(weights), Tensor.of("inputs", inputs, "float32"))


def test_units_that_depend_on_themselves_only_have_the_sigma_of_single_units():
    # A diagonal recurrent kernel: as many layers of one unit, except that a product has more terms.
    rng = np.random.default_rng(0)
    units = 20
    inputs = rng.standard_normal((4, 40, 1))
    kernel, diagonal = rng.standard_normal((1, 3, units)), 2 * rng.standard_normal((3, units))
    recurrent_kernel = np.einsum("gu,ku->kgu", diagonal, np.eye(units))
    together = compute_with_noise(gru_of(kernel, recurrent_kernel, inputs)).sigmas[0]
    separate = [
        compute_with_noise(gru_of(kernel[..., [i]], diagonal[:, [i]], inputs)).sigmas[0]
        for i in range(units)
    ]
    ratio = together / np.concatenate(separate, axis=-1)
    assert ratio.min() > 0.6  # from samples
    assert ratio.max() < 2.5


def test_an_exponential_beyond_the_range_of_float32_makes_a_problem_unpredictable():
    # The forget gate exp(x) times the initial state 0 is NaN in float32, 0 in the reference.
    def lstm(x):
        config = {"units": 1, "recurrent_activation": "exponential", "use_bias": False}
        weights = (
            Tensor.of("kernel", [[0, 1, 1, 0]], "float32"),
            Tensor.of("recurrent_kernel", np.zeros((1, 4)), "float32"),
        )
        layer = parse_layer({"class_name": "LSTM", "config": config})
        return Problem(layer, weights, Tensor.of("inputs", [[[x]]], "float32"))

    assert not expect(lstm(40.0)).unpredictable
    with np.errstate(over="ignore", invalid="ignore"):
        assert np.isnan(compute(lstm(90.0), np.float32)[0].data).all()
    assert expect(lstm(90.0)).unpredictable


def test_an_underflow_inside_silu_is_noise():
    # sigmoid(-88) is below the smallest normal float32, which TensorFlow replaces by 0:
    # fuzz-70363-2 got 0 instead of 5e-37.
    number = NoisyArray(np.array([-88.0]), None, FLOAT_TYPES["float32"])
    result = number.apply(FUNCTIONS["silu"])
    assert 0 < result.value[0] / -88 < np.finfo(np.float32).tiny < abs(result.value[0])
    assert abs(result.value[0]) < FLOAT_TYPES["float32"].threshold * result.sigma[0]
