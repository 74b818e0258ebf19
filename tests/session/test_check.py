"""Whole runs: what a report holds, and when a run does not count."""

import pytest
from _support import subject_functions

from rnnparity import check
from rnnparity.catalogue import catalogue, digest
from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.answer import Answer
from rnnparity.problem.errors import RequestError, SelfCheckError
from rnnparity.problem.results import Verdict
from rnnparity.session import check as check_module
from rnnparity.subjects import MissingFrameworkError

FEW = "lstm-spread-last-initial and not bidirectional"


def test_a_report_holds_every_selected_case_in_the_order_of_the_catalogue():
    report = check(subject_functions.right, k="lstm-spread-last")
    (result,) = report.subjects
    ids = [case.id for case in result.cases]
    assert ids == [id_ for id_ in catalogue() if id_ in ids]
    assert all("lstm-spread-last" in id_ for id_ in ids)
    assert (report.passed, report.status, report.catalogue) == (True, 0, digest())


def test_progress_counts_the_cases_of_a_subject():
    calls = []
    report = check("reference", k=FEW, progress=lambda *arguments: calls.append(arguments))
    total = len(report.subjects[0].cases)
    assert calls[:total] == [("reference", done, total) for done in range(1, total + 1)]


def test_a_failing_case_has_a_cause_and_an_unsupported_one_has_none():
    report = check(subject_functions.wrong, subject_functions.unsupported, k=FEW)
    wrong, unsupported = report.subjects
    assert {case.cause.faults[0].cause for case in wrong.cases} == {"unit-scale"}
    assert {case.cause for case in unsupported.cases} == {None}
    assert report.status == 1


def test_the_mutation_score_counts_answered_cases_of_other_subjects_than_the_reference():
    assert check("reference", k=FEW).score is None
    score = check(subject_functions.right, k=FEW).score
    assert 0 < score.detected <= score.applicable


def test_a_subject_without_its_framework_is_skipped(monkeypatch):
    check_subject = check_module.check_subject

    def without_framework(subject, *arguments):
        if subject is subject_functions.raises:
            raise MissingFrameworkError("raises", "needs a framework")
        return check_subject(subject, *arguments)

    monkeypatch.setattr(check_module, "check_subject", without_framework)
    report = check("reference", subject_functions.raises, k=FEW)
    assert [result.name for result in report.subjects] == ["reference"]
    assert [(skipped.reason, skipped.requested) for skipped in report.skipped] == [
        ("needs a framework", True)
    ]
    assert report.status == 2
    with pytest.raises(RequestError, match="needs a framework"):
        check(subject_functions.raises, k=FEW)


def test_a_run_without_a_comparison_is_refused():
    with pytest.raises(RequestError, match=r"nothing was compared: .* reason: not today"):
        check(subject_functions.unsupported, k=FEW)


def test_a_run_is_discarded_where_a_wrong_subject_passes(monkeypatch):
    monkeypatch.setattr(
        "rnnparity.session.judging.wrong_answer",
        lambda problem: Answer(golden_outputs(problem)),
    )
    with pytest.raises(SelfCheckError, match="self-check failed: discard this run"):
        check("reference", k=FEW)


def test_seconds_inside_the_subject_are_recorded():
    (result,) = check("reference", k=FEW).subjects
    assert result.seconds == pytest.approx(sum(case.seconds for case in result.cases), abs=1e-3)
    assert all(case.seconds > 0 for case in result.cases if case.verdict is Verdict.AGREES)
