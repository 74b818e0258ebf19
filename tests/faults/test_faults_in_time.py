"""The faults around the cells in time: masks, directions, states, each against a computation
written out here."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from _support.fault_tools import (
    assert_arrays,
    both_ways,
    every_direction,
    every_kind,
    fault,
    fed,
    flagged,
    half_alone,
    held,
    layer_of,
    places,
    started,
    states_left,
    under,
    used,
)
from _support.random_problems import (
    BOTH,
    EXACT,
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
)

from rnnparity.faults import mutants, mutate
from rnnparity.problem.layers import MERGE_MODES

# --- masks
# ------------------------------------------------------------------------------------------------------------


@every_kind
@every_direction
def test_masked_steps_and_their_outputs(kind, backwards):
    problem = layer_of(kind, go_backwards=backwards)
    mask, right, unmasked = (
        used(problem),
        outputs_of(problem),
        outputs_of(replace(problem, mask=None)),
    )
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
    assert_all_same(
        under(zeros, "masked-state: leaks"), unmasked | {"output": unmasked["output"] * mask}
    )
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
    states, outputs, one_step = start, [], replace(problem, mask=None)
    for t in range(SHAPE[1])[:: -1 if backwards else 1]:
        chosen = problem.mask[:, t, None]
        new = states_left(started(fed(one_step, problem.inputs.data[:, t : t + 1]), states))
        states = {name: np.where(chosen, new[name], start[name]) for name in new}
        outputs.append(new["h"])
    output = held(np.stack(outputs, axis=1), used(problem))
    assert_all_same(under(problem, "masked-state: reset"), {"output": output} | states)


@pytest.mark.parametrize(
    "cause", ["mask-ignored", "masked-state", "masked-output", "mask-not-reversed"]
)
def test_without_a_mask_nothing_of_it_fits(cause):
    problem = layer_of("lstm", mask=None, go_backwards=True, zero_output_for_mask=True)
    assert [mutant.name for mutant in mutants(problem) if mutant.fault.cause == cause] == []


# --- directions
# -------------------------------------------------------------------------------------------------------


@every_kind
def test_read_from_the_start_or_given_in_the_other_order(kind):
    problem = layer_of(kind, go_backwards=True)
    right = outputs_of(problem)
    turned = right | {"output": right["output"][:, ::-1]}
    assert_all_same(under(problem, "reverse-output-order: reversed"), turned)
    forward = outputs_of(flagged(problem, go_backwards=False))
    assert_all_same(under(problem, "reverse-ignored: read forward"), forward)
    for name in ("reverse-output-order: reversed", "reverse-ignored: read forward"):
        assert not places(flagged(problem, go_backwards=False), fault(name))


@pytest.mark.parametrize(
    ("asked", "done"), [pair for pair in product(MERGE_MODES, repeat=2) if pair[0] != pair[1]]
)
def test_merged_otherwise(asked, done):
    problem = both_ways("gru", asked, **BOTH)
    y, y_rev, *states = outputs_of(flagged(problem, merge_mode=None)).values()
    merged = {
        "concat": [np.concatenate([y, y_rev], axis=-1)], "sum": [y + y_rev], "mul": [y * y_rev],
        "ave": [(y + y_rev) / 2], None: [y, y_rev],
    }  # fmt: skip
    assert_arrays(under(problem, f"merge-mode: {done}"), [*merged[done], *states])


def test_the_backward_output_first():
    y, y_rev, *states = outputs_of(both_ways("lstm", None, **BOTH)).values()
    name = "directions-swapped: outputs"
    for mode, first in {"concat": [np.concatenate([y_rev, y], axis=-1)], None: [y_rev, y]}.items():
        assert_arrays(under(both_ways("lstm", mode, **BOTH), name), [*first, *states])
    assert not places(both_ways("lstm", "sum"), fault(name))


def exchanged(problem, one, other):
    data, swap = {tensor.name: tensor.data for tensor in problem.weights}, {one: other, other: one}
    parts = [tensor.name.partition("/") for tensor in problem.weights]
    sources = [swap.get(half + "/", half + "/") + name for half, _, name in parts]
    pairs = zip(problem.weights, sources, strict=True)
    return replace(
        problem, weights=tuple(replace(tensor, data=data[source]) for tensor, source in pairs)
    )


def test_weights_of_directions_and_of_layers_exchanged():
    for mode in MERGE_MODES:
        ways = both_ways("gru", mode, initial=True, **BOTH)
        expected = outputs_of(exchanged(ways, "forward/", "backward/"))
        assert_all_same(under(ways, "directions-swapped: weights"), expected)
    layers = [spec_of(kind, 3, **EXACT, **SEQUENCES) for kind in ("gru", "gru", "lstm", "gru")]
    stack = random_problem(stack_of(*layers), 5, SHAPE, mask=MASK)
    for n, m in [(0, 1), (0, 3), (1, 3)]:
        expected = outputs_of(exchanged(stack, f"{n}/", f"{m}/"))
        assert_all_same(under(stack, f"layer-order: {n} and {m}"), expected)
    assert not places(stack, fault("layer-order: 1 and 2"))


# --- states
# -----------------------------------------------------------------------------------------------------------


@every_kind
def test_initial_states_lost_or_exchanged(kind):
    problem = both_ways(kind, initial=True, **BOTH)
    ignored = outputs_of(replace(problem, initial_state=None))
    assert_all_same(under(problem, "initial-state-ignored: zeros instead"), ignored)
    data = [tensor.data for tensor in problem.initial_state]
    names, half = [tensor.name for tensor in problem.initial_state], len(data) // 2
    orders = {"two halves": [*range(half, 2 * half), *range(half)]} | (
        {"h and c": [1, 0, 3, 2]} if half == 2 else {}
    )
    for which, order in orders.items():
        expected = outputs_of(
            started(problem, {name: data[n] for name, n in zip(names, order, strict=True)})
        )
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
        assert not places(
            started(problem, states_left(problem)), fault(f"state-carried-over: {which}")
        )


@every_kind
def test_states_carried_from_half_to_half(kind):
    name = "state-carried-over: from half to half"
    ways = both_ways(kind, **BOTH)
    left = states_left(ways)
    zeros = {state: 0 * value if state.startswith("forward") else left[state.replace("backward", "forward")]
             for state, value in left.items()}  # fmt: skip
    assert_all_same(under(ways, name, "backward/"), outputs_of(started(ways, zeros)))
    stack = random_problem(
        stack_of(spec_of(kind, **EXACT, **SEQUENCES), spec_of(kind, **EXACT, **BOTH)), 6, SHAPE
    )
    first = half_alone(stack, "0/", stack.inputs.data)
    second = half_alone(stack, "1/", outputs_of(first)["output"])
    expected = outputs_of(started(second, states_left(flagged(first, return_state=True))))
    assert_arrays(under(stack, name, "1/"), expected.values())


@every_kind
@pytest.mark.parametrize("sequences", [False, True], ids=["last", "sequences"])
def test_calls_that_start_anew(kind, sequences):
    problem = replace(
        layer_of(kind, initial=False, stateful=True, return_sequences=sequences), calls=(1, 3, 2)
    )
    spans = [slice(0, 1), slice(1, 4), slice(4, 6)]
    calls = [
        outputs_of(fed(problem, problem.inputs.data[:, s], mask=problem.mask[:, s], calls=None))
        for s in spans
    ]
    joined = (
        np.concatenate([call["output"] for call in calls], axis=1)
        if sequences
        else calls[-1]["output"]
    )
    given = under(problem, "state-not-carried: every call starts from zeros")
    assert_all_same(given, calls[-1] | {"output": joined})


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "sequences"])
def test_calls_that_start_as_the_first(sequences):
    problem = replace(
        both_ways("lstm", initial=True, stateful=True, return_sequences=sequences), calls=(4, 2)
    )
    spans = [slice(0, 4), slice(4, 6)]
    calls = [
        outputs_of(fed(problem, problem.inputs.data[:, s], mask=problem.mask[:, s], calls=None))
        for s in spans
    ]
    joined = (
        np.concatenate([call["output"] for call in calls], axis=1)
        if sequences
        else calls[-1]["output"]
    )
    given = under(
        problem, "state-not-carried: every call starts from the initial state", "every half"
    )
    assert_all_same(given, calls[-1] | {"output": joined})
    for fitless in (replace(problem, initial_state=None), replace(problem, calls=(6,))):
        assert not places(
            fitless, fault("state-not-carried: every call starts from the initial state")
        )


@pytest.mark.parametrize(
    ("which", "left"), [("first step", slice(1, None)), ("last step", slice(None, -1))]
)
def test_steps_left_out(which, left):
    for problem in (
        layer_of("lstm", go_backwards=True, return_sequences=False),
        both_ways("gru", **STATE),
    ):
        shorter = fed(problem, problem.inputs.data[:, left], mask=problem.mask[:, left])
        assert_all_same(under(problem, f"time-truncated: {which}"), outputs_of(shorter))
    assert not places(layer_of("lstm"), fault(f"time-truncated: {which}"))


@pytest.mark.parametrize(
    ("which", "order"),
    [
        ("c before h", [1, 0, 3, 2]),
        ("backward before forward", [2, 3, 0, 1]),
        ("both h, then both c", [0, 2, 1, 3]),
    ],
)
def test_returned_states_in_another_order(which, order):
    for mode in ("concat", None):
        problem = both_ways("lstm", mode, initial=True, **BOTH)
        *outputs, a, b, c, d = outputs_of(problem).values()
        states = [[a, b, c, d][n] for n in order]
        assert_arrays(under(problem, f"state-order: {which}"), [*outputs, *states])
    assert not places(both_ways("lstm", **SEQUENCES), fault(f"state-order: {which}"))


def test_a_backward_half_that_is_never_turned():
    """Read from the start, and returned as it comes: the forward layer's own outputs with the
    other's weights."""
    problem = both_ways("gru", mask=None, **BOTH)
    H, given = (
        problem.layer.backward.units,
        under(problem, "reverse-ignored: read and returned forward", "backward/"),
    )
    backward = half_alone(problem, "backward/", problem.inputs.data)
    expected = outputs_of(flagged(backward, go_backwards=False))
    assert_same(given["output"][..., H:], expected["output"])
    assert_same(given["backward_h"], expected["h"])


def test_states_that_are_not_carried_need_several_calls():
    one = random_problem(spec_of("gru", stateful=True), 0, SHAPE)
    assert mutate(one, fault("state-not-carried: every call starts from zeros")) == []
