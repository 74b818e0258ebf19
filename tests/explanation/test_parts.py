"""Causes that explain a part of the values: what is not finite or is masked hides no cause."""

import numpy as np
import pytest
from _support.explanations import (
    cause_name,
    explanation_of,
    lstm,
    placed,
    with_expected,
    with_faults,
    with_output,
)
from _support.random_problems import BOTH, MASK, SHAPE, random_problem, spec_of, two_ways

from rnnparity.problem.findings import FindingType
from rnnparity.problem.verdicts import DifferenceType

DOUBLED, TRANSPOSED = placed("bias-doubled: all of it"), placed("recurrent-transposed: whole")


def patterns(problem):
    return {finding.type for finding in explanation_of(problem).findings}


def with_nan(problem):
    """The problem with one NaN and one infinity among its outputs."""
    output = problem.outputs[0].data.copy()
    output[1, 2, 3], output[4, 5, 0] = np.nan, np.inf
    return with_output(problem, output)


def with_noise(problem, where):
    """The problem with other values at some steps (B, T) of its output."""
    output = problem.outputs[0].data.copy()
    output[where] = np.random.default_rng(0).standard_normal(output[where].shape)
    return with_output(problem, output)


@pytest.mark.parametrize(
    ("faults", "name"),
    [
        ([DOUBLED], "bias-doubled"),
        ([DOUBLED, TRANSPOSED], "bias-doubled + recurrent-transposed"),
    ],
)
def test_cause_of_the_finite_values_is_named(faults, name):
    problem = with_nan(with_faults(lstm(), *faults))
    assert cause_name(problem) == name
    assert patterns(problem) >= {FindingType.NOT_FINITE, FindingType.FITS_FINITE}
    explanation = explanation_of(problem)
    assert explanation.cause.certain
    assert explanation.differences[0].type is DifferenceType.FINITENESS


def test_finite_values_that_agree_have_no_cause():
    problem = with_nan(with_expected(lstm()))
    assert not explanation_of(problem).cause.explained
    assert FindingType.FITS_FINITE not in patterns(problem)


@pytest.mark.parametrize(
    "direction", ["forward", "backwards", pytest.param("two ways", marks=pytest.mark.slow)]
)
def test_cause_of_the_unmasked_steps_is_named(direction):
    spec = spec_of("lstm", go_backwards=direction == "backwards", **BOTH)
    problem = random_problem(
        two_ways(spec) if direction == "two ways" else spec, 0, SHAPE, mask=MASK
    )
    masked = ~problem.mask[:, ::-1] if direction == "backwards" else ~problem.mask
    location = "every half" if direction == "two ways" else ""
    doubled = with_faults(problem, placed("bias-doubled: all of it", location))
    assert FindingType.FITS_UNMASKED not in patterns(doubled)
    problem = with_noise(doubled, masked)
    assert cause_name(problem).startswith("bias-doubled")
    assert FindingType.FITS_UNMASKED in patterns(problem)
    assert explanation_of(problem).cause.certain


def test_no_cause_for_unmasked_steps_that_agree():
    problem = lstm(mask=MASK)
    problem = with_noise(with_expected(problem), ~problem.mask)
    assert not explanation_of(problem).cause.explained


def test_output_that_is_expected_to_be_zero_is_no_finding():
    """Every step is masked, and c comes before h."""
    problem = lstm(mask=["000000"] * 5, initial=True)
    faulty = with_faults(problem, placed("state-order: c before h"))
    assert not faulty.outputs[0].data.any()
    assert not {FindingType.CONSTANT, FindingType.ZERO} & patterns(faulty)
    assert explanation_of(faulty).cause.explained
    zero = with_faults(problem, placed("masked-state: reset to zeros"))
    assert FindingType.ZERO in patterns(zero)  # its states, which should not be
