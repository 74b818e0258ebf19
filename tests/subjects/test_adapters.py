"""Subjects from a function of one half, or of one layer with lengths."""

import doctest
from dataclasses import replace

import numpy as np
import pytest
from _support.random_layers import problem_with_random_options
from _support.random_problems import SEQUENCES, random_problem, spec_of, stack_of, two_ways

from rnnparity import Unsupported, Verdict
from rnnparity.catalogue import catalogue
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.reference import spec
from rnnparity.session.session import open_session
from rnnparity.subjects import adapters, half_subject, layer_subject, name_of

SHAPE = (2, 6, 4)


@half_subject
@np.errstate(all="ignore")
def specified(layer, weights, x, mask, states):
    """The specification, which is given every half in the order in which it is processed."""
    forward = replace(layer, go_backwards=False, return_sequences=True)
    zeros = layer.zero_output_for_mask and layer.return_sequences
    used = np.ones(x.shape[:2], bool) if mask is None else mask
    wide = [np.asarray(array, np.float64) for array in weights.values()]
    if not layer.use_bias:
        wide.append(np.zeros((2, 1) if layer.class_name == "GRU" and layer.reset_after else 1))
    wide += [np.ones((1, 1, 1))] * 2  # no dropout
    start = [np.asarray(state, np.float64) for state in states]
    y, ends = spec.recurrent(forward, wide, start, np.asarray(x, np.float64), used, zeros)
    float_type = FLOAT_TYPES[layer.compute_dtype]
    return float_type.round(y), [float_type.round(end) for end in ends]


def result(subject, problem):
    with open_session(subject) as session:
        return session.judge(session.ask(problem))


@pytest.mark.parametrize("seed", range(40))
def test_any_layer_is_composed_of_its_halves(seed):
    problem = problem_with_random_options(seed)
    found = result(specified, problem)
    assert found.differences == ()
    assert found.verdict in (Verdict.AGREES, Verdict.INCONCLUSIVE)


def test_subject_keeps_the_name_by_which_it_is_imported():
    assert name_of(specified) == f"{__name__}:specified"


def test_half_gets_the_steps_in_the_order_of_processing():
    seen = []

    @half_subject
    def record(layer, weights, x, mask, states):
        seen.append((sorted(weights), x, mask, [state.tolist() for state in states]))
        return np.zeros((*x.shape[:2], layer.units), np.float32), states

    layer = two_ways(spec_of("lstm", 5, use_bias=False))
    problem = random_problem(layer, 1, SHAPE, mask=("011111", "110100"))
    record(problem)
    (names, x, mask, states), (_, x_rev, mask_rev, _) = seen
    assert names == ["kernel", "recurrent_kernel"]
    assert states == [np.zeros((2, 5)).tolist()] * 2
    assert np.array_equal(x_rev, x[:, ::-1])
    assert np.array_equal(mask_rev, mask[:, ::-1])


def test_half_gets_no_problem_with_dropout_masks():
    @half_subject
    def half(layer, weights, x, mask, states):
        raise AssertionError("asked")

    half.takes_dropout_masks = True
    problem = catalogue()["dropout-both-lstm-forward"]
    judged = result(half, problem)
    assert judged.verdict is Verdict.UNSUPPORTED
    assert "dropout masks" in judged.reason


def test_what_a_half_refuses_is_unsupported_with_its_reason():
    @half_subject
    def nothing(layer, weights, x, mask, states):
        raise Unsupported("no layers")

    found = result(nothing, random_problem(spec_of("gru"), 1, SHAPE))
    assert (found.verdict, found.reason) == (Verdict.UNSUPPORTED, "no layers")


def test_half_that_returns_its_last_output_only_is_told_the_shapes():
    @half_subject
    def last(layer, weights, x, mask, states):
        return states[0], states

    with pytest.raises(
        TypeError, match=r"got the shapes \[\(2, 4\), \(2, 4\)\], expected \[\(2, 6"
    ):
        last(random_problem(spec_of("gru"), 1, SHAPE))


def test_plain_lists_have_the_type_of_the_layer_and_arrays_keep_theirs():
    @half_subject
    def zeros(layer, weights, x, mask, states):
        return np.zeros((*x.shape[:2], layer.units)), [state.tolist() for state in states]

    output, h = zeros(random_problem(spec_of("gru", return_state=True), 1, SHAPE))
    assert (output.dtype, h.dtype) == (np.float64, np.float32)


@layer_subject
def lengths_as_outputs(layer, weights, x, lengths, states):
    """Outputs from which can be read what was passed."""
    column = np.float32(0) if lengths is None else lengths.astype(np.float32)[:, None]
    y = column * np.ones((1, layer.units), np.float32) + np.zeros_like(states[0])
    return [y], [state + 1 for state in states]


def test_layer_with_lengths_gets_those_of_right_padding():
    problem = random_problem(spec_of("gru"), 1, SHAPE, mask=("111100", "100000"))
    (output,) = lengths_as_outputs(problem)
    assert output[:, 0].tolist() == [4, 1]
    (output,) = lengths_as_outputs(replace(problem, mask=None))
    assert output[:, 0].tolist() == [0, 0]


@pytest.mark.parametrize("row", ["000000", "001111", "110110"])
def test_mask_that_lengths_cannot_express_is_unsupported(row):
    problem = random_problem(spec_of("gru"), 1, SHAPE, mask=("111100", row))
    found = result(lengths_as_outputs, problem)
    assert found.verdict is Verdict.UNSUPPORTED
    assert found.reason == "lengths express only right padding, and no empty row"


def test_states_of_a_layer_start_its_next_call_if_it_is_stateful():
    layers = [spec_of("gru", **SEQUENCES), spec_of("lstm", stateful=True, return_state=True)]
    problem = random_problem(stack_of(*layers), 1, SHAPE, calls=(3, 1, 2))
    _, h, c = lengths_as_outputs(problem)
    assert h[0, 0] == c[0, 0] == 3


def test_examples_of_the_docstrings_run():
    assert doctest.testmod(adapters).failed == 0
