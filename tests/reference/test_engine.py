"""The engine's way through time: blocks of projected inputs, memory, repeated runs."""

import tracemalloc
from dataclasses import replace

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

from rnnparity.reference import compute, compute_with_noise, engine, prepare
from rnnparity.reference.arithmetic import PlainArithmetic

EVERY_WAY = {
    **{f"{kind}-{way}": spec_of(kind, **BOTH, go_backwards=way == "backwards")
       for kind in KINDS for way in ("forward", "backwards")},
    "bidirectional": two_ways(spec_of("lstm", **BOTH), merge_mode="concat"),
}  # fmt: skip


@pytest.mark.parametrize("spec", EVERY_WAY.values(), ids=EVERY_WAY)
@pytest.mark.parametrize("together", [1, 2, 3])
def test_the_size_of_projected_blocks_changes_nothing(spec, together, monkeypatch):
    """Blocks of 1, 2 and 3 steps, the last of them shorter, compared with all steps in one block."""
    problem = random_problem(spec, 0, SHAPE, mask=MASK, initial=True)
    whole, noise = outputs_of(problem), compute_with_noise(problem).sigmas
    batch, gates = SHAPE[0], problem.weights[0].shape[-1]
    monkeypatch.setattr(engine, "PROJECTED_VALUES", together * batch * gates)
    assert_all_same(outputs_of(problem), whole)
    for sigmas, expected in zip(compute_with_noise(problem).sigmas, noise, strict=True):
        np.testing.assert_allclose(sigmas, expected, rtol=1e-9)


def test_a_prepared_run_can_be_repeated():
    """Also a stateful one: every run starts with the initial states."""
    problem = random_problem(
        spec_of("lstm", stateful=True, **BOTH), 0, SHAPE, initial=True, calls=(1, SHAPE[1] - 1)
    )
    run = prepare(problem)
    first, second = run(), run()
    for output, repeated, expected in zip(first, second, compute(problem), strict=True):
        assert (output.data == expected.data).all()
        assert (repeated.data == expected.data).all()


def peak_memory(steps):
    ready = prepare(random_problem(spec_of("lstm", 16, **STATE), 0, (4, steps, 3)))
    tracemalloc.start()
    try:
        ready()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_time(monkeypatch):
    """Without sequences and apart from the inputs: ten times the steps take at most 10 % more."""
    monkeypatch.setattr(engine, "PROJECTED_VALUES", 50 * 4 * 64)
    assert peak_memory(2000) < 1.1 * peak_memory(200)


def test_overflow_is_infinite_without_a_warning():
    """With `filterwarnings = error` a warning would fail this test."""
    grows = problem_of(
        spec_of("simple_rnn", 1, activation="exponential"),
        [[[1.0]], [[1.0]], [0.0]],
        np.full((1, 9, 1), 5.0),
    )
    (output,) = compute(grows)
    assert np.isposinf(output.data).all()


class Hooked(engine.Unroller):
    """Doubles the inputs of the backward half, and keeps no state under a mask in it."""

    def run_half(self, layer, prefix, x, mask):
        return super().run_half(layer, prefix, 2 * x if prefix == "backward/" else x, mask)

    def masked_step(self, layer, prefix, used, before, new):
        if prefix == "backward/":
            return new, new[0]
        return super().masked_step(layer, prefix, used, before, new)


def test_a_subclass_changes_how_halves_and_masked_steps_run():
    layer = two_ways(spec_of("lstm", **BOTH), merge_mode=None)
    problem = random_problem(layer, 0, SHAPE, mask=MASK, initial=True)
    hooked = Hooked(problem, PlainArithmetic()).run()
    doubled = replace(problem.inputs, data=2 * problem.inputs.data)
    unmasked = compute(replace(problem, inputs=doubled, mask=None))
    expected = {tensor.name: tensor.data for tensor in unmasked if "backward" in tensor.name}
    expected |= {t.name: t.data for t in compute(problem) if "forward" in t.name}
    for slot, output in zip(problem.output_slots(), hooked, strict=True):
        np.testing.assert_array_equal(output, expected[slot.name])
