"""Values on a grid, and those of a coarser type."""

from __future__ import annotations

import numpy as np
import pytest

from rnnparity.explanation.findings.compared.grids import (
    grid_findings,
    may_be_fixed_point,
    shared_grid_findings,
    storage_findings,
)
from rnnparity.explanation.findings.seen.view import Output, View
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.findings import FindingType
from rnnparity.report.text.findings import finding_text

EXPECTED = np.tanh(np.random.default_rng(3).standard_normal((4, 5, 3)))


def view(actual):
    return View("", (Output("output", actual, EXPECTED, np.full(EXPECTED.shape, 1e-6)),), 10.0)


@pytest.mark.parametrize("step", [2.0**-8, 2.0**-12, 0.003])
def test_step_of_a_grid_is_found(step):
    on_grid = np.float32(np.round(EXPECTED / step) * step).astype(np.float64)
    (finding,) = grid_findings(view(on_grid))
    assert finding.value == pytest.approx(step)
    assert finding.certain


def test_raw_numbers_have_a_scale_and_a_zero_point():
    (finding,) = grid_findings(view(np.round(EXPECTED / 0.0078) - 19))
    assert finding.numbers == (-19,)
    assert finding.value == pytest.approx(0.0078, rel=0.01)


def test_saturated_raw_numbers_do_not_count():
    raw = np.clip(np.round(EXPECTED / 0.005), -128, 127)
    assert (raw == 127).any()
    (finding,) = grid_findings(view(raw))
    assert (finding.numbers, finding.value) == ((0,), pytest.approx(0.005, rel=0.01))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_numbers_of_a_type_are_no_grid(dtype):
    actual = FLOAT_TYPES[dtype].round(EXPECTED + 0.01).astype(np.float64)
    assert list(grid_findings(view(actual))) == []


@pytest.mark.parametrize("seed", range(20))
def test_arbitrary_numbers_are_no_grid(seed):
    values = np.float32(np.random.default_rng(seed).uniform(0.5, 1, 30)).astype(np.float64)
    output = Output("output", values.reshape(5, 6), np.zeros((5, 6)), np.full((5, 6), 1e-6))
    assert list(grid_findings(View("", (output,), 10.0))) == []


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_correct_numbers_that_were_stored_coarsely_are_found(dtype):
    actual = FLOAT_TYPES[dtype].round(EXPECTED).astype(np.float64)
    (finding,) = storage_findings(view(actual))
    assert (finding.type, finding.name) == (FindingType.COARSE_STORAGE, dtype)


def test_wrong_numbers_of_a_type_are_not_only_stored_coarsely():
    actual = FLOAT_TYPES["float16"].round(EXPECTED * 1.01).astype(np.float64)
    assert list(storage_findings(view(actual))) == []


def test_outputs_share_a_grid_that_one_of_them_is_too_small_to_show():
    step = 2.0**-10
    on_grid = np.round(EXPECTED / step) * step
    sequence = Output("output", on_grid, EXPECTED, np.full(EXPECTED.shape, 1e-6))
    few = (slice(0, 1), 0, slice(0, 2))
    last = Output("h", on_grid[few], EXPECTED[few], np.full((1, 2), 1e-6))
    both = View("", (sequence, last), 10.0)
    assert [finding.name for finding in grid_findings(both)] == ["output"]
    shared = list(shared_grid_findings(both))
    assert [(f.name, f.value, f.certain) for f in shared] == [
        ("output", step, True),
        ("h", step, True),
    ]
    arbitrary = Output("h", EXPECTED[few] + 0.01, EXPECTED[few], np.full((1, 2), 1e-6))
    assert list(shared_grid_findings(View("", (sequence, arbitrary), 10.0))) == []


COARSE = np.arange(1, 17) / 128  # a grid of numbers of bfloat16


def test_outputs_share_raw_numbers_that_one_of_them_is_too_small_to_show():
    raw = np.round(EXPECTED / 0.0078) - 19
    small = Output("h", raw[:1, -1], EXPECTED[:1, -1], np.full((1, 3), 1e-6))
    both = View("", (*view(raw).outputs, small), 10.0)
    findings = list(shared_grid_findings(both))
    assert [(finding.name, finding.numbers) for finding in findings] == [
        ("output", (-19,)),
        ("h", (-19,)),
    ]


@pytest.mark.parametrize(
    ("values", "may_be"),
    [
        (COARSE, True),
        ([*COARSE, 0.0, np.nan], True),
        ([0.5 + 2.0**-8, 1.0], True),  # on a grid of 2**-8, 1 is even by a chance of one half
        ([*COARSE, 2.0**-12], False),  # on a grid of 2**-12 all others are even by chance
        ([0.0], True),
    ],
)
def test_numbers_of_a_type_on_one_grid_may_be_fixed_point(values, may_be):
    assert may_be_fixed_point(np.array(values), FLOAT_TYPES["bfloat16"]) == may_be


def test_computed_numbers_of_a_type_are_not_fixed_point():
    dtype = FLOAT_TYPES["bfloat16"]
    assert not may_be_fixed_point(dtype.round(EXPECTED).astype(float), dtype)


def test_few_numbers_that_were_cut_off_lie_on_the_grid_of_their_decimals():
    """The nearest two of 28 numbers with four decimals were twenty steps apart."""
    sizes = (0.0126, 0.0151, 0.0171, 0.0874, 0.1034, 0.1663, 0.1699, 0.2402, 0.4235, 0.9292)
    actual = np.array([sizes], np.float32).astype(np.float64)
    output = Output("output", actual, actual + 0.9e-4, np.full(actual.shape, 1e-6))
    (finding,) = grid_findings(View("", (output,), 10.0))
    assert finding.value == pytest.approx(1e-4)
    assert finding.certain
    assert (
        finding_text(finding) == "all values of output have 4 decimals; correct up to the last one"
    )
