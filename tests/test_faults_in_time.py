"""The faults around the cells: masks, directions, states, axes, each against a computation written out here."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from random_problems import (
    BOTH,
    EXACT,
    KINDS,
    MASK,
    SEQUENCES,
    SHAPE,
    STATE,
    assert_all_same,
    assert_same,
    only_row,
    outputs_of,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
)

from rnnparity.dtypes import FLOAT_TYPES
from rnnparity.faults import FAULTS, Placed, is_seen, mutants, mutate
from rnnparity.faults.strike import run_all, together
from rnnparity.faults.time import time_faults
from rnnparity.faults.weights import weight_faults
from rnnparity.layers import MERGE_MODES
from rnnparity.tolerance import expect

every_kind = pytest.mark.parametrize("kind", KINDS)
every_direction = pytest.mark.parametrize("backwards", [False, True], ids=["forward", "backwards"])


def fault(name):
    (found,) = [f for f in FAULTS if f"{f.cause}: {f.which}" == name]
    return found


def places(problem, one):
    return {m.placed[0].place: {t.name: t.data for t in m.outputs} for m in mutate(problem, one)}


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
    return replace(problem, initial_state=tuple(replace(problem.inputs, name=n, data=s) for n, s in states.items()))


def states_left(problem):
    """What a run leaves, by the names that initial_state has."""
    return {name: state for name, state in outputs_of(problem).items() if not name.endswith("output")}


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
    own = tuple(replace(t, name=t.name.removeprefix(prefix)) for t in problem.weights if t.name.startswith(prefix))
    return fed(replace(problem, layer=layer, weights=own, initial_state=None), inputs)


# --- masks ------------------------------------------------------------------------------------------------------------


@every_kind
@every_direction
def test_masked_steps_and_their_outputs(kind, backwards):
    problem = layer_of(kind, go_backwards=backwards)
    mask, right, unmasked = used(problem), outputs_of(problem), outputs_of(replace(problem, mask=None))
    before = (np.cumsum(mask, axis=1) == 0) * problem.initial_state[0].data[:, None]
    zeroed = fed(problem, problem.inputs.data * problem.mask[..., None], mask=None)
    for name, expected in {
        "masked-output: zero": right | {"output": right["output"] * mask},
        "masked-output: initial": right | {"output": right["output"] + before},
        "masked-state: leaks": unmasked | {"output": held(unmasked["output"], mask)},
        "masked-state: inputs zeroed": outputs_of(zeroed),
        "mask-ignored: every step counts": unmasked,
    }.items():
        assert_all_same(under(problem, name), expected)
    zeros = flagged(problem, zero_output_for_mask=True)
    assert_all_same(under(zeros, "masked-output: held"), right)
    leaks = unmasked | {"output": unmasked["output"] * mask}
    assert_all_same(under(zeros, "masked-state: leaks"), leaks)
    assert not places(zeros, fault("masked-output: initial"))


@every_kind
@every_direction
def test_the_one_output_before_anything_counts_is_the_initial_state(kind, backwards):
    problem = layer_of(kind, go_backwards=backwards, **{**STATE, "return_sequences": False})
    right, unused = outputs_of(problem), ~problem.mask.any(axis=1, keepdims=True)
    initial = np.where(unused, problem.initial_state[0].data, right["output"])
    assert_all_same(under(problem, "masked-output: initial"), right | {"output": initial})


@every_kind
@every_direction
def test_a_masked_step_sets_the_state_back(kind, backwards):
    problem = layer_of(kind, go_backwards=backwards)
    start = {tensor.name: tensor.data for tensor in problem.initial_state}
    states, outputs, order = start, [], slice(None, None, -1 if backwards else 1)
    one_step = flagged(replace(problem, mask=None), go_backwards=False)
    for t in range(SHAPE[1])[order]:
        chosen = problem.mask[:, t, None]
        new = states_left(started(fed(one_step, problem.inputs.data[:, t : t + 1]), states))
        states = {name: np.where(chosen, new[name], start[name]) for name in new}
        outputs.append(new["h"])
    assert_all_same(
        under(problem, "masked-state: reset"), {"output": held(np.stack(outputs, 1), used(problem))} | states
    )


@pytest.mark.parametrize("cause", ["mask-ignored", "masked-state", "masked-output", "mask-not-reversed"])
def test_without_a_mask_nothing_of_it_fits(cause):
    problem = layer_of("lstm", mask=None, go_backwards=True, zero_output_for_mask=True)
    assert [mutant.name for mutant in mutants(problem) if mutant.fault.cause == cause] == []


# --- directions -------------------------------------------------------------------------------------------------------


@every_kind
def test_read_from_the_start_or_given_in_the_other_order(kind):
    problem = layer_of(kind, go_backwards=True)
    right = outputs_of(problem)
    turned = right | {"output": right["output"][:, ::-1]}
    assert_all_same(under(problem, "reverse-output-order: turned"), turned)
    forward = outputs_of(flagged(problem, go_backwards=False))
    assert_all_same(under(problem, "reverse-ignored: read forward"), forward)
    for name in ("reverse-output-order: turned", "reverse-ignored: read forward"):
        assert not places(flagged(problem, go_backwards=False), fault(name))


@pytest.mark.parametrize(("asked", "done"), [pair for pair in product(MERGE_MODES, repeat=2) if pair[0] != pair[1]])
def test_merged_otherwise(asked, done):
    problem = both_ways("gru", asked, **BOTH)
    y, y_rev, *states = outputs_of(flagged(problem, merge_mode=None)).values()
    merged = {
        "concat": [np.concatenate([y, y_rev], axis=-1)], "sum": [y + y_rev], "mul": [y * y_rev],
        "ave": [(y + y_rev) / 2], None: [y, y_rev],
    }  # fmt: skip
    for one, other in zip(under(problem, f"merge-mode: {done}").values(), [*merged[done], *states], strict=True):
        assert_same(one, other)


def test_the_backward_output_first():
    y, y_rev, *states = outputs_of(both_ways("lstm", None, **BOTH)).values()
    name = "directions-swapped: outputs"
    for mode, first in {"concat": [np.concatenate([y_rev, y], axis=-1)], None: [y_rev, y]}.items():
        given = under(both_ways("lstm", mode, **BOTH), name).values()
        for one, other in zip(given, [*first, *states], strict=True):
            assert_same(one, other)
    assert not places(both_ways("lstm", "sum"), fault(name))


def exchanged(problem, one, other):
    data = {tensor.name: tensor.data for tensor in problem.weights}
    swap = {one: other, other: one}
    names = [next((t.name.replace(p, q, 1) for p, q in swap.items() if t.name.startswith(p)), t.name)
             for t in problem.weights]  # fmt: skip
    return replace(
        problem, weights=tuple(replace(t, data=data[name]) for t, name in zip(problem.weights, names, strict=True))
    )


@pytest.mark.parametrize("merge_mode", MERGE_MODES)
def test_the_directions_weights_exchanged(merge_mode):
    problem = both_ways("gru", merge_mode, initial=True, **BOTH)
    expected = outputs_of(exchanged(problem, "forward/", "backward/"))
    assert_all_same(under(problem, "directions-swapped: weights"), expected)


def test_layers_of_a_stack_exchanged():
    layers = [spec_of("gru", 3, **EXACT, **SEQUENCES)] * 2 + [spec_of("lstm", 3, **EXACT), spec_of("gru", 3, **EXACT)]
    layers[2]["config"]["return_sequences"] = True
    problem = random_problem(stack_of(*layers), 5, SHAPE, mask=MASK)
    for n, m in [(0, 1), (0, 3), (1, 3)]:
        given = under(problem, f"layer-order: {n} and {m}")
        assert_all_same(given, outputs_of(exchanged(problem, f"{n}/", f"{m}/")))
    assert not places(problem, fault("layer-order: 1 and 2"))


# --- states -----------------------------------------------------------------------------------------------------------


@every_kind
def test_initial_states_lost_or_exchanged(kind):
    problem = both_ways(kind, initial=True, **BOTH)
    ignored = outputs_of(replace(problem, initial_state=None))
    assert_all_same(under(problem, "initial-state-ignored: zeros instead"), ignored)
    data = [tensor.data for tensor in problem.initial_state]
    names, half = [tensor.name for tensor in problem.initial_state], len(data) // 2
    orders = {"two halves": [*range(half, 2 * half), *range(half)]} | ({"h and c": [1, 0, 3, 2]} if half == 2 else {})
    for which, order in orders.items():
        expected = outputs_of(started(problem, {name: data[n] for name, n in zip(names, order, strict=True)}))
        assert_all_same(under(problem, f"initial-state-swapped: {which}"), expected)


@every_kind
@every_direction
def test_states_carried_over(kind, backwards):
    problem = layer_of(kind, initial=False, go_backwards=backwards)
    again = outputs_of(started(problem, states_left(problem)))
    assert_all_same(under(problem, "state-carried-over: from the run before"), again)
    states, rows = {name: np.zeros((1, 4)) for name in problem.layer.states}, []
    for row in range(SHAPE[0]):
        alone = replace(only_row(problem, row), mask=problem.mask[[row]])
        rows.append(outputs_of(started(alone, states)))
        states = {name: rows[-1][name] for name in states}
    expected = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    assert_all_same(under(problem, "state-carried-over: from row to row"), expected)
    for which in ("from the run before", "from row to row"):
        assert not places(started(problem, states_left(problem)), fault(f"state-carried-over: {which}"))


@every_kind
def test_states_carried_from_half_to_half(kind):
    name = "state-carried-over: from half to half"
    ways = both_ways(kind, **BOTH)
    left = states_left(ways)
    zeros = {state: 0 * value if state.startswith("forward") else left[state.replace("backward", "forward")]
             for state, value in left.items()}  # fmt: skip
    assert_all_same(under(ways, name, "backward/"), outputs_of(started(ways, zeros)))
