"""Dropout with given masks: by hand, in every arithmetic, and backward."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import (
    BOTH,
    EXACT,
    KINDS,
    MASK,
    SHAPE,
    assert_same,
    outputs_of,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
    with_dropout,
)

from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.problem.problem import Tensor
from rnnparity.reference import compute, compute_exactly, spec
from rnnparity.reference.gradients import compute_gradients, compute_gradients_exactly
from rnnparity.reference.gradients.tolerance import expect_gradients
from rnnparity.reference.tolerance import expect

SPECS = {
    **{kind: spec_of(kind, **EXACT, **BOTH) for kind in KINDS},
    "no bias": spec_of("gru", **EXACT, **BOTH, use_bias=False, go_backwards=True),
    "two ways": two_ways(spec_of("lstm", **EXACT, **BOTH)),
    "stack": stack_of(
        spec_of("lstm", 3, **EXACT, return_sequences=True),
        two_ways(spec_of("gru_before", 2, **EXACT)),
    ),
}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def problem_with(kind, shared, shape=(2, 1, 3), **options):
    problem = random_problem(spec_of(kind, 2, **EXACT, **BOTH), 0, shape, initial=True, **options)
    return with_dropout(problem, seed=3, shared=shared)


def arrays(problem):
    """x and the states of the only step, the weights by gate, and the masks by gate."""
    gates = len(problem.layer.cell.gates)
    W, U, *bias = (tensor.data for tensor in problem.weights)
    masks = [np.broadcast_to(mask.data, (gates, *mask.shape[1:])) for mask in problem.dropout_masks]
    states = [state.data for state in problem.initial_state]
    blocks = [np.split(array, gates, axis=-1) for array in (W, U, *bias)]
    return problem.inputs.data[:, 0], states, blocks, masks


@pytest.mark.parametrize("shared", [True, False])
def test_simple_rnn_by_hand(shared):
    problem = problem_with("simple_rnn", shared)
    x, (h,), ((W,), (U,), (b,)), ((m_x,), (m_h,)) = arrays(problem)
    assert_same(outputs_of(problem)["h"], np.tanh((x * m_x) @ W + (h * m_h) @ U + b))


@pytest.mark.parametrize("shared", [True, False])
def test_lstm_by_hand(shared):
    problem = problem_with("lstm", shared)
    x, (h, c), (W, U, b), (m_x, m_h) = arrays(problem)
    z_i, z_f, z_c, z_o = ((x * m_x[k]) @ W[k] + (h * m_h[k]) @ U[k] + b[k] for k in range(4))
    c = sigmoid(z_f) * c + sigmoid(z_i) * np.tanh(z_c)
    assert_same(outputs_of(problem)["c"], c)
    assert_same(outputs_of(problem)["h"], sigmoid(z_o) * np.tanh(c))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("kind", ["gru", "gru_before"])
def test_gru_by_hand(kind, shared):
    """Only what is projected is dropped, not the state that the update gate keeps."""
    problem = problem_with(kind, shared)
    x, (h,), (W, U, b), (m_x, m_h) = arrays(problem)
    b, b_h = (b, 3 * [0.0]) if kind == "gru_before" else zip(*b, strict=True)
    x_z, x_r, x_h = ((x * m_x[k]) @ W[k] + b[k] for k in range(3))
    z = sigmoid(x_z + (h * m_h[0]) @ U[0] + b_h[0])
    r = sigmoid(x_r + (h * m_h[1]) @ U[1] + b_h[1])
    after = r * ((h * m_h[2]) @ U[2] + b_h[2])
    before = (r * h * m_h[2]) @ U[2]
    g = np.tanh(x_h + (after if kind == "gru" else before))
    assert_same(outputs_of(problem)["h"], z * h + (1 - z) * g)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("name", SPECS)
def test_specification_engine_and_exact_arithmetic_agree(name, shared):
    problem = with_dropout(random_problem(SPECS[name], 1, SHAPE, mask=MASK), shared=shared)
    plain = spec.outputs(replace(problem, dropout_masks=None))
    exact = compute_exactly(problem)
    for computed, written, right, without in zip(
        compute(problem), spec.outputs(problem), exact, plain, strict=True
    ):
        assert_same(computed.data, written)
        assert_same(computed.data, right.data)
        assert not np.allclose(written, without)


def test_a_mask_is_the_same_in_every_call_and_step():
    """One mask for all gates is a diagonal factor of the kernel: a row at a time."""
    problem = with_dropout(
        random_problem(spec_of("gru", **EXACT, **BOTH, stateful=True), 0, (1, 5, 3), calls=[2, 3]),
        shared=True,
    )
    weights = {tensor.name: tensor.data for tensor in problem.weights}
    for mask, name in zip(problem.dropout_masks, ("kernel", "recurrent_kernel"), strict=True):
        weights[name] = mask.data[0].T * weights[name]
    folded = replace(
        problem,
        weights=tuple(Tensor(name, array) for name, array in weights.items()),
        dropout_masks=None,
    )
    for computed, right in zip(compute(problem), compute(folded), strict=True):
        assert_same(computed.data, right.data)


def test_ones_change_nothing():
    problem = random_problem(spec_of("lstm", **BOTH), 0, mask=("011011", "110100", "000000"))
    masks = with_dropout(problem).dropout_masks
    ones = tuple(replace(mask, data=np.ones_like(mask.data)) for mask in masks)
    same = replace(problem, dropout_masks=ones)
    for tensor, expected in zip(compute(same), compute(problem), strict=True):
        np.testing.assert_array_equal(tensor.data, expected.data)
    first, second = expect(same), expect(problem)
    for sigma, other in zip(first.sigmas, second.sigmas, strict=True):
        np.testing.assert_allclose(sigma, other, rtol=0.2)  # a product with a mask rounds


@pytest.mark.parametrize("kind", KINDS)
def test_equal_masks_have_the_noise_of_one(kind):
    """The errors that the states of a step share stay in common where gates are joined."""
    one = with_dropout(random_problem(spec_of(kind, **BOTH), 0), shared=True)
    gates = len(one.layer.cell.gates)
    masks = tuple(replace(mask, data=mask.data.repeat(gates, axis=0)) for mask in one.dropout_masks)
    first, second = expect(one), expect(replace(one, dropout_masks=masks))
    for sigma, other in zip(first.sigmas, second.sigmas, strict=True):
        np.testing.assert_allclose(sigma, other, rtol=1e-9)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("name", SPECS)
def test_gradients_are_those_of_finite_differences(name, shared):
    problem = with_dropout(random_problem(SPECS[name], 1, (2, 3, 2), initial=True), shared=shared)
    problem = with_cotangents(problem)
    step = 1e-6
    gradients = {tensor.name: tensor.data for tensor in compute_gradients(problem)}
    for tensor in (problem.inputs, *problem.weights, *problem.initial_state):
        direction = np.random.default_rng(0).standard_normal(tensor.shape)
        ends = [_scalar(_moved(problem, tensor.name, size * direction)) for size in (step, -step)]
        slope = (ends[0] - ends[1]) / (2 * step)
        key = next(key for key in gradients if key in (tensor.name, f"initial_state/{tensor.name}"))
        assert (gradients[key] * direction).sum() == pytest.approx(slope, rel=1e-6, abs=1e-8)


def _moved(problem, name, change):
    def move(tensor):
        return replace(tensor, data=tensor.data + change) if tensor.name == name else tensor

    return replace(
        problem,
        inputs=move(problem.inputs),
        weights=tuple(map(move, problem.weights)),
        initial_state=tuple(map(move, problem.initial_state)),
    )


def _scalar(problem):
    pairs = zip(problem.cotangents, compute(problem), strict=True)
    return sum(float((cotangent.data * output.data).sum()) for cotangent, output in pairs)


def test_gradients_with_many_digits_are_the_same():
    problem = with_cotangents(problem_with("lstm", shared=False, shape=(2, 3, 3)))
    pairs = zip(compute_gradients(problem), compute_gradients_exactly(problem), strict=True)
    for gradient, exact in pairs:
        assert_same(gradient.data, exact.data)


@pytest.mark.parametrize("kind", KINDS)
def test_the_noise_has_the_size_of_real_rounding(kind):
    """Float32 outputs are some sigma off, neither far more nor far less."""
    largest = []
    for seed in range(6):
        problem = with_dropout(random_problem(spec_of(kind, 6, **BOTH), seed, (3, 8, 5)), seed=seed)
        expected = expect(problem)
        assert not expected.inconclusive
        for single, tensor, sigma in zip(
            compute(problem, np.float32), expected.outputs, expected.sigmas, strict=True
        ):
            largest.append((np.abs(single.data - tensor.data) / sigma).max())
    assert 0.5 < max(largest) < 6


def test_gradients_have_a_tolerance():
    problem = with_cotangents(with_dropout(random_problem(spec_of("gru", **BOTH), 0)))
    assert not expect_gradients(problem).inconclusive
