"""`check` with --html, --markdown, --json and --from."""

import re
from dataclasses import replace

import pytest
from _support.command_line import command, here, own_package, start
from _support.conformance_runs import (
    AGREEING,
    KNOWN,
    MASKED,
    MIXED,
    both,
    only,
    report,
    subject,
)

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.features import FEATURES, cases_of
from rnnparity.report.stored.reports import dump, load
from rnnparity.session.scores import with_scores

__all__ = ["here"]

FEW = "gru-spread-sequences-mask_interior and not bi_"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return own_package(tmp_path_factory.mktemp("own"))


@pytest.fixture
def stored(tmp_path):
    """A function that stores a report and returns its path."""

    def store(name, table):
        path = tmp_path / name
        path.write_text(dump(table))
        return str(path)

    return store


@pytest.fixture
def nothing_is_run(monkeypatch):
    def run(*_, **__):
        raise AssertionError("run")

    monkeypatch.setattr("rnnparity.session.check.check_run", run)


@pytest.mark.usefixtures("nothing_is_run")
def test_changes_since_a_baseline_are_printed_and_on_the_site(here, stored, tmp_path):
    before = stored("before.json", report(subject("mine", MIXED, {"port": "0.9"})))
    now = stored("now.json", report(subject("mine", AGREEING), subject("other", AGREEING)))
    site = tmp_path / "site"
    status, out, err = here("check", "--from", now, "--baseline", before, "--site", str(site))
    assert (status, err) == (0, "")
    printed = out.partition("since the earlier run:\n")[2].splitlines()
    assert printed[:3] == [
        "  other: new",
        "  mine: port 0.9 to 1.0",
        f"    1 case: diverges, now agrees: {MASKED}",
    ]
    assert f"1 case: diverges, now agrees: {MASKED}" in (site / "index.html").read_text()
    status, out, _ = here("check", "--from", now, "--baseline", now)
    assert out.endswith("since the earlier run: no verdict and no version changed\n")


@pytest.mark.usefixtures("nothing_is_run")
def test_baseline_and_site_are_checked_before_anything_runs(here, stored, tmp_path):
    missing, file = tmp_path / "missing.json", tmp_path / "file"
    file.write_text("x")
    for words, message in (
        (["--baseline", str(missing)], "missing.json: cannot be read"),
        (["--site", str(file)], "file: cannot be written"),
    ):
        status, out, err = here("check", "keras", *words)
        assert (status, out) == (2, "")
        assert message in err
    gradients = stored("g.json", replace(report(subject("mine", AGREEING)), gradients=True))
    now = stored("now.json", report(subject("mine", AGREEING)))
    page = tmp_path / "page.html"
    for words in (
        ["--from", now, "--baseline", gradients],
        ["reference", "--baseline", gradients],
        ["reference", "--gradients", "--baseline", now],
    ):
        status, _, err = here("check", *words, "--html", str(page))
        assert (status, "one of the two reports is of gradients" in err) == (2, True)
        assert not page.exists()


@pytest.mark.usefixtures("nothing_is_run")
def test_a_baseline_is_read_once(here, stored, tmp_path, monkeypatch):
    files = []
    now = stored("now.json", report(subject("mine", AGREEING)))
    before = stored("before.json", report(subject("mine", MIXED)))

    def count(path):
        files.append(str(path))
        return load(path)

    for module in ("stored.reports", "outputs"):
        monkeypatch.setattr(f"rnnparity.report.{module}.load", count)
    words = ["--from", now, "--baseline", before, "--site", str(tmp_path / "site")]
    assert here("check", *words)[0] == 0
    assert files.count(before) == 1


@pytest.mark.usefixtures("nothing_is_run")
def test_stored_runs_become_one_table(here, stored, tmp_path):
    words = ["--from", stored("a.json", report(subject("agreeing", AGREEING)))]
    words += ["--from", stored("b.json", report(subject("a:mixed", MIXED)))]
    paths = {kind: tmp_path / f"table.{kind}" for kind in ("html", "markdown", "json")}
    outputs = [word for kind, path in paths.items() for word in (f"--{kind}", str(path))]
    status, out, err = here("check", *words, *outputs)
    assert (status, err) == (1, "")
    assert "agreeing passed: 6 cases (port 1.0)" in out
    assert (
        f"{MASKED}: a:mixed diverges\n"
        "  output (B=2, H=5): 3 of 10 values differ\n"
        "  worst: output[1, 0]: got 1.5, expected 0.25, off by 1.2; 1e6 sigma (10 allowed)\n"
        "  cause: mask-ignored: every step counts\n"
    ) in out
    assert f"  known difference: {KNOWN.name} (1 case)\n" in out
    assert here("check", *words) == (1, out, "")
    assert load(paths["json"]) == with_scores(both())
    headline = (
        f"1 of 2 subjects passes; a:mixed fails. 6 of {len(catalogue())} cases were selected."
    )
    assert headline in paths["html"].read_text()
    assert paths["markdown"].read_text().startswith(headline)
    status, out, err = here("check", *words, "--markdown", "-")
    assert (status, out, err) == (1, paths["markdown"].read_text(), "")
    assert here("check", *words[:2], "--json", "-")[0] == 0


@pytest.mark.parametrize("options", [[], ["--html", "-"]])
def test_a_closed_pipe_leaves_the_exit_status_of_the_run(stored, options):
    """The report is longer than the buffer of a pipe."""
    names = [f"{'a' * 200}{number}" for number in range(300)]
    failing = report(*[subject(name, only(MASKED, of=MIXED)) for name in names])
    checked = start("check", "--from", stored("a.json", failing), *options)
    checked.stdout.readline()
    checked.stdout.close()
    assert checked.stderr.read() == ""
    assert checked.wait() == 1
    checked.stderr.close()


@pytest.mark.usefixtures("nothing_is_run")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "--from a.json keras",
            "--from merges stored runs as they are; "
            "remove subjects, --all, --full, --gradients, --precision, --shard, -k",
        ),
        ("--from a.json -k lstm", "--from merges stored runs as they are"),
        ("--from a.json --all", "--from merges stored runs as they are"),
        ("--html nowhere/page.html", "nowhere/page.html: "),
        ("--markdown folder", "folder: "),
        ("--json - --markdown -", "-: --html, --markdown and --json must be different files"),
        ("--json x --html x", "x: --html, --markdown and --json must be different files"),
    ],
)
def test_an_invalid_request_is_refused_before_anything_runs(
    here, tmp_path, monkeypatch, words, expected
):
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    status, out, err = here("check", *words.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"rnnparity: {expected}")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("content", [None, "{", "[]", '{"format": "rnnparity-bench/1"}'])
def test_a_file_that_is_no_report_is_refused(here, tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "a.json").write_text(content)
    status, out, err = here("check", "--from", "a.json", "--html", "page.html")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("rnnparity: a.json: ")
    assert not (tmp_path / "page.html").exists()


def test_a_run_writes_all_three_files(own, tmp_path):
    """In its own process: subjects that agree, diverge and err, and the page about them."""
    names = [f"own.functions:{name}" for name in ("right", "wrong", "raises")]
    words = ["-k", FEW, "-j", "1", "--json", "t.json", "--html", "t.html", "--markdown", "t.md"]
    words = [str(tmp_path / word) if word.startswith("t.") else word for word in words]
    status, out, err = command("check", *names, *words, path=(own,))
    assert (status, err.count("diverges"), err.count("error")) == (1, 2, 2)
    assert "own.functions:right passed" in out
    found = load(tmp_path / "t.json")
    assert [subject.passed for subject in found.subjects] == [True, False, False]
    (explanation,) = [case.explanation for case in found.subjects[1].cases if case.explanation]
    (fault,) = explanation.cause.faults
    assert (fault.cause, fault.variant) == ("unit-scale", "outputs shifted by 0.01")
    html = (tmp_path / "t.html").read_text()
    assert f"rnnparity explain {explanation.id} --subject own.functions:wrong" in html
    assert re.search(r"ValueError: no such gate \(.*functions.py, line \d+\)", html)
    (gap,) = [feature for feature in FEATURES if feature.name == "a gap inside"]
    compared = len(found.subjects[0].cases)
    row = f"| Mask: a gap inside | {len(cases_of(gap))} | {compared}/{compared} | 0/{compared} ✗ |"
    assert row in (tmp_path / "t.md").read_text()
