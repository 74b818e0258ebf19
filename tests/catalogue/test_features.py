"""The rows of the conformance table: which cases each of them has."""

from collections import Counter

import pytest

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.features import ALL, FEATURES, cases_of


def test_every_case_is_in_a_row_and_no_row_is_empty():
    rows = [cases_of(feature) for feature in FEATURES if feature is not ALL]
    assert frozenset().union(*rows) == set(catalogue()) == cases_of(ALL)
    assert all(0 < len(row) < len(catalogue()) for row in rows)


def test_rows_differ_in_name_and_in_cases():
    rows = [cases_of(feature) for feature in FEATURES]
    assert len(set(rows)) == len(rows)
    assert len({feature.name for feature in FEATURES}) == len(FEATURES)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            "lstm-spread-sequences-state-mask_interior",
            {"all cases", "LSTM", "forward", "the sequence and states", "a gap inside"},
        ),
        (
            "bi_gru_before-constant-none-last-mask_row-initial",
            {
                *("all cases", "GRU, reset_after=False", "Bidirectional, two outputs", "the last output"),
                *("a row without any step", "several gaps in a row", "initial state", "constant weights"),
            },
        ),
        (
            "stack-policies",
            {"all cases", "LSTM", "GRU, reset_after=True", "stacks of layers", "the sequence and states", "none",
             "mixed policies"},
        ),
        (
            "zero_output-simple_rnn-backwards-sequences-mask_right",
            {"all cases", "SimpleRNN", "go_backwards", "the sequence and states", "padding on the right",
             "zero_output_for_mask", "initial state"},
        ),
        (
            "dtype-mixed_float16_around_float32-gru",
            {"all cases", "GRU, reset_after=True", "Bidirectional, concat", "the sequence and states", "none",
             "mixed policies", "initial state"},
        ),
    ],
)  # fmt: skip
def test_a_case_is_in_the_rows_of_its_features(case, expected):
    assert {feature.name for feature in FEATURES if case in cases_of(feature)} == expected


def test_a_family_of_the_catalogue_is_a_row():
    sizes = {feature.name: len(cases_of(feature)) for feature in FEATURES}
    tags = Counter(tag for case in catalogue().values() for tag in case.case.tags)
    assert sizes["saturated gates"] == tags["saturation"]
    assert sizes["stateful, several calls"] == tags["stateful"]
    assert sizes["constant weights"] == tags["weights:constant"]
    assert sizes["digits printed in the sources"] == tags["sources"]
    assert sizes["an axis of length one"] == sum(
        count for tag, count in tags.items() if tag.startswith("edge:")
    )
    left = ("mask:left", "mask:left_empty", "mask:left_full")
    assert sizes["padding on the left"] == sum(tags[tag] for tag in left)
