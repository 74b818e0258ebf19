"""Faults of masks, directions and states compute what an independent computation computes."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from _support.fault_tools import (
    assert_arrays,
    bidirectional,
    every_cell,
    every_direction,
    fault,
    last_states,
    outputs_by_location,
    outputs_with,
    processed_mask,
    repeat_masked,
    single_half,
    single_layer,
    with_initial_state,
    with_inputs,
    with_options,
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
from rnnparity.problem.explanations import EVERY_HALF
from rnnparity.problem.layers import MERGE_MODES

RIGHT = ("111111", "111110", "111100", "111111", "110000")

# Masks.


@every_cell
@every_direction
def test_masked_steps_have_the_states_and_outputs_of_each_fault(cell, backwards):
    problem = single_layer(cell, go_backwards=backwards)
    mask = processed_mask(problem)
    correct, unmasked = outputs_of(problem), outputs_of(replace(problem, mask=None))
    before = (np.cumsum(mask, axis=1) == 0) * problem.initial_state[0].data[:, None]
    zeroed = with_inputs(problem, problem.inputs.data * problem.mask[..., None], mask=None)
    for name, expected in {
        "masked-output: zero": correct | {"output": correct["output"] * mask},
        "masked-output: the frozen state": correct | {"output": correct["output"] + before},
        "masked-state: leaks": unmasked | {"output": repeat_masked(unmasked["output"], mask)},
        "masked-state: inputs zeroed": outputs_of(zeroed),
        "mask-ignored: every step counts": unmasked,
    }.items():
        assert_all_same(outputs_with(problem, name), expected)
    zeros = with_options(problem, zero_output_for_mask=True)
    assert_all_same(outputs_with(zeros, "masked-output: held"), correct)
    assert_all_same(
        outputs_with(zeros, "masked-state: leaks"), unmasked | {"output": unmasked["output"] * mask}
    )
    frozen = correct | {"output": correct["output"] + before}
    assert_all_same(outputs_with(zeros, "masked-output: the frozen state"), frozen)
    from_zeros = replace(problem, initial_state=None)
    assert not outputs_by_location(from_zeros, fault("masked-output: the frozen state"))


def outputs_by_step(problem, output_of):
    """Return the outputs of calls of one step each; `output_of(used, new, kept)` is a step's."""
    layer = replace(problem.layer, return_sequences=True, return_state=True, stateful=False)
    cell = replace(problem, layer=layer, mask=None, calls=None)
    states = {tensor.name: tensor.data for tensor in problem.initial_state}
    outputs = []
    for t in range(SHAPE[1]):
        step = with_inputs(cell, problem.inputs.data[:, t : t + 1])
        new, used = last_states(with_initial_state(step, states)), problem.mask[:, t, None]
        kept, states = states, {n: np.where(used, new[n], states[n]) for n in states}
        outputs.append(output_of(used, new["h"], kept["h"]))
    return np.stack(outputs, axis=1)


@every_cell
@pytest.mark.parametrize(
    ("name", "output_of"),
    [
        ("masked-output: the frozen state", np.where),
        ("masked-output: computed", lambda used, new, kept: new),
    ],
)
@pytest.mark.parametrize("calls", [None, (2, 1, 3)], ids=["one call", "stateful"])
def test_masked_step_keeps_the_states_but_not_the_output(cell, name, output_of, calls):
    problem = single_layer(cell, stateful=calls is not None, return_state=False)
    problem = replace(problem, calls=calls)
    expected = {"output": outputs_by_step(problem, output_of)}
    assert_all_same(outputs_with(problem, name), expected)
    last = with_options(problem, return_sequences=False)
    assert_all_same(outputs_with(last, name), {"output": expected["output"][:, -1]})


@pytest.mark.parametrize("name", ["masked-output: the frozen state", "masked-output: computed"])
def test_masked_output_in_one_direction(name):
    problem = bidirectional("lstm", initial=True, return_sequences=True)
    forward_h, forward_c, *_ = (tensor.data for tensor in problem.initial_state)
    half = single_half(problem, "forward/", problem.inputs.data)
    half = with_initial_state(half, {"h": forward_h, "c": forward_c})
    output_of = np.where if "frozen" in name else lambda used, new, kept: new
    expected = outputs_of(problem)["output"]
    expected[..., : half.layer.units] = outputs_by_step(half, output_of)
    assert_same(outputs_with(problem, name, "forward/")["output"], expected)


@every_cell
@pytest.mark.parametrize("merge_mode", ["concat", "mul"])
def test_frozen_state_in_both_halves_where_one_starts_masked(cell, merge_mode):
    """With right padding the kept state differs from the previous output in the backward half only."""
    problem = bidirectional(cell, merge_mode, RIGHT, initial=True, return_sequences=True)
    count = len(problem.layer.forward.states)
    outputs = []
    for prefix, states in (
        ("forward/", problem.initial_state[:count]),
        ("backward/", problem.initial_state[count:]),
    ):
        backwards = prefix == "backward/"
        order = slice(None, None, -1 if backwards else 1)
        half = single_half(problem, prefix, problem.inputs.data[:, order])
        half = replace(half, mask=problem.mask[:, order])
        half = with_options(half, go_backwards=False)
        half = with_initial_state(half, {t.name.partition("_")[2]: t.data for t in states})
        outputs.append(outputs_by_step(half, np.where)[:, order])
    merged = np.multiply(*outputs) if merge_mode == "mul" else np.concatenate(outputs, axis=-1)
    actual = outputs_with(problem, "masked-output: the frozen state", EVERY_HALF)
    assert_same(actual["output"], merged)


def test_frozen_state_is_that_of_the_call_before():
    """Without an initial state the first call starts from zeros, the second one does not."""
    problem = single_layer("lstm", initial=False, stateful=True, return_state=False)
    problem = replace(problem, calls=(3, 3))
    zeros = np.zeros((SHAPE[0], problem.layer.units))
    started = with_initial_state(problem, {"h": zeros, "c": zeros})
    expected = {"output": outputs_by_step(started, np.where)}
    assert_all_same(outputs_with(problem, "masked-output: the frozen state"), expected)


@every_cell
@every_direction
def test_last_output_of_a_fully_masked_row_is_the_initial_state(cell, backwards):
    problem = single_layer(cell, go_backwards=backwards, **{**STATE, "return_sequences": False})
    correct, masked_rows = outputs_of(problem), ~problem.mask.any(axis=1, keepdims=True)
    initial = np.where(masked_rows, problem.initial_state[0].data, correct["output"])
    assert_all_same(
        outputs_with(problem, "masked-output: the frozen state"), correct | {"output": initial}
    )


@every_cell
@every_direction
def test_masked_step_resets_the_state(cell, backwards):
    problem = single_layer(cell, go_backwards=backwards)
    start = {tensor.name: tensor.data for tensor in problem.initial_state}
    states, outputs, unmasked = start, [], replace(problem, mask=None)
    for t in range(SHAPE[1])[:: -1 if backwards else 1]:
        used = problem.mask[:, t, None]
        step = with_inputs(unmasked, problem.inputs.data[:, t : t + 1])
        new = last_states(with_initial_state(step, states))
        states = {name: np.where(used, new[name], start[name]) for name in new}
        outputs.append(new["h"])
    output = repeat_masked(np.stack(outputs, axis=1), processed_mask(problem))
    assert_all_same(outputs_with(problem, "masked-state: reset"), {"output": output} | states)


@pytest.mark.parametrize(
    "cause", ["mask-ignored", "masked-state", "masked-output", "mask-not-reversed"]
)
def test_faults_of_masks_do_not_apply_without_a_mask(cause):
    problem = single_layer("lstm", mask=None, go_backwards=True, zero_output_for_mask=True)
    assert [mutant for mutant in mutants(problem) if mutant.fault.cause == cause] == []


# Directions.


@every_cell
def test_sequence_or_outputs_are_not_reversed(cell):
    problem = single_layer(cell, go_backwards=True)
    correct = outputs_of(problem)
    expected = correct | {"output": correct["output"][:, ::-1]}
    assert_all_same(outputs_with(problem, "reverse-output-order: reversed"), expected)
    forward = outputs_of(with_options(problem, go_backwards=False))
    assert_all_same(outputs_with(problem, "reverse-ignored: read forward"), forward)
    for name in ("reverse-output-order: reversed", "reverse-ignored: read forward"):
        assert not outputs_by_location(with_options(problem, go_backwards=False), fault(name))


@pytest.mark.parametrize(
    ("mode", "faulty_mode"), [pair for pair in product(MERGE_MODES, repeat=2) if pair[0] != pair[1]]
)
def test_halves_are_merged_by_another_mode(mode, faulty_mode):
    problem = bidirectional("gru", mode, **BOTH)
    y, y_rev, *states = outputs_of(with_options(problem, merge_mode=None)).values()
    merged = {
        "concat": [np.concatenate([y, y_rev], axis=-1)], "sum": [y + y_rev], "mul": [y * y_rev],
        "ave": [(y + y_rev) / 2], None: [y, y_rev],
    }  # fmt: skip
    assert_arrays(
        outputs_with(problem, f"merge-mode: {faulty_mode}"), [*merged[faulty_mode], *states]
    )


def test_backward_output_comes_first():
    y, y_rev, *states = outputs_of(bidirectional("lstm", None, **BOTH)).values()
    name = "directions-swapped: outputs"
    for mode, first in {"concat": [np.concatenate([y_rev, y], axis=-1)], None: [y_rev, y]}.items():
        assert_arrays(outputs_with(bidirectional("lstm", mode, **BOTH), name), [*first, *states])
    assert not outputs_by_location(bidirectional("lstm", "sum"), fault(name))


def swap_weights(problem, first, second):
    data = {tensor.name: tensor.data for tensor in problem.weights}
    swap = {first: second, second: first}
    parts = [tensor.name.partition("/") for tensor in problem.weights]
    sources = [swap.get(half + "/", half + "/") + name for half, _, name in parts]
    pairs = zip(problem.weights, sources, strict=True)
    return replace(
        problem, weights=tuple(replace(tensor, data=data[source]) for tensor, source in pairs)
    )


def test_weights_of_directions_or_layers_are_swapped():
    for mode in MERGE_MODES:
        problem = bidirectional("gru", mode, initial=True, **BOTH)
        expected = outputs_of(swap_weights(problem, "forward/", "backward/"))
        assert_all_same(outputs_with(problem, "directions-swapped: weights"), expected)
    layers = [spec_of(cell, 3, **EXACT, **SEQUENCES) for cell in ("gru", "gru", "lstm", "gru")]
    stack = random_problem(stack_of(*layers), 5, SHAPE, mask=MASK)
    for n, m in [(0, 1), (0, 3), (1, 3)]:
        expected = outputs_of(swap_weights(stack, f"{n}/", f"{m}/"))
        assert_all_same(outputs_with(stack, f"layer-order: {n} and {m}"), expected)
    assert not outputs_by_location(stack, fault("layer-order: 1 and 2"))


# States.


@every_cell
def test_initial_states_are_ignored_or_swapped(cell):
    problem = bidirectional(cell, initial=True, **BOTH)
    ignored = outputs_of(replace(problem, initial_state=None))
    assert_all_same(outputs_with(problem, "initial-state-ignored: zeros instead"), ignored)
    data = [tensor.data for tensor in problem.initial_state]
    names, half = [tensor.name for tensor in problem.initial_state], len(data) // 2
    orders = {"two halves": [*range(half, 2 * half), *range(half)]} | (
        {"h and c": [1, 0, 3, 2]} if half == 2 else {}
    )
    for variant, order in orders.items():
        states = {name: data[n] for name, n in zip(names, order, strict=True)}
        expected = outputs_of(with_initial_state(problem, states))
        assert_all_same(outputs_with(problem, f"initial-state-swapped: {variant}"), expected)


@every_cell
@every_direction
def test_run_or_row_starts_from_previous_states(cell, backwards):
    problem = single_layer(cell, initial=False, go_backwards=backwards)
    continued = with_initial_state(problem, last_states(problem))
    name = "state-carried-over: from the run before"
    assert_all_same(outputs_with(problem, name), outputs_of(continued))
    states, rows = {name: np.zeros((1, 4)) for name in problem.layer.states}, []
    for row in range(SHAPE[0]):
        single = replace(only_row(problem, row), mask=problem.mask[[row]])
        rows.append(outputs_of(with_initial_state(single, states)))
        states = {name: rows[-1][name] for name in states}
    expected = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    assert_all_same(outputs_with(problem, "state-carried-over: from row to row"), expected)
    for variant in ("from the run before", "from row to row"):
        assert not outputs_by_location(continued, fault(f"state-carried-over: {variant}"))


@every_cell
def test_half_starts_from_the_states_of_the_half_before(cell):
    name = "state-carried-over: from half to half"
    problem = bidirectional(cell, **BOTH)
    states, start = last_states(problem), {}
    for state, value in states.items():
        source = states[state.replace("backward", "forward")]
        start[state] = source if state.startswith("backward") else np.zeros_like(value)
    expected = outputs_of(with_initial_state(problem, start))
    assert_all_same(outputs_with(problem, name, "backward/"), expected)
    stack = random_problem(
        stack_of(spec_of(cell, **EXACT, **SEQUENCES), spec_of(cell, **EXACT, **BOTH)), 6, SHAPE
    )
    first = single_half(stack, "0/", stack.inputs.data)
    second = single_half(stack, "1/", outputs_of(first)["output"])
    states = last_states(with_options(first, return_state=True))
    expected = outputs_of(with_initial_state(second, states))
    assert_arrays(outputs_with(stack, name, "1/"), expected.values())


def outputs_of_separate_calls(problem):
    """Run every call from the same start and join the outputs along time."""
    calls, start = [], 0
    for steps in problem.calls:
        span = slice(start, start + steps)
        x, mask = problem.inputs.data[:, span], problem.mask[:, span]
        calls.append(outputs_of(with_inputs(problem, x, mask=mask, calls=None)))
        start += steps
    if not problem.layer.return_sequences:
        return calls[-1]
    return calls[-1] | {"output": np.concatenate([call["output"] for call in calls], axis=1)}


@every_cell
@pytest.mark.parametrize("sequences", [False, True], ids=["last", "sequences"])
def test_every_call_starts_from_zeros(cell, sequences):
    problem = replace(
        single_layer(cell, initial=False, stateful=True, return_sequences=sequences),
        calls=(1, 3, 2),
    )
    actual = outputs_with(problem, "state-not-carried: every call starts from zeros")
    assert_all_same(actual, outputs_of_separate_calls(problem))


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "sequences"])
def test_every_call_starts_from_the_initial_state(sequences):
    problem = replace(
        bidirectional("lstm", initial=True, stateful=True, return_sequences=sequences), calls=(4, 2)
    )
    name = "state-not-carried: every call starts from the initial state"
    actual = outputs_with(problem, name, "every half")
    assert_all_same(actual, outputs_of_separate_calls(problem))
    for changed in (replace(problem, initial_state=None), replace(problem, calls=(6,))):
        assert not outputs_by_location(changed, fault(name))


@pytest.mark.parametrize(
    ("steps", "kept"), [("first step", slice(1, None)), ("last step", slice(None, -1))]
)
def test_steps_are_left_out(steps, kept):
    for problem in (
        single_layer("lstm", go_backwards=True, return_sequences=False),
        bidirectional("gru", **STATE),
    ):
        shorter = with_inputs(problem, problem.inputs.data[:, kept], mask=problem.mask[:, kept])
        assert_all_same(outputs_with(problem, f"time-truncated: {steps}"), outputs_of(shorter))
    assert not outputs_by_location(single_layer("lstm"), fault(f"time-truncated: {steps}"))


@pytest.mark.parametrize(
    ("variant", "order"),
    [
        ("c before h", [1, 0, 3, 2]),
        ("backward before forward", [2, 3, 0, 1]),
        ("both h, then both c", [0, 2, 1, 3]),
    ],
)
def test_returned_states_are_in_another_order(variant, order):
    for mode in ("concat", None):
        problem = bidirectional("lstm", mode, initial=True, **BOTH)
        *outputs, a, b, c, d = outputs_of(problem).values()
        states = [[a, b, c, d][n] for n in order]
        assert_arrays(outputs_with(problem, f"state-order: {variant}"), [*outputs, *states])
    assert not outputs_by_location(
        bidirectional("lstm", **SEQUENCES), fault(f"state-order: {variant}")
    )


def test_backward_half_that_is_never_reversed():
    """It computes what the forward layer would compute with its weights."""
    problem = bidirectional("gru", mask=None, **BOTH)
    name = "reverse-ignored: read and returned forward"
    H, actual = problem.layer.backward.units, outputs_with(problem, name, "backward/")
    backward = single_half(problem, "backward/", problem.inputs.data)
    expected = outputs_of(with_options(backward, go_backwards=False))
    assert_same(actual["output"][..., H:], expected["output"])
    assert_same(actual["backward_h"], expected["h"])


def test_lost_states_need_several_calls():
    single_call = random_problem(spec_of("gru", stateful=True), 0, SHAPE)
    assert mutate(single_call, fault("state-not-carried: every call starts from zeros")) == []
