"""Tools of the tests of faults: a fault by its name, the outputs under it, and computations by
hand."""

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

every_kind = pytest.mark.parametrize("kind", KINDS)
every_direction = pytest.mark.parametrize("backwards", [False, True], ids=["forward", "backwards"])


def fault(name):
    (found,) = [f for f in FAULTS if f"{f.cause}: {f.variant}" == name]
    return found


def places(problem, one):
    return {m.placed[0].location: {t.name: t.data for t in m.outputs} for m in mutate(problem, one)}


def under(problem, name, place=""):
    """The outputs of the mutant that strikes there, or strikes the whole."""
    made = places(problem, fault(name))
    return made.get("whole") or made[place]


def layer_of(kind, mask=MASK, initial=True, **config):
    spec = spec_of(kind, **{**EXACT, **BOTH, **config})
    return random_problem(spec, 3, SHAPE, mask=mask, initial=initial)


def both_ways(kind, merge_mode="concat", mask=MASK, initial=False, **config):
    spec = two_ways(spec_of(kind, **EXACT, **config), merge_mode=merge_mode)
    return random_problem(spec, 4, SHAPE, mask=mask, initial=initial)


def flagged(problem, **flags):
    return replace(problem, layer=replace(problem.layer, **flags))


def fed(problem, inputs, **others):
    return replace(problem, inputs=replace(problem.inputs, data=inputs), **others)


def started(problem, states):
    return replace(
        problem,
        initial_state=tuple(replace(problem.inputs, name=n, data=s) for n, s in states.items()),
    )


def states_left(problem):
    """What a run leaves, by the names that initial_state has."""
    return {
        name: state for name, state in outputs_of(problem).items() if not name.endswith("output")
    }


def used(problem):
    """The mask in the order of processing, with an axis for the units."""
    return (problem.mask[:, ::-1] if problem.layer.go_backwards else problem.mask)[..., None]


def held(output, mask):
    """Where the mask is False the output before, zeros at first."""
    last, steps = np.zeros_like(output[:, 0]), []
    for t in range(output.shape[1]):
        last = np.where(mask[:, t], output[:, t], last)
        steps.append(last)
    return np.stack(steps, axis=1)


def half_alone(problem, prefix, inputs):
    """A half as a layer of its own that reads other inputs, from zeros."""
    way = prefix.rstrip("/")
    layer = problem.layer.layers[int(way)] if way.isdigit() else getattr(problem.layer, way)
    own = tuple(
        replace(t, name=t.name.removeprefix(prefix))
        for t in problem.weights
        if t.name.startswith(prefix)
    )
    return fed(problem, inputs, layer=layer, weights=own, initial_state=None)


def assert_arrays(given, right):
    """The same numbers in the same order, whatever their names."""
    for one, other in zip(given.values(), right, strict=True):
        assert_same(one, other)
