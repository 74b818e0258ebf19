"""Runs of `check` as they are stored: there and back, refused where something is wrong, merged; and
the command."""

import json
import re

import pytest
from _support.command_line import command, here, own_package
from _support.conformance_runs import (
    EXAMPLE,
    HALF,
    KNOWN,
    MACHINE,
    MASKED,
    MIXED,
    PLAIN,
    RIGHT,
    both,
    report,
    subject,
    verdicts,
)

from rnnparity.golden.goldens import KNOWN as LIST
from rnnparity.golden.goldens import default_folder, golden_outputs
from rnnparity.golden.known_differences import read_known
from rnnparity.problem.errors import RequestError
from rnnparity.problem.stored import this_machine
from rnnparity.report.merge import merge
from rnnparity.report.outputs import as_report, stored_report
from rnnparity.report.stored_report import dump, load, parse
from rnnparity.session.check import check_run

__all__ = ["here"]

GONE = object()
FEW = "gru-spread-sequences-mask_interior and not bi_"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return own_package(tmp_path_factory.mktemp("own"))


def unmasked(problem):
    """A port that ignores masks."""
    return [
        tensor.data
        for tensor in golden_outputs(problem.__class__(**{**vars(problem), "mask": None}))
    ]


# ----------------------------------------------------------------------------------------------
# there and back


def test_a_report_comes_back_as_it_was(tmp_path):
    path = tmp_path / "report.json"
    path.write_text(dump(both()))
    assert load(path) == both()
    assert dump(load(path)) == path.read_text()


def test_what_there_is_nothing_to_say_of_is_left_out():
    right, mixed = json.loads(dump(both()))["subjects"]
    assert all(
        list(verdict) == ["id", "verdict", "sigma", "reason"] for verdict in right["verdicts"]
    )
    assert not {"stale", "examples"} & set(right)
    (verdict,) = [verdict for verdict in mixed["verdicts"] if verdict["id"] == MASKED]
    assert list(verdict) == ["id", "verdict", "sigma", "reason", "kinds", "cause", "fault"]


def test_a_run_with_an_example(tmp_path):
    """A real run: its wrong cases are explained once, with a picture."""
    run = check_run(unmasked, k=FEW)
    stored, done = stored_report(run, None), run.report
    (one,) = stored.subjects
    assert (one.name, one.machine) == (f"{__name__}:unmasked", this_machine())
    assert one.date.endswith("Z")
    (example,) = one.examples
    assert (example.id, example.cause) == ("gru-spread-sequences-mask_interior", "mask-ignored")
    assert example.says[0].startswith("Masked steps are computed like any other.")
    assert example.text.startswith("gru-spread-sequences-mask_interior: diverges\n")
    assert example.picture.shape == [3, 4]
    assert [len(row) for row in example.picture.rows] == [4, 4, 4]
    assert [row[0] for row in example.picture.rows] == [0, 0, 0]
    assert max(map(max, example.picture.rows)) > 3
    back = as_report(parse(json.loads(dump(stored)), "there"))
    assert [subject.counts for subject in back.subjects] == [
        subject.counts for subject in done.subjects
    ]
    assert [[case.cause for case in subject.cases] for subject in back.subjects] == [
        [case.cause for case in subject.cases] for subject in done.subjects
    ]
    assert (back.passed, back.score, back.score_constant) == (
        False,
        done.score,
        done.score_constant,
    )


def test_the_machine_has_no_name():
    import getpass
    import platform

    said = json.dumps(this_machine().model_dump())
    assert platform.node() not in said
    assert f'"{getpass.getuser()}"' not in said
    assert "/" not in said.replace("x86/64", "")


# --------------------------------------------------------------------------------------------------
# refused


def changed(place, value):
    """The report as JSON with one value changed, or, where it is GONE, without it."""
    top = json.loads(dump(both()))
    *folders, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    inner = top
    for folder in folders:
        inner = inner[folder]
    if value is GONE:
        del inner[last]
    else:
        inner[last] = value
    return top


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("rnnparity", GONE, "rnnparity: Field required"),
        ("more", 1, "more: Extra inputs are not permitted"),
        ("subjects", [], "subjects: List should have at least 1 item"),
        ("catalogue", "0123456789", "was run on another catalogue than this"),
        ("known", [], "a:mixed: known difference 'left-out-by-choice' is unknown"),
        ("subjects.1.name", "right", "right is there 2 times"),
        ("subjects.1.date", "yesterday", "subjects.1.date: String should match pattern"),
        ("subjects.1.seconds", -1.0, "subjects.1.seconds: Input should be greater than"),
        ("subjects.1.machine.host", "x", "subjects.1.machine.host: Extra inputs"),
        (
            "subjects.1.verdicts",
            [*verdicts(RIGHT), *verdicts(RIGHT)],
            f"a:mixed: {PLAIN} is there 2 times",
        ),
        ("subjects.1.verdicts.0.id", "gone", "a:mixed: case 'gone' is unknown"),
        ("subjects.1.verdicts.0.verdict", "fine", "subjects.1.verdicts.0.verdict: Input should be"),
        ("subjects.1.verdicts.0.sigma", "1", "subjects.1.verdicts.0.sigma"),
        ("subjects.1.verdicts.0.reason", GONE, "subjects.1.verdicts.0.reason: Field required"),
        ("subjects.1.examples.0.id", "gone", "a:mixed: examples: case 'gone' is unknown"),
        (
            "subjects.1.examples.0.picture.rows",
            [[9]],
            "subjects.1.examples.0.picture.rows.0.0: Input should be less",
        ),
    ],
)
def test_what_is_refused(place, value, expected):
    with pytest.raises(RequestError) as caught:
        parse(changed(place, value), "a.json")
    line = str(caught.value)
    assert line.startswith(f"a.json: {expected}")
    assert line.endswith("; write it anew with `rnnparity check --json`")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read: No such file or directory"),
        ("{", "a.json: "),
        ("[]", "is no stored run (it has no \"format\"); 'rnnparity-report/1' is read here"),
        (
            '{"format": "rnnparity-bench/1"}',
            "is of the format 'rnnparity-bench/1'; 'rnnparity-report/1' is read here",
        ),
    ],
)
def test_a_file_that_is_none(here, tmp_path, monkeypatch, content, expected):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "a.json").write_text(content)
    status, out, err = here("check", "--from", "a.json", "--html", "page.html")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("rnnparity: a.json: ")
    assert expected in err
    assert not (tmp_path / "page.html").exists()


# ---------------------------------------------------------------------------------------------------
# merged


def parts(*chosen, **other):
    """The subject "a" in parts, one file each."""
    rows = [{case: RIGHT[case] for case in cases} for cases in chosen]
    return {f"{number}.json": report(subject("a", own, **other)) for number, own in enumerate(rows)}


def test_subjects_side_by_side():
    one, other = (
        report(subject("right", RIGHT)),
        report(subject("a:mixed", MIXED, examples=[EXAMPLE])),
    )
    assert merge({"1": one, "2": other}, ()) == both()


def test_parts_of_a_subject_are_joined():
    cases = list(RIGHT)
    whole = merge(parts(cases[3:], cases[:3]), ())
    (found,) = whole.subjects
    assert {verdict.id for verdict in found.verdicts} == set(cases)
    assert [v.id for v in found.verdicts] == [
        v.id for v in merge(parts(cases[:3], cases[3:]), ()).subjects[0].verdicts
    ]
    assert (found.seconds, found.machine.model_dump()) == (3.0, MACHINE)


def test_the_latest_date_and_every_processor():
    files = parts([PLAIN]) | {"b": report(subject("a", {HALF: RIGHT[HALF]}, date="2026-08-01T00:00Z",
                                                  machine={**MACHINE, "processor": "Beads"}))}  # fmt: skip
    (found,) = merge(files, ()).subjects
    assert (found.date, found.machine.processor) == ("2026-08-01T00:00Z", "Abacus 9; Beads")


def test_the_parts_together_show_what_is_stale(tmp_path):
    text = f'[[difference]]\nname = "old"\nsubject = "a"\ncases = ["{PLAIN}", "{HALF}"]\nkinds = ["values"]\n'
    (tmp_path / LIST).write_text(
        f'{text}versions = {{}}\ncause = "x"\nstanding = "mistake"\nreason = "x"\nlink = "x"\n'
    )
    entries = read_known(tmp_path / LIST)
    assert merge(parts([PLAIN], [MASKED]), entries).passed
    found = merge(parts([PLAIN], [HALF]), entries)
    assert [(stale.name, stale.why) for stale in found.subjects[0].stale] == [
        ("old", "its 2 cases all agree now")
    ]
    assert not found.passed


def test_faults_are_those_of_the_widest_run():
    wide = report(subject("a", RIGHT), faults={"visible": 9, "total": 10})
    narrow = report(subject("b", {PLAIN: RIGHT[PLAIN]}), faults={"visible": 3, "total": 3})
    apart = report(subject("b", {HALF: RIGHT[HALF]}), faults={"visible": 4, "total": 4})
    assert merge({"1": narrow, "2": wide}, ()).faults == wide.faults
    assert merge({"1": narrow, "2": apart}, ()).faults is None


def test_who_was_left_out_here_and_ran_there_is_not_left_out():
    out = [{"subject": name, "why": "gone", "asked": True} for name in "bc"]
    whole = merge(
        {
            "1": report(subject("a", RIGHT), left_out=out),
            "2": report(subject("b", RIGHT), left_out=out[1:]),
        },
        (),
    )
    assert [each.subject for each in whole.left_out] == ["c"]
    assert (whole.passed, as_report(whole).status) == (False, 2)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (report(subject("a", RIGHT)), f"2.json: {PLAIN} and 5 more of a are in 1.json too; merge runs of different"),
        (report(subject("a", {HALF: RIGHT[HALF]})), f"2.json: {HALF} of a is in 1.json too"),
        (report(subject("a", MIXED, versions={"port": "2"})), "2.json: a is port 2, but port 1.0 in 1.json"),
        (report(subject("b", RIGHT), rnnparity="0.0.1"), "2.json: is of rnnparity 0.0.1, but 1.json of "),
    ],
)  # fmt: skip
def test_what_does_not_belong_together(other, expected):
    with pytest.raises(RequestError) as caught:
        merge({"1.json": report(subject("a", RIGHT)), "2.json": other}, ())
    assert str(caught.value).startswith(expected)


# ---------------------------------------------------------------------------------------------------
# command


@pytest.fixture
def stored(tmp_path):
    """A function that stores a report and gives its path."""

    def store(name, one):
        path = tmp_path / name
        path.write_text(dump(one))
        return str(path)

    return store


@pytest.fixture
def nothing_is_run(monkeypatch):
    def run(*_, **__):
        raise AssertionError("run")

    monkeypatch.setattr("rnnparity.session.check.check_run", run)


@pytest.mark.usefixtures("nothing_is_run")
def test_stored_runs_become_one_table(here, stored, tmp_path):
    words = ["--from", stored("a.json", report(subject("right", RIGHT)))]
    words += ["--from", stored("b.json", report(subject("a:mixed", MIXED, examples=[EXAMPLE])))]
    paths = {kind: tmp_path / f"table.{kind}" for kind in ("html", "markdown", "json")}
    outputs = [word for kind, path in paths.items() for word in (f"--{kind}", str(path))]
    status, out, err = here("check", *words, *outputs)
    assert (status, err) == (1, "")
    assert "right passed: 6 cases (port 1.0)" in out
    assert (
        f"{MASKED}: a:mixed diverges\n  output[0]=1 | but 2\n  cause: mask-ignored: every step counts\n"
        in out
    )
    assert f"  known differences met: {KNOWN['name']}\n" in out
    assert here("check", *words) == (1, out, "")
    assert load(paths["json"]) == both()
    assert "1 of 2 subjects pass; a:mixed does not." in paths["html"].read_text()
    assert (
        paths["markdown"]
        .read_text()
        .startswith("1 of 2 subjects pass; a:mixed does not. Only 6 of ")
    )
    status, out, err = here("check", *words, "--markdown", "-")
    assert (status, out, err) == (1, paths["markdown"].read_text(), "")
    assert here("check", *words[:2], "--json", "-")[0] == 0


@pytest.mark.usefixtures("nothing_is_run")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "--from a.json keras",
            "--from takes stored runs as they are: leave out subjects, --all and -k",
        ),
        ("--from a.json -k lstm", "--from takes stored runs as they are"),
        ("--from a.json --all", "--from takes stored runs as they are"),
        ("--html nowhere/page.html", "nowhere/page.html: cannot be written: there is no folder"),
        ("--markdown folder", "folder: cannot be written: is a folder"),
        ("--json - --markdown -", "-: two of --html, --markdown and --json would be written there"),
        ("--json x --html x", "x: two of --html, --markdown and --json would be written there"),
    ],
)
def test_what_is_refused_before_anything_is_run(here, tmp_path, monkeypatch, words, expected):
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    status, out, err = here("check", *words.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"rnnparity: {expected}")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_run_writes_all_three(own, tmp_path):
    """In a process of its own: subjects that agree, diverge and err, and the page of it."""
    names = [f"own.functions:{name}" for name in ("right", "wrong", "raises")]
    words = ["-k", FEW, "-j", "1", "--json", "t.json", "--html", "t.html", "--markdown", "t.md"]
    words = [str(tmp_path / word) if word.startswith("t.") else word for word in words]
    status, out, err = command("check", *names, *words, path=(own,))
    assert (status, err) == (1, "")
    assert "own.functions:right passed" in out
    found = load(tmp_path / "t.json")
    assert [one.passed for one in found.subjects] == [True, False, False]
    (example,) = found.subjects[1].examples
    assert example.fault == "unit-scale: outputs shifted by 0.01"
    html = (tmp_path / "t.html").read_text()
    assert f"rnnparity explain {example.id} --subject own.functions:wrong" in html
    assert re.search(r"ValueError: no such gate \(.*functions.py, line \d+\)", html)
    assert "| Mask: a gap inside | 464 | 100 % | 0 % ✗ | 0 % ✗ |" in (tmp_path / "t.md").read_text()


def test_known_differences_keep_their_reasons_and_have_examples(tmp_path):
    """A list with an entry that this subject meets: what it says goes along, and one of its cases
    is explained."""
    for path in default_folder().glob("*.json"):
        (tmp_path / path.name).symlink_to(path)
    words = {"name": "no-masks", "cause": "mask-ignored", "standing": "undocumented", "link": "x"}
    entry = {**words, "subject": f"{__name__}:*", "cases": ["gru-*"], "kinds": ["values"]}
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in entry.items())
    text = f'[[difference]]\n{text}versions = {{}}\nreason = """As\nwanted."""\n'
    (tmp_path / LIST).write_text(
        text + text.replace("no-masks", "not-met").replace(__name__, "elsewhere")
    )
    stored = stored_report(check_run(unmasked, k=FEW, fixtures=tmp_path), None)
    assert [entry.model_dump() for entry in stored.known] == [{**words, "reason": "As wanted."}]
    (one,) = stored.subjects
    assert one.passed
    assert {(verdict.verdict, *verdict.known) for verdict in one.verdicts} == {
        ("known", "no-masks")
    }
    assert [(example.id, example.cause) for example in one.examples] == [
        ("gru-spread-sequences-mask_interior", "mask-ignored")
    ]
