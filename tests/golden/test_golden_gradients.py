"""Golden gradients: the stored ones are exact, and a file with others is refused."""

import json
import shutil

import numpy as np
import pytest
from _support.fixture_folders import change_file

from rnnparity.catalogue.core import core
from rnnparity.catalogue.cotangents import gradient_cases
from rnnparity.golden.goldens import GRADIENTS, default_folder, golden_outputs, read_goldens
from rnnparity.problem.errors import FormatError
from rnnparity.problem.problem import Tensor
from rnnparity.reference.gradients import compute_gradients_exactly

CASE = "gru-spread-sequences-state-mask_left_empty"
FILE = "gru-spread.json"
FOLDER = default_folder() / GRADIENTS
# Computed with many digits in a second or two.
EXACT = (CASE, "dtype-float64-simple_rnn-concat", "dtype-mixed_float16-gru-ave")


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)


def test_every_core_case_of_one_call_has_golden_gradients():
    goldens = read_goldens(FOLDER, gradient_cases())
    assert set(goldens.outputs) | set(goldens.left_out) == set(gradient_cases())
    without = ("stateful-", "training_step-")
    assert {id_ for id_ in core() if not id_.startswith(without)} <= set(gradient_cases())
    assert not any(id_.startswith("training_step-") for id_ in gradient_cases())


@pytest.mark.parametrize("case", EXACT)
def test_golden_gradients_are_exact(case):
    problem = gradient_cases()[case]
    stored = read_goldens(FOLDER, gradient_cases(), [case]).outputs[case]
    exact = compute_gradients_exactly(problem)
    for slot, golden, tensor in zip(problem.gradient_slots(), stored, exact, strict=True):
        rounded = Tensor.of(slot.name, tensor.data, slot.dtype)
        assert golden.name == slot.name
        np.testing.assert_array_equal(golden.data, rounded.data, strict=True)


def test_goldens_of_a_problem_with_cotangents_are_gradients():
    problem = gradient_cases()[CASE]
    assert [(t.name, t.shape, t.dtype) for t in golden_outputs(problem)] == [
        (slot.name, slot.shape, slot.dtype) for slot in problem.gradient_slots()
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row["cotangents"][0]["data"].__setitem__(0, 0.25), "cotangents differs from"),
        (lambda row: row.pop("cotangents"), "the key 'cotangents' differs from"),
        (lambda row: row.update(outputs=[]), "the key 'outputs' differs from"),
        (lambda row: row["gradients"].pop(), "names, shapes or dtypes of the gradients are not"),
        (lambda row: row["gradients"].__setitem__(1, None), "dtypes of the gradients are not"),
        (lambda row: row["gradients"][0]["data"].pop(), "inputs: data must be 48 numbers"),
    ],
)
def test_other_rows_are_refused(folder, change, message):
    def change_row(rows):
        change(next(row for row in rows if row["id"] == CASE))

    change_file(folder, FILE, change_row)
    with pytest.raises(FormatError, match=f"{CASE}: .*{message}"):
        read_goldens(folder, gradient_cases(), [CASE])


def test_an_engine_finds_all_that_it_needs_in_a_row():
    rows = json.loads((FOLDER / FILE).read_text(encoding="utf-8"))
    (row,) = [row for row in rows if row["id"] == CASE]
    assert row["format"] == "rnnparity/2"
    assert {"weights", "inputs", "mask", "cotangents", "gradients"} <= set(row)
