"""Whole runs: what a report holds, and when a run does not count."""

import json
from itertools import combinations

import pytest
from _support import subject_functions
from _support.fixture_folders import IDS, write_folder
from _support.ported_models import outputs_of

from rnnparity import check
from rnnparity.catalogue import catalogue, digest
from rnnparity.catalogue.core import core
from rnnparity.faults.listed import lookup
from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.answer import Answer
from rnnparity.problem.errors import RequestError, SelfCheckError
from rnnparity.problem.findings import WeightBlock
from rnnparity.problem.results import OptionValue, Shards
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.stored.reports import dump, parse
from rnnparity.report.text.messages import fixes
from rnnparity.session import check as check_module
from rnnparity.session.selection import Selection, Shard
from rnnparity.session.settings import Settings
from rnnparity.subjects import MissingFrameworkError, name_of

FEW = "lstm-spread-last-initial and not bidirectional"
SWAPPED = "gate-order", "LSTM fico in all weights"
MANY = "simple_rnn-spread and weights:spread"


def test_a_report_holds_every_selected_case_in_the_order_of_the_catalogue():
    report = check(subject_functions.right, k="lstm-spread-last")
    (result,) = report.subjects
    ids = [case.id for case in result.cases]
    assert ids == [id_ for id_ in catalogue() if id_ in ids]
    assert all("lstm-spread-last" in id_ for id_ in ids)
    assert (report.passed, report.status, report.catalogue) == (True, 0, digest())


def test_progress_counts_the_cases_of_a_subject():
    calls = []
    settings = Settings(progress=lambda *arguments: calls.append(arguments))
    run = check_module.check_run(["reference"], Selection(FEW), settings)
    results = run.report.subjects[0].cases
    total = len(results)
    assert calls == [("reference", done, total, result) for done, result in enumerate(results, 1)]


def test_a_failing_case_has_a_cause_and_an_unsupported_one_has_none():
    report = check(subject_functions.wrong, subject_functions.unsupported, k=FEW)
    wrong, unsupported = report.subjects
    assert {case.cause.faults[0].cause for case in wrong.cases} == {"unit-scale"}
    assert {case.cause for case in unsupported.cases} == {None}
    assert report.status == 1


def test_each_case_with_a_cause_has_its_fix_also_where_it_is_that_of_an_earlier_case():
    def swapped(problem):
        return [tensor.data for tensor in outputs_of(problem, SWAPPED)]

    (result,) = check(swapped, k="lstm-spread-last and not bidirectional").subjects
    assert len(result.cases) > 1
    assert any(case.explanation is None for case in result.cases)
    assert len({tuple(fixes(case)) for case in result.cases}) == 1
    assert fixes(result.cases[0])


def test_the_mutation_score_counts_answered_cases_of_other_subjects_than_the_reference():
    assert check("reference", k=FEW).score is None
    score = check(subject_functions.right, k=FEW).score
    assert 0 < score.detected <= score.applicable
    assert len(score.undetected) == score.applicable - score.detected


def test_the_faults_that_a_case_does_not_detect_are_listed():
    score = check(subject_functions.right, k="lstm-constant-last").score
    assert len(score.undetected) == score.applicable - score.detected > 0
    assert all(lookup(fault.cause, fault.variant) for fault in score.undetected)


@pytest.mark.parametrize("function", ["right", "wrong"])
def test_coverage_is_that_of_the_compared_cases_whether_or_not_they_fail(function):
    (result,) = check(getattr(subject_functions, function), k="lstm-spread-last").subjects
    assert OptionValue("Layer", "LSTM") not in result.not_covered
    assert OptionValue("Layer", "SimpleRNN") in result.not_covered


def test_a_subject_without_its_framework_is_skipped(monkeypatch):
    judge_subject = check_module.judge_subject

    def without_framework(subject, *arguments):
        if subject is subject_functions.raises:
            raise MissingFrameworkError("raises", "needs a framework")
        return judge_subject(subject, *arguments)

    monkeypatch.setattr(check_module, "judge_subject", without_framework)
    report = check("reference", subject_functions.raises, k=FEW)
    assert [result.name for result in report.subjects] == ["reference"]
    assert [(skipped.reason, skipped.requested) for skipped in report.skipped] == [
        ("needs a framework", True)
    ]
    assert report.status == 2
    with pytest.raises(RequestError, match="needs a framework"):
        check(subject_functions.raises, k=FEW)


def test_the_core_set_is_the_default_and_full_takes_every_case():
    assert [case.id for case in check("reference").subjects[0].cases] == list(core())
    assert [case.id for case in Selection(full=True).cases()] == list(catalogue())


def test_shards_have_every_selected_case_once_and_keep_configurations_together():
    whole = Selection(MANY).cases()
    parts = [Selection(MANY, shard=Shard(index, 3)).cases() for index in (1, 2, 3)]
    assert sorted(case.id for part in parts for case in part) == sorted(case.id for case in whole)
    layers = [{case.layer for case in part} for part in parts]
    for first, second in combinations(layers, 2):
        assert not first & second


def test_a_shard_states_the_sizes_of_all_parts_and_which_it_lacks():
    assert Selection(MANY).shards() == ()
    parts = [Selection(MANY, shard=Shard(index, 3)) for index in (1, 2, 3)]
    sizes = tuple(len(part.cases()) for part in parts)
    found = [part.shards() for part in parts]
    assert found == [(Shards(sizes, missing, MANY),) for missing in ((2, 3), (1, 3), (1, 2))]
    (more,) = Selection("lstm-spread-last", full=True, shard=Shard(1, 99)).shards()
    assert (min(more.sizes), 99 in more.missing) == (0, False), (
        "a part without cases is not missing"
    )


def test_a_part_of_a_run_states_which_parts_it_lacks():
    selection = Selection(MANY, shard=Shard(2, 3))
    (result,) = check_module.check_run(["reference"], selection, Settings()).report.subjects
    assert (result.shards, result.unfinished) == (selection.shards(), 0)


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "a/b", "-1/2", "1/2/3"])
def test_an_invalid_shard_is_refused(text):
    with pytest.raises(RequestError, match="expected I/N such as 2/4"):
        Shard.parse(text)


def test_ctrl_c_keeps_the_results_that_are_finished():
    calls = []

    def interrupt(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt

    settings = Settings(progress=interrupt)
    run = check_module.check_run(["reference", subject_functions.right], Selection(MANY), settings)
    (result,) = run.report.subjects
    total = len(Selection(MANY).cases())
    assert (len(result.cases), result.unfinished) == (3, total - 3)
    assert (run.report.passed, run.report.status) == (False, 130)
    left = [(skipped.subject, skipped.reason) for skipped in run.report.skipped]
    assert left == [(name_of(subject_functions.right), "the run ended before")]


def test_ctrl_c_in_the_search_for_causes_keeps_all_verdicts(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(check_module, "with_causes", interrupt)
    report = check(subject_functions.wrong, k=FEW)
    assert (report.status, report.compared) == (130, len(Selection(FEW).cases()))
    assert report.subjects[0].not_covered


def test_verdicts_are_there_before_causes_are_searched():
    kept = []
    settings = Settings(save=kept.append)
    run = check_module.check_run([subject_functions.wrong], Selection(FEW), settings)
    assert {case.cause for case in kept[0].subjects[0].cases} == {None}
    assert None not in {case.cause for case in run.report.subjects[0].cases}
    settings = Settings(causes=False)
    run = check_module.check_run([subject_functions.wrong], Selection(FEW), settings)
    assert {case.cause for case in run.report.subjects[0].cases} == {None}


def test_verdicts_that_cannot_be_saved_do_not_keep_causes_from_being_searched():
    def save(_):
        raise RequestError("no space left")

    run = check_module.check_run([subject_functions.wrong], Selection(FEW), Settings(save=save))
    assert None not in {case.cause for case in run.report.subjects[0].cases}


def test_option_values_that_no_compared_case_had_are_listed():
    (few,) = check("reference", k=FEW).subjects
    missing = {OptionValue("Mask", "a row without any step"), OptionValue("activation", "relu")}
    assert missing <= set(few.not_covered)
    assert OptionValue("Layer", "LSTM") not in few.not_covered
    (every,) = check("reference").subjects
    assert not every.not_covered


def test_a_case_without_a_golden_is_compared_with_the_reference(tmp_path):
    folder = write_folder(tmp_path)
    report = check(subject_functions.right, k=FEW, fixtures=folder)
    assert report.passed
    assert set(report.without_golden) == {case.id for case in Selection(FEW).cases()} - set(IDS)


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


def test_an_agreeing_case_states_the_gates_in_which_noise_would_hide_a_change():
    report = check(subject_functions.right, k="gru-forward and not mask and dtype:float16")
    (case,) = report.subjects[0].cases
    assert case.verdict is Verdict.AGREES
    assert WeightBlock("kernel", "r") in case.blind_to
    assert parse(json.loads(dump(report)), "report.json").subjects[0].cases == (case,)
