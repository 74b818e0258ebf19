"""Exact arithmetic compared with loops over mpmath numbers that share no code with it."""

import re
import sys

import numpy as np
import pytest
from _support.random_problems import (
    BOTH,
    EXACT,
    KINDS,
    SEQUENCES,
    assert_same,
    problem_of,
    random_problem,
    spec_of,
)
from mpmath import mp, mpf, workdps

from rnnparity.problem.errors import RequestError
from rnnparity.reference import compute, compute_exactly

every_kind = pytest.mark.parametrize("kind", KINDS)


def digits_loop(kind, problem):
    """Return the outputs (B, T, H) in nested lists of mpmath numbers, computed unit by unit."""
    arrays = (np.atleast_2d(tensor.data.astype(float)).tolist() for tensor in problem.weights)
    W, U, b = ([[mpf(value) for value in row] for row in array] for array in arrays)
    H = len(U)
    initial = [tensor.data.astype(float).tolist() for tensor in problem.initial_state]
    rows = []
    for row, sequence in enumerate(problem.inputs.data.astype(float).tolist()):
        h, *others = [[mpf(v) for v in state[row]] for state in initial]
        c = others[0] if others else None
        steps = []
        for x in sequence:
            h, c = digits_step(kind, W, U, b, [mpf(v) for v in x], h, c, H)
            steps.append(h)
        rows.append(steps)
    return rows


def digits_step(kind, W, U, b, x, h, c, H):
    """Return h and c of a row after one step."""

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
def test_outputs_agree_with_a_loop_in_50_digits(kind, seed):
    """Those in float64 within rounding, the exact ones to the last bit."""
    shape, units = [((2, 5, 3), 4), ((1, 8, 2), 3), ((3, 2, 6), 2)][seed]
    policy = {"dtype": "float64"} if seed else {}
    problem = random_problem(spec_of(kind, units, **SEQUENCES, **policy), seed, shape, initial=True)
    with workdps(50):
        expected = np.array(digits_loop(kind, problem), float)
    assert_same(compute(problem)[0].data, expected)
    assert compute_exactly(problem)[0].data.tolist() == expected.tolist()


def test_exact_outputs_differ_from_those_in_float64():
    """Otherwise the test above would not depend on the digits."""
    problem = random_problem(spec_of("lstm", 4, **EXACT, **BOTH), 5)
    exact, near = compute_exactly(problem), compute(problem)
    assert any((x.data != y.data).any() for x, y in zip(exact, near, strict=True))
    assert (
        [tensor.name for tensor in exact]
        == [tensor.name for tensor in near]
        == ["output", "h", "c"]
    )
    assert {tensor.dtype for tensor in (*exact, *near)} == {"float64"}


def test_outputs_are_exact_where_a_gate_is_saturated():
    """h = (1 - sigmoid(100)) * tanh(100) = 3.72e-44."""
    weights = [[[1, 0, 1]], [[0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
    problem = problem_of(spec_of("gru", 1, **EXACT), weights, [[[100]]])
    with workdps(200):
        expected = float((1 - 1 / (1 + mp.exp(-100))) * mp.tanh(100))
    assert compute_exactly(problem)[0].data.tolist() == [[expected]]


def test_missing_mpmath_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpmath", None)
    problem = random_problem(spec_of("lstm", **EXACT))
    expected = "exact arithmetic: mpmath is missing; run pip install 'rnnparity[regenerate]'"
    with pytest.raises(RequestError, match=f"^{re.escape(expected)}$"):
        compute_exactly(problem)
    assert compute(problem)[0].name == "output"
