"""How a problem is split into calls, and how states and outputs pass from one call to the next."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import BOTH, SEQUENCES, random_problem, spec_of, stack_of, two_ways

from rnnparity.problem.problem import Tensor
from rnnparity.subjects.calls import calls_of, initial_states, join_outputs, layers_of, run_calls

B, T, D, H = 2, 6, 4, 5
SHAPE = (B, T, D)
MASK = ("011011", "110100")


def stateful_problem(**options):
    layer = spec_of("lstm", H, stateful=True, **BOTH)
    return random_problem(layer, 1, SHAPE, calls=(3, 1, 2), mask=MASK, **options)


def zeros(*shape):
    return Tensor("", np.zeros(shape, np.float32))


def test_calls_are_consecutive_and_cover_inputs_and_mask():
    problem = stateful_problem()
    calls = calls_of(problem)
    assert [call.inputs.shape[1] for call in calls] == [3, 1, 2]
    assert np.array_equal(np.concatenate([c.inputs for c in calls], 1), problem.inputs.data)
    assert np.array_equal(np.concatenate([c.mask for c in calls], 1), problem.mask)


def test_only_the_first_call_has_initial_states():
    calls = calls_of(stateful_problem(initial=True))
    assert [call.initial_state is not None for call in calls] == [True, False, False]
    assert [call.initial_state for call in calls_of(stateful_problem())] == [None] * 3


def test_a_problem_without_calls_is_one_call():
    (call,) = calls_of(random_problem(spec_of("gru", H), 1, SHAPE))
    assert (call.inputs.shape, call.mask, call.initial_state) == ((B, T, D), None, None)


def test_initial_states_are_given_layer_by_layer():
    layers = [spec_of("lstm", H, **SEQUENCES), two_ways(spec_of("gru", H))]
    problem = random_problem(stack_of(*layers), 1, SHAPE, initial=True)
    assert [prefix for prefix, _ in layers_of(problem)] == ["0/", "1/"]
    states = initial_states(problem)
    assert [len(layer) for layer in states] == [2, 2]
    flat = [state for layer in states for state in layer]
    for state, tensor in zip(flat, problem.initial_state, strict=True):
        assert state is tensor.data
    assert initial_states(replace(problem, initial_state=None)) == [None, None]


def test_only_states_of_stateful_layers_start_the_next_call():
    layers = stack_of(spec_of("lstm", H, stateful=True, **SEQUENCES), spec_of("gru", H))
    problem = random_problem(layers, 1, SHAPE, initial=True, calls=(4, 2))
    starts = []

    def run(call, states):
        starts.append(states)
        return [zeros(B, H)], [["h", "c"], ["h"]]

    run_calls(problem, ["first", "second"], run)
    assert starts == [["first", "second"], [["h", "c"], None]]


def test_sequences_are_joined_and_states_are_those_of_the_last_call():
    problem = stateful_problem()
    calls = [
        [Tensor("", np.full(shape, number)) for shape in ((B, steps, H), (B, H), (B, H))]
        for number, steps in enumerate(problem.steps)
    ]
    output, h, c = join_outputs(problem, calls)
    assert (output.name, h.name, c.name) == ("output", "h", "c")
    assert output.data[0, :, 0].tolist() == [0, 0, 0, 1, 2, 2]
    assert h.data[0, 0] == c.data[0, 0] == 2


def test_a_last_output_is_that_of_the_last_call():
    layer = spec_of("gru", H, stateful=True)
    problem = random_problem(layer, 1, SHAPE, calls=(3, 3))
    calls = [[Tensor("", np.full((B, H), number))] for number in range(2)]
    (output,) = join_outputs(problem, calls)
    assert output.data[0, 0] == 1


@pytest.mark.parametrize(
    ("count", "names"), [(1, ["output"]), (4, ["output", "h", "c", "extra_3"])]
)
def test_a_wrong_number_of_outputs_is_kept_for_the_verdict(count, names):
    problem = random_problem(spec_of("lstm", H, return_state=True), 1, SHAPE)
    outputs = join_outputs(problem, [[zeros(B, H)] * count])
    assert [output.name for output in outputs] == names


def test_calls_with_different_numbers_of_outputs_are_an_error():
    with pytest.raises(ValueError, match="shorter"):
        join_outputs(stateful_problem(), [[zeros(B, 1, H)] * 3, [zeros(B, 1, H)]])
