"""The headline of a report, and what the report does not have."""

import re
from dataclasses import replace

import pytest
from _support.conformance_runs import AGREEING, BOTH_WAYS, MIXED, report, results, subject

from rnnparity.catalogue import catalogue
from rnnparity.problem.results import CaseResult, OptionValue, Shards, Skipped
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.pages.conformance import markdown, page
from rnnparity.report.text.check import report_lines
from rnnparity.report.text.headline import headline, incomplete_texts

NOTHING = tuple(results(*["inconclusive", "unsupported"] * 3))
SELECTED = f"{len(AGREEING)} of {len(catalogue())} cases were selected."


@pytest.mark.parametrize(
    ("subjects", "skipped", "expected"),
    [
        ({"a": AGREEING}, 0, "a passes."),
        ({"a": MIXED}, 0, "a fails."),
        ({"a": NOTHING}, 0, "a was not compared."),
        ({"a": AGREEING, "b": NOTHING}, 0, "a passes. b was not compared."),
        ({"a": MIXED, "b": NOTHING, "c": NOTHING}, 0, "a fails. b and c were not compared."),
        ({"a": AGREEING, "b": AGREEING}, 2, "All 2 subjects pass. 2 more could not run."),
        ({"a": MIXED, "b": MIXED}, 0, "None of 2 subjects passes."),
        ({"a": AGREEING, "b": MIXED}, 0, "1 of 2 subjects passes; b fails."),
        ({"a": AGREEING, "b": MIXED, "c": MIXED}, 0, "1 of 3 subjects passes; b and c fail."),
        ({"a": AGREEING, "b": AGREEING, "c": MIXED}, 0, "2 of 3 subjects pass; c fails."),
        (
            {"a": AGREEING} | dict.fromkeys("bcdefg", MIXED), 0,
            "1 of 7 subjects passes; b, c, d and 3 others fail.",
        ),
    ],
)  # fmt: skip
def test_the_headline_names_who_fails(subjects, skipped, expected):
    out = tuple(Skipped(f"x{number}", "gone", False) for number in range(skipped))
    table = report(*[subject(name, cases) for name, cases in subjects.items()], skipped=out)
    assert headline(table) == f"{expected} {SELECTED}"


def test_the_headline_mentions_known_differences():
    known = (*AGREEING[:2], CaseResult(BOTH_WAYS, Verdict.KNOWN, known=("left-out-by-choice",)))
    found = headline(report(subject("a", known), subject("b", AGREEING)))
    assert found == f"All 2 subjects pass, with known differences. {SELECTED}"


def test_the_headline_of_the_whole_catalogue_does_not_count_cases():
    cases = tuple(CaseResult(case, Verdict.AGREES) for case in catalogue())
    assert headline(report(subject("a", cases))) == "a passes."


def with_shards(name, *missing, **selection):
    """A subject of a selection in parts of 2, 3, 4 and 5 cases; of some parts nothing ran."""
    return subject(name, AGREEING, shards=(Shards((2, 3, 4, 5), missing, **selection),))


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (with_shards("a"), []),
        (with_shards("a", 4), ["a: shard 4 of 4 is not in this report (5 cases)"]),
        (with_shards("a", 1, 2, 4), ["a: shards 1-2, 4 of 4 are not in this report (10 cases)"]),
        (
            with_shards("a", 1, k="gru and mask"),
            ["a: shard 1 of 4 of -k 'gru and mask' is not in this report (2 cases)"],
        ),
        (
            with_shards("a", 2, full=True),
            ["a: shard 2 of 4 of --full is not in this report (3 cases)"],
        ),
        (
            subject("a", AGREEING, unfinished=1),
            ["a: 1 case has no result, because the run was not finished"],
        ),
        (
            subject("a", AGREEING, unfinished=7),
            ["a: 7 cases have no result, because the run was not finished"],
        ),
    ],
)
def test_what_is_missing_is_stated_with_its_number_of_cases(part, expected):
    assert list(incomplete_texts(report(part))) == expected


def test_subjects_that_miss_the_same_are_named_together():
    parts = [with_shards("a", 4), subject("b", AGREEING), with_shards("c", 4), with_shards("d", 1)]
    assert list(incomplete_texts(report(*parts))) == [
        "a and c: shard 4 of 4 is not in this report (5 cases)",
        "d: shard 1 of 4 is not in this report (2 cases)",
    ]


def test_every_rendering_states_what_is_missing():
    table = report(replace(with_shards("a", 2, 3), unfinished=2), interrupted=True)
    texts = [
        "interrupted: the report has what was finished",
        "a: shards 2-3 of 4 are not in this report (7 cases)",
        "a: 2 cases have no result, because the run was not finished",
    ]
    for rendering in (" ".join(report_lines(table)), page(table), markdown(table)):
        assert all(text in re.sub(r"\s+", " ", rendering) for text in texts)


def test_the_page_and_the_markdown_name_what_was_not_covered():
    values = (
        OptionValue("Mask", "none"),
        OptionValue("Mask", "a gap inside"),
        OptionValue("a", "b"),
    )
    table = report(subject("mine", AGREEING, not_covered=values), subject("other", AGREEING))
    text = "Mask (none; a gap inside), a (b)"
    assert markdown(table).count(f"  - not covered by its compared cases: {text}\n") == 1
    assert page(table).count(f"<dt>not covered by its cases</dt><dd>{text}</dd>") == 1
    not_compared = report(subject("mine", NOTHING, not_covered=values))
    assert "not covered" not in markdown(not_compared) + page(not_compared)
