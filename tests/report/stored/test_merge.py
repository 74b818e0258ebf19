"""Merging of reports: side by side, joined, and refused where they do not belong together."""

from dataclasses import replace

import pytest
from _support.conformance_runs import (
    AGREEING,
    CASES,
    HALF,
    MACHINE,
    MASKED,
    MIXED,
    PLAIN,
    both,
    only,
    report,
    subject,
)

from rnnparity.catalogue import digest
from rnnparity.golden.goldens import KNOWN
from rnnparity.golden.known_differences import read_known
from rnnparity.problem.errors import RequestError
from rnnparity.problem.results import Shards, Skipped, Stale, StaleReason
from rnnparity.report.stored.merge import merge
from rnnparity.session.scores import with_scores


def parts(*chosen, **fields):
    """The subject "a" in parts, one file each."""
    subjects = [subject("a", only(*cases), **fields) for cases in chosen]
    return {f"{number}.json": report(part) for number, part in enumerate(subjects)}


def test_different_subjects_are_side_by_side():
    first, second = report(subject("agreeing", AGREEING)), report(subject("a:mixed", MIXED))
    assert merge({"1": first, "2": second}, ()) == with_scores(both())


def test_parts_of_a_subject_are_joined_in_the_order_of_the_catalogue():
    (found,) = merge(parts(CASES[3:], CASES[:3]), ()).subjects
    (reverse,) = merge(parts(CASES[:3], CASES[3:]), ()).subjects
    assert {case.id for case in found.cases} == set(CASES)
    assert [case.id for case in found.cases] == [case.id for case in reverse.cases]
    assert (found.seconds, found.machine) == (3.0, MACHINE)


def test_joined_parts_have_the_latest_date_and_all_processors():
    later = subject(
        "a",
        only(HALF),
        date="2026-08-01T00:00Z",
        machine=replace(MACHINE, processor="Beads"),
    )
    (found,) = merge(parts([PLAIN]) | {"b": report(later)}, ()).subjects
    assert (found.date, found.machine.processor) == ("2026-08-01T00:00Z", "Abacus 9; Beads")


def test_an_entry_that_is_stale_in_all_parts_together_is_stale(tmp_path):
    entry = f'[[difference]]\nname = "old"\nsubject = "a"\ncases = ["{PLAIN}", "{HALF}"]\nkinds = ["values"]\n'
    rest = 'versions = {}\ncause = "x"\nstanding = "mistake"\nreason = "x"\nlink = "x"\n'
    (tmp_path / KNOWN).write_text(entry + rest)
    entries = read_known(tmp_path / KNOWN)
    assert merge(parts([PLAIN], [MASKED]), entries).passed
    found = merge(parts([PLAIN], [HALF]), entries)
    assert found.subjects[0].stale == (Stale("old", StaleReason.ALL_AGREE, 2),)
    assert not found.passed


def test_parts_have_the_score_and_the_coverage_of_the_whole():
    whole = with_scores(report(subject("a", AGREEING), catalogue=digest()))
    halves = [
        with_scores(report(subject("a", only(*cases)), catalogue=digest()))
        for cases in (CASES[:3], CASES[3:])
    ]
    merged = merge({"1": halves[0], "2": halves[1]}, ())
    assert (merged.score, merged.score_constant) == (whole.score, whole.score_constant)
    assert merged.score.detected > max(half.score.detected for half in halves)
    assert merged.subjects[0].not_covered == whole.subjects[0].not_covered
    assert len(merged.subjects[0].not_covered) < min(
        len(half.subjects[0].not_covered) for half in halves
    )


def sharded(*cases, missing=(), **fields):
    shards = (Shards((2, 2, 2), missing, **fields),)
    return report(subject("a", only(*cases), shards=shards))


def test_a_shard_that_no_part_has_is_missing():
    first, third = sharded(*CASES[:2], missing=(2, 3)), sharded(*CASES[4:], missing=(1, 2))
    second = sharded(*CASES[2:4], missing=(1, 3))
    (two,) = merge({"1": first, "3": third}, ()).subjects
    (all_three,) = merge({"1": first, "2": second, "3": third}, ()).subjects
    assert two.shards == (Shards((2, 2, 2), (2,)),)
    assert all_three.shards == (Shards((2, 2, 2)),)
    (of_two_selections,) = merge(
        {"1": first, "3": sharded(*CASES[4:], missing=(1, 2), full=True)}, ()
    ).subjects
    assert [shards.missing for shards in of_two_selections.shards] == [(2, 3), (1, 2)]


def test_a_run_that_was_not_finished_is_so_in_the_whole_and_has_scores():
    finished = report(subject("b", AGREEING))
    stopped = report(subject("a", AGREEING[:2], unfinished=4), interrupted=True)
    (a, _) = (merged := merge({"1": stopped, "2": finished}, ())).subjects
    assert (merged.interrupted, merged.status, a.unfinished) == (True, 130, 4)
    assert merge({"1": stopped}, ()) == with_scores(stopped)


def test_a_subject_that_was_skipped_in_one_report_and_ran_in_another_was_not_skipped():
    skipped = tuple(Skipped(name, "gone", True) for name in "bc")
    first = report(subject("a", AGREEING), skipped=skipped)
    second = report(subject("b", AGREEING), skipped=skipped[1:])
    whole = merge({"1": first, "2": second}, ())
    assert [each.subject for each in whole.skipped] == ["c"]
    assert (whole.passed, whole.status) == (False, 2)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (
            report(subject("a", AGREEING)),
            f"2.json: a: {PLAIN} and 5 more also in 1.json; merge runs of different cases",
        ),
        (report(subject("a", only(HALF))), f"2.json: a: {HALF} also in 1.json"),
        (
            report(subject("a", MIXED, versions={"port": "2"})),
            "2.json: a: got port 2, expected port 1.0 as in 1.json",
        ),
        (
            report(subject("b", AGREEING), rnnparity="0.0.1"),
            "2.json: rnnparity: got 0.0.1, expected ",
        ),
        (
            report(subject("b", AGREEING), catalogue="0123456789"),
            "2.json: catalogue: got 0123456789, expected ",
        ),
    ],
)
def test_reports_that_do_not_belong_together_are_refused(other, expected):
    with pytest.raises(RequestError) as caught:
        merge({"1.json": report(subject("a", AGREEING)), "2.json": other}, ())
    assert str(caught.value).startswith(expected)
