"""Relations in time that hold for any numbers: directions, masks, states, stateful calls."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import (
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
    problem_of,
    random_problem,
    spec_of,
    two_ways,
)

from rnnparity.problem.problem import Tensor

every_kind = pytest.mark.parametrize("kind", KINDS)
every_direction = pytest.mark.parametrize("backwards", [False, True], ids=["forward", "backwards"])
with_and_without_mask = pytest.mark.parametrize("mask", [None, MASK], ids=["no_mask", "mask"])


def reversed_in_time(problem):
    """Return the problem with reversed sequences and masks."""
    inputs = replace(problem.inputs, data=problem.inputs.data[:, ::-1])
    return replace(
        problem, inputs=inputs, mask=None if problem.mask is None else problem.mask[:, ::-1]
    )


# Direction.


@every_kind
@with_and_without_mask
def test_go_backwards_equals_forward_on_the_reversed_sequence(kind, mask):
    """Outputs are in processing order, the mask is reversed with the sequence."""
    forward = random_problem(spec_of(kind, **BOTH), 1, SHAPE, mask=mask, initial=True)
    backwards = replace(forward, layer=replace(forward.layer, go_backwards=True))
    assert_all_same(outputs_of(reversed_in_time(backwards)), outputs_of(forward))
    assert (outputs_of(backwards)["output"] != outputs_of(forward)["output"]).any()


@every_kind
def test_reversed_inputs_exchange_the_halves(kind):
    """With the weights of the halves exchanged too, only their outputs are."""
    problem = random_problem(
        two_ways(spec_of(kind, **SEQUENCES), merge_mode=None), 2, SHAPE, mask=MASK
    )
    count = len(problem.weights) // 2
    halves = [[t.data for t in problem.weights[:count]], [t.data for t in problem.weights[count:]]]
    exchanged = tuple(
        replace(tensor, data=data)
        for tensor, data in zip(problem.weights, halves[1] + halves[0], strict=True)
    )
    original, exchanged = (
        outputs_of(problem),
        outputs_of(reversed_in_time(replace(problem, weights=exchanged))),
    )
    assert_same(exchanged["forward_output"], original["backward_output"][:, ::-1])
    assert_same(exchanged["backward_output"], original["forward_output"][:, ::-1])


def test_go_backwards_with_a_mask_agrees_with_values_by_hand():
    """The layer returns its input: steps 4 and 3 are masked, 2 and 1 follow."""
    spec = spec_of(
        "simple_rnn",
        1,
        activation="linear",
        go_backwards=True,
        use_bias=False,
        **EXACT,
        **SEQUENCES,
    )
    inputs = [[[1], [2], [3], [4]]]
    problem = problem_of(spec, [[[1]], [[0]]], inputs, mask=np.array([[True, True, False, False]]))
    assert outputs_of(problem)["output"].ravel().tolist() == [0, 0, 2, 1]
    problem = replace(problem, mask=np.array([[True, False, True, True]]))
    assert outputs_of(problem)["output"].ravel().tolist() == [4, 3, 3, 1]
    problem = replace(problem, layer=replace(problem.layer, zero_output_for_mask=True))
    assert outputs_of(problem)["output"].ravel().tolist() == [4, 3, 0, 1]


@every_kind
@every_direction
@with_and_without_mask
def test_the_last_output_equals_the_end_of_the_sequence_and_the_state(kind, backwards, mask):
    problem = random_problem(spec_of(kind, go_backwards=backwards, **BOTH), 3, SHAPE, mask=mask)
    sequence = outputs_of(problem)
    last = outputs_of(replace(problem, layer=replace(problem.layer, return_sequences=False)))
    assert_same(last["output"], sequence["output"][:, -1], 0)
    assert_same(last["output"], sequence["h"], 0)
    assert_same(last["h"], sequence["h"], 0)


# Masks.


@every_kind
@every_direction
@pytest.mark.parametrize(
    "row", range(4), ids=["left+interior", "interior+right", "left+right", "none"]
)
def test_masked_steps_change_nothing_but_repeat_the_output(kind, backwards, row):
    spec = spec_of(kind, go_backwards=backwards, **BOTH)
    problem = random_problem(spec, 4, SHAPE, mask=MASK, initial=True)
    masked, used = outputs_of(problem), problem.mask[row]
    shorter = outputs_of(only_row(problem, row, used))
    in_order = used[::-1] if backwards else used
    assert_same(masked["output"][row][in_order], shorter["output"][0])
    for name in problem.layer.states:
        assert_same(masked[name][row], shorter[name][0])
    for step in np.flatnonzero(~in_order):
        before = masked["output"][row, step - 1] if step else np.zeros(4)
        assert_same(masked["output"][row, step], before, 0)


@every_kind
@every_direction
@pytest.mark.parametrize("flags", [STATE, BOTH], ids=["last", "sequences"])
def test_a_fully_masked_row_keeps_its_initial_state_and_returns_zeros(kind, backwards, flags):
    problem = random_problem(
        spec_of(kind, go_backwards=backwards, **flags), 5, SHAPE, mask=MASK, initial=True
    )
    outputs = outputs_of(problem)
    assert (outputs["output"][4] == 0).all()
    for state in problem.initial_state:
        assert_same(outputs[state.name][4], state.data[4].astype(np.float64), 0)


@every_kind
@every_direction
def test_zero_output_for_mask_zeroes_only_masked_outputs(kind, backwards):
    plain = random_problem(
        spec_of(kind, go_backwards=backwards, **BOTH), 6, SHAPE, mask=MASK, initial=True
    )
    zeroed = replace(plain, layer=replace(plain.layer, zero_output_for_mask=True))
    used = plain.mask[:, ::-1] if backwards else plain.mask
    expected = outputs_of(plain)
    expected["output"] = np.where(used[..., None], expected["output"], 0)
    assert_all_same(outputs_of(zeroed), expected, 0)


@every_kind
def test_zero_output_for_mask_counts_only_with_sequences(kind):
    plain = random_problem(spec_of(kind, **STATE), 7, SHAPE, mask=MASK, initial=True)
    zeroed = replace(plain, layer=replace(plain.layer, zero_output_for_mask=True))
    assert_all_same(outputs_of(zeroed), outputs_of(plain), 0)
    assert (outputs_of(plain)["output"][1] != 0).all()  # a row whose last step is masked


@every_kind
def test_a_mask_of_true_changes_nothing(kind):
    problem = random_problem(two_ways(spec_of(kind, **BOTH)), 8, SHAPE, mask=("111111",) * 5)
    assert_all_same(outputs_of(problem), outputs_of(replace(problem, mask=None)), 0)


# Initial states and stateful calls.


@every_kind
def test_initial_states_default_to_zeros(kind):
    problem = random_problem(spec_of(kind, **BOTH), 9, SHAPE, initial=True)
    zeros = tuple(replace(state, data=np.zeros_like(state.data)) for state in problem.initial_state)
    none = outputs_of(replace(problem, initial_state=None))
    assert_all_same(outputs_of(replace(problem, initial_state=zeros)), none, 0)
    assert (outputs_of(problem)["output"] != none["output"]).any()


@every_kind
@pytest.mark.parametrize("flags", [STATE, BOTH], ids=["last", "sequences"])
@pytest.mark.parametrize("calls", [(3, 2, 1), (1, 5), (6,)], ids=str)
def test_stateful_calls_equal_one_long_call(kind, flags, calls):
    problem = random_problem(spec_of(kind, stateful=True, **flags), 10, SHAPE, initial=True)
    assert_all_same(outputs_of(replace(problem, calls=calls)), outputs_of(problem))


def call_after_call(problem, calls):
    """Return the outputs of runs each of which starts with the last states of the previous run."""
    start, parts, states = 0, [], problem.initial_state
    for steps in calls:
        span = slice(start, start + steps)
        inputs = replace(problem.inputs, data=problem.inputs.data[:, span])
        mask = None if problem.mask is None else problem.mask[:, span]
        outputs = outputs_of(replace(problem, inputs=inputs, mask=mask, initial_state=states))
        values = list(outputs.values())[-len(problem.layer.states) :]
        states = tuple(
            Tensor(name, value) for name, value in zip(problem.layer.states, values, strict=True)
        )
        parts.append(outputs)
        start += steps
    sequences = [name for name in parts[0] if name.endswith("output")]
    joined = {name: np.concatenate([part[name] for part in parts], axis=1) for name in sequences}
    return parts[-1] | joined


@every_kind
@with_and_without_mask
@pytest.mark.parametrize("direction", ["forward", "backwards", "concat", "ave", None], ids=str)
def test_stateful_calls_share_nothing_but_their_states(kind, mask, direction):
    spec = spec_of(kind, stateful=True, **EXACT, **BOTH)
    if direction == "backwards":
        spec["config"]["go_backwards"] = True
    elif direction != "forward":
        spec = two_ways(spec, merge_mode=direction)
    problem = random_problem(spec, 11, SHAPE, mask=mask, initial=True)
    actual = outputs_of(replace(problem, calls=(3, 2, 1)))
    assert_all_same(actual, call_after_call(problem, (3, 2, 1)))
    one_call = outputs_of(problem)
    equal = [np.allclose(array, one_call[name]) for name, array in actual.items()]
    assert all(equal) == (direction == "forward" and mask is None)
