"""The trace of every gate and state, and runs of several weights at once."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import (
    BOTH,
    KINDS,
    SEQUENCES,
    assert_same,
    outputs_of,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
)

from rnnparity.problem.problem import Tensor
from rnnparity.reference import trace, variants

GATES = {
    "simple_rnn": set(),
    "lstm": {"i", "f", "g", "o"},
    "gru": {"z", "r", "g"},
    "gru_before": {"z", "r", "g"},
}

every_kind = pytest.mark.parametrize("kind", KINDS)
every_direction = pytest.mark.parametrize("backwards", [False, True], ids=["forward", "backwards"])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gates_by_hand(kind, problem, x, h):
    """Return the gates of one step, block by block, from the weights as Keras keeps them."""
    W, U, b = (tensor.data.astype(np.float64) for tensor in problem.weights)
    units = U.shape[0]

    def block(array, n):
        return array[..., n * units : (n + 1) * units]

    if kind == "lstm":
        z = [x @ block(W, n) + h @ block(U, n) + block(b, n) for n in range(4)]
        return {"i": sigmoid(z[0]), "f": sigmoid(z[1]), "g": np.tanh(z[2]), "o": sigmoid(z[3])}
    b_x, b_h = b if kind == "gru" else (b, np.zeros_like(b))
    z, r = (
        sigmoid(x @ block(W, n) + block(b_x, n) + h @ block(U, n) + block(b_h, n)) for n in range(2)
    )
    inner = r * (h @ block(U, 2) + block(b_h, 2)) if kind == "gru" else (r * h) @ block(U, 2)
    return {"z": z, "r": r, "g": np.tanh(x @ block(W, 2) + block(b_x, 2) + inner)}


@every_kind
@every_direction
def test_trace_satisfies_the_equations(kind, backwards):
    problem = random_problem(spec_of(kind, go_backwards=backwards, **BOTH), 3, initial=True)
    steps = trace(problem)
    assert [step.time for step in steps] == (
        [5, 4, 3, 2, 1, 0] if backwards else [0, 1, 2, 3, 4, 5]
    )
    before = {tensor.name: tensor.data.astype(np.float64) for tensor in problem.initial_state}
    for number, step in enumerate(steps):
        assert step.half == ""
        assert set(step.gates) == GATES[kind]
        if kind != "simple_rnn":
            x = problem.inputs.data[:, step.time].astype(np.float64)
            for letter, values in gates_by_hand(kind, problem, x, before["h"]).items():
                assert_same(step.gates[letter], values)
        gates, h = step.gates, before["h"]
        if kind == "lstm":
            assert_same(step.states["c"], gates["f"] * before["c"] + gates["i"] * gates["g"])
            assert_same(step.states["h"], gates["o"] * np.tanh(step.states["c"]))
        elif kind != "simple_rnn":
            assert_same(step.states["h"], gates["z"] * h + (1 - gates["z"]) * gates["g"])
        assert_same(step.states["h"], outputs_of(problem)["output"][:, number])
        before = step.states


def test_trace_keeps_the_states_at_masked_steps():
    problem = random_problem(spec_of("lstm", **BOTH), 4, mask=("101101", "011110", "111111"))
    steps = trace(problem)
    for name in ("h", "c"):
        assert_same(steps[1].states[name][0], steps[0].states[name][0], 0)
        assert (steps[1].states[name][1:] != steps[0].states[name][1:]).any(axis=1).all()
        assert_same(steps[-1].states[name], outputs_of(problem)[name], 0)


def test_trace_names_every_half_and_its_times():
    inner = two_ways(spec_of("gru", **SEQUENCES))
    steps = trace(
        random_problem(
            stack_of(
                inner,
                spec_of("simple_rnn"),
            ),
            5,
            (2, 3, 4),
        )
    )
    assert [(step.half, step.time) for step in steps] == [
        ("0/forward/", 0),
        ("0/forward/", 1),
        ("0/forward/", 2),
        ("0/backward/", 2),
        ("0/backward/", 1),
        ("0/backward/", 0),
        ("1/", 0),
        ("1/", 1),
        ("1/", 2),
    ]


def test_trace_of_a_stateful_run_counts_times_from_the_first_call():
    problem = random_problem(
        spec_of("lstm", stateful=True, go_backwards=True), 6, (1, 6, 2), calls=(3, 2, 1)
    )
    assert [step.time for step in trace(problem)] == [2, 1, 0, 4, 3, 5]


def with_weights(problem, changed):
    weights = tuple(Tensor(t.name, changed.get(t.name, t.data)) for t in problem.weights)
    return replace(problem, weights=weights)


def changes_of(problem, names, count=3):
    """Return `count` random sets of the named weights, along a leading axis."""
    rng = np.random.default_rng(8)
    return {
        tensor.name: tensor.data + 0.1 * rng.standard_normal((count, *tensor.shape))
        for tensor in problem.weights
        if tensor.name in names
    }


def assert_variants_equal_separate_runs(problem, names):
    changed = changes_of(problem, names)
    together = variants(problem, changed)
    for number in range(3):
        separate = outputs_of(
            with_weights(problem, {name: array[number] for name, array in changed.items()})
        )
        for output, (name, expected) in zip(together, separate.items(), strict=True):
            np.testing.assert_allclose(
                output[number], expected, rtol=0, atol=1e-13, strict=True, err_msg=name
            )


LAYERS = {
    **{kind: spec_of(kind, dtype="float64", **BOTH) for kind in KINDS},
    "no_bias": spec_of("gru", dtype="float64", use_bias=False, **BOTH),
    "two_ways": two_ways(spec_of("lstm", dtype="float64", **BOTH)),
    "stack": stack_of(
        spec_of("gru", dtype="float64", **SEQUENCES), spec_of("lstm", 3, dtype="float64", **BOTH)
    ),
}


@pytest.mark.parametrize("label", LAYERS)
def test_variants_of_all_weights_equal_separate_runs(label):
    problem = random_problem(LAYERS[label], 7, mask=("011011", "110100", "000000"), initial=True)
    assert_variants_equal_separate_runs(problem, {tensor.name for tensor in problem.weights})


@pytest.mark.parametrize("names", ["kernel", "bias", "kernel recurrent_kernel"])
def test_variants_of_some_weights_keep_the_others(names):
    assert_variants_equal_separate_runs(random_problem(LAYERS["lstm"], 7), set(names.split()))


def test_variants_of_one_half_keep_the_other():
    problem = random_problem(LAYERS["two_ways"], 7)
    assert_variants_equal_separate_runs(
        problem, {"forward/kernel", "forward/recurrent_kernel", "forward/bias"}
    )
