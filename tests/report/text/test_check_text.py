"""A run on the terminal: the outcome of a subject, and an example of each group of failing cases."""

from dataclasses import replace
from itertools import takewhile

import pytest
from _support.conformance_runs import AGREEING, MASKED, MIXED, PLAIN, report, results, subject

from rnnparity.catalogue.features import every_option_value
from rnnparity.problem.explanations import FaultId
from rnnparity.problem.results import Score
from rnnparity.report.text.check import FAULTS_SHOWN, WIDTH, interrupted_line, report_lines


def outcome(*verdicts):
    """The line about a subject whose cases have these verdicts."""
    lines = report_lines(report(subject("mine", tuple(results(*verdicts, reason="why")))))
    return next(line for line in lines if line.startswith("mine ") and "port" in line)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["agrees"] * 6, "passed: 6 cases"),
        (["agrees", "unsupported", "unsupported"], "passed: 1 of 3 cases; 2 unsupported"),
        (
            ["agrees", "agrees", "inconclusive", "unsupported"],
            "passed: 2 of 4 cases; 1 inconclusive; 1 unsupported",
        ),
        (["agrees", "known"], "passed; 1 of 2 cases is a known difference"),
        (["diverges", "agrees"], "failed: 1 of 2 cases diverges"),
        (
            ["diverges", "error", "error", "unsupported"],
            "failed: 1 of 3 cases diverges, 2 err; 1 unsupported",
        ),
        (["error", "error"], "failed: 2 of 2 cases err"),
        (["unsupported", "unsupported"], "not compared: none of 2 cases; 2 unsupported"),
    ],
)
def test_the_outcome_states_what_was_compared_and_what_failed(verdicts, expected):
    assert outcome(*verdicts) == f"mine {expected} (port 1.0)"


def test_causes_come_first_and_an_example_of_each_group():
    lines = list(report_lines(report(subject("a:mixed", MIXED))))
    heads = [line for line in lines if line.startswith(("a:mixed", "  cause:", MIXED[3].id))]
    assert heads == [
        *[line for line in lines if line.startswith("a:mixed")],
        "  cause: mask-ignored: every step counts (1 case)",
        *["  cause: mask-ignored: every step counts"],
        f"{MIXED[3].id}: a:mixed errs",
    ]
    assert lines.index("  cause: mask-ignored: every step counts (1 case)") < lines.index("")
    assert lines[lines.index("") + 1] == f"{MASKED}: a:mixed diverges"


def test_many_cases_with_the_same_cause_have_one_example():
    failing = tuple(results(*["error"] * 6, reason="ValueError: no"))
    lines = list(report_lines(report(subject("mine", failing))))
    assert [line for line in lines if line.endswith(" mine errs")] == [f"{PLAIN}: mine errs"]
    assert lines[-1] == "  ... and 5 more cases like it (--json FILE writes all)"
    assert "  error: ValueError: no (6 cases)" in lines


def test_without_failures_there_are_no_examples():
    assert "" not in list(report_lines(report(subject("mine", AGREEING))))


def test_a_few_undetected_faults_are_named_and_many_are_counted():
    few = (FaultId("a", "one"), FaultId("b", "two"))
    many = few * FAULTS_SHOWN
    *_, line = report_lines(report(subject("mine", AGREEING), score=Score(3, 5, few)))
    assert line == "mutation score: 3/5, not detected: a (one), b (two)"
    *_, line = report_lines(report(subject("mine", AGREEING), score=Score(3, 13, many)))
    assert line == "mutation score: 3/13"


@pytest.mark.parametrize(
    ("files", "kept"),
    [([], "; --json FILE writes verdicts as they come"), (["a", "b"], ", written to a, b")],
)
def test_an_interrupted_run_states_its_verdicts_and_where_they_are(files, kept):
    stopped = replace(subject("mine", AGREEING), unfinished=4)
    line = interrupted_line(report(stopped, subject("other", AGREEING[:1])), files)
    assert line == f"7 of 11 cases have a verdict{kept}"


@pytest.mark.parametrize(("count", "width"), [(1, WIDTH), (40, WIDTH), (40, 80)])
def test_all_option_values_that_were_not_covered_are_named_in_wrapped_lines(count, width):
    values = every_option_value()[:count]
    mine = replace(subject("mine", AGREEING), not_covered=values)
    lines = list(report_lines(report(mine), width))
    first = next(number for number, line in enumerate(lines) if "not covered" in line)
    lines = [lines[first], *takewhile(lambda line: line.startswith("    "), lines[first + 1 :])]
    assert len(lines) == 1 if count == 1 else len(lines) > 5
    assert all(len(line) <= width for line in lines)
    text = " ".join(line.strip() for line in lines)
    assert text.startswith("not covered by its compared cases: Layer (GRU, reset_after=True")
    assert all(each.value in text and each.option in text for each in values)
