"""The stored report: written, read back, refused where something is wrong, and converted."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from rnnparity.catalogue import digest
from rnnparity.problem.errors import RequestError
from rnnparity.problem.explanations import EVERY_HALF, Cause, Explanation, FaultId, Picture
from rnnparity.problem.results import (
    CaseResult,
    KnownEntry,
    Machine,
    Report,
    Score,
    Skipped,
    Stale,
    StaleReason,
    SubjectResult,
)
from rnnparity.problem.verdicts import Difference, DifferenceType, Verdict
from rnnparity.report.stored.reports import REMEDY, dump, load, parse
from rnnparity.report.stored.version_1 import report_of_version_1

DATA = Path(__file__).with_name("data")
PLAIN, MASKED = "lstm-spread-last", "lstm-spread-last-mask_left"
MACHINE = Machine("Abacus 9", 2, "Linux x86_64", "3.11.7")
FAULT = FaultId("mask-ignored", "every step counts", "forward/")
WORST = Difference(
    DifferenceType.VALUES, "output", 0.5, 1.0, (2, 3), "float32", (1, 2), math.inf, 3, 6
)
SHAPES = Difference(DifferenceType.FACT, "", ((None, 3), (None, None, 3)), ((2, 3),), sigma=1.5)
PICTURE = Picture("output", "time", (3, 2), ((0, 8), (4, 1), (0, 0)))
DIVERGING = CaseResult(
    MASKED,
    Verdict.DIVERGES,
    math.inf,
    differences=(WORST, SHAPES),
    cause=Cause((FAULT,), ((FAULT, FAULT),), certain=False),
    explanation=Explanation(MASKED, Verdict.DIVERGES, picture=PICTURE, sigma=math.inf),
)
KNOWN = CaseResult(PLAIN, Verdict.KNOWN, 0.25, known=("listed",))
SUBJECT = SubjectResult(
    "mine",
    {"port": "1.0"},
    (KNOWN, DIVERGING),
    (Stale("old", StaleReason.ALL_AGREE, 3),),
    1.5,
    "2026-07-30T12:34Z",
    MACHINE,
)
REPORT = Report(
    (SUBJECT,),
    (Skipped("torch", "is not installed", False),),
    (KnownEntry("listed", "mask-ignored", "undocumented", "a reason", "a link"),),
    Score(3, 4),
    None,
    "0.1.0",
    digest(),
)


def test_a_report_is_read_back_unchanged(tmp_path):
    path = tmp_path / "report.json"
    path.write_text(dump(REPORT))
    assert load(path) == REPORT
    assert dump(load(path)) == path.read_text()


def test_non_finite_numbers_are_stored_as_strings():
    nan = replace(WORST, actual=math.nan, expected=-math.inf)
    case = replace(DIVERGING, differences=(nan,))
    text = dump(replace(REPORT, subjects=(replace(SUBJECT, cases=(KNOWN, case)),)))
    (stored,) = json.loads(text)["subjects"][0]["cases"][1]["differences"]
    assert (stored["actual"], stored["expected"], stored["sigma"]) == (
        "NaN",
        "-Infinity",
        "Infinity",
    )
    (difference,) = parse(json.loads(text), "x").subjects[0].cases[1].differences
    assert math.isnan(difference.actual)
    assert (difference.expected, difference.sigma) == (-math.inf, math.inf)


def test_a_string_that_is_no_number_field_stays_a_string():
    stored = replace(REPORT, skipped=(Skipped("NaN", "Infinity", True),))
    assert parse(json.loads(dump(stored)), "x") == stored


def test_defaults_are_left_out():
    value = json.loads(dump(REPORT))
    assert list(value) == [
        "format",
        "subjects",
        "skipped",
        "known",
        "score",
        "rnnparity",
        "catalogue",
    ]
    assert value["subjects"][0]["cases"][0] == {
        "id": PLAIN, "verdict": "known", "sigma": 0.25, "known": ["listed"],
    }  # fmt: skip


GONE = object()


def changed(location, value):
    """The report as JSON with one value changed, or, with GONE, without it."""
    top = json.loads(dump(REPORT))
    *folders, last = [int(part) if part.isdigit() else part for part in location.split(".")]
    inner = top
    for folder in folders:
        inner = inner[folder]
    if value is GONE:
        del inner[last]
    else:
        inner[last] = value
    return top


@pytest.mark.parametrize(
    ("location", "value", "expected"),
    [
        ("subjects", GONE, "subjects: Field required"),
        ("subjects.0.unfinished", -1, "mine: unfinished: got -1, expected >= 0"),
        ("subjects.0.shards", [{"sizes": [2, 3], "missing": [3]}], "mine: shards: sizes or missing"),
        ("subjects.0.shards", [{"sizes": [2, 3], "missing": [2, 1]}], "mine: shards: sizes or missing"),
        ("subjects.0.shards", [{"sizes": [2, -3]}], "mine: shards: sizes or missing"),
        ("more", 1, "more: Unexpected keyword argument"),
        ("format", "rnnparity-report/3", "format: got 'rnnparity-report/3', expected 'rnnparity-report/2'"),
        ("subjects", [], "subjects: got none, expected at least one"),
        ("subjects.0.cases", [], "mine: cases: got none, expected at least one"),
        ("catalogue", "0123456789", "catalogue: got 0123456789, expected "),
        ("known", [], "mine: known difference 'listed' is unknown"),
        ("subjects.0.date", "yesterday", "mine: date: got 'yesterday', expected 2026-07-30T12:34Z"),
        ("subjects.0.seconds", -1.0, "mine: seconds: got -1.0, expected 0 or more"),
        ("subjects.0.seconds", "NaN", "mine: seconds: got nan, expected 0 or more"),
        ("subjects.0.machine.host", "x", "subjects.0.machine.host: Unexpected keyword argument"),
        ("subjects.0.machine.cores", "2", "subjects.0.machine.cores: Input should be a valid integer"),
        ("subjects.0.cases.0.id", "gone", "mine: case 'gone' is unknown"),
        ("subjects.0.cases.0.id", MASKED, f"mine: {MASKED} occurs 2 times, expected once"),
        ("subjects.0.cases.0.verdict", "fine", "subjects.0.cases.0.verdict: Input should be 'agrees'"),
        ("subjects.0.cases.0.verdict", GONE, "subjects.0.cases.0.verdict: Field required"),
        ("subjects.0.cases.0.sigma", "1", "subjects.0.cases.0.sigma: Input should be a valid number"),
        ("subjects.0.cases.0.sigma", -1.0, f"mine: {PLAIN}: sigma: got -1.0, expected >= 0"),
        ("subjects.0.cases.0.sigma", "NaN", f"mine: {PLAIN}: sigma: got nan, expected >= 0"),
        ("subjects.0.cases.1.explanation.picture.levels.0.0", 9, "mine: picture: levels must be 0 to 8"),
        ("subjects.0.cases.1.explanation.picture.levels", [], "mine: picture: levels must be 0 to 8"),
        ("subjects.0.cases.1.explanation.picture.levels.0", [], "mine: picture: levels must be 0 to 8"),
    ],
)  # fmt: skip
def test_an_inconsistent_report_is_refused_in_one_line(location, value, expected):
    with pytest.raises(RequestError) as caught:
        parse(changed(location, value), "a.json")
    line = str(caught.value)
    assert line.startswith(f"a.json: {expected}")
    assert line.endswith(f"; {REMEDY}")
    assert "\n" not in line


def test_a_subject_that_occurs_twice_is_refused():
    twice = json.loads(dump(replace(REPORT, subjects=(SUBJECT, SUBJECT))))
    with pytest.raises(RequestError, match=r"^a\.json: subjects: mine occurs 2 times"):
        parse(twice, "a.json")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read: No such file or directory"),
        ("{", "line 1, column "),
        ("[]", "format: got None, expected 'rnnparity-report/2'"),
        ('{"format": "rnnparity-report/2", "format": "x"}', "format"),
    ],
)
def test_a_file_that_is_no_report_is_refused(tmp_path, content, expected):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RequestError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)


# ---------------------------------------------------------------------------------------------
# version 1


@pytest.fixture(scope="module")
def converted():
    """A report that rnnparity 0.1.0 wrote of the reference, PyTorch, and a port with faults."""
    return report_of_version_1(json.loads((DATA / "report-1.json").read_text()))


def case_of(report, id):
    return next(case for case in report.subjects[-1].cases if case.id == id)


def test_counts_of_version_1_are_kept(converted):
    stored = json.loads((DATA / "report-1.json").read_text())
    assert [subject.name for subject in converted.subjects] == ["reference", "torch", "port:lstm"]
    for subject, old in zip(converted.subjects, stored["subjects"], strict=True):
        assert [case.id for case in subject.cases] == [case["id"] for case in old["verdicts"]]
        assert [case.verdict for case in subject.cases] == [v["verdict"] for v in old["verdicts"]]
    assert (converted.score, converted.score_constant) == (Score(206, 206), Score(103, 171))
    assert (converted.rnnparity, converted.catalogue) == (stored["rnnparity"], stored["catalogue"])
    assert converted.status == 1


def test_a_cause_of_version_1_becomes_fault_ids(converted):
    masked = case_of(converted, "bi_lstm-constant-ave-last-mask_interior")
    assert masked.cause == Cause((FaultId("mask-ignored", "every step counts", EVERY_HALF),))
    assert masked.difference_types == {DifferenceType.VALUES}
    unexplained = case_of(converted, "bi_lstm-constant-ave-last-initial")
    assert unexplained.cause == Cause()
    assert case_of(converted, "dtype-bfloat16-lstm-ave").cause is None


def test_known_and_stale_entries_of_version_1_become_data(converted):
    port = converted.subjects[-1]
    assert port.stale == (Stale("old-entry", StaleReason.ALL_AGREE, 1),)
    known = case_of(converted, "bi_lstm-constant-sum-last-mask_interior-initial")
    assert known.known == ("port-sum",)
    assert known.reason.startswith("output[1, 1]=1.58752453")
    assert [entry.name for entry in converted.known] == ["port-sum"]


def test_an_example_of_version_1_becomes_an_explanation(converted):
    explanations = [case.explanation for case in converted.subjects[-1].cases if case.explanation]
    assert explanations
    stored = json.loads((DATA / "report-1.json").read_text())["subjects"][-1]["examples"]
    assert {e.id for e in explanations} == {example["id"] for example in stored}
    shapes = {example["id"]: tuple(example["picture"]["shape"]) for example in stored}
    assert {e.id: e.picture.shape for e in explanations} == shapes
    says = {example["id"]: example["says"] for example in stored}
    assert {e.id: [line.description for line in e.descriptions] for e in explanations} == says


@pytest.mark.parametrize(
    ("name", "location", "variant"),
    [
        ("gate-order: LSTM iofc (ONNX)", "", "LSTM iofc (ONNX)"),
        ("gate-order: LSTM iofc (ONNX) (every half)", EVERY_HALF, "LSTM iofc (ONNX)"),
        ("gate-order: LSTM iofc (ONNX) (1/forward)", "1/forward/", "LSTM iofc (ONNX)"),
        ("gate-order: LSTM iofc (backward)", "backward/", "LSTM iofc"),
        ("gate-order: LSTM iofc (0)", "0/", "LSTM iofc"),
    ],
)
def test_a_fault_name_of_version_1_is_split(name, location, variant):
    stored = json.loads((DATA / "report-1.json").read_text())
    stored["subjects"][-1]["verdicts"][0] |= {"cause": "gate-order", "fault": name, "also": 2}
    cause = report_of_version_1(stored).subjects[-1].cases[0].cause
    assert cause == Cause((FaultId("gate-order", variant, location),), ((), ()))


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        ("subject 'x' needs TensorFlow (gone)", "needs TensorFlow (gone)"),
        ("subject 'x': cannot be loaded", "cannot be loaded"),
        ("gone", "gone"),
    ],
)
def test_the_reason_of_a_skipped_subject_of_version_1_does_not_name_it(why, reason):
    stored = json.loads((DATA / "report-1.json").read_text())
    stored["left_out"] = [{"subject": "x", "why": why, "asked": True}]
    assert report_of_version_1(stored).skipped == (Skipped("x", reason, True),)


def test_an_entry_of_version_1_that_matches_no_case_is_stale():
    stored = json.loads((DATA / "report-1.json").read_text())
    stored["subjects"][-1]["stale"][0]["why"] = "matches no case"
    (stale,) = report_of_version_1(stored).subjects[-1].stale
    assert stale == Stale("old-entry", StaleReason.NO_CASE)


def test_version_1_is_read_as_strictly(tmp_path):
    stored = json.loads((DATA / "report-1.json").read_text())
    stored["subjects"][0]["verdicts"][0]["more"] = 1
    with pytest.raises(RequestError, match=r"subjects\.0\.verdicts\.0\.more: Unexpected keyword"):
        parse(stored, "a.json")
