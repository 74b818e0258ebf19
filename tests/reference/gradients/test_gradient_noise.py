"""The noise of gradients compared with real float32 arithmetic, and what makes it inconclusive."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import (
    BOTH,
    KINDS,
    problem_of,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
)
from _support.single_precision import Float32Arithmetic

from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.problem.answer import Answer
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference.activations import ACTIVATIONS, SELU_ALPHA, SELU_SCALE
from rnnparity.reference.gradients import tolerance
from rnnparity.reference.gradients.arithmetic import TapedArithmetic
from rnnparity.reference.gradients.backward import BackwardUnroller
from rnnparity.reference.gradients.stochastic import StochasticArithmetic
from rnnparity.reference.gradients.tolerance import expect_gradients
from rnnparity.reference.tolerance import expect
from rnnparity.verdict.judge import judge

U = 2.0**-24


class LowTanhArithmetic(Float32Arithmetic):
    """A tanh that is always one unit too near to 0, as approximations are in saturation."""

    def activation_value(self, name, x):
        return np.nextafter(super().activation_value(name, x), np.float32(0))


def sigmas_off(problem, arithmetic=None):
    """How far gradients computed in float32 are off, in sigma, by the names of their slots."""
    expected = expect_gradients(problem)
    assert not expected.inconclusive
    arithmetic = arithmetic or Float32Arithmetic()
    actual = BackwardUnroller(problem, arithmetic).gradients(problem.cotangents)
    return {
        tensor.name: (array[0] - tensor.data) / np.maximum(sigma, 1e-300)
        for array, tensor, sigma in zip(actual, expected.outputs, expected.sigmas, strict=True)
    }


def scalar(x, weights, cotangent, activation="linear", rows=1, **options):
    """SimpleRNN with one unit and one step; equal rows."""
    spec = spec_of("simple_rnn", 1, activation=activation, **options)
    problem = problem_of(spec, weights, np.full((rows, 1, 1), x))
    return replace(problem, cotangents=(Tensor("output", np.full((rows, 1), cotangent)),))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [0.3, 2.0])
def test_float32_is_off_by_about_one_sigma(kind, scale):
    """Sigma allows for worse functions and orders of summation than NumPy's."""
    mask = ("1110111", "0011111", "1111000")
    spec = two_ways(spec_of(kind, 6, **BOTH), merge_mode="mul")
    for problem in (
        random_problem(spec_of(kind, 9, **BOTH), 1, (3, 40, 7), scale=scale, initial=True),
        random_problem(spec, 2, (3, 7, 2), scale=scale, initial=True, mask=mask),
    ):
        for off in sigmas_off(with_cotangents(problem)).values():
            assert 0.03 < np.sqrt((off**2).mean()) < 1.2
            assert np.abs(off).max() < 5


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slope_is_off_by_about_one_sigma(name):
    """Where its terms cancel, too."""
    x = np.linspace(-8, 8, 800).reshape(1, 40, 20)
    x = x.astype(np.float32).astype(np.float64)
    single, noisy = (
        Float32Arithmetic(),
        StochasticArithmetic("float32", 256, np.random.Generator(np.random.SFC64(0))),
    )

    def slopes(arithmetic):
        values = arithmetic.plain(x)
        y = arithmetic.activation_value(name, values)
        return arithmetic.activation_gradient(name, values, y, np.ones_like(values))

    exact = slopes(TapedArithmetic())
    sigma = np.sqrt(((slopes(noisy) - exact) ** 2).mean(axis=0))
    off = np.abs(slopes(single) - exact)[0] / np.maximum(sigma, 1e-300)
    off = np.where(slopes(single)[0] == exact[0], 0, off)
    assert np.sqrt((off**2).mean()) < 1.2
    assert off.max() < 6
    assert not noisy.reasons


@pytest.mark.parametrize(
    ("kind", "units", "seed", "scale"),
    [("simple_rnn", 12, 1, 4.0), ("simple_rnn", 12, 2, 4.0), ("gru", 6, 0, 10.0)],
)
def test_noise_that_recurrence_amplifies_is_off_by_about_one_sigma(kind, units, seed, scale):
    """Further than the noise model of outputs holds: runs share the errors that states share."""
    spec = spec_of(kind, units, return_sequences=True)
    problem = with_cotangents(random_problem(spec, seed, (3, 40, 3), scale=scale))
    assert expect(problem).inconclusive.startswith("the rounding noise of h has grown too far")
    for off in sigmas_off(problem).values():
        assert 0.01 < np.sqrt((off**2).mean()) < 1.5
        assert np.abs(off).max() < 5


def test_functions_that_always_err_in_the_same_direction():
    """The errors of so many saturated steps add up; they do not cancel."""
    problem = with_cotangents(random_problem(spec_of("simple_rnn", 2), 0, (8, 200, 1)))
    weights = [np.zeros((1, 2)), np.zeros((2, 2)), np.full(2, 8.2)]
    problem = replace(
        problem_of(spec_of("simple_rnn", 2, return_sequences=True), weights, problem.inputs.data),
        cotangents=(Tensor("output", np.ones((8, 200, 2))),),
    )
    expected = expect_gradients(problem)
    actual = BackwardUnroller(problem, LowTanhArithmetic()).gradients(problem.cotangents)
    off = np.abs(actual[3][0] - expected.outputs[3].data) / expected.sigmas[3]
    assert (off < 3).all()
    assert (off > 0.3).all()


@pytest.mark.parametrize(("dtype", "u", "most"), [("float32", U, 1.35), ("float64", 2.0**-53, 2)])
def test_sigma_of_one_product_is_its_rounding(dtype, u, most):
    """In float64 the runs themselves round besides."""
    problem = scalar(3.0, [[[0.7]], [[0.0]], [0.1]], 0.3, dtype=dtype)
    # The cotangent times the slope 1, both with their errors, then one sum of one product.
    cotangent = np.sqrt(2) * 0.3
    one_sum = 0.3 * np.sqrt(1 / 2 + 1 / 3)
    by_hand = [0.7 * np.hypot(cotangent, one_sum), 3 * np.hypot(cotangent, one_sum), 0, cotangent]
    for sigma, size in zip(expect_gradients(problem).sigmas, by_hand, strict=True):
        assert 0.65 * u * size <= sigma.item() <= most * u * size


@pytest.mark.parametrize("rows", [1, 16])
def test_products_that_may_be_flushed_to_zero(rows):
    """Of a sum each may be: those of 2**-128 are, where no subnormal numbers are kept."""
    problem = scalar(2.0**-2, [[[0.5]], [[0.0]], [0.5]], 2.0**-126, rows=rows)
    _, kernel, _, _ = expect_gradients(problem).sigmas
    assert rows * 2.0**-128 < 10 * kernel.item() < 100 * rows * 2.0**-128


def test_the_same_noise_every_time():
    problem = with_cotangents(random_problem(spec_of("gru", 3, **BOTH), 0))
    first, second = expect_gradients(problem), expect_gradients(problem)
    for one, other in zip(first.sigmas, second.sigmas, strict=True):
        np.testing.assert_array_equal(one, other)


def test_runs_in_several_parts(monkeypatch):
    """Where memory has no place for all at once; each part has errors of its own."""
    problem = with_cotangents(random_problem(spec_of("lstm", 8, **BOTH), 0))
    whole = expect_gradients(problem).sigmas
    arithmetics = []

    def recorded(dtype, runs, rng, precision):
        arithmetics.append(StochasticArithmetic(dtype, runs, rng, precision))
        return arithmetics[-1]

    monkeypatch.setattr(tolerance, "BYTES_AT_ONCE", 0)
    monkeypatch.setattr(tolerance, "StochasticArithmetic", recorded)
    parts = expect_gradients(problem).sigmas
    assert [arithmetic.runs for arithmetic in arithmetics] == [8, 8, 8, 8]
    for one, other in zip(whole, parts, strict=True):
        assert np.sqrt((one**2).mean() / (other**2).mean()) == pytest.approx(1, abs=0.2)
    ratios = np.concatenate([np.ravel(a / b) for a, b in zip(whole, parts, strict=True)])
    assert 0.1 < np.std(ratios) < 0.24  # 0.18, of two sigmas from 32 runs; 0.28 if one is from 8


@pytest.mark.parametrize(
    ("activation", "kink"), [("relu", 0.0), ("hard_sigmoid", 3.0), ("hard_sigmoid_keras2", -2.5)]
)
def test_number_near_a_kink_is_inconclusive(activation, kink):
    def reason(distance):
        weights = [[[1.0]], [[0.5]], [1.0]]
        return expect_gradients(scalar(kink - 1 + distance, weights, 1.0, activation)).inconclusive

    assert reason(2 * U) == (
        "a change of 0.001 in the gradient of inputs would stay hidden; "
        f"rounding may move a number over a kink of {activation}"
    )
    # As far off as a healthy result may be: 10 sigma, of which each is U at least.
    assert reason(8 * U)
    assert reason(1e-4 if kink <= 0 else -1e-4) == ""


def test_number_near_a_kink_through_which_nothing_flows_back():
    problem = scalar(-1 + 2 * U, [[[1.0]], [[0.5]], [1.0]], 0.0, "relu")
    assert not expect_gradients(problem).inconclusive


@pytest.mark.parametrize("slope", [0, 1])
def test_number_near_a_kink_is_noise_where_others_are_certain(slope):
    """The first of two units is near the kink of relu: either slope of it agrees."""
    spec = spec_of("simple_rnn", 2, activation="relu")
    weights = [np.eye(2), np.zeros((2, 2)), [1.0, 2.0]]
    problem = problem_of(spec, weights, [[[2 * U - 1, 1.0]]])
    problem = replace(problem, cotangents=(Tensor("output", np.ones((1, 2))),))
    expected = expect_gradients(problem)
    assert not expected.inconclusive
    for sigma in (expected.sigmas[0].squeeze(), expected.sigmas[3]):
        assert 0.3 < sigma[0] < 0.95  # 0.7: as often 0 as 1 in 32 runs
        assert sigma[1] < 4 * U
    kernel, recurrent = np.array([[-slope, -1], [slope, 1.0]]), np.zeros((2, 2))
    arrays = [np.array([[[slope, 1.0]]]), kernel, recurrent, np.array([slope, 1.0])]
    for factor, verdict in ((1, Verdict.AGREES), (1.001, Verdict.DIVERGES)):
        changed = [*arrays[:3], arrays[3] * factor]
        gradients = tuple(
            Tensor.of(slot.name, array, slot.dtype)
            for slot, array in zip(problem.gradient_slots(), changed, strict=True)
        )
        assert judge(problem, Answer(gradients=gradients), expected).verdict is verdict


@pytest.mark.parametrize("slope", [SELU_SCALE, SELU_SCALE * SELU_ALPHA])
def test_value_below_the_error_of_an_activation_may_be_on_either_side(slope):
    """The exponential of -1e-8 is 1 in float32, selu 0, whose slope may be that of either side."""
    problem = problem_of(
        spec_of("simple_rnn", 2, activation="selu"),
        [np.eye(2), np.zeros((2, 2)), np.zeros(2)],
        [[[-1e-8, 1.0]]],
    )
    problem = replace(problem, cotangents=(Tensor("output", np.ones((1, 2))),))
    expected = expect_gradients(problem)
    assert not expected.inconclusive
    slopes = np.array([slope, SELU_SCALE])
    x = problem.inputs.data[0, 0]
    arrays = [slopes.reshape(1, 1, 2), np.outer(x, slopes), np.zeros((2, 2)), slopes]
    gradients = tuple(
        Tensor.of(slot.name, array, slot.dtype)
        for slot, array in zip(problem.gradient_slots(), arrays, strict=True)
    )
    assert judge(problem, Answer(gradients=gradients), expected).verdict is Verdict.AGREES


def test_exact_zero_at_a_kink_is_predictable():
    """Zeros are exact in every type: the convention decides."""
    problem = scalar(0.0, [[[1.0]], [[0.5]], [0.0]], 1.0, "relu")
    expected = expect_gradients(problem)
    assert not expected.inconclusive
    assert [sigma.max() for sigma in expected.sigmas] == [0, 0, 0, 0]


@pytest.mark.parametrize(("dtype", "cotangent"), [("float16", 3e4), ("float32", 1e38)])
def test_gradient_that_may_overflow_is_unpredictable(dtype, cotangent):
    """The gradient of a kernel is four times the cotangent."""
    expected = expect_gradients(
        scalar(2.0, [[[1.0]], [[0.5]], [1.0]], cotangent, rows=2, dtype=dtype)
    )
    assert expected.unpredictable
    assert expected.inconclusive == f"a gradient leaves the range of {dtype}"


def test_unpredictable_outputs_have_unpredictable_gradients():
    problem = with_cotangents(random_problem(spec_of("simple_rnn", 40), 0, (2, 90, 3), scale=30.0))
    expected = expect_gradients(problem)
    assert expected.unpredictable
    assert expected.inconclusive.startswith("the rounding noise of h has grown too far")
    assert all(np.isinf(sigma).all() for sigma in expected.sigmas)


def test_gradient_in_the_noise_is_inconclusive_but_not_unpredictable():
    """tanh(8.3) is 1 - 1.2e-7: in float32 not much is left of its slope."""
    expected = expect_gradients(scalar(8.3, [[[1.0]], [[0.0]], [0.0]], 1.0, "tanh"))
    assert not expected.unpredictable
    assert expected.inconclusive == (
        "a change of 0.001 in the gradient of inputs would stay hidden"
    )
    assert 0 < expected.visible["inputs"] < 1


def test_gradient_too_small_for_its_type_hides_nothing():
    weights = [[[0.5]], [[1e-30]], [0.1]]
    problem = problem_of(spec_of("simple_rnn", 1), weights, np.ones((1, 3, 1)), initial=[[[0.5]]])
    problem = replace(problem, cotangents=(Tensor("output", np.ones((1, 1))),))
    expected = expect_gradients(problem)
    assert 0 < abs(expected.outputs[-1].data.item()) < 1e-80
    assert not expected.inconclusive
    assert expected.visible["initial_state/h"] == 0
    assert expected.visible["kernel"] > 100


def test_gradients_pass_through_the_type_of_the_layer_that_is_called():
    """Keras rounds what enters a Bidirectional to its type, and so what flows back."""
    spec = {**two_ways(spec_of("gru", 3, dtype="float64", **BOTH)), "config": {}}
    spec["config"] = {"layer": spec_of("gru", 3, dtype="float64", **BOTH), "dtype": "float32"}
    problem = with_cotangents(random_problem(spec, 0, initial=True))
    narrow = expect_gradients(problem)
    wide = expect_gradients(
        with_cotangents(random_problem(two_ways(spec["config"]["layer"]), 0, initial=True))
    )
    for tensor, one, other in zip(narrow.outputs, narrow.sigmas, wide.sigmas, strict=True):
        if tensor.name == "inputs" or tensor.name.startswith("initial_state"):
            assert 0.3 < np.median(one / np.abs(tensor.data)) / U < 10, tensor.name
            assert np.median(one) > 1e6 * np.median(other)


def test_types_of_the_layers_of_a_stack():
    """What flows back from a narrow layer has its noise in the wide one before it."""
    wide, narrow = (
        spec_of("lstm", 4, dtype=d, return_sequences=True) for d in ("float64", "float32")
    )
    alone = expect_gradients(with_cotangents(random_problem(stack_of(wide, wide), 0)))
    mixed = expect_gradients(with_cotangents(random_problem(stack_of(wide, narrow), 0)))
    assert mixed.dtype.name == "float32"
    for one, other in zip(mixed.sigmas, alone.sigmas, strict=True):
        assert np.median(one) > 1e7 * np.median(other)


def test_problem_without_cotangents():
    with pytest.raises(RequestError, match="cotangents: got none"):
        expect_gradients(random_problem(spec_of("lstm", 3)))


def test_a_state_that_overflows_to_no_number_gives_no_warning():
    """inf - inf inside of a product is not a number: the verdict states what left the range."""
    spec = spec_of("simple_rnn", 4, activation="exponential")
    problem = with_cotangents(random_problem(spec, 0, (2, 40, 3), scale=5.0))
    expected = expect_gradients(problem)
    assert expected.unpredictable
    assert "leaves the range" in expected.inconclusive
