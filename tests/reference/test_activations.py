"""Activations compared with formulas in mpmath, slopes with numerical derivatives."""

import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf, workdps

from rnnparity.problem.layers import ACTIVATIONS as NAMES
from rnnparity.reference.activations import ACTIVATIONS, SELU_ALPHA, SELU_SCALE
from rnnparity.reference.exact import scalar_function

# Klambauer et al. 2017, with all the digits that Keras has.
ALPHA, SCALE = "1.6732632423543772848170429916717", "1.0507009873554804934193349852946"


def clip(x):
    return 0 if x < 0 else 1 if x > 1 else x


def constant(digits):
    """Keras' constants are float64 numbers."""
    return mpf(float(digits))


FORMULAS = {
    "tanh": lambda x: (mp.exp(x) - mp.exp(-x)) / (mp.exp(x) + mp.exp(-x)),
    "sigmoid": lambda x: mp.exp(x) / (1 + mp.exp(x)),
    "hard_sigmoid": lambda x: clip((x + 3) / 6),
    "hard_sigmoid_keras2": lambda x: clip((x + mpf(5) / 2) / 5),
    "relu": lambda x: x if x > 0 else 0,
    "linear": lambda x: x,
    "softsign": lambda x: x / (1 - x) if x < 0 else x / (1 + x),
    "elu": lambda x: x if x > 0 else mp.exp(x) - 1,
    "selu": lambda x: (
        constant(SCALE) * x if x > 0 else constant(SCALE) * constant(ALPHA) * (mp.exp(x) - 1)
    ),
    "softplus": lambda x: mp.log(1 + mp.exp(x)),
    "exponential": mp.exp,
    "gelu": lambda x: x * mp.ncdf(x),
    "gelu_tanh": lambda x: (
        x * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (x + constant("0.044715") * x**3))) / 2
    ),
    "silu": lambda x: x / (1 + mp.exp(-x)),
}
LARGE = [-700.0, -100.0, -40.0, -20.0, 20.0, 40.0, 100.0, 700.0]
AT_KINKS = [-3.0, -2.5, 0.0, 2.5, 3.0]
NEAR_KINKS = [
    np.nextafter(kink, kink + side) for kink in (-3.0, -2.5, 2.5, 3.0) for side in (-1, 1)
] + [-1e-9, 1e-9]
POINTS = np.array([*LARGE, *AT_KINKS, *NEAR_KINKS, *np.linspace(-8, 8, 81) + 0.003])

every_name = pytest.mark.parametrize("name", FORMULAS)


def test_every_activation_has_a_formula_in_this_file():
    assert set(FORMULAS) == set(NAMES) == set(ACTIVATIONS)
    assert {name: function.name for name, function in ACTIVATIONS.items()} == {
        name: name for name in NAMES
    }


def exact_values(name, points):
    """Return correctly rounded float64, also where the formula cancels."""
    with workdps(700):
        return np.array([float(FORMULAS[name](mpf(x))) for x in points])


@every_name
def test_values_agree_with_the_formula(name):
    """In float64: to the last places, or for those that cancel, to those of what they cancel
    from."""
    expected = exact_values(name, POINTS)
    cancels_from = (
        np.abs(POINTS)
        if name.startswith("gelu")
        else 0.5
        if name.startswith("hard")
        else np.abs(expected)
    )
    error = np.abs(ACTIVATIONS[name](POINTS) - expected)
    assert (error <= 5e-16 * np.maximum(np.abs(expected), cancels_from)).all(), POINTS[
        np.argmax(error)
    ]


def values_with_50_digits(name, points):
    with workdps(50):
        return [float(scalar_function(name, mp)(mpf(x))) for x in points]


@every_name
def test_values_with_50_digits_round_to_the_exact_float64(name):
    """The goldens of float64 cases depend on them."""
    points = POINTS[POINTS > -9] if name.startswith("gelu") else POINTS
    assert values_with_50_digits(name, points) == exact_values(name, points).tolist()


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh"])
def test_values_with_50_digits_are_exact_where_gelu_vanishes(name):
    points = [-12.0, -14.0, -20.0]
    assert values_with_50_digits(name, points) == exact_values(name, points).tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_name
def test_values_keep_their_type_and_shape(name, dtype):
    x = np.linspace(-3, 3, 12, dtype=dtype).reshape(3, 4)
    y = ACTIVATIONS[name](x)
    assert (y.dtype, y.shape) == (dtype, (3, 4))
    assert np.allclose(y, ACTIVATIONS[name](x.astype(np.float64)), atol=1e-6)


def numerical_slope(name, x, direction=0):
    with workdps(40):
        return float(mpmath.diff(FORMULAS[name], mpf(x), direction=direction))


@every_name
def test_slopes_agree_with_numerical_derivatives(name):
    x = np.array([-100.0, -20.0, *np.linspace(-8, 8, 81) + 0.003, 20.0, 100.0])
    function = ACTIVATIONS[name]
    expected = np.array([numerical_slope(name, value) for value in x])
    np.testing.assert_allclose(function.slope(x, function(x)), expected, rtol=1e-12, atol=1e-14)


@every_name
def test_kinks_are_where_the_one_sided_slopes_differ(name):
    """`steepest` is the larger slope of the two."""
    function = ACTIVATIONS[name]
    kinks = [
        x
        for x in AT_KINKS
        if abs(numerical_slope(name, x, -1) - numerical_slope(name, x, 1)) > 1e-6
    ]
    assert list(function.kinks) == kinks
    for kink in kinks:
        steepest = max(numerical_slope(name, kink, -1), numerical_slope(name, kink, 1))
        assert function.steepest == pytest.approx(steepest, rel=1e-12)


@every_name
def test_error_has_the_size_of_the_rounding_error_of_float32(name):
    """`error` is a size, not a bound: float32 functions are off by 0.05 to 1 of it, rms, and never
    by 8 of it."""
    function = ACTIVATIONS[name]
    x = np.linspace(-6, 6, 20001, dtype=np.float32)
    expected = function(x.astype(np.float64))
    off = function(x).astype(np.float64) - expected
    size = 2.0**-24 * function.error(x.astype(np.float64), expected)
    exact = size == 0
    assert (off[exact] == 0).all()
    if not exact.all():
        relative = off[~exact] / size[~exact]
        assert 0.05 < np.sqrt(np.mean(relative**2)) < 1
        assert np.abs(relative).max() < 8


def test_related_activations_have_related_errors():
    x = np.linspace(-6, 6, 121)
    elu, selu, gelu, gelu_tanh = (
        ACTIVATIONS[name].error(x, ACTIVATIONS[name](x))
        for name in ("elu", "selu", "gelu", "gelu_tanh")
    )
    assert np.allclose(selu[x < 0], SELU_SCALE * SELU_ALPHA * elu[x < 0])
    assert np.array_equal(gelu, gelu_tanh)
    assert ACTIVATIONS["tanh"].steepest == 1.0
