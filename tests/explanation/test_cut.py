"""Cuts: some steps of the output of a problem, from the expected states around them."""

import numpy as np
import pytest
from _support.random_problems import SEQUENCES, random_problem, spec_of, stack_of, two_ways

from rnnparity.explanation.cut import Cuts, can_be_cut, half_orders
from rnnparity.reference import compute

FORWARD = spec_of("lstm", 3, **SEQUENCES)
BACKWARDS = spec_of("gru", 4, **SEQUENCES, go_backwards=True)
BOTH = two_ways(spec_of("lstm", 3, **SEQUENCES))
LAYERS = {
    "forward": FORWARD,
    "backwards": BACKWARDS,
    "both": BOTH,
    "forward, backwards": stack_of(FORWARD, BACKWARDS),
    "backwards, forward": stack_of(BACKWARDS, FORWARD),
    "both, backwards": stack_of(BOTH, BACKWARDS),
    "backwards, both, backwards": stack_of(BACKWARDS, BOTH, BACKWARDS),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize(("start", "stop"), [(0, 4), (3, 7), (5, 9)])
def test_cut_gives_the_outputs_of_the_whole(layer, initial, start, stop):
    problem = random_problem(layer, 1, (2, 9, 5), initial=initial)
    whole = compute(problem)[0].data
    part = compute(Cuts(problem).to(start, stop))[0].data
    assert part.shape == whole[:, start:stop].shape
    assert np.abs(part - whole[:, start:stop]).max() < 1e-6


def test_states_of_some_halves_are_zero_in_a_cut():
    problem = random_problem(BOTH, 1, (2, 9, 5))
    whole = compute(problem)[0].data[:, 3:7]
    part = compute(Cuts(problem).to(3, 7, forgotten=["backward/"]))[0].data
    differing = (np.abs(part - whole) > 1e-6).any(axis=(0, 1))
    assert differing.tolist() == [False] * 3 + [True] * 3


@pytest.mark.parametrize(
    ("name", "from_end"),
    [
        ("backwards", [False]),
        ("both", [False, True]),
        ("backwards, forward", [False, False]),
        ("forward, backwards", [True, False]),
    ],
)
def test_halves_are_processed_in_the_order_of_the_outputs_or_against_it(name, from_end):
    problem = random_problem(LAYERS[name], 1, (2, 9, 5))
    assert [order.from_end for order in half_orders(problem.layer)] == from_end


def test_mask_that_layers_read_in_different_orders_is_not_cut():
    """It travels along unreversed, so that a step of the output has two steps of the mask."""
    problems = [
        random_problem(LAYERS[name], 1, (2, 9, 5), mask=["110111011", "111111000"])
        for name in ("both", "backwards", "backwards, forward")
    ]
    assert [can_be_cut(problem) for problem in problems] == [True, True, False]
