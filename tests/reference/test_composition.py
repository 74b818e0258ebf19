"""Relations that hold for any numbers: between layers and their parts, and between batch rows."""

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
    stack_of,
    two_ways,
)

from rnnparity.problem.problem import Tensor
from rnnparity.reference import compute

every_kind = pytest.mark.parametrize("kind", KINDS)
every_direction = pytest.mark.parametrize("backwards", [False, True], ids=["forward", "backwards"])
with_and_without_mask = pytest.mark.parametrize("mask", [None, MASK], ids=["no_mask", "mask"])


def reversed_in_time(problem):
    """Return the problem with reversed sequences and masks."""
    inputs = replace(problem.inputs, data=problem.inputs.data[:, ::-1])
    return replace(
        problem, inputs=inputs, mask=None if problem.mask is None else problem.mask[:, ::-1]
    )


# Halves.


def half_run(problem, weights, layer, states):
    tensors = tuple(Tensor(tensor.name.partition("/")[2], tensor.data) for tensor in weights)
    named = tuple(
        Tensor(name, state.data) for name, state in zip(layer.states, states, strict=True)
    )
    return list(
        outputs_of(replace(problem, layer=layer, weights=tensors, initial_state=named)).values()
    )


DIFFERENT = spec_of("gru", 2, go_backwards=True, **EXACT)


@every_kind
@with_and_without_mask
@pytest.mark.parametrize(
    "flags", [{}, STATE, SEQUENCES, BOTH], ids=["last", "state", "sequences", "both"]
)
@pytest.mark.parametrize("halves", ["alike", "different"])
def test_bidirectional_merges_the_runs_of_its_halves(kind, mask, flags, halves):
    """The backward output is reversed to forward time; states are forward's, then backward's."""
    backward = {"backward_layer": {**DIFFERENT, "config": {**DIFFERENT["config"], **flags}}}
    spec = two_ways(spec_of(kind, **EXACT, **flags), **(backward if halves == "different" else {}))
    problem = random_problem(spec, 12, SHAPE, mask=mask, initial=True)
    layer, states = problem.layer, problem.initial_state
    forward_count = len(layer.forward.states)
    weights = {
        side: [t for t in problem.weights if t.name.startswith(side)]
        for side in ("forward/", "backward/")
    }
    y, *states_forward = half_run(
        problem, weights["forward/"], layer.forward, states[:forward_count]
    )
    y_rev, *states_backward = half_run(
        problem, weights["backward/"], layer.backward, states[forward_count:]
    )
    if layer.return_sequences:
        y_rev = y_rev[:, ::-1]
    expected = [np.concatenate([y, y_rev], axis=-1), *states_forward, *states_backward]
    actual = compute(problem)
    assert len(actual) == len(expected) == (1 + len(layer.states) if layer.return_state else 1)
    for tensor, array in zip(actual, expected, strict=True):
        assert_same(tensor.data, array)


@every_kind
@pytest.mark.parametrize("sequences", [True, False], ids=["sequences", "last"])
def test_bidirectional_zeroes_masked_steps_where_it_returns_sequences(kind, sequences):
    problem = random_problem(
        two_ways(spec_of(kind, return_sequences=sequences)), 13, SHAPE, mask=MASK
    )
    output = outputs_of(problem)["output"]
    if sequences:
        assert ((output == 0).all(axis=-1) == ~problem.mask).all()
    else:
        assert ((output == 0).all(axis=-1) == [False, False, False, False, True]).all()


@every_kind
@pytest.mark.parametrize("flags", [STATE, BOTH], ids=["last", "sequences"])
def test_merge_modes_combine_the_same_halves(kind, flags):
    apart = random_problem(
        two_ways(spec_of(kind, **EXACT, **flags), merge_mode=None), 14, SHAPE, mask=MASK
    )
    outputs = outputs_of(apart)
    y, y_rev = outputs.pop("forward_output"), outputs.pop("backward_output")
    expected = {
        "concat": np.concatenate([y, y_rev], axis=-1),
        "sum": y + y_rev,
        "mul": y * y_rev,
        "ave": 0.5 * (y + y_rev),
    }
    for mode, output in expected.items():
        merged = replace(apart, layer=replace(apart.layer, merge_mode=mode))
        assert_all_same(outputs_of(merged), {"output": output, **outputs}, 0)


# Stacks and batches.

STACKS = {
    "alike": [spec_of("lstm", **EXACT, **SEQUENCES), spec_of("lstm", 3, **EXACT, **BOTH)],
    "mixed": [
        two_ways(spec_of("gru_before", 2, **EXACT, **SEQUENCES), merge_mode="sum"),
        spec_of("simple_rnn", 5, **EXACT, **SEQUENCES),
        two_ways(spec_of("lstm", 3, **EXACT, **BOTH)),
    ],
    "backwards": [
        spec_of("gru", go_backwards=True, **EXACT, **SEQUENCES),
        spec_of("lstm", 2, **EXACT, **STATE),
    ],
}


@with_and_without_mask
@pytest.mark.parametrize("label", STACKS)
def test_a_stack_feeds_each_layer_to_the_next(label, mask):
    """Every layer gets the mask unreversed, also after a layer with go_backwards."""
    problem = random_problem(stack_of(*STACKS[label]), 15, SHAPE, mask=mask, initial=True)
    inputs = problem.inputs.data
    for index, spec in enumerate(STACKS[label]):
        prefix = f"{index}/"
        weights = [tensor for tensor in problem.weights if tensor.name.startswith(prefix)]
        states = [tensor for tensor in problem.initial_state if tensor.name.startswith(prefix)]
        single = problem_of(spec, weights, inputs, mask=problem.mask, initial=states)
        last = outputs_of(single)
        inputs = last["output"]
    for tensor, array in zip(compute(problem), last.values(), strict=True):
        assert_same(tensor.data, array)


def test_a_stack_names_the_last_layer_s_states():
    problem = random_problem(stack_of(*STACKS["alike"]), 15, SHAPE)
    assert list(outputs_of(problem)) == ["output", "1/h", "1/c"]


@every_kind
@pytest.mark.parametrize("mode", ["concat", "mul", None], ids=str)
def test_batch_rows_are_independent(kind, mode):
    problem = random_problem(
        two_ways(spec_of(kind, **BOTH), merge_mode=mode), 16, SHAPE, mask=MASK, initial=True
    )
    order = [3, 0, 4, 2, 1]
    shuffled = replace(
        problem,
        inputs=replace(problem.inputs, data=problem.inputs.data[order]),
        mask=problem.mask[order],
        initial_state=tuple(
            replace(state, data=state.data[order]) for state in problem.initial_state
        ),
    )
    expected = {name: array[order] for name, array in outputs_of(problem).items()}
    assert_all_same(outputs_of(shuffled), expected)
    full_row = {name: array[[3]] for name, array in outputs_of(problem).items()}
    assert_all_same(outputs_of(only_row(problem, 3)), full_row)


def test_a_stateful_stack_joins_both_outputs_of_its_last_layer():
    lower = spec_of("lstm", stateful=True, **SEQUENCES)
    upper = two_ways(spec_of("gru", stateful=True, **SEQUENCES), merge_mode=None)
    problem = random_problem(stack_of(lower, upper), 17, SHAPE, calls=(3, 2, 1))
    expected = [slot.shape for slot in problem.output_slots()]
    assert [tensor.shape for tensor in compute(problem)] == expected


def test_in_a_stack_only_stateful_layers_keep_their_states():
    lower, upper = (
        spec_of("lstm", stateful=True, **EXACT, **SEQUENCES),
        spec_of("gru", 3, **EXACT, **SEQUENCES),
    )
    both = random_problem(stack_of(lower, upper), 18, SHAPE, calls=(3, 3))
    first = problem_of(lower, both.weights[:3], both.inputs.data)
    hidden = outputs_of(first)["output"]
    calls = [
        outputs_of(problem_of(upper, both.weights[3:], part))["output"]
        for part in (hidden[:, :3], hidden[:, 3:])
    ]
    assert_same(outputs_of(both)["output"], np.concatenate(calls, axis=1))
