"""How many steps may have been left out, of a layer that returns its last output."""

import numpy as np
import pytest
from _support.random_problems import SEQUENCES, random_problem, spec_of, stack_of, two_ways

from rnnparity.faults import PlacedFault, run_one
from rnnparity.faults.time import time_truncated
from rnnparity.faults.truncated import truncated
from rnnparity.problem.explanations import WHOLE

MASK = ["101110111", "111011101"]
LAYERS = {
    "plain": spec_of("lstm", 4),
    "backwards": spec_of("gru", 4, go_backwards=True),
    "both ways": two_ways(spec_of("gru", 4)),
    "stack": stack_of(spec_of("lstm", 4, **SEQUENCES), spec_of("gru", 3, return_state=True)),
}


def without(problem, end, count):
    mutant = run_one(problem, [PlacedFault(time_truncated(end, count), WHOLE)])
    return [tensor.data for tensor in mutant.outputs]


def variants_of(problem, actual):
    return [fault.variant for fault in truncated(problem, actual)]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_every_count_of_a_short_sequence_is_tried(name, masked):
    mask = MASK if masked else None
    problem = random_problem(LAYERS[name], 0, (2, 9, 3), mask=mask)
    for count in range(2, 9):
        for end in ("first", "last"):
            variants = variants_of(problem, without(problem, end, count))
            assert f"{end} {count} steps" in variants


def test_only_the_nearest_counts_are_tried_at_the_end_of_a_layer_that_reads_forward():
    problem = random_problem(LAYERS["stack"], 0, (2, 9, 3))
    variants = variants_of(problem, without(problem, "last", 5))
    assert variants[0] == "last 5 steps"
    assert sum(variant.startswith("last") for variant in variants) == 3
    assert sum(variant.startswith("first") for variant in variants) == 7


def test_any_number_of_last_steps_of_many_is_found_in_one_run():
    problem = random_problem(LAYERS["plain"], 0, (2, 900, 3))
    variants = variants_of(problem, without(problem, "last", 444))
    assert variants[0] == "last 444 steps"
    assert len(variants) < 60
    assert {"first 2 steps", "first 899 steps"} <= set(variants)


def test_nothing_is_left_out_of_sequences():
    problem = random_problem(spec_of("gru", 4, **SEQUENCES), 0, (2, 9, 3))
    assert not variants_of(problem, [np.zeros((2, 9, 4))])
