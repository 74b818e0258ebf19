"""The outputs compared with sources that share no code: a textbook loop, arithmetic by hand."""

import math

import numpy as np
import pytest
from _support.random_problems import (
    BOTH,
    EXACT,
    KINDS,
    assert_same,
    outputs_of,
    problem_of,
    random_problem,
    spec_of,
    two_ways,
)

from rnnparity.catalogue import catalogue
from rnnparity.reference import compute

every_kind = pytest.mark.parametrize("kind", KINDS)


def textbook_loop(inputs, Wx, Wh, b):
    """Source 001, cell 13, as printed: the weights are (H, D) and (H, H)."""
    hidden_state_t = np.zeros(len(b))
    total_hidden_states = []
    for input_t in inputs:
        output_t = np.tanh(np.dot(Wx, input_t) + np.dot(Wh, hidden_state_t) + b)
        total_hidden_states.append(list(output_t))
        hidden_state_t = output_t
    return np.stack(total_hidden_states, axis=0)


@pytest.mark.parametrize("shape", [(1, 10, 4), (1, 1, 1), (3, 7, 2)], ids=str)
def test_simple_rnn_agrees_with_the_textbook_loop(shape):
    problem = random_problem(spec_of("simple_rnn", 8, **BOTH), 1, shape)
    W, U, b = (tensor.data.astype(np.float64) for tensor in problem.weights)
    expected = np.stack(
        [textbook_loop(row.astype(np.float64), W.T, U.T, b) for row in problem.inputs.data]
    )
    assert_same(outputs_of(problem)["output"], expected)
    assert_same(outputs_of(problem)["h"], expected[:, -1])


def test_the_textbook_case_of_the_catalogue_agrees_with_the_loop():
    problem = catalogue()["sources-001-textbook"]
    W, U, b = (tensor.data.astype(np.float64) for tensor in problem.weights)
    expected = textbook_loop(problem.inputs.data[0].astype(np.float64), W.T, U.T, b)
    assert_same(outputs_of(problem)["output"][0], expected)


def test_a_bidirectional_lstm_agrees_with_the_printed_digits():
    """All weights are 0.1, the forget block of the bias is 1, as in the sources."""
    words = (
        [0.1, 4.2, 1.5, 1.1, 2.8],
        [1.0, 3.1, 2.5, 0.7, 1.1],
        [0.3, 2.1, 1.5, 2.1, 0.1],
        [2.2, 1.4, 0.5, 0.9, 1.1],
    )
    half = [np.full((5, 12), 0.1), np.full((3, 12), 0.1), np.repeat([0.0, 1.0, 0.0, 0.0], 3)]
    outputs = outputs_of(
        problem_of(two_ways(spec_of("lstm", 3, **EXACT, **BOTH)), half * 2, [words])
    )
    assert_same(
        outputs["output"][0, :, 0], np.array([0.3590648, 0.5511133, 0.5911575, 0.6303139]), 1e-7
    )
    assert_same(
        outputs["output"][0, :, 3], np.array([0.70387346, 0.5886358, 0.39516988, 0.21942243]), 1e-7
    )
    assert_same(outputs["forward_h"], np.full((1, 3), 0.6303139), 1e-7)
    assert_same(outputs["backward_h"], np.full((1, 3), 0.70387346), 1e-7)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def outputs_of_single_unit(kind, weights, inputs, initial, **config):
    """Return the outputs for B = D = H = 1 as lists of numbers."""
    spec = spec_of(kind, 1, **EXACT, **BOTH, **config)
    problem = problem_of(
        spec, weights, np.reshape(inputs, (1, -1, 1)), initial=[[[value]] for value in initial]
    )
    return {name: array.ravel().tolist() for name, array in outputs_of(problem).items()}


def test_simple_rnn_agrees_with_values_by_hand():
    actual = outputs_of_single_unit("simple_rnn", [[[0.5]], [[-0.8]], [0.1]], [2.0, -1.0], [0.3])
    h1 = math.tanh(2.0 * 0.5 + 0.3 * -0.8 + 0.1)
    h2 = math.tanh(-1.0 * 0.5 + h1 * -0.8 + 0.1)
    assert actual["output"] == pytest.approx([h1, h2], abs=1e-15)
    assert actual["h"] == pytest.approx([h2], abs=1e-15)


def test_lstm_agrees_with_values_by_hand():
    """The order of blocks is i, f, c, o; all numbers differ, so that any swap is noticed."""
    actual = outputs_of_single_unit(
        "lstm",
        [[[0.5, -0.4, 0.9, 0.3]], [[0.7, 0.2, -0.6, -0.1]], [0.05, 1.1, -0.2, 0.15]],
        [1.5, -0.7],
        [0.25, -0.4],
    )
    h, c, steps = 0.25, -0.4, []
    for x in (1.5, -0.7):
        i = sigmoid(x * 0.5 + h * 0.7 + 0.05)
        f = sigmoid(x * -0.4 + h * 0.2 + 1.1)
        g = math.tanh(x * 0.9 + h * -0.6 - 0.2)
        o = sigmoid(x * 0.3 + h * -0.1 + 0.15)
        c = f * c + i * g
        h = o * math.tanh(c)
        steps.append(h)
    assert actual["output"] == pytest.approx(steps, abs=1e-15)
    assert actual["h"] == pytest.approx([h], abs=1e-15)
    assert actual["c"] == pytest.approx([c], abs=1e-15)


def test_gru_with_reset_after_agrees_with_values_by_hand():
    """The order of blocks is z, r, h; the second row of the bias is that of the state."""
    actual = outputs_of_single_unit(
        "gru",
        [[[0.5, -0.4, 0.9]], [[0.7, 0.2, -0.6]], [[0.05, 0.3, -0.2], [-0.15, 0.1, 0.45]]],
        [1.5, -0.7],
        [0.25],
    )
    h, steps = 0.25, []
    for x in (1.5, -0.7):
        z = sigmoid(x * 0.5 + 0.05 + h * 0.7 - 0.15)
        r = sigmoid(x * -0.4 + 0.3 + h * 0.2 + 0.1)
        g = math.tanh(x * 0.9 - 0.2 + r * (h * -0.6 + 0.45))
        h = z * h + (1 - z) * g
        steps.append(h)
    assert actual["output"] == pytest.approx(steps, abs=1e-15)
    assert actual["h"] == pytest.approx([h], abs=1e-15)


def test_gru_without_reset_after_agrees_with_values_by_hand():
    """Two units: with one, both forms are the same function."""
    W = np.array([[0.5, -0.3, -0.4, 0.6, 0.9, -0.8]])
    U = np.array([[0.7, -0.2, 0.2, 0.4, -0.6, 0.35], [-0.5, 0.1, 0.8, -0.9, 0.55, 0.65]])
    b = np.array([0.05, -0.1, 0.3, 0.15, -0.2, 0.25])
    h, x = [0.25, -0.5], 1.5
    z0 = sigmoid(x * 0.5 + h[0] * 0.7 + h[1] * -0.5 + 0.05)
    z1 = sigmoid(x * -0.3 + h[0] * -0.2 + h[1] * 0.1 - 0.1)
    r0 = sigmoid(x * -0.4 + h[0] * 0.2 + h[1] * 0.8 + 0.3)
    r1 = sigmoid(x * 0.6 + h[0] * 0.4 + h[1] * -0.9 + 0.15)
    g0 = math.tanh(x * 0.9 + r0 * h[0] * -0.6 + r1 * h[1] * 0.55 - 0.2)
    g1 = math.tanh(x * -0.8 + r0 * h[0] * 0.35 + r1 * h[1] * 0.65 + 0.25)
    expected = [[z0 * h[0] + (1 - z0) * g0, z1 * h[1] + (1 - z1) * g1]]
    problem = problem_of(spec_of("gru_before", 2, **EXACT), [W, U, b], [[[x]]], initial=[[h]])
    assert_same(outputs_of(problem)["output"], np.array(expected), 1e-15)


@every_kind
@pytest.mark.parametrize("mode", [None, "concat", "mul"], ids=str)
def test_float32_is_close_to_float64_but_not_equal(kind, mode):
    spec = two_ways(spec_of(kind, 6, **BOTH), merge_mode=mode)
    problem = random_problem(spec, 2, mask=("011011", "111111", "000000"))
    single, double = compute(problem, np.float32), compute(problem)
    assert {tensor.data.dtype for tensor in single} == {np.dtype(np.float32)}
    assert {tensor.dtype for tensor in single} == {"float32"}
    for actual, expected in zip(single, double, strict=True):
        assert actual.name == expected.name
        assert_same(actual.data.astype(np.float64), expected.data, 3e-6)
        assert (actual.data != expected.data).any()
