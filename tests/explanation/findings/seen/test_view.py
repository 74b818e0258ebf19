"""Variants of all outputs are compared with the actual ones at once."""

import numpy as np

from rnnparity.explanation.findings.seen.view import Output, View

ACTUAL = np.array([[1.0, 2.0], [3.0, 4.0]])


def view():
    return View("", (Output("output", ACTUAL, ACTUAL, np.full(ACTUAL.shape, 0.5)),), 10)


def test_distance_of_a_variant_is_its_largest_error_in_units_of_what_is_allowed():
    far = ACTUAL + np.array([[0, 0], [0, 3.0]])
    variants = [np.stack([ACTUAL, far, np.full_like(ACTUAL, np.nan)])]
    np.testing.assert_array_equal(view().distances(variants), [0, 6, np.inf])


def test_nearest_variants_come_first_and_none_beyond_the_limit():
    variants = [np.stack([ACTUAL + shift for shift in (3, 1, 9, 2)])]
    assert view().nearest(variants, 2, np.inf) == [1, 3]
    assert view().nearest(variants, 4, 5.0) == [1, 3]
