"""What follows from the noise: thresholds for constant weights, faults that show, problems that cannot be judged."""

from dataclasses import replace

import numpy as np
import pytest
from random_problems import BOTH, KINDS, random_problem, spec_of

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.build import constant_weights
from rnnparity.compare import compare_values
from rnnparity.problem import Tensor
from rnnparity.reference import compute
from rnnparity.tolerance import expect

every_kind = pytest.mark.parametrize("kind", KINDS)


def in_float32(outputs):
    """What a flawless implementation in float32 would return."""
    return [Tensor.of(tensor.name, tensor.data, "float32") for tensor in outputs]


def differences(problem, expected, outputs):
    return compare_values(outputs, expected.outputs, expected.sigmas, expected.kind.threshold).differences


def sigmas_of_float32(problem, expected):
    """How far a run in float32 is off, at the worst place."""
    return compare_values(
        compute(problem, np.float32), expected.outputs, expected.sigmas, expected.kind.threshold
    ).sigma


def changed_by(problem, name, factor):
    weights = [replace(t, data=t.data * np.float32(factor)) if t.name == name else t for t in problem.weights]
    return replace(problem, weights=tuple(weights))


# --- constant weights ------------------------------------------------------------------------------------------------


def constant_problem(kind, units, steps, seed):
    """One number each for the kernels, as the sources have it; all units then make the same error."""
    rng = np.random.default_rng([seed, units, steps])
    problem = random_problem(spec_of(kind, units, **BOTH), seed, (2, steps, 5))
    kernel, recurrent_kernel = rng.uniform(0.02, 0.5, 2)
    initializers = {"kernel": kernel, "recurrent_kernel": recurrent_kernel, "bias": 0.0, "unit_forget_bias": True}
    return replace(problem, weights=constant_weights(problem.layer, 5, initializers))


def constant_problems(kind, units, steps, count):
    for seed in range(count):
        problem = constant_problem(kind, units, steps, seed)
        expected = expect(problem)
        if not expected.inconclusive:
            yield sigmas_of_float32(problem, expected)


@every_kind
@pytest.mark.parametrize(("units", "steps"), [(1, 20), (3, 4), (3, 20), (5, 12), (8, 20)])
def test_constant_weights_stay_within_the_threshold(kind, units, steps):
    offs = list(constant_problems(kind, units, steps, 8))
    assert len(offs) > 4
    assert max(offs) < 10


# --- faults that must not stay hidden --------------------------------------------------------------------------------


def float32_cases():
    """Every 23rd of the catalogue's spread problems in float32, all families among them."""
    cases = [
        problem
        for problem in catalogue().values()
        if problem.threshold_type == "float32"
        and "weights:constant" not in problem.case.tags
        and not problem.case.initializers
    ]
    return cases[::23]


@pytest.mark.parametrize("problem", float32_cases(), ids=lambda problem: problem.id)
def test_a_change_of_one_in_a_thousand_is_seen(problem):
    expected = expect(problem)
    assert not differences(problem, expected, in_float32(expected.outputs))
    assert not differences(problem, expected, compute(problem, np.float32))
    if expected.inconclusive:
        pytest.skip(expected.inconclusive)
    for name, thresholds in expected.visible.items():
        faulty = in_float32(compute(changed_by(problem, name, 1.001)))
        assert bool(differences(problem, expected, faulty)) == (thresholds > 0), name
