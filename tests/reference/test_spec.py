"""The specification and the engine compute the same outputs.

Both are compared with numbers by hand in test_reference, with exact arithmetic in test_exact, and
with Keras in tests/subjects.
"""

import numpy as np
import pytest
from _support.random_layers import problem_with_random_options

from rnnparity.catalogue import catalogue, family
from rnnparity.reference import compute, spec
from rnnparity.reference.tolerance import expect

# Relative to 1 or, where that is larger, to the value. The order of summation is all that differs.
TOLERANCE = 1e-13


def differences(problem):
    """Return how far every output of the engine is from the specification's."""
    expected = spec.outputs(problem)
    actual = [tensor.data for tensor in compute(problem)]
    slots = problem.output_slots()
    assert [array.shape for array in expected] == [slot.shape for slot in slots]
    assert [array.shape for array in actual] == [slot.shape for slot in slots]
    assert {array.dtype for array in (*expected, *actual)} == {np.dtype(np.float64)}
    return [
        np.abs(x - y).max() / max(1.0, np.abs(y).max())
        for x, y in zip(actual, expected, strict=True)
    ]


@pytest.mark.parametrize("name", sorted({family(case_id) for case_id in catalogue()}))
def test_specification_and_engine_agree_on_every_case(name):
    cases = [case for case in catalogue().values() if family(case.id) == name]
    apart = {case.id: max(differences(case)) for case in cases}
    assert {key: size for key, size in apart.items() if not size <= TOLERANCE} == {}


def assert_agreement_on_random_problems(seeds, least_conclusive):
    conclusive = 0
    apart = {}
    for seed in seeds:
        problem = problem_with_random_options(seed)
        if expect(problem).inconclusive:
            continue
        conclusive += 1
        size = max(differences(problem))
        if not size <= TOLERANCE:
            apart[seed] = size
    assert apart == {}
    assert conclusive >= least_conclusive


def test_specification_and_engine_agree_on_random_problems():
    assert_agreement_on_random_problems(range(200), 100)


@pytest.mark.slow
def test_specification_and_engine_agree_on_more_random_problems():
    assert_agreement_on_random_problems(range(200, 2000), 900)
