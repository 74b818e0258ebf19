"""Gradients compared with difference quotients in exact arithmetic, and with each other."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import (
    BOTH,
    EXACT,
    KINDS,
    problem_of,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
)

from rnnparity.problem.errors import RequestError
from rnnparity.problem.layers import ACTIVATIONS
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import Unroller, compute
from rnnparity.reference.activations import SELU_SCALE
from rnnparity.reference.exact import ExactArithmetic
from rnnparity.reference.gradients import compute_gradients, compute_gradients_exactly

every_kind = pytest.mark.parametrize("kind", KINDS)
SHAPE = (2, 3, 2)
# The steps of the difference quotients, exact in float64 beside the problems' numbers.
STEP = 2.0**-20


def with_cotangents(problem, seed=0):
    rng = np.random.default_rng([seed, 7])
    slots = problem.output_slots()
    cotangents = [Tensor.of(s.name, rng.standard_normal(s.shape), s.dtype) for s in slots]
    return replace(problem, cotangents=tuple(cotangents))


def gradients_of(problem, compute=compute_gradients):
    return {tensor.name: tensor.data for tensor in compute(problem)}


def leaves(problem):
    """What the gradients belong to, by the names of the gradients."""
    states = problem.initial_state or ()
    named = [("inputs", problem.inputs), *((t.name, t) for t in problem.weights)]
    named += [(f"initial_state/{t.name}", t) for t in states]
    return {name: tensor.data.astype(np.float32).astype(np.float64) for name, tensor in named}


def with_leaves(problem: Problem, arrays):
    """The problem with other inputs, weights and initial states."""
    states = problem.initial_state
    return replace(
        problem,
        inputs=Tensor("inputs", arrays["inputs"]),
        weights=tuple(Tensor(t.name, arrays[t.name]) for t in problem.weights),
        initial_state=states
        and tuple(Tensor(t.name, arrays[f"initial_state/{t.name}"]) for t in states),
    )


def slope_along(problem, directions):
    """The derivative of sum(cotangent * output), by Richardson's extrapolation, in 350 digits."""
    cotangents = [tensor.data.astype(np.float64) for tensor in problem.cotangents]
    numbers = leaves(problem)

    def total(step):
        moved = {name: array + step * directions[name] for name, array in numbers.items()}
        outputs = Unroller(with_leaves(problem, moved), ExactArithmetic()).run()
        return sum((o * c).sum() for o, c in zip(outputs, cotangents, strict=True))

    near, far = ((total(h) - total(-h)) / (2 * h) for h in (STEP, 2 * STEP))
    return float((4 * near - far) / 3)


def assert_gradients_are_slopes(problem):
    """Along a direction in which every number of every leaf moves."""
    problem = with_leaves(with_cotangents(problem), leaves(problem))
    rng = np.random.default_rng(3)
    directions = {
        n: rng.choice([-2.0, -1.0, 1.0, 3.0], a.shape) for n, a in leaves(problem).items()
    }
    expected = slope_along(problem, directions)
    for compute_all, tolerance in ((compute_gradients, 1e-13), (compute_gradients_exactly, 3e-15)):
        gradients = gradients_of(problem, compute_all)
        shapes = [(name, gradient.shape) for name, gradient in gradients.items()]
        assert shapes == [(slot.name, slot.shape) for slot in problem.gradient_slots()]
        parts = [gradients[name] * directions[name] for name in directions]
        size = sum(np.abs(part).sum() for part in parts)
        assert sum(part.sum() for part in parts) == pytest.approx(expected, abs=tolerance * size)


def problem_with(spec, seed=1, **options):
    return random_problem(spec, seed, options.pop("shape", SHAPE), initial=True, **options)


@every_kind
@pytest.mark.parametrize("options", [{}, {"go_backwards": True}, {"use_bias": False}])
def test_layer(kind, options):
    assert_gradients_are_slopes(problem_with(spec_of(kind, 3, **EXACT, **BOTH, **options)))


@every_kind
@pytest.mark.parametrize("zeros", [False, True])
def test_mask(kind, zeros):
    spec = spec_of(kind, 2, **EXACT, **BOTH, zero_output_for_mask=zeros)
    mask = ("0110", "1001", "0000")
    assert_gradients_are_slopes(problem_with(spec, shape=(3, 4, 2), mask=mask))


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("flags", [BOTH, {"return_state": True}])
def test_two_directions(mode, flags):
    spec = two_ways(spec_of("gru", 2, **EXACT, **flags), merge_mode=mode)
    assert_gradients_are_slopes(problem_with(spec, mask=("011", "101")))


@every_kind
def test_calls_of_a_stack(kind):
    """One layer is stateful, one starts each call from zeros."""
    first = spec_of(kind, 2, **EXACT, return_sequences=True, stateful=True)
    last = spec_of("lstm", 2, **EXACT, **BOTH)
    problem = problem_with(stack_of(first, two_ways(last)), calls=(2, 1), mask=("110", "011"))
    assert_gradients_are_slopes(problem)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    """On both sides of the kinks. An exponential of exponentials leaves the range."""
    scale = 2.0 if name.startswith("hard") else 0.5
    outer = "tanh" if name == "exponential" else name
    spec = spec_of("lstm", 2, **EXACT, **BOTH, activation=outer, recurrent_activation=name)
    assert_gradients_are_slopes(problem_with(spec, scale=scale))


def test_last_output_alone():
    assert_gradients_are_slopes(problem_with(spec_of("lstm", 3, **EXACT)))


@every_kind
def test_gradients_are_linear_in_the_cotangents(kind):
    spec = two_ways(spec_of(kind, 3, **EXACT, **BOTH), merge_mode="mul")
    first, second = (with_cotangents(problem_with(spec), seed) for seed in (1, 2))
    pairs = zip(first.cotangents, second.cotangents, strict=True)
    both = replace(first, cotangents=tuple(Tensor(a.name, a.data - 2 * b.data) for a, b in pairs))
    one, two, total = map(gradients_of, (first, second, both))
    for name, array in total.items():
        np.testing.assert_allclose(array, one[name] - 2 * two[name], atol=1e-13, rtol=0)


@every_kind
def test_gradients_of_calls_add_up(kind):
    """The gradients of the second call's initial states are cotangents of the first's last states."""
    spec = spec_of(kind, 3, **EXACT, **BOTH, stateful=True)
    joined = with_cotangents(problem_with(spec, shape=(2, 5, 2), calls=(3, 2)))
    output, *states = joined.cotangents
    inputs = joined.inputs.data
    first = replace(joined, inputs=Tensor("inputs", inputs[:, :3]), calls=None, cotangents=None)
    second = replace(
        joined,
        inputs=Tensor("inputs", inputs[:, 3:]),
        initial_state=compute(first)[1:],
        calls=None,
        cotangents=(Tensor("output", output.data[:, 3:]), *states),
    )
    late = gradients_of(second)
    ends = [Tensor(t.name, late[f"initial_state/{t.name}"]) for t in states]
    first = replace(first, cotangents=(Tensor("output", output.data[:, :3]), *ends))
    early, whole = gradients_of(first), gradients_of(joined)
    np.testing.assert_allclose(
        whole.pop("inputs"), np.concatenate([early["inputs"], late["inputs"]], 1), atol=1e-14
    )
    for name, array in whole.items():
        expected = early[name] + (0 if name.startswith("initial") else late[name])
        np.testing.assert_allclose(array, expected, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float16", "mixed_bfloat16"])
def test_policy_rounds_the_leaves_and_nothing_else(dtype):
    """Nor does the cast between two layers."""
    narrow, wide = (
        problem_with(
            stack_of(spec_of("gru", 3, return_sequences=True, dtype=d), spec_of("lstm", 3, dtype=d))
        )
        for d in (dtype, "float64")
    )
    narrow = with_cotangents(narrow)
    compute_dtype = narrow.layer.compute_dtype
    rounded = {
        name: Tensor.of(name, array, compute_dtype).data.astype(np.float64)
        for name, array in leaves(narrow).items()
    }
    expected = gradients_of(with_leaves(replace(wide, cotangents=narrow.cotangents), rounded))
    computed = gradients_of(narrow)
    assert list(computed) == list(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(computed[name], array, atol=1e-14)


@pytest.mark.parametrize("compute", [compute_gradients, compute_gradients_exactly])
def test_slope_at_a_kink_is_that_of_keras(compute):
    """relu(0) has the slope 0, of which a difference quotient would make 1/2."""
    spec = spec_of("simple_rnn", 1, **EXACT, activation="relu", use_bias=False)
    problem = problem_of(spec, [[[1.0]], [[1.0]]], [[[0.0]]])
    gradients = compute(replace(problem, cotangents=(Tensor("output", np.ones((1, 1))),)))
    assert [tensor.data.tolist() for tensor in gradients] == [[[[0.0]]], [[0.0]], [[0.0]]]


@pytest.mark.parametrize(
    ("name", "kink", "slope"),
    [
        ("hard_sigmoid", -3.0, 0.0),
        ("hard_sigmoid", 3.0, 0.0),
        ("hard_sigmoid_keras2", -2.5, 0.2),
        ("hard_sigmoid_keras2", 2.5, 0.2),
        ("selu", 0.0, SELU_SCALE),
        ("elu", 0.0, 1.0),
    ],
)
@pytest.mark.parametrize("compute", [compute_gradients, compute_gradients_exactly])
def test_slopes_at_kinks_are_those_of_tensorflow(compute, name, kink, slope):
    """docs/gradients.md has what other frameworks do there."""
    spec = spec_of("simple_rnn", 1, **EXACT, activation=name, use_bias=False)
    problem = problem_of(spec, [[[1.0]], [[1.0]]], [[[kink]]])
    inputs, *_ = compute(replace(problem, cotangents=(Tensor("output", np.ones((1, 1))),)))
    assert inputs.data.item() == pytest.approx(slope, rel=1e-15)


def test_repr_and_missing_cotangents():
    problem = problem_with(spec_of("lstm", 3))
    assert repr(with_cotangents(problem)).endswith("initial_state, cotangents)")
    with pytest.raises(
        RequestError, match=r"^problem: cotangents: got none, expected one for each"
    ):
        compute_gradients(problem)
