"""`rnnparity history` and `bisect` over releases of a small framework, without a network."""

import re
import sys
from contextlib import nullcontext
from dataclasses import replace
from types import ModuleType

import pytest
from _support.command_line import here
from _support.released import RELEASES, install
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from rnnparity.golden.known_differences import KnownDifference
from rnnparity.problem.errors import RequestError
from rnnparity.report.stored import history as history_store
from rnnparity.session import first_difference, releases, worker
from rnnparity.session.history import check_version
from rnnparity.session.releases import Release, install_release, list_releases, select_versions
from rnnparity.session.session import open_session

__all__ = ["here"]

SUBJECT = ["--package", "littlernn", "--subject", "littlernn:layers"]
CASE = "simple_rnn-spread-last"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    return tmp_path_factory.mktemp("wheels")


@pytest.fixture(scope="module")
def cache(tmp_path_factory, wheels):
    folder = tmp_path_factory.mktemp("cache")
    install(wheels, folder)
    return folder


@pytest.fixture(autouse=True)
def environment(monkeypatch, cache, wheels):
    """The newest release is in this environment, and pip finds all of them."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.syspath_prepend(str(cache / "littlernn-2.1.0"))
    yield
    sys.modules.pop("littlernn", None)


@pytest.fixture
def found(monkeypatch):
    """What pip finds, without its second."""
    versions = [Version(text) for text in RELEASES if "rc" not in text]
    monkeypatch.setattr(releases, "_available", lambda _: versions)


@pytest.mark.usefixtures("found")
def test_a_range_has_the_last_release_of_each_minor_version():
    assert select_versions("littlernn", "1.0..1.3") == ["1.0.0", "1.1.1", "1.2.0", "1.3.0"]
    assert select_versions("littlernn", "1.1..2") == ["1.1.1", "1.2.0", "1.3.0", "2.0.0", "2.1.0"]
    assert select_versions("littlernn", "1.1.0,1.4.0rc1") == ["1.1.0", "1.4.0rc1"]
    assert [str(v) for v in list_releases("littlernn", "1.1", "1.2.0")] == [
        "1.1.0",
        "1.1.1",
        "1.2.0",
    ]


def test_the_final_releases_are_those_that_pip_finds():
    assert select_versions("littlernn", "1.3..2.0") == ["1.3.0", "2.0.0"]


@pytest.mark.usefixtures("found")
@pytest.mark.parametrize(
    ("package", "text", "message"),
    [
        ("littlernn", "3.0..4.0", "no release from 3.0 to 4.0"),
        ("littlernn", "latest", "got 'latest', expected versions like"),
        ("--index-url=x", "1.0..2.0", "package: got '--index-url=x'"),
    ],
)
def test_releases_that_do_not_exist_are_refused(package, text, message):
    with pytest.raises(RequestError, match=message):
        select_versions(package, text)


def test_a_release_is_installed_once_and_an_unknown_one_leaves_nothing(tmp_path, monkeypatch):
    with pytest.raises(RequestError, match=r"pip install littlernn==7\.0: No matching"):
        install_release("littlernn", "7.0", tmp_path)
    assert list(tmp_path.iterdir()) == []
    folder = install_release("littlernn", "1.0.0", tmp_path).folder
    assert (folder / "littlernn" / "__init__.py").is_file()
    monkeypatch.setattr(releases, "_pip", None)
    assert install_release("littlernn", "1.0.0", tmp_path).folder == folder


def test_a_subject_that_does_not_use_the_release_is_refused(tmp_path):
    opened = open_session("littlernn:layers", folder=str(tmp_path))
    with opened as session, pytest.raises(RequestError, match="uses no module in"):
        _ = session.versions


@pytest.mark.usefixtures("found")
def test_the_table_marks_what_changed(here, cache):
    words = ["history", *SUBJECT, "--cache", str(cache), "-k", CASE, "--releases", "1.1..2.1"]
    status, out, _ = here(*words)
    lines = out.splitlines()
    assert status == 0
    assert lines[1].split() == ["1.1.1", "1.2.0", "1.3.0", "2.1.0"]
    cells = {
        line.rsplit(None, 4)[0]: line.rsplit(None, 4)[1:] for line in lines[2:] if ": " not in line
    }
    assert cells["agree"][1:] == ["-*", "-", f"{cells['agree'][0]}*"]
    assert cells["not listed"] == ["-", f"{cells['agree'][0]}*", cells["agree"][0], "-*"]
    assert cells["moved beyond the tolerance"] == ["-", cells["agree"][0], "0", cells["agree"][0]]
    assert cells["numbers moved"][2] != "0"
    changes = rf"1\.2\.0: {cells['agree'][0]} cases?: agrees, now diverges: {CASE}"
    assert any(re.match(changes, line) for line in lines)
    assert (
        "2.0.0 was not run: subject 'littlernn:layers': cannot be loaded: OSError: no library"
        in out
    )


def test_a_release_that_cannot_be_installed_is_a_row_with_its_error(here, cache):
    words = ["--cache", str(cache), "-k", CASE, "--releases", "1.1.1,7.0,2.1.0"]
    status, out, _ = here("history", *SUBJECT, *words)
    assert status == 0
    assert out.splitlines()[1].split() == ["1.1.1", "2.1.0"]
    assert "7.0 was not run: pip install littlernn==7.0: No matching distribution" in out


def test_a_history_is_stored_and_states_where_a_known_difference_occurs(
    here, cache, tmp_path, monkeypatch
):
    entry = KnownDifference(
        "scaled", "littlernn:*", (CASE,), ("values",), {}, "gate-order", "mistake", "", ""
    )
    entry = replace(entry, versions={"littlernn": SpecifierSet(">=1.3,<3")})
    monkeypatch.setattr("rnnparity.session.fixtures.read_known", lambda _: (entry,))
    path = tmp_path / "history.json"
    words = ["--cache", str(cache), "-k", CASE, "--releases", "1.1.1,1.2.0,1.3.0,2.0.0,2.1.0"]
    status, out, _ = here("history", *SUBJECT, *words, "--json", str(path))
    assert status == 0
    assert out.splitlines()[-3:] == [
        "known differences by release:",
        "  scaled: 1.2.0, 1.3.0, not in 1.1.1, 2.1.0",
        "    stated: littlernn <3,>=1.3; also seen in 1.2.0; not seen in 2.1.0",
    ]
    stored = history_store.load(path)
    assert (stored.package, stored.subject) == ("littlernn", "littlernn:layers")
    assert [release.listed for release in stored.releases if not release.error] == [
        {},
        {"scaled": 1},
        {"scaled": 1},
        {},
    ]
    assert [release.agreeing.get("scaled", 0) for release in stored.releases] == [1, 0, 0, 0, 1]
    assert stored.releases[3].error.startswith("subject 'littlernn:layers'")
    monkeypatch.undo()
    words = ["check", "reference", "-k", CASE, "--site", str(tmp_path / "site"), "--history"]
    assert here(*words, str(path))[0] == 0
    assert "littlernn:layers" in (tmp_path / "site" / "history.html").read_text()
    status, _, err = here(*words, str(path), "--history", str(path))
    assert (status, "occurs twice in --history" in err) == (2, True)
    path.write_text(path.read_text().replace('"agrees"', '"agree"'))
    status, _, err = here(*words, str(path))
    assert (status, "history.json: releases.0.counts.agree" in err) == (2, True), err


def test_a_history_that_cannot_be_stored_is_printed(here, cache, tmp_path, monkeypatch):
    def write_file(path, _):
        raise RequestError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr("rnnparity.problem.files.write_file", write_file)
    path = tmp_path / "history.json"
    words = ["--cache", str(cache), "-k", CASE, "--releases", "2.1.0", "--json", str(path)]
    status, out, err = here("history", *SUBJECT, *words)
    assert (status, out.splitlines()[1].strip()) == (2, "2.1.0")
    assert err.endswith(f"\nrnnparity: {path}: cannot be written: No space left on device\n")


def test_a_history_without_a_site_is_refused(here, tmp_path):
    status, _, err = here("check", "reference", "--history", str(tmp_path / "x.json"))
    assert (status, err) == (2, "rnnparity: --history is shown on a site; add --site DIR\n")
    words = ["--site", str(tmp_path / "site"), "--history", str(tmp_path / "x.json")]
    status, _, err = here("check", "reference", *words)
    assert (status, "x.json: cannot be read" in err) == (2, True)


def test_an_interrupted_history_prints_the_finished_releases(here, cache, monkeypatch):
    def install(package, version, cache):
        if version == "1.2.0":
            raise KeyboardInterrupt
        return install_release(package, version, cache)

    monkeypatch.setattr(releases, "install_release", install)
    words = ["--cache", str(cache), "-k", CASE, "--releases", "1.1.1,1.2.0,2.1.0"]
    status, out, err = here("history", *SUBJECT, *words)
    assert status == 130
    assert err.splitlines() == [
        "littlernn 1.1.1: running",
        "littlernn 1.2.0: running",
        "rnnparity: interrupted",
    ]
    assert out.splitlines()[1].split() == ["1.1.1"]


@pytest.mark.parametrize(
    ("actual", "requested", "same"),
    [
        ("3.1.0", "3.1", True),
        ("3.1.0+cpu", "3.1.0", True),
        ("3.1.1", "3.1", False),
        ("local build", "local build", True),
        ("local build", "3.1", False),
    ],
)
def test_a_framework_must_be_of_the_requested_version(tmp_path, actual, requested, same):
    expectation = nullcontext() if same else pytest.raises(RequestError, match="got version")
    with expectation:
        check_version({"keras": actual}, Release("keras", requested, tmp_path))


def test_lazy_modules_are_not_loaded_for_the_folder_of_a_release(tmp_path, monkeypatch):
    def load_lazily(name):
        raise ImportError(name)

    lazy = ModuleType("lazy")
    lazy.__getattr__ = load_lazily
    monkeypatch.setitem(sys.modules, "lazy", lazy)
    monkeypatch.setattr(worker, "_STATE", worker._State("reference", folder=str(tmp_path)))
    assert "uses no module in" in str(worker.load()[1])
    monkeypatch.setattr(worker, "_STATE", worker._State("reference"))
    assert worker.load()[1] is None


@pytest.mark.usefixtures("found")
def test_bisect_finds_the_first_release_that_differs(here, cache):
    words = ["bisect", CASE, *SUBJECT, "--cache", str(cache), "--good", "1.0", "--bad", "1.3.0"]
    status, out, _ = here(*words)
    lines = out.splitlines()
    assert status == 0
    assert lines[0] == "1.0.0: agrees"
    assert lines[1].startswith("1.3.0: diverges, differs from release 1.0.0")
    assert lines[-2:] == [
        "first release that differs: littlernn 1.2.0",
        "last release that does not: littlernn 1.1.1",
    ]


@pytest.mark.usefixtures("found")
def test_bisect_names_known_differences_as_history_does(here, cache, monkeypatch):
    entry = KnownDifference(
        "scaled", "littlernn:*", (CASE,), ("values",), {}, "gate-order", "mistake", "", ""
    )
    entry = replace(entry, versions={"littlernn": SpecifierSet("<1.0")})  # of no release
    monkeypatch.setattr(first_difference, "read_known", lambda _: (entry,))
    words = ["bisect", CASE, *SUBJECT, "--cache", str(cache), "--good", "1.1", "--bad", "1.2"]
    status, out, _ = here(*words)
    assert status == 0
    assert out.splitlines()[1].startswith("1.2.0: known: scaled, differs from release 1.1.0")


@pytest.mark.usefixtures("found")
def test_bisect_refuses_releases_that_compute_the_same(here, cache):
    words = ["bisect", CASE, *SUBJECT, "--cache", str(cache), "--good", "1.0.0", "--bad", "1.1.1"]
    status, _, err = here(*words)
    lines = err.splitlines()
    assert (status, lines[-1]) == (2, "rnnparity: 1.1.1 computes what 1.0.0 does")
    assert lines[:-1] == [f"littlernn {version}: running" for version in ("1.0.0", "1.1.1")]


@pytest.mark.parametrize("subject", ["no-such", "reference"])
def test_a_subject_without_releases_is_refused(here, cache, subject):
    words = ["--package", "littlernn", "--subject", subject, "--releases", "1.0.0"]
    status, _, err = here("history", *words, "--cache", str(cache), "-k", CASE)
    assert status == 2
    assert subject in err
