"""The catalogue's numbers: their formula, and that they need every digit of their type."""

from fractions import Fraction

import numpy as np
import pytest

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.numbers import spread
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.layers import halves


def generator(seed, count):
    """Return the integers of the formula, one multiplication after the other."""
    m = 1
    for _ in range(10007 * (seed + 1)):
        m = m * 48271 % 2147483647
    integers = []
    for _ in range(count):
        integers.append(m)
        m = m * 48271 % 2147483647
    return integers


@pytest.mark.parametrize(("seed", "exponent"), [(0, 0), (3, 2), (90, -1)])
def test_numbers_follow_the_formula(seed, exponent):
    n = [2 * (m // 128) + 1 - 2**24 for m in generator(seed, 12)]
    low = [2 * (m // 8) + 1 for m in generator(seed + 1000, 12)]
    for dtype, expected in {
        "float32": [Fraction(a, 2**25) for a in n],
        "float64": [Fraction(a * 2**29 + b, 2**54) for a, b in zip(n, low, strict=True)],
    }.items():
        values = spread((3, 4), seed, exponent, dtype).ravel().tolist()
        assert [Fraction(value) for value in values] == [x * 2**exponent for x in expected]


def spread_arrays(dtype):
    """Return the arrays of that type that the formula makes, with the ids of their cases."""
    for case in catalogue().values():
        if case.case.initializers:
            continue
        # The sources' inputs are not spread.
        inputs = [] if "sources" in case.case.tags else [case.inputs]
        for tensor in (*case.weights, *inputs, *(case.initial_state or ())):
            if tensor.dtype == dtype:
                yield case.id, tensor.data


@pytest.mark.parametrize(
    ("dtype", "coarser"), [("float32", ("float16", "bfloat16")), ("float64", ("float32",))]
)
def test_no_number_is_exact_in_a_coarser_type(dtype, coarser):
    compared = 0
    for case, array in spread_arrays(dtype):
        for name in coarser:
            with np.errstate(under="ignore"):
                rounded = FLOAT_TYPES[name].round(array).astype(np.float64)
            kink = array == 0 if case.startswith("edge-kink-") else False
            assert ((rounded != array) | kink).all(), case
        compared += 1
    assert compared > 50


def test_all_numbers_of_a_problem_differ():
    for case in catalogue().values():
        finer = {half.dtype for _, half in halves(case.layer)} <= {"float32", "float64"}
        if finer and not case.case.initializers and "sources" not in case.case.tags:
            # States and inputs are of another scale or another seed than the weights.
            numbers = np.concatenate([tensor.data.ravel() for tensor in case.weights])
            assert len(np.unique(numbers)) == len(numbers), case.id
