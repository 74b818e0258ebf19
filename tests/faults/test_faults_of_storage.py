"""Faults of stored weights: read in another layout, or rounded to a coarser type."""

from dataclasses import replace

import numpy as np
import pytest
from _support.fault_tools import fault, outputs_by_location, outputs_with, single_layer
from _support.random_problems import (
    BOTH,
    SHAPE,
    assert_all_same,
    outputs_of,
    random_problem,
    spec_of,
)

from rnnparity.catalogue import catalogue
from rnnparity.faults import is_detected, mutate
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.reference.tolerance import expect

KERNELS = ("kernel", "recurrent_kernel")


def with_weights(problem, **arrays):
    """Return the problem with other arrays, in the dtype of the old ones."""
    weights = tuple(
        replace(tensor, data=arrays.get(tensor.name, tensor.data).astype(tensor.data.dtype))
        for tensor in problem.weights
    )
    return replace(problem, weights=weights)


def weights_of(problem):
    return {tensor.name: tensor.data for tensor in problem.weights}


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("name", KERNELS)
def test_kernel_is_reshaped_where_it_should_be_transposed(cell, name):
    problem = single_layer(cell)
    W = weights_of(problem)[name]
    rows, columns = W.shape
    size = "D" if name == "kernel" else "H"
    # The file has (G*H, D); its numbers in memory are read as (D, G*H).
    in_memory = [W[d, n] for n in range(columns) for d in range(rows)]
    to_keras = np.array(in_memory).reshape(rows, columns)
    # The file has (D, G*H); the code reads (G*H, D) and multiplies by its transpose.
    in_memory = [W[d, n] for d in range(rows) for n in range(columns)]
    to_transposed = np.array(
        [[in_memory[n * rows + d] for n in range(columns)] for d in range(rows)]
    )
    for target, array in ((f"({size}, G*H)", to_keras), (f"(G*H, {size})", to_transposed)):
        expected = outputs_of(with_weights(problem, **{name: array}))
        assert_all_same(
            outputs_with(problem, f"kernel-layout: {name} reshaped to {target}"), expected
        )


def by_int8(w, per_channel):
    """Return what int8 keeps, number by number."""
    kept = np.empty_like(w)
    for row, column in np.ndindex(*w.shape):
        largest = max(abs(w[:, column])) if per_channel else abs(w).max()
        scale = np.float32(largest / 127)
        kept[row, column] = round(float(w[row, column]) / float(scale)) * scale
    return kept


@pytest.mark.parametrize("cell", ["simple_rnn", "lstm", "gru", "gru_before"])
@pytest.mark.parametrize(
    ("variant", "stored", "names"),
    [
        ("float16", lambda w: w.astype(np.float16), (*KERNELS, "bias")),
        ("float16, bias excepted", lambda w: w.astype(np.float16), KERNELS),
        ("bfloat16", FLOAT_TYPES["bfloat16"].round, (*KERNELS, "bias")),
        ("bfloat16, bias excepted", FLOAT_TYPES["bfloat16"].round, KERNELS),
        ("int8 per tensor", lambda w: by_int8(w, per_channel=False), KERNELS),
        ("int8 per channel", lambda w: by_int8(w, per_channel=True), KERNELS),
    ],
)
def test_weights_are_stored_in_a_coarser_type(cell, variant, stored, names):
    problem = random_problem(spec_of(cell, **BOTH), 3, SHAPE)
    weights = weights_of(problem)
    expected = with_weights(problem, **{name: stored(weights[name]) for name in names})
    actual = outputs_with(problem, f"weights-stored-as: {variant}")
    assert_all_same(actual, outputs_of(expected))
    assert is_detected(mutate(problem, fault(f"weights-stored-as: {variant}"))[0], expect(problem))


def test_weights_that_storage_does_not_change_are_no_fault():
    zeros = {name: np.zeros_like(array) for name, array in weights_of(single_layer("gru")).items()}
    problem = with_weights(single_layer("gru"), **zeros)
    for variant in ("float16", "int8 per tensor", "int8 per channel"):
        assert outputs_by_location(problem, fault(f"weights-stored-as: {variant}")) == {}
    for policy in ("float16", "mixed_float16"):
        problem = random_problem(spec_of("lstm", dtype=policy), 0, SHAPE)
        assert outputs_by_location(problem, fault("weights-stored-as: float16")) == {}
        assert outputs_by_location(problem, fault("weights-stored-as: bfloat16"))


def test_every_plain_spread_case_detects_coarser_weights():
    """An engine that stores float16 agreed with all of them while the numbers had few digits."""
    plain = [
        case
        for case in catalogue().values()
        if "plain" in case.case.tags and not case.case.initializers
    ]
    for case in plain[::9]:
        expected = expect(case)
        for variant in ("float16", "bfloat16", "int8 per tensor", "int8 per channel"):
            for mutant in mutate(case, fault(f"weights-stored-as: {variant}")):
                assert is_detected(mutant, expected), (case.id, mutant.faults)
