"""Faults of biases are the layer with another bias."""

from dataclasses import replace

import pytest
from _support.fault_tools import outputs_with, single_layer
from _support.random_problems import assert_all_same, outputs_of

GATES = {"LSTM": "ifco", "GRU": "zrh"}
CELLS = {"lstm": "LSTM", "gru": "GRU"}


def with_bias(problem, edit):
    """Return the outputs with a bias that `edit` changes in place, (rows, G, H)."""
    *kernels, tensor = problem.weights
    bias = tensor.data.copy()
    edit(bias.reshape(-1, bias.shape[-1] // problem.layer.units, problem.layer.units))
    return outputs_of(replace(problem, weights=(*kernels, replace(tensor, data=bias))))


@pytest.mark.parametrize(
    ("cell", "config"), [("lstm", {}), ("gru", {}), ("gru", {"reset_after": False})]
)
def test_bias_of_one_gate_is_missing(cell, config):
    problem, name = single_layer(cell, **config), CELLS[cell]
    for index, gate in enumerate(GATES[name]):

        def drop(bias, rows=slice(None), index=index):
            bias[rows, index] = 0

        actual = outputs_with(problem, f"bias-missing: {name}, gate {gate}")
        assert_all_same(actual, with_bias(problem, drop))
        for row in range(problem.layer.bias_rows if problem.layer.bias_rows > 1 else 0):
            actual = outputs_with(problem, f"bias-missing: {name}, row {row}, gate {gate}")
            assert_all_same(actual, with_bias(problem, lambda bias, row=row: drop(bias, row)))


@pytest.mark.parametrize(("row", "used"), [(0, "the inputs' bias"), (1, "the state's bias")])
def test_one_row_of_the_bias_is_used_twice(row, used):
    problem = single_layer("gru")

    def repeat(bias):
        bias[1 - row] = bias[row]

    actual = outputs_with(problem, f"bias-row-repeated: GRU, {used}")
    assert_all_same(actual, with_bias(problem, repeat))


def test_sum_of_both_rows_is_used_for_each():
    problem = single_layer("gru")

    def repeat(bias):
        bias[:] = bias.sum(axis=0)

    actual = outputs_with(problem, "bias-row-repeated: GRU, the sum of both")
    assert_all_same(actual, with_bias(problem, repeat))
