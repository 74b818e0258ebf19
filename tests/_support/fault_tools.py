"""Tools of the tests of faults: a fault by its name, the outputs with it, computations by hand."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import (
    BOTH,
    EXACT,
    KINDS,
    MASK,
    SHAPE,
    assert_same,
    outputs_of,
    random_problem,
    spec_of,
    two_ways,
)

from rnnparity.faults import FAULTS, mutate
from rnnparity.problem.explanations import WHOLE

every_cell = pytest.mark.parametrize("cell", KINDS)
every_direction = pytest.mark.parametrize("backwards", [False, True], ids=["forward", "backwards"])


def fault(name):
    (fault,) = [fault for fault in FAULTS if f"{fault.cause}: {fault.variant}" == name]
    return fault


def outputs_by_location(problem, fault):
    by_location = {}
    for mutant in mutate(problem, fault):
        by_location[mutant.placed[0].location] = {t.name: t.data for t in mutant.outputs}
    return by_location


def outputs_with(problem, name, location=""):
    """Return the outputs with the fault at that location, or in the whole layer."""
    by_location = outputs_by_location(problem, fault(name))
    return by_location.get(WHOLE) or by_location[location]


def single_layer(cell, mask=MASK, initial=True, **config):
    spec = spec_of(cell, **{**EXACT, **BOTH, **config})
    return random_problem(spec, 3, SHAPE, mask=mask, initial=initial)


def bidirectional(cell, merge_mode="concat", mask=MASK, initial=False, **config):
    spec = two_ways(spec_of(cell, **EXACT, **config), merge_mode=merge_mode)
    return random_problem(spec, 4, SHAPE, mask=mask, initial=initial)


def with_options(problem, **flags):
    return replace(problem, layer=replace(problem.layer, **flags))


def with_inputs(problem, inputs, **changes):
    return replace(problem, inputs=replace(problem.inputs, data=inputs), **changes)


def with_initial_state(problem, states):
    return replace(
        problem,
        initial_state=tuple(replace(problem.inputs, name=n, data=s) for n, s in states.items()),
    )


def last_states(problem):
    """Return the states at the end of a run by the names of the initial state."""
    return {
        name: state for name, state in outputs_of(problem).items() if not name.endswith("output")
    }


def processed_mask(problem):
    """Return the mask in processing order, with an axis for the units."""
    return (problem.mask[:, ::-1] if problem.layer.go_backwards else problem.mask)[..., None]


def repeat_masked(output, mask):
    """Repeat the previous output where the mask is False, zeros at first."""
    last, steps = np.zeros_like(output[:, 0]), []
    for t in range(output.shape[1]):
        last = np.where(mask[:, t], output[:, t], last)
        steps.append(last)
    return np.stack(steps, axis=1)


def single_half(problem, prefix, inputs):
    """Return a half as a single layer that reads these inputs, from zeros."""
    name = prefix.rstrip("/")
    layer = problem.layer.layers[int(name)] if name.isdigit() else getattr(problem.layer, name)
    weights = tuple(
        replace(t, name=t.name.removeprefix(prefix))
        for t in problem.weights
        if t.name.startswith(prefix)
    )
    return with_inputs(problem, inputs, layer=layer, weights=weights, initial_state=None)


def assert_arrays(actual, expected):
    """Assert that the numbers are the same in the same order, whatever their names."""
    for array, expected_array in zip(actual.values(), expected, strict=True):
        assert_same(array, expected_array)
