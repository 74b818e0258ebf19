"""Which random layers, masks and numbers are drawn."""

from dataclasses import replace

import numpy as np
import pytest

from rnnparity.problem.format_writing import dump_line
from rnnparity.problem.layers import Bidirectional, Recurrent, Stack, called_layers, halves
from rnnparity.session.random_problems import (
    DRAWS,
    NUMBERS,
    problem_of_id,
    problems_of_seed,
    random_layer,
    random_mask,
    random_problem,
)


@pytest.fixture(scope="module")
def drawn():
    return [random_layer(np.random.default_rng(seed)) for seed in range(600)]


def test_every_class_dtype_direction_and_merge_mode_is_drawn(drawn):
    layers = [layer for layer, _ in drawn]
    inside = [half for layer in layers for _, half in halves(layer)]
    assert {half.class_name for half in inside} == {"SimpleRNN", "LSTM", "GRU"}
    assert {half.dtype for half in inside} == {
        "float64", "float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16",
    }  # fmt: skip
    assert {type(layer) for layer in layers} == {Recurrent, Bidirectional, Stack}
    pairs = [layer for layer in layers if isinstance(layer, Bidirectional)]
    assert {pair.merge_mode for pair in pairs} == {None, "concat", "sum", "mul", "ave"}
    assert any(pair.forward.class_name != pair.backward.class_name for pair in pairs)
    assert any(pair.forward.units != pair.backward.units for pair in pairs)
    assert any(
        half.go_backwards for layer in layers if isinstance(layer, Recurrent) for half in [layer]
    )
    assert {len(layer.layers) for layer in layers if isinstance(layer, Stack)} == {2, 3}
    assert any(len({half.dtype for _, half in halves(layer)}) > 1 for layer in layers)
    assert len({half.activation for half in inside}) > 10
    assert max(half.units for half in inside) > 110


def test_halves_have_equal_states_only_where_a_stack_ends_with_them():
    alone, stacked = set(), set()
    for seed in range(400):
        layer, _ = random_layer(np.random.default_rng(seed))
        last = layer.layers[-1] if isinstance(layer, Stack) else layer
        if isinstance(last, Bidirectional):
            kinds = stacked if isinstance(layer, Stack) else alone
            kinds.add(len(last.forward.states) == len(last.backward.states))
    assert alone == {True, False}
    assert stacked == {True}


def test_sizes_go_from_one_to_hundreds(drawn):
    rows, steps, features = zip(*(shape for _, shape in drawn), strict=True)
    assert (min(rows), max(rows)) == (1, 8)
    assert (min(steps), min(features)) == (1, 1)
    assert max(steps) > 400
    assert max(features) > 110


def test_masks_have_padding_gaps_and_uniform_rows():
    rng = np.random.default_rng(0)
    rows = np.concatenate([random_mask(rng, 4, 6) for _ in range(200)])
    steps = np.diff(rows.astype(int), axis=1)
    assert (~rows.any(axis=1)).any()
    assert rows.all(axis=1).any()
    ends, starts = (steps == -1).sum(axis=1), (steps == 1).sum(axis=1)
    assert ((ends == 1) & (starts == 0)).any()  # padding on the right
    assert ((ends == 0) & (starts == 1)).any()  # and on the left
    assert ((ends + starts) > 2).any()


def test_inputs_of_float64_layers_are_no_float32_numbers_unless_a_cast_would_round_them_twice():
    seen = set()
    for seed in range(300):
        problem = next(problems_of_seed(seed))
        types = {half.compute_dtype for _, half in halves(problem.layer)}
        called = {layer.compute_dtype for layer in called_layers(problem.layer)}
        narrow = not called.isdisjoint({"float16", "bfloat16"})
        x = problem.inputs.data
        assert (x.dtype == np.float64) == ("float64" in types)
        if "float64" in types:
            assert (x != x.astype(np.float32)).any() != narrow
            seen.add(narrow)
    assert seen == {True, False}


@pytest.mark.parametrize("kind", sorted(set(NUMBERS)))
def test_weights_have_the_distribution_that_is_drawn(monkeypatch, kind):
    monkeypatch.setattr("rnnparity.session.random_problems.NUMBERS", (kind,))
    layer, _ = random_layer(np.random.default_rng(16))
    problem = random_problem(np.random.default_rng(1), layer, (2, 3, 128), False, False, "p")
    kernel = problem.weights[0].data.astype(float).ravel()
    zeros = (kernel == 0).mean()
    spread = np.abs(kernel).max() / np.median(np.abs(kernel[kernel != 0]))
    assert (zeros > 0.8) == (kind == "sparse")
    assert (spread > 15) == (kind == "heavy-tailed")


def test_a_problem_is_found_by_its_id():
    problems = list(problems_of_seed(17))
    assert [problem.id for problem in problems] == [f"fuzz-17-{draw}" for draw in range(DRAWS)]
    assert dump_line(problem_of_id("fuzz-17-3")) == dump_line(problems[3])
    assert len({dump_line(problem).partition(",")[2] for problem in problems}) == DRAWS
    assert problem_of_id(f"fuzz-17-{DRAWS}") is None
    assert problem_of_id("fuzz-x-1") is None


def test_a_tenth_of_the_layers_is_in_training():
    drawn = [next(problems_of_seed(seed)) for seed in range(300)]
    training = [problem for problem in drawn if problem.dropout_masks is not None]
    assert 15 < len(training) < 50
    masks = [mask for problem in training for mask in problem.dropout_masks]
    names = {tuple({m.name.rpartition("/")[2] for m in p.dropout_masks}) for p in training}
    assert {len(each) for each in names} == {1, 2}
    assert {mask.name.rpartition("/")[2] for mask in masks} == {"inputs", "recurrent"}
    assert {len(mask.data) for mask in masks} == {1, 3, 4}
    for mask in masks:
        kept = np.unique(mask.data[mask.data != 0])
        assert len(kept) <= 1
        assert ((kept > 1 / 0.9 - 1e-6) & (kept < 1 / 0.4 + 1e-6)).all()


def test_dropout_changes_no_other_number_of_a_seed(monkeypatch):
    seeds = [seed for seed in range(60) if next(problems_of_seed(seed)).dropout_masks is not None]
    before = [dump_line(replace(p, dropout_masks=None)) for s in seeds for p in problems_of_seed(s)]
    monkeypatch.setattr("rnnparity.session.random_problems.DROPOUT", 0.0)
    assert seeds
    assert before == [dump_line(p) for s in seeds for p in problems_of_seed(s)]
