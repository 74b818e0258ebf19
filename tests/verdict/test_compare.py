"""Comparison of outputs: count, names, shape, dtype, finiteness and values, in this order."""

from dataclasses import replace

import numpy as np
import pytest

from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.problem import Tensor
from rnnparity.problem.shapes import Slot
from rnnparity.problem.verdicts import Difference, DifferenceType
from rnnparity.verdict.compare import compare_exactly, compare_structure, compare_values

SLOTS = [Slot("output", (2, 3, 4), "float32"), Slot("h", (2, 4), "float32")]
SIGMA = 1e-7


def right():
    return [Tensor(slot.name, np.full(slot.shape, 0.5, np.float32)) for slot in SLOTS]


def structure(given):
    differences = compare_structure(given, SLOTS)
    return [(d.type, d.output, d.actual, d.expected) for d in differences]


def values(given, expected=None, sigma=SIGMA, threshold=10.0):
    expected = [
        Tensor(tensor.name, tensor.data.astype(np.float64)) for tensor in expected or right()
    ]
    sigmas = [np.broadcast_to(sigma, tensor.shape) for tensor in expected]
    return compare_values(given, expected, sigmas, threshold)


# -----------------------------------------------------------------------------------------------------
# structure


def test_equal_outputs_have_no_difference():
    assert structure(right()) == []
    assert values(right()).differences == ()
    assert values(right()).sigma == 0


def test_count_hides_every_other_difference():
    wrong = [replace(right()[0], name="wrong", data=np.zeros((1,), int))]
    assert structure(wrong) == [("count", "", ("wrong",), ("output", "h"))]
    assert structure([]) == [("count", "", (), ("output", "h"))]
    assert structure([*right(), *right()]) == [
        ("count", "", ("output", "h", "output", "h"), ("output", "h"))
    ]


def test_names_and_their_order_hide_shapes_and_dtypes():
    output, h = right()
    wrong = replace(h, name="c", data=np.zeros((1,), np.float16))
    assert structure([output, wrong]) == [("names", "", ("output", "c"), ("output", "h"))]
    assert structure([h, output]) == [("names", "", ("h", "output"), ("output", "h"))]


def test_all_wrong_shapes_are_returned_and_hide_dtypes():
    output, h = right()
    output = replace(output, data=np.zeros((3, 2, 4), np.float16))
    assert structure([output, h]) == [("shape", "output", (3, 2, 4), (2, 3, 4))]
    h = replace(h, data=np.zeros((2, 4, 1)))
    assert structure([output, h]) == [
        ("shape", "output", (3, 2, 4), (2, 3, 4)),
        ("shape", "h", (2, 4, 1), (2, 4)),
    ]


def test_all_wrong_dtypes_are_returned():
    given = [
        replace(tensor, data=tensor.data.astype(dtype))
        for tensor, dtype in zip(right(), ("float16", "int64"), strict=True)
    ]
    assert structure(given) == [
        ("dtype", "output", "float16", "float32"),
        ("dtype", "h", "int64", "float32"),
    ]


# --------------------------------------------------------------------------------------------------------
# values


def changed(place, index, value):
    given = right()
    given[place].data[index] = value
    return given


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_unexpected_nan_and_infinity_are_differences_of_finiteness(value):
    (found,) = values(changed(0, (1, 2, 3), value)).differences
    assert (found.type, found.output, found.index, found.sigma) == (
        "finiteness",
        "output",
        (1, 2, 3),
        np.inf,
    )
    assert repr(found.actual) == repr(value)
    assert found.expected == 0.5
    assert (found.differing, found.total, found.first_step) == (1, 24, 2)


def test_finite_value_is_a_difference_where_infinity_is_expected():
    expected = changed(1, (0, 1), np.inf)
    (found,) = values(right(), expected).differences
    assert (found.type, found.actual, found.expected) == ("finiteness", 0.5, np.inf)
    assert values(expected, expected).differences == ()
    assert values(changed(1, (0, 1), -np.inf), expected).differences[0].type == "finiteness"
    nothing = changed(1, (0, 1), np.nan)
    assert values(nothing, nothing).differences == ()
    assert values(nothing, expected).differences[0].type == "finiteness"


def test_finiteness_comes_before_values_whatever_the_output():
    given = changed(0, (0, 0, 0), 0.6)
    given[1].data[0, 0] = np.nan
    found = values(given).differences
    assert [(difference.type, difference.output) for difference in found] == [
        ("finiteness", "h"),
        ("values", "output"),
    ]


def test_worst_value_is_recorded_with_counts_and_first_step():
    given = changed(0, (1, 1, 2), 0.6)
    given[0].data[0, 2, 0] = 0.7
    given[0].data[0, 2, 1] = 0.5000005  # within 10 sigma
    comparison = values(given)
    (found,) = comparison.differences
    assert found == Difference(
        DifferenceType.VALUES,
        output="output",
        dtype="float32",
        shape=(2, 3, 4),
        differing=2,
        total=24,
        index=(0, 2, 0),
        actual=float(np.float32(0.7)),
        expected=0.5,
        sigma=found.sigma,
        first_step=1,
    )
    assert found.sigma == pytest.approx(0.2 / SIGMA, rel=1e-6)
    assert comparison.sigma == found.sigma


def test_difference_of_a_state_has_no_step():
    (found,) = values(changed(1, (1, 1), 0.6)).differences
    assert (found.output, found.index, found.first_step) == ("h", (1, 1), None)


@pytest.mark.parametrize(("sigmas", "kinds"), [(9.9, []), (10.1, ["values"])])
def test_threshold_is_counted_in_sigma(sigmas, kinds):
    comparison = values(changed(0, (0, 0, 0), 0.5 + sigmas * 1e-4), sigma=1e-4)
    assert [difference.type for difference in comparison.differences] == kinds
    assert comparison.sigma == pytest.approx(sigmas, rel=1e-3)


def test_sigma_belongs_to_each_value():
    sigma = np.full((2, 3, 4), 1e-3)
    sigma[0, 0, 0] = 1e-6
    expected = [Tensor("output", np.full((2, 3, 4), 0.5))]
    given = [Tensor("output", np.full((2, 3, 4), 0.5001, np.float32))]
    (found,) = compare_values(given, expected, [sigma], 10.0).differences
    assert (found.differing, found.index) == (1, (0, 0, 0))


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_rounding_to_the_dtype_is_allowed_without_noise(dtype):
    kind = FLOAT_TYPES[dtype]
    exact = np.array([[1 / 3, 2 / 3, 0.1, kind.tiny / 3, 0.0]])
    given = Tensor.of("h", exact, dtype)
    nothing = np.zeros_like(exact)
    assert compare_values([given], [Tensor("h", exact)], [nothing], 10.0).differences == ()
    off = Tensor.of("h", exact * (1 + 4 * kind.u), dtype)
    (found,) = compare_values([off], [Tensor("h", exact)], [nothing], 10.0).differences
    assert found.differing == 3  # what lies below the smallest normal number may be flushed to zero


def test_values_of_missing_outputs_are_not_compared():
    with pytest.raises(ValueError, match="zip"):
        values(right()[:1])


# -------------------------------------------------------------------------------------------------------
# exactly


def neighbours(value, dtype):
    kind = FLOAT_TYPES[dtype].storage
    return [np.nextafter(kind(value), kind(way)) for way in (np.inf, -np.inf)]


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 0.5, 0.25, 0.7501, -0.3, 2.0**-14, "tiny"])
def test_exact_comparison_detects_one_unit_in_the_last_place(dtype, value):
    kind = FLOAT_TYPES[dtype]
    data = kind.round(np.array([[kind.tiny if value == "tiny" else value]]))
    same = Tensor("h", data)
    assert compare_exactly(same, same) is None
    for neighbour in neighbours(data[0, 0], dtype):
        assert neighbour != data[0, 0]
        found = compare_exactly(Tensor("h", np.array([[neighbour]], kind.storage)), same)
        assert (found.type, found.differing, found.index) == ("values", 1, (0, 0))
        assert found.sigma == np.inf


def test_exact_comparison_names_the_value_with_the_largest_relative_difference():
    expected = np.array([[1.0, 1e6, 1e-3]], np.float32)
    actual = Tensor("h", expected + np.array([[1e-3, 1e-1, 1e-4]], np.float32))
    assert compare_exactly(actual, Tensor("h", expected)).index == (0, 2)


def test_exact_comparison_covers_nan_and_infinity():
    strange = Tensor("h", np.array([[np.nan, np.inf, -np.inf, 1.0]], np.float32))
    assert compare_exactly(strange, strange) is None
    other = Tensor("h", np.array([[np.nan, np.inf, np.inf, np.nan]], np.float32))
    found = compare_exactly(strange, other)
    assert (found.type, found.differing) == ("finiteness", 2)
