"""How the walk goes through time: inputs projected block by block, memory that does not grow, runs
that repeat."""

import tracemalloc

import numpy as np
import pytest
from _support.random_problems import (
    BOTH,
    KINDS,
    MASK,
    SHAPE,
    STATE,
    assert_all_same,
    outputs_of,
    problem_of,
    random_problem,
    spec_of,
    two_ways,
)

from rnnparity.reference import compute, compute_with_noise, prepare
from rnnparity.reference import engine as unroller

EVERY_WAY = {
    **{f"{kind}-{way}": spec_of(kind, **BOTH, go_backwards=way == "backwards")
       for kind in KINDS for way in ("forward", "backwards")},
    "bidirectional": two_ways(spec_of("lstm", **BOTH), merge_mode="concat"),
}  # fmt: skip


@pytest.mark.parametrize("spec", EVERY_WAY.values(), ids=EVERY_WAY)
@pytest.mark.parametrize("together", [1, 2, 3])
def test_steps_projected_together_or_apart_give_the_same(spec, together, monkeypatch):
    """Blocks of 1, 2 and 3 steps, the last one shorter, against all steps in one."""
    problem = random_problem(spec, 0, SHAPE, mask=MASK, initial=True)
    whole, noise = outputs_of(problem), compute_with_noise(problem).sigmas
    batch, gates = SHAPE[0], problem.weights[0].shape[-1]
    monkeypatch.setattr(unroller, "PROJECTED_VALUES", together * batch * gates)
    assert_all_same(outputs_of(problem), whole)
    for one, other in zip(compute_with_noise(problem).sigmas, noise, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_a_prepared_run_can_be_repeated():
    """Also a stateful one: each begins with the initial states again."""
    problem = random_problem(
        spec_of("lstm", stateful=True, **BOTH), 0, SHAPE, initial=True, calls=(1, SHAPE[1] - 1)
    )
    again = prepare(problem)
    first, second = again(), again()
    for one, other, expected in zip(first, second, compute(problem), strict=True):
        assert (one.data == other.data).all()
        assert (one.data == expected.data).all()


def peak_memory(steps):
    ready = prepare(random_problem(spec_of("lstm", 16, **STATE), 0, (4, steps, 3)))
    tracemalloc.start()
    try:
        ready()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_time(monkeypatch):
    """Without sequences, and beyond the inputs: ten times the steps take what one needs, and 10 %
    for small things."""
    monkeypatch.setattr(unroller, "PROJECTED_VALUES", 50 * 4 * 64)
    assert peak_memory(2000) < 1.1 * peak_memory(200)


def test_overflow_is_seen_in_the_outputs_and_warns_nobody():
    """With `filterwarnings = error` a warning would fail this test."""
    grows = problem_of(
        spec_of("simple_rnn", 1, activation="exponential"),
        [[[1.0]], [[1.0]], [0.0]],
        np.full((1, 9, 1), 5.0),
    )
    (output,) = compute(grows)
    assert np.isposinf(output.data).all()
