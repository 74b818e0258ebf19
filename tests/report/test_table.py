"""The conformance table: states, counts and notes of its cells."""

from collections import Counter
from dataclasses import replace

import pytest
from _support.conformance_runs import (
    AGREEING,
    BOTH_WAYS,
    EXPLANATION,
    MASKED,
    MIXED,
    both,
    report,
    results,
    subject,
)

from rnnparity.catalogue.features import FEATURES
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.table import Cell, columns

NOTHING = tuple(results(*["inconclusive", "unsupported"] * 3))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, ("not-run", "–", "not run")),
        ({"unsupported": 7}, ("unsupported", "–", "7 unsupported")),
        ({"inconclusive": 7}, ("inconclusive", "–", "7 inconclusive")),
        ({"agrees": 9}, ("passed", "9/9", "")),
        ({"agrees": 3, "unsupported": 7}, ("passed", "3/3", "7 unsupported")),
        ({"agrees": 1999, "known": 1, "unsupported": 7}, ("known", "1999/2000", "1 known")),
        ({"agrees": 3, "inconclusive": 1}, ("inconclusive", "3/3", "1 inconclusive")),
        ({"agrees": 1, "diverges": 1, "known": 1, "inconclusive": 1}, ("failed", "1/3", "1 diverges")),
        ({"agrees": 1, "known": 1, "inconclusive": 1}, ("known", "1/2", "1 known")),
        ({"diverges": 2, "error": 3}, ("failed", "0/5", "5 fail")),
        ({"agrees": 1, "diverges": 2}, ("failed", "1/3", "2 diverge")),
        ({"agrees": 1, "error": 1}, ("failed", "1/2", "1 errs")),
        ({"error": 2}, ("failed", "0/2", "2 err")),
    ],
)  # fmt: skip
def test_a_cell_has_state_counts_and_note(counts, expected):
    cell = Cell(Counter({Verdict(verdict): count for verdict, count in counts.items()}), {})
    assert (cell.state, cell.share, cell.note) == expected


def test_a_column_has_a_cell_for_each_feature():
    agreeing, mixed = columns(both())
    assert len(agreeing.cells) == len(mixed.cells) == len(FEATURES)
    assert agreeing.total.share == f"{len(AGREEING)}/{len(AGREEING)}"
    cells = {
        feature.name: (cell.state, cell.share)
        for feature, cell in zip(FEATURES, mixed.cells, strict=True)
        if cell.ran
    }
    # Neither unsupported nor inconclusive cases are compared.
    assert cells["all cases"] == ("failed", "1/4")
    assert cells["padding on the left"] == ("failed", "0/1")
    assert cells["Bidirectional, sum"] == ("known", "0/1")
    assert cells["float16"] == ("inconclusive", "–")
    assert cells["float64"] == ("unsupported", "–")
    assert cells["stateful, several calls"] == ("failed", "0/1")
    assert "SimpleRNN" not in cells


def test_a_cell_has_the_groups_of_its_cases():
    _, mixed = columns(both())
    names = [feature.name for feature in FEATURES]
    left = mixed.cells[names.index("padding on the left")]
    assert [[result.id for result in found] for found in left.groups.values()] == [[MASKED]]


def test_a_group_is_explained_by_its_plainest_explained_case():
    explained = next(result for result in MIXED if result.id == MASKED)
    longer = f"{MASKED}-initial"
    other = replace(explained, id=longer, explanation=replace(EXPLANATION, id=longer))
    (column,) = columns(report(subject("a", (other, explained))))
    assert [explanation.id for explanation in column.explanations.values()] == [MASKED]


def test_the_outcome_of_a_column():
    known = tuple(result for result in MIXED if result.id == BOTH_WAYS)
    subjects = [
        subject(name, cases)
        for name, cases in (("a", AGREEING), ("b", known), ("c", MIXED), ("d", NOTHING))
    ]
    outcomes = [column.outcome for column in columns(report(*subjects))]
    assert outcomes == ["passed", "passed, known differences", "failed", "not compared"]
