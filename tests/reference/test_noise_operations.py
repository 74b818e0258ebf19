"""The noise model against perturbed runs: every operation's result is changed at random by what
rounding could do.

A rounding is a relative change of size u with a random sign, whose variance is u**2, as the model
has it. Copies of a problem stand in the batch axis, so one run gives the variance of every value.
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
from rnnparity.reference import Unroller, compute_with_noise
from rnnparity.reference.activations import ACTIVATIONS
from rnnparity.reference.arithmetic import PlainArithmetic
from rnnparity.reference.noise import NoiseArithmetic, NoisyArray

FLOAT32, FLOAT64 = FLOAT_TYPES["float32"], FLOAT_TYPES["float64"]
SAMPLES = 4000


def generator():
    return np.random.default_rng(20)


def signs(rng, shape):
    return rng.choice([-1.0, 1.0], shape)


def noisy(rng, shape, sigma=1e-5):
    """Values, the noise that they carry, and SAMPLES of them with that noise."""
    values = rng.standard_normal(shape)
    sigmas = sigma * rng.uniform(0.5, 2, shape)
    samples = values + sigmas * rng.standard_normal((SAMPLES, *shape))
    return NoisyArray(values, sigmas**2, FLOAT64), samples


def assert_variance(model, samples, low=0.85, high=1.15):
    """The model's variance is the samples', within what SAMPLES of them can tell (a standard error
    of 2 %)."""
    ratio = np.var(samples, axis=0) / model.noise
    assert (ratio > low).all(), ratio.min()
    assert (ratio < high).all(), ratio.max()


# --- one operation
# ---------------------------------------------------------------------------------------------------

OPERATIONS = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "one_minus": lambda a, _: 1 - a,
    "half": lambda a, _: a / 2,
    "gates": lambda a, b: a[..., 1:] * b[..., 1:] + a[..., :-1] * b[..., :-1],
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_noise_passes_on(operation):
    """Noise far above rounding (that of float64): what is left of it after the operation."""
    rng = generator()
    (a, a_samples), (b, b_samples) = noisy(rng, (5,)), noisy(rng, (5,))
    assert_variance(OPERATIONS[operation](a, b), OPERATIONS[operation](a_samples, b_samples))


@pytest.mark.parametrize("operation", ["add", "mul", "one_minus"])
@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_an_operation_rounds_its_result(operation, dtype):
    """Numbers known exactly leave u of the result."""
    known = (
        NoiseArithmetic(dtype).from_array(np.array([0.3, -2.5])),
        NoiseArithmetic(dtype).from_array(np.array([1.7, 0.4])),
    )
    result = OPERATIONS[operation](*known)
    values = OPERATIONS[operation](*(letter.value for letter in known))
    np.testing.assert_allclose(result.value, values, rtol=1e-15)
    np.testing.assert_allclose(result.sigma, FLOAT_TYPES[dtype].u * np.abs(values), rtol=0.05)


def test_halving_is_exact():
    result = NoiseArithmetic("float32").from_array(np.array([0.3])) / 2
    assert result.sigma.tolist() == [0]


def test_a_cast_to_a_coarser_type_rounds_and_one_to_a_finer_does_not():
    letter = NoisyArray(np.array([0.7]), np.array([1e-8]), FLOAT32)
    coarser, finer = (
        NoiseArithmetic("bfloat16").cast(letter),
        NoiseArithmetic("float64").cast(letter),
    )
    assert coarser.noise[0] == pytest.approx(1e-8 + (2**-8 * 0.7) ** 2)
    assert finer.noise[0] == 1e-8
    assert (coarser.dtype.name, finer.dtype.name) == ("bfloat16", "float64")


def test_noise_passes_a_product_with_weights():
    rng = generator()
    h, samples = noisy(rng, (2, 6))
    W = rng.standard_normal((6, 4))
    assert_variance(h @ NoisyArray(W, None, FLOAT64), samples @ W)


def summed_with_roundings(rng, x, W, u):
    """x (rows, L) @ W (L, H) from left to right; each product and each partial sum is rounded."""
    total = 0.0
    for place in range(x.shape[-1]):
        product = x[:, place, None] * W[place]
        total = total + product * (1 + u * signs(rng, product.shape))
        total = total * (1 + u * signs(rng, total.shape))
    return total


@pytest.mark.parametrize("terms", [1, 2, 5, 20, 80])
@pytest.mark.parametrize("alike", [False, True], ids=["any_sign", "one_sign"])
def test_a_sum_of_products_rounds_at_every_term(terms, alike):
    """Without the factor L the variance would be missed by 3 at 5 terms and by 40 at 80."""
    rng = generator()
    x, W = rng.uniform(0.5, 1, (1, terms)), rng.uniform(0.5, 1, (terms, 8))
    if not alike:
        x, W = x * signs(rng, x.shape), W * signs(rng, W.shape)
    samples = summed_with_roundings(rng, np.repeat(x, SAMPLES, 0), W, FLOAT32.u)
    model = NoisyArray(x, None, FLOAT32) @ NoisyArray(W, None, FLOAT32)
    ratio = np.var(samples, axis=0) / model.noise[0]
    # Which partial sums come out large is a matter of luck: on the whole the model is right,
    # nowhere far too narrow.
    assert 0.5 < ratio.mean() < 2.5
    assert ratio.max() < 4.5


@pytest.mark.parametrize("units", [2, 8, 64])
def test_equal_units_make_the_same_error(units):
    """With constant weights amplitudes add up; where values or weights differ, variances do."""
    alike, different = np.full((1, units), 0.3), np.linspace(0.2, 0.4, units)[None]
    W, other_W = np.full((units, 3), 0.1), np.linspace(0.05, 0.15, units)[:, None] * np.ones(3)
    var = np.full((1, units), 1e-8)

    def sigma_of(values, weights):
        return (NoisyArray(values, var, FLOAT64) @ NoisyArray(weights, None, FLOAT64)).sigma[0]

    np.testing.assert_allclose(sigma_of(alike, W), 1e-4 * 0.1 * units, rtol=1e-9)
    np.testing.assert_allclose(sigma_of(different, W), 1e-4 * 0.1 * np.sqrt(units), rtol=1e-9)
    np.testing.assert_allclose(
        sigma_of(alike, other_W), 1e-4 * np.sqrt((other_W**2).sum(0)), rtol=1e-9
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_noise_passes_an_activation(name):
    """Far enough from kinks; there the test of kinks takes over."""
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
    wide = 1.3 if name == "gelu_tanh" else 1.15  # which has gelu's slope, right to a few percent
    assert_variance(model[~flat], samples[:, ~flat], 1 / wide, wide)
    assert (np.var(samples[:, flat], axis=0) == 0).all()
    assert (model.sigma[flat] <= FLOAT64.u).all()


# --- whole runs
# ------------------------------------------------------------------------------------------------------


class Rounded:
    """An array of which every operation is followed by a random rounding."""

    def __init__(self, value, u, rng):
        self.value, self.u, self.rng = value, u, rng
        self.shape = value.shape

    def rounded(self, value, size=None):
        size = np.abs(value) if size is None else size
        return Rounded(value + self.u * size * signs(self.rng, value.shape), self.u, self.rng)

    def reshape(self, shape):
        return Rounded(self.value.reshape(shape), self.u, self.rng)

    def swapaxes(self, one, other):
        return Rounded(self.value.swapaxes(one, other), self.u, self.rng)

    def __getitem__(self, index):
        return Rounded(self.value[index], self.u, self.rng)

    def __add__(self, other):
        return self.rounded(self.value + other.value)

    def __mul__(self, other):
        return self.rounded(self.value * other.value)

    def __rsub__(self, one):
        return self.rounded(one - self.value)

    def __truediv__(self, two):
        return Rounded(self.value / two, self.u, self.rng)

    def __matmul__(self, W):
        return Rounded(
            summed_with_roundings(self.rng, self.value, W.value, self.u), self.u, self.rng
        )


class RandomRounding(PlainArithmetic):
    """An arithmetic for the reference's own time loop. Activations are off by what the model says
    of them."""

    def __init__(self, dtype):
        super().__init__()
        self.u, self.rng = FLOAT_TYPES[dtype].u, generator()

    def from_array(self, values):
        return Rounded(np.asarray(values, np.float64), self.u, self.rng)

    def activation(self, name):
        function = ACTIVATIONS[name]
        return lambda x: x.rounded(function(x.value), function.error(x.value, function(x.value)))

    def where(self, chosen, one, other):
        return Rounded(np.where(chosen, one.value, other.value), self.u, self.rng)

    def join(self, letters, axis):
        return Rounded(np.concatenate([letter.value for letter in letters], axis), self.u, self.rng)

    def stack(self, letters):
        return Rounded(np.stack([letter.value for letter in letters], axis=-2), self.u, self.rng)


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
def test_sigma_is_the_spread_of_perturbed_runs(label, mask):
    """Over all values of an output, also where errors have gone through six steps, gates and
    masks."""
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
    perturbed = Unroller(many, RandomRounding(row.layer.compute_dtype)).run().outputs
    for sigma, letter in zip(noisy_outputs.sigmas, perturbed, strict=True):
        spread, exact = np.std(letter.value, axis=0), sigma[0] < 1e-30
        assert ((spread == 0) == exact).all()
        ratio = spread[~exact] / sigma[0][~exact]
        assert 0.75 < np.sqrt(np.mean(ratio**2)) < 1.35
        # Single values may be off by 2: what is rounded inside one step is taken to be independent.
        assert ratio.min() > 0.4
        assert ratio.max() < 2.5
