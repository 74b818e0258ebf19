"""The reference against oracles that share no line with it: a textbook loop, arithmetic by hand,
50-digit loops."""

import math

import numpy as np
import pytest
from _support.random_problems import (
    BOTH,
    EXACT,
    KINDS,
    SEQUENCES,
    assert_same,
    outputs_of,
    problem_of,
    random_problem,
    spec_of,
    two_ways,
)
from mpmath import mp, mpf, workdps

from rnnparity.catalogue import catalogue
from rnnparity.reference import compute, compute_exactly

every_kind = pytest.mark.parametrize("kind", KINDS)


def textbook_loop(inputs, Wx, Wh, b):
    """Source 001, cell 13, as printed: weights stand as (H, D) and (H, H)."""
    hidden_state_t = np.zeros(len(b))
    total_hidden_states = []
    for input_t in inputs:
        output_t = np.tanh(np.dot(Wx, input_t) + np.dot(Wh, hidden_state_t) + b)
        total_hidden_states.append(list(output_t))
        hidden_state_t = output_t
    return np.stack(total_hidden_states, axis=0)


@pytest.mark.parametrize("shape", [(1, 10, 4), (1, 1, 1), (3, 7, 2)], ids=str)
def test_simple_rnn_is_the_textbook_loop(shape):
    problem = random_problem(spec_of("simple_rnn", 8, **BOTH), 1, shape)
    W, U, b = (tensor.data.astype(np.float64) for tensor in problem.weights)
    right = np.stack(
        [textbook_loop(row.astype(np.float64), W.T, U.T, b) for row in problem.inputs.data]
    )
    assert_same(outputs_of(problem)["output"], right)
    assert_same(outputs_of(problem)["h"], right[:, -1])


def test_the_catalogue_s_textbook_case_is_the_textbook_loop():
    problem = catalogue()["sources-001-textbook"]
    W, U, b = (tensor.data.astype(np.float64) for tensor in problem.weights)
    right = textbook_loop(problem.inputs.data[0].astype(np.float64), W.T, U.T, b)
    assert_same(outputs_of(problem)["output"][0], right)


def test_the_notes_digits_of_a_bidirectional_lstm():
    """0.1 everywhere, the forget block of the bias at 1, as the sources print it."""
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


def one_by_one(kind, weights, inputs, initial, **config):
    """B = D = H = 1: the outputs as plain lists of numbers."""
    spec = spec_of(kind, 1, **EXACT, **BOTH, **config)
    problem = problem_of(
        spec, weights, np.reshape(inputs, (1, -1, 1)), initial=[[[value]] for value in initial]
    )
    return {name: array.ravel().tolist() for name, array in outputs_of(problem).items()}


def test_simple_rnn_by_hand():
    given = one_by_one("simple_rnn", [[[0.5]], [[-0.8]], [0.1]], [2.0, -1.0], [0.3])
    h1 = math.tanh(2.0 * 0.5 + 0.3 * -0.8 + 0.1)
    h2 = math.tanh(-1.0 * 0.5 + h1 * -0.8 + 0.1)
    assert given["output"] == pytest.approx([h1, h2], abs=1e-15)
    assert given["h"] == pytest.approx([h2], abs=1e-15)


def test_lstm_by_hand():
    """The blocks stand as i, f, c, o; every number differs, so that no swap goes unnoticed."""
    given = one_by_one(
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
    assert given["output"] == pytest.approx(steps, abs=1e-15)
    assert given["h"] == pytest.approx([h], abs=1e-15)
    assert given["c"] == pytest.approx([c], abs=1e-15)


def test_gru_with_reset_after_by_hand():
    """The blocks stand as z, r, h; the second row of the bias belongs to the recurrent side."""
    given = one_by_one(
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
    assert given["output"] == pytest.approx(steps, abs=1e-15)
    assert given["h"] == pytest.approx([h], abs=1e-15)


def test_gru_without_reset_after_by_hand():
    """With H = 1 the two forms are the same function, so this one has two units."""
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
    right = [[z0 * h[0] + (1 - z0) * g0, z1 * h[1] + (1 - z1) * g1]]
    problem = problem_of(spec_of("gru_before", 2, **EXACT), [W, U, b], [[[x]]], initial=[[h]])
    assert_same(outputs_of(problem)["output"], np.array(right), 1e-15)


def digits_loop(kind, problem):
    """A layer's outputs (B, T, H) in nested lists of mpmath numbers, written out unit by unit."""
    arrays = (np.atleast_2d(tensor.data.astype(float)).tolist() for tensor in problem.weights)
    W, U, b = ([[mpf(value) for value in row] for row in array] for array in arrays)
    H = len(U)
    given = [tensor.data.astype(float).tolist() for tensor in problem.initial_state]
    rows = []
    for place, sequence in enumerate(problem.inputs.data.astype(float).tolist()):
        h, *more = [[mpf(v) for v in state[place]] for state in given]
        c = more[0] if more else None
        steps = []
        for x in sequence:
            h, c = digits_step(kind, W, U, b, [mpf(v) for v in x], h, c, H)
            steps.append(h)
        rows.append(steps)
    return rows


def digits_step(kind, W, U, b, x, h, c, H):
    """One step for one row: the new h and c."""

    def of_x(block, unit):
        return sum(x[d] * W[d][block * H + unit] for d in range(len(x)))

    def of_h(block, unit, gate=None):
        return sum(h[k] * (gate[k] if gate else 1) * U[k][block * H + unit] for k in range(H))

    def logistic(value):
        return 1 / (1 + mp.exp(-value))

    def gate(block):
        second = b[1] if kind == "gru" else [0] * len(b[0])
        return [
            logistic(of_x(block, n) + b[0][block * H + n] + of_h(block, n) + second[block * H + n])
            for n in range(H)
        ]

    if kind == "simple_rnn":
        return [mp.tanh(of_x(0, n) + of_h(0, n) + b[0][n]) for n in range(H)], None
    if kind == "lstm":
        i, f, o = gate(0), gate(1), gate(3)
        g = [mp.tanh(of_x(2, n) + of_h(2, n) + b[0][2 * H + n]) for n in range(H)]
        c = [f[n] * c[n] + i[n] * g[n] for n in range(H)]
        return [o[n] * mp.tanh(c[n]) for n in range(H)], c
    z, r = gate(0), gate(1)
    if kind == "gru":
        inner = [r[n] * (of_h(2, n) + b[1][2 * H + n]) for n in range(H)]
    else:
        inner = [of_h(2, n, r) for n in range(H)]
    g = [mp.tanh(of_x(2, n) + b[0][2 * H + n] + inner[n]) for n in range(H)]
    return [z[n] * h[n] + (1 - z[n]) * g[n] for n in range(H)], None


@every_kind
@pytest.mark.parametrize("seed", range(3))
def test_values_are_those_of_a_50_digit_loop(kind, seed):
    """In float64 within its rounding; from 50 digits to the last bit."""
    shape, units = [((2, 5, 3), 4), ((1, 8, 2), 3), ((3, 2, 6), 2)][seed]
    policy = {"dtype": "float64"} if seed else {}
    problem = random_problem(spec_of(kind, units, **SEQUENCES, **policy), seed, shape, initial=True)
    with workdps(50):
        right = np.array(digits_loop(kind, problem), float)
    assert_same(compute(problem)[0].data, right)
    assert compute_exactly(problem)[0].data.tolist() == right.tolist()


def test_exact_outputs_differ_from_float64_ones_somewhere():
    """Else the test above would show nothing of the 50 digits."""
    problem = random_problem(spec_of("lstm", 4, **EXACT, **BOTH), 5)
    exact, near = compute_exactly(problem), compute(problem)
    assert any((one.data != other.data).any() for one, other in zip(exact, near, strict=True))
    assert (
        [tensor.name for tensor in exact]
        == [tensor.name for tensor in near]
        == ["output", "h", "c"]
    )
    assert {tensor.dtype for tensor in (*exact, *near)} == {"float64"}


def test_exact_outputs_where_a_gate_is_saturated():
    """h = (1 - sigmoid(100)) * tanh(100): a float64 like any other, 3.72e-44."""
    weights = [[[1, 0, 1]], [[0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
    problem = problem_of(spec_of("gru", 1, **EXACT), weights, [[[100]]])
    with workdps(200):
        right = float((1 - 1 / (1 + mp.exp(-100))) * mp.tanh(100))
    assert compute_exactly(problem)[0].data.tolist() == [[right]]


@every_kind
@pytest.mark.parametrize("mode", [None, "concat", "mul"], ids=str)
def test_float32_is_near_float64(kind, mode):
    """The same equations in the other type: near, but not the same numbers."""
    spec = two_ways(spec_of(kind, 6, **BOTH), merge_mode=mode)
    problem = random_problem(spec, 2, mask=("011011", "111111", "000000"))
    single, double = compute(problem, np.float32), compute(problem)
    assert {tensor.data.dtype for tensor in single} == {np.dtype(np.float32)}
    assert {tensor.dtype for tensor in single} == {"float32"}
    for one, other in zip(single, double, strict=True):
        assert one.name == other.name
        assert_same(one.data.astype(np.float64), other.data, 3e-6)
        assert (one.data != other.data).any()
