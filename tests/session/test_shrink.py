"""Smaller problems: they are valid, computed from the larger one's numbers, and still fail."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import (
    BOTH,
    SEQUENCES,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
    with_dropout,
)

from rnnparity import Unsupported
from rnnparity.problem.layers import Bidirectional, Recurrent, halves
from rnnparity.problem.problem import Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference import compute
from rnnparity.reference.gradients import compute_gradients
from rnnparity.report.text.fuzz import smallest_lines
from rnnparity.session.fuzz import SMALLEST
from rnnparity.session.fuzz_records import Record, SeedRecords
from rnnparity.session.fuzz_tally import Tally
from rnnparity.session.random_problems import problems_of_seed
from rnnparity.session.reductions import reductions
from rnnparity.session.shrink import shrink, smallest_failures


def size(problem):
    arrays = (*problem.weights, problem.inputs, *(problem.initial_state or ()))
    return sum(tensor.data.size for tensor in arrays)


@pytest.mark.parametrize("seed", range(24))
def test_every_reduction_is_smaller_and_can_be_computed(seed):
    problem = next(problems_of_seed(seed))
    smaller = list(reductions(problem))
    assert smaller
    for reduced in smaller:
        assert reduced.id == problem.id
        assert reduced != problem
        assert size(reduced) <= size(problem)
    outputs = compute(min(smaller, key=size))
    assert all(np.isfinite(output.data).all() for output in outputs)


def named(problem, name):
    return next(tensor.data for tensor in problem.weights if tensor.name == name)


def test_fewer_units_are_the_first_units_of_every_gate():
    problem = random_problem(spec_of("lstm", 5, **BOTH), 0, (2, 3, 4))
    reduced = next(each for each in reductions(problem) if each.layer.units == 2)
    for name in ("kernel", "recurrent_kernel", "bias"):
        for gate in range(4):
            whole = named(problem, name)[..., 5 * gate : 5 * gate + 2]
            kept = named(reduced, name)[..., 2 * gate : 2 * gate + 2]
            assert np.array_equal(kept, whole[:2] if name == "recurrent_kernel" else whole)


@pytest.mark.parametrize("shared", [True, False])
def test_a_part_keeps_its_own_dropout_masks(shared):
    spec = stack_of(spec_of("lstm", 5, return_sequences=True), two_ways(spec_of("gru", 3)))
    problem = with_dropout(random_problem(spec, 0, (4, 3, 6)), shared=shared)
    whole = {mask.name: mask.data for mask in problem.dropout_masks}
    first, second, *_ = reductions(problem)
    kept = {mask.name: mask.data for mask in second.dropout_masks}
    assert [mask.name for mask in first.dropout_masks] == ["inputs", "recurrent"]
    assert (first.dropout_masks[1].data == whole["0/recurrent"]).all()
    assert (kept["backward/inputs"] == whole["1/backward/inputs"][..., :5]).all()
    last_rows = next(each for each in reductions(problem) if each.inputs.shape[0] == 2)
    assert (last_rows.dropout_masks[0].data == whole["0/inputs"][:, :2]).all()
    narrow = next(each for each in reductions(problem) if each.inputs.shape[2] == 3)
    assert (narrow.dropout_masks[0].data == whole["0/inputs"][..., :3]).all()
    assert any(each.dropout_masks is None for each in reductions(problem))


def test_a_half_keeps_its_own_weights_and_states():
    spec = two_ways(spec_of("gru", 3, **BOTH))
    problem = random_problem(spec, 0, (2, 3, 4), initial=True)
    forward, backward = [each for each in reductions(problem) if isinstance(each.layer, Recurrent)][
        :2
    ]
    for half, prefix in ((forward, "forward"), (backward, "backward")):
        assert np.array_equal(named(half, "kernel"), named(problem, f"{prefix}/kernel"))
    given = [tensor.data for tensor in problem.initial_state]
    assert np.array_equal(forward.initial_state[0].data, given[0])
    assert np.array_equal(backward.initial_state[0].data, given[1])
    assert backward.layer.go_backwards


def test_rows_and_steps_of_mask_and_inputs_stay_together():
    steps = np.arange(6.0).reshape(2, 3, 1)
    problem = replace(
        random_problem(spec_of("simple_rnn", 2), 0, (2, 3, 1)),
        inputs=Tensor.of("inputs", steps, "float32"),
        mask=steps[..., 0] % 2 == 0,
    )
    shapes = set()
    for reduced in reductions(problem):
        if reduced.mask is not None:
            shapes.add(reduced.mask.shape)
            assert np.array_equal(reduced.mask, reduced.inputs.data[..., 0] % 2 == 0)
    assert {(1, 3), (2, 1), (2, 2)} <= shapes


def test_shrinking_ends_at_the_smallest_problem_that_fails():
    spec = stack_of(two_ways(spec_of("lstm", 4, **SEQUENCES)), spec_of("gru", 5, **BOTH))
    problem = random_problem(spec, 0, (3, 8, 4))
    asked = []

    def fails(smaller):
        asked.append(smaller)
        has_gru = any(half.class_name == "GRU" for _, half in halves(smaller.layer))
        return has_gru and smaller.inputs.shape[1] >= 3

    smallest = shrink(problem, fails)
    assert (smallest.layer.class_name, smallest.layer.units) == ("GRU", 1)
    assert smallest.inputs.shape == (1, 3, 1)
    assert not smallest.layer.use_bias
    assert len(asked) < 150
    asked.clear()
    assert shrink(problem, fails, most=5) != smallest
    assert len(asked) == 5


def test_nothing_smaller_fails():
    problem = random_problem(two_ways(spec_of("gru", 2)), 0, (2, 2, 2))
    assert shrink(problem, lambda _: False) is problem
    assert isinstance(problem.layer, Bidirectional)


def one_bias_missing(problem):
    """A GRU (reset_after) that ignores the recurrent row of its bias; nothing else is computed."""
    layer = problem.layer
    if not (isinstance(layer, Recurrent) and layer.class_name == "GRU" and layer.reset_after):
        raise Unsupported("only a GRU")
    weights = {tensor.name: tensor.data.copy() for tensor in problem.weights}
    if "bias" in weights:
        weights["bias"][1] = 0
    wrong = replace(problem, weights=tuple(Tensor(n, a) for n, a in weights.items()))
    return [
        np.asarray(tensor.data, slot.dtype)
        for tensor, slot in zip(compute(wrong), problem.output_slots(), strict=True)
    ]


def raising(problem):
    if problem.layer.use_bias:
        raise ValueError("no biases")
    return one_bias_missing(problem)


IDS = ["fuzz-38-0"]


def test_the_cause_of_the_smallest_failure_is_named():
    (failure,) = smallest_failures(one_bias_missing, IDS, 60)
    assert failure.problem.inputs.shape == (1, 1, 1)
    assert failure.diagnosis.explanation.cause.names == ("bias-row-dropped",)
    assert failure.error == ""


def doubled_kernel(problem):
    first, second, *others = compute_gradients(problem)
    slots = problem.gradient_slots()
    arrays = [first.data, 2 * second.data, *(tensor.data for tensor in others)]
    return [np.asarray(array, slot.dtype) for array, slot in zip(arrays, slots, strict=True)]


def of_another_shape(problem):
    return [array[..., :1] for array in doubled_kernel(problem)]


def test_the_cause_of_the_smallest_failure_of_gradients_is_named(monkeypatch):
    monkeypatch.setattr(healthy, "gradients", doubled_kernel, raising=False)
    (failure,) = smallest_failures(healthy, IDS, 60, gradients=True)
    assert failure.problem.cotangents is not None
    assert failure.problem.inputs.shape == (1, 1, 1)
    (fault,) = failure.diagnosis.explanation.cause.faults
    assert (fault.cause, fault.variant) == ("gradient-doubled", "kernel")
    assert list(smallest_lines(failure))[1].startswith("  cause: ")


def test_gradients_of_another_shape_have_no_cause_to_search(monkeypatch):
    monkeypatch.setattr(healthy, "gradients", of_another_shape, raising=False)
    (failure,) = smallest_failures(healthy, IDS, 60, gradients=True)
    assert failure.diagnosis is None
    first, second, *_ = smallest_lines(failure)
    assert first.startswith("smallest problem like fuzz-38-0")
    assert "shape" in second


def test_an_error_is_shrunk_as_an_error():
    (failure,) = smallest_failures(raising, IDS, 60)
    assert failure.problem.inputs.shape == (1, 1, 1)
    assert failure.problem.layer.use_bias
    assert failure.diagnosis is None
    assert "no biases" in failure.error


def test_one_failure_of_each_verdict_and_dtype_is_shrunk():
    records = [
        Record("fuzz-0-0", "float32", Verdict.AGREES, 0.0),
        Record("fuzz-0-1", "float32", Verdict.DIVERGES, 99.0),
        Record("fuzz-0-2", "float32", Verdict.DIVERGES, 99.0),
        Record("fuzz-1-0", "float64", Verdict.DIVERGES, 99.0),
        Record("fuzz-1-1", "float32", Verdict.ERROR, 0.0),
        Record("fuzz-2-0", "float32", Verdict.DIVERGES, 99.0, change="scaled"),
        Record("fuzz-2-1", "float16", Verdict.DIVERGES, 99.0),
    ]
    seeds = [
        SeedRecords(seed, tuple(r for r in records if r.order[0] == seed)) for seed in range(3)
    ]
    expected = ["fuzz-0-1", "fuzz-1-0", "fuzz-1-1"][:SMALLEST]
    for order in (seeds, seeds[::-1]):
        assert Tally(order).different_failures(SMALLEST) == expected


def healthy(problem):
    slots = problem.output_slots()
    return [
        np.asarray(tensor.data, slot.dtype)
        for tensor, slot in zip(compute(problem), slots, strict=True)
    ]


def test_a_failure_that_does_not_occur_again_has_no_smallest_problem():
    assert list(smallest_failures(healthy, IDS, 60)) == []


def test_shrinking_ends_in_time(monkeypatch):
    problem = random_problem(spec_of("lstm", 4, **BOTH), 0, (3, 8, 4))
    monkeypatch.setattr("rnnparity.session.shrink.MOST_SECONDS", 0.0)
    assert shrink(problem, lambda _: True) is problem
