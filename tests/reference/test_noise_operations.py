"""The noise model compared with runs in which every result is perturbed as rounding could do it.

A rounding is a relative change of size u with a random sign, whose variance is u**2, as in the
model. Copies of a problem are stacked along the batch axis: one run gives the variance of every value.
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

from rnnparity.problem.dtypes import FLOAT_TYPES, declared_precision
from rnnparity.reference import Unroller, compute_with_noise
from rnnparity.reference.activations import ACTIVATIONS
from rnnparity.reference.arithmetic import PlainArithmetic
from rnnparity.reference.noise import NoiseArithmetic
from rnnparity.reference.noisy_array import NoisyArray

FLOAT32, FLOAT64 = FLOAT_TYPES["float32"], FLOAT_TYPES["float64"]
SAMPLES = 4000


def generator():
    return np.random.default_rng(20)


def signs(rng, shape):
    return rng.choice([-1.0, 1.0], shape)


def noisy(rng, shape, sigma=1e-5):
    """Return values with noise, and SAMPLES of them with that noise."""
    values = rng.standard_normal(shape)
    sigmas = sigma * rng.uniform(0.5, 2, shape)
    samples = values + sigmas * rng.standard_normal((SAMPLES, *shape))
    return NoisyArray(values, sigmas**2, FLOAT64), samples


def assert_variance(model, samples, low=0.85, high=1.15):
    """The standard error of the variance of the samples is 2 %."""
    ratio = np.var(samples, axis=0) / model.noise
    assert (ratio > low).all(), ratio.min()
    assert (ratio < high).all(), ratio.max()


# One operation.

OPERATIONS = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "one_minus": lambda a, _: 1 - a,
    "half": lambda a, _: a / 2,
    "gates": lambda a, b: a[..., 1:] * b[..., 1:] + a[..., :-1] * b[..., :-1],
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_noise_propagates_through_an_operation(operation):
    """The noise is far above the rounding of float64."""
    rng = generator()
    (a, a_samples), (b, b_samples) = noisy(rng, (5,)), noisy(rng, (5,))
    assert_variance(OPERATIONS[operation](a, b), OPERATIONS[operation](a_samples, b_samples))


@pytest.mark.parametrize("operation", ["add", "mul", "one_minus"])
@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_an_operation_rounds_its_result(operation, dtype):
    """Of exact operands the result has the noise u."""
    operands = (
        NoiseArithmetic(dtype).from_array(np.array([0.3, -2.5])),
        NoiseArithmetic(dtype).from_array(np.array([1.7, 0.4])),
    )
    result = OPERATIONS[operation](*operands)
    values = OPERATIONS[operation](*(operand.value for operand in operands))
    np.testing.assert_allclose(result.value, values, rtol=1e-15)
    np.testing.assert_allclose(result.sigma, FLOAT_TYPES[dtype].u * np.abs(values), rtol=0.05)


def test_halving_is_exact():
    result = NoiseArithmetic("float32").from_array(np.array([0.3])) / 2
    assert result.sigma.tolist() == [0]


def test_a_cast_to_a_coarser_type_rounds_and_one_to_a_finer_does_not():
    number = NoisyArray(np.array([0.7]), np.array([1e-8]), FLOAT32)
    coarser, finer = (
        NoiseArithmetic("bfloat16").cast(number),
        NoiseArithmetic("float64").cast(number),
    )
    assert coarser.noise[0] == pytest.approx(1e-8 + (2**-8 * 0.7) ** 2)
    assert finer.noise[0] == 1e-8
    assert (coarser.dtype.name, finer.dtype.name) == ("bfloat16", "float64")


def test_noise_propagates_through_a_product_with_weights():
    rng = generator()
    h, samples = noisy(rng, (2, 6))
    W = rng.standard_normal((6, 4))
    assert_variance(h @ NoisyArray(W, None, FLOAT64), samples @ W)


def test_paths_of_a_kernel_are_the_harmonic_mean_of_its_columns():
    """A column of L equal numbers has L paths, one with a single number has 1."""
    kernel = NoisyArray(np.array([[1.0, 2.0, 0.0], [0.0, 2.0, 0.0]]), None, FLOAT64)
    assert kernel.paths == 2 / (1 / 1 + 1 / 2)
    assert NoisyArray(np.zeros((2, 1)), None, FLOAT64).paths == np.inf


def summed_with_roundings(rng, x, W, u):
    """Return x (rows, L) @ W (L, H), every product and every partial sum rounded."""
    total = 0.0
    for term in range(x.shape[-1]):
        product = x[:, term, None] * W[term]
        total = total + product * (1 + u * signs(rng, product.shape))
        total = total * (1 + u * signs(rng, total.shape))
    return total


@pytest.mark.parametrize("terms", [1, 2, 5, 20, 80])
@pytest.mark.parametrize("positive", [False, True], ids=["any_sign", "positive"])
def test_a_sum_of_products_rounds_at_every_term(terms, positive):
    """Without the factor L the variance would be missed by 3 at 5 terms and by 40 at 80."""
    rng = generator()
    x, W = rng.uniform(0.5, 1, (1, terms)), rng.uniform(0.5, 1, (terms, 8))
    if not positive:
        x, W = x * signs(rng, x.shape), W * signs(rng, W.shape)
    samples = summed_with_roundings(rng, np.repeat(x, SAMPLES, 0), W, FLOAT32.u)
    model = NoisyArray(x, None, FLOAT32) @ NoisyArray(W, None, FLOAT32)
    ratio = np.var(samples, axis=0) / model.noise[0]
    # Which partial sums are large is random: the mean is correct, and no sigma is far too small.
    assert 0.5 < ratio.mean() < 2.5
    assert ratio.max() < 4.5


@pytest.mark.parametrize("units", [2, 8, 64])
def test_equal_units_make_the_same_error(units):
    """With constant weights amplitudes add up; where values or weights differ, variances do."""
    equal, different = np.full((1, units), 0.3), np.linspace(0.2, 0.4, units)[None]
    W, W_varied = np.full((units, 3), 0.1), np.linspace(0.05, 0.15, units)[:, None] * np.ones(3)
    var = np.full((1, units), 1e-8)

    def sigma_of(values, weights):
        return (NoisyArray(values, var, FLOAT64) @ NoisyArray(weights, None, FLOAT64)).sigma[0]

    np.testing.assert_allclose(sigma_of(equal, W), 1e-4 * 0.1 * units, rtol=1e-9)
    np.testing.assert_allclose(sigma_of(different, W), 1e-4 * 0.1 * np.sqrt(units), rtol=1e-9)
    np.testing.assert_allclose(
        sigma_of(equal, W_varied), 1e-4 * np.sqrt((W_varied**2).sum(0)), rtol=1e-9
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_noise_propagates_through_an_activation(name):
    """Far from kinks, which test_noise covers."""
    rng = generator()
    x = np.array([-3.2, -2.8, -1.3, -0.4, 0.3, 0.9, 2.1, 2.8, 4.1])
    flat = {
        "relu": x < 0,
        "hard_sigmoid": np.abs(x) > 3,
        "hard_sigmoid_keras2": np.abs(x) > 2.5,
    }.get(name, x > 9)
    sigma = 1e-4
    samples = ACTIVATIONS[name](x + sigma * rng.standard_normal((SAMPLES, x.size)))
    model = NoisyArray(x, np.full(x.shape, sigma**2), FLOAT64).apply(ACTIVATIONS[name])
    wide = 1.3 if name == "gelu_tanh" else 1.15  # its slope is that of gelu, a few percent off
    assert_variance(model[~flat], samples[:, ~flat], 1 / wide, wide)
    assert (np.var(samples[:, flat], axis=0) == 0).all()
    assert (model.sigma[flat] <= FLOAT64.u).all()


# Whole runs.


class Rounded:
    """An array whose every operation is followed by a random rounding."""

    def __init__(self, value, u, rng):
        self.value, self.u, self.rng = value, u, rng
        self.shape = value.shape

    def rounded(self, value, size=None):
        size = np.abs(value) if size is None else size
        return Rounded(value + self.u * size * signs(self.rng, value.shape), self.u, self.rng)

    def reshape(self, shape):
        return Rounded(self.value.reshape(shape), self.u, self.rng)

    def swapaxes(self, axis1, axis2):
        return Rounded(self.value.swapaxes(axis1, axis2), self.u, self.rng)

    def __getitem__(self, index):
        return Rounded(self.value[index], self.u, self.rng)

    def __add__(self, other):
        return self.rounded(self.value + other.value)

    def __mul__(self, other):
        return self.rounded(self.value * other.value)

    def __rsub__(self, other):
        return self.rounded(other - self.value)

    def __truediv__(self, other):
        return Rounded(self.value / other, self.u, self.rng)

    def __matmul__(self, W):
        return Rounded(
            summed_with_roundings(self.rng, self.value, W.value, self.u), self.u, self.rng
        )


class RandomRounding(PlainArithmetic):
    """An arithmetic for the engine; the error of activations is that of the model."""

    def __init__(self, dtype):
        super().__init__()
        self.u, self.rng = FLOAT_TYPES[dtype].u, generator()

    def from_array(self, values):
        return Rounded(np.asarray(values, np.float64), self.u, self.rng)

    def activation(self, name):
        function = ACTIVATIONS[name]
        return lambda x: x.rounded(function(x.value), function.error(x.value, function(x.value)))

    def where(self, condition, x, y):
        return Rounded(np.where(condition, x.value, y.value), self.u, self.rng)

    def join(self, numbers, axis):
        return Rounded(np.concatenate([number.value for number in numbers], axis), self.u, self.rng)

    def stack(self, numbers):
        return Rounded(np.stack([number.value for number in numbers], axis=-2), self.u, self.rng)


RUNS = {
    **{kind: spec_of(kind, **BOTH) for kind in KINDS},
    "relu": spec_of("lstm", activation="relu", recurrent_activation="hard_sigmoid", **BOTH),
    "mul": two_ways(spec_of("gru", **BOTH), merge_mode="mul"),
    "ave": two_ways(spec_of("simple_rnn", **BOTH), merge_mode="ave"),
    "stack": stack_of(spec_of("gru_before", 3, **SEQUENCES), spec_of("lstm", **BOTH)),
    "bfloat16": spec_of("gru", dtype="bfloat16", **BOTH),
}


@pytest.mark.parametrize("label", RUNS)
@pytest.mark.parametrize("mask", [None, "101101"], ids=["no_mask", "mask"])
def test_sigma_is_the_standard_deviation_of_perturbed_runs(label, mask):
    """Also where errors have propagated through six steps, gates and masks."""
    row = random_problem(RUNS[label], 3, (1, 6, 3), mask=mask and [mask], initial=True)
    many = replace(
        row,
        inputs=replace(row.inputs, data=np.repeat(row.inputs.data, SAMPLES, 0)),
        mask=None if mask is None else np.repeat(row.mask, SAMPLES, 0),
        initial_state=tuple(
            replace(state, data=np.repeat(state.data, SAMPLES, 0)) for state in row.initial_state
        ),
    )
    noisy_outputs = compute_with_noise(row)
    perturbed = Unroller(many, RandomRounding(row.layer.compute_dtype)).run()
    for sigma, output in zip(noisy_outputs.sigmas, perturbed, strict=True):
        spread, exact = np.std(output.value, axis=0), sigma[0] < 1e-30
        assert ((spread == 0) == exact).all()
        ratio = spread[~exact] / sigma[0][~exact]
        assert 0.75 < np.sqrt(np.mean(ratio**2)) < 1.35
        # Single values may be off by 2: roundings inside a step are taken to be independent.
        assert ratio.min() > 0.4
        assert ratio.max() < 2.5


@pytest.mark.parametrize("units", [1, 5, 16])
def test_errors_of_few_states_pass_from_step_to_step_with_their_covariance(units):
    """h = x W + h U: the covariance by hand, U' C U and the roundings of the step."""
    spec = spec_of("simple_rnn", units, activation="linear", use_bias=False, **SEQUENCES)
    problem = random_problem(spec, 4, (1, 6, 3))
    W, U = (NoisyArray(t.data.astype(np.float64), None, FLOAT32) for t in problem.weights)
    x = problem.inputs.data[0].astype(np.float64)
    h, covariance, activation = np.zeros((1, units)), np.zeros((units, units)), 2.0**-252
    noisy_outputs = compute_with_noise(problem)
    for t in range(len(x)):
        exact = NoisyArray(h, None, FLOAT32)
        zero = NoisyArray(np.zeros((1, units)), None, FLOAT32)
        step = (NoisyArray(x[t : t + 1], None, FLOAT32) @ W + zero) + exact @ U
        roundings = step.noise[0] + activation
        covariance = U.value.T @ covariance @ U.value + np.diag(roundings)
        h = step.value
        np.testing.assert_allclose(noisy_outputs.outputs[0].data[0, t], h[0], rtol=1e-12)
        sigmas = np.sqrt(np.diag(covariance))
        np.testing.assert_allclose(noisy_outputs.sigmas[0][0, t], sigmas, rtol=1e-9)


def test_errors_that_cancel_leave_no_negative_variance():
    """Both numbers of a row have made the same error, but for a rounding of their covariance."""
    covariance = np.array([[[0.1, 0.1 + 1e-15], [0.1 + 1e-15, 0.1]]])
    difference = np.array([[[1.0]], [[-1.0]]])
    number = NoisyArray(np.zeros((1, 1)), None, FLOAT32, difference, covariance)
    assert number.noise == [[0]]


def test_an_operation_in_fixed_point_has_an_absolute_error_besides():
    fixed = NoiseArithmetic("float32", declared_precision("2**-8"))
    x = NoisyArray(np.full((1, 3), 1e-6), None, fixed.dtype)
    kernel = NoisyArray(np.full((3, 1), 1e-6), None, fixed.dtype)
    error = 2.0**-8
    for result in (x + x, x * x, fixed.activation("tanh")(x)):
        np.testing.assert_allclose(result.sigma, error, rtol=1e-3)
    np.testing.assert_allclose((x @ kernel).sigma, np.sqrt(3) * error, rtol=1e-3)


def test_an_engine_with_a_declared_precision_rounds_the_numbers_that_it_is_given():
    values = np.array([0.0, 0.3])
    for precision, sigma in ((None, [0, 0]), ("float16", [0, 0.3 * 2.0**-11])):
        declared = declared_precision(precision) if precision else None
        array = NoiseArithmetic("float32", declared).for_dtype("float32").from_array(values)
        assert array.sigma.tolist() == pytest.approx(sigma)
