"""Fixtures are written whole or not at all: killed at any moment, by two writers at once, where
nothing can be."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from _support.fixture_writers import found, is_whole, put, states

from rnnparity.golden.manifest import MANIFEST
from rnnparity.golden.writing import drift, locked, write_fixtures
from rnnparity.problem.errors import RequestError
from rnnparity.problem.files import write_files

SCRIPT = Path(__file__).parents[1] / "_support" / "fixture_writers.py"


def start(*words):
    return subprocess.Popen(
        [sys.executable, SCRIPT, *map(str, words)], stdout=subprocess.PIPE, text=True
    )


def killed(folder, seed, count):
    writer = start("kill", folder, seed, count)
    reports, _ = writer.communicate()
    assert writer.returncode == 0
    outcomes = Counter(json.loads(reports))
    print(f"{count} kills: {outcomes}")
    assert outcomes["old"] + outcomes["new"] + outcomes["mixed"] == count
    return outcomes


def test_thirty_kills_leave_nothing_torn(tmp_path):
    outcomes = killed(tmp_path, 1, 30)
    assert outcomes["repaired"] > 5


@pytest.mark.slow
def test_a_thousand_kills_leave_nothing_torn(tmp_path):
    outcomes = killed(tmp_path, 2, 1000)
    assert min(outcomes["old"], outcomes["new"], outcomes["left behind"], outcomes["repaired"]) > 20


def test_two_writers_at_once_leave_one_whole_state(tmp_path):
    writers = [start("write", tmp_path, name, 15) for name in ("old", "new")]
    reports = [json.loads(writer.communicate()[0]) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert found(tmp_path) in ("old", "new")
    # They did meet: a writer alone has something to change but once.
    assert sum(each["changed"] for each in reports) > 2


def test_only_what_changed_is_written(tmp_path):
    texts, _ = states()["old"]
    assert put(tmp_path, "old") == [*texts, MANIFEST]
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    assert put(tmp_path, "old") == []
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")} == before
    (tmp_path / "edge.json").write_text("[]")
    assert put(tmp_path, "old") == ["edge.json"]
    assert is_whole(tmp_path, "old")


def test_only_files_that_rnnparity_has_written_are_removed(tmp_path):
    put(tmp_path, "old")
    mine = {
        "edge.json.tmp": "x",
        "edge.json.rej": "--- edge.json\n+++ edge.json",  # of `patch`
        "mine.json.rej": "[1]",
        "known_differences.toml": "",
    }
    ours = {".rnnparity-0123456789abcdef.tmp": "[", "lstm-spread.json.rej": "[\n{}]"}
    for name, text in {**mine, **ours}.items():
        (tmp_path / name).write_text(text)
    assert set(put(tmp_path, "new")) == {*states()["new"][0], MANIFEST, "gru-spread.json"}
    there = {path.name for path in tmp_path.iterdir()}
    assert there == {*states()["new"][0], MANIFEST, ".lock", *mine}
    assert all((tmp_path / name).read_text() == text for name, text in mine.items())


def test_nothing_is_written_beside_a_json_file_that_holds_no_fixtures(tmp_path):
    put(tmp_path, "old")
    (tmp_path / "mine.json").write_text('[{"format": "mine"}]')
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    with pytest.raises(RequestError, match=r"mine.json: not in the manifest; remove it$"):
        put(tmp_path, "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


def test_fixtures_of_a_writer_that_was_killed_are_removed(tmp_path):
    put(tmp_path, "new")
    (tmp_path / "gru-spread.json").write_text(states()["old"][0]["gru-spread.json"])
    assert put(tmp_path, "new") == ["gru-spread.json"]
    assert is_whole(tmp_path, "new")


def test_the_manifest_is_written_last_and_after_files_are_removed(tmp_path, monkeypatch):
    put(tmp_path, "old")
    written = []

    def watched(files):
        written.extend((path.name, content is None) for path, content in files.items())
        write_files(files)

    monkeypatch.setattr("rnnparity.golden.writing.write_files", watched)
    with locked(tmp_path):
        write_fixtures(tmp_path, *states()["new"])
    families = [(name, False) for name in states()["new"][0]]
    assert written == [*families, ("gru-spread.json", True), (MANIFEST, False)]
    assert is_whole(tmp_path, "new")


def test_a_lock_is_not_taken_through_a_link(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".lock").symlink_to(victim)
    assert "cannot be written: " in refusal(tmp_path)
    assert victim.read_text() == "precious"


def refusal(folder):
    with pytest.raises(RequestError) as caught, locked(folder):
        pass
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "fixtures"
    assert refusal(folder) == f"{folder}: cannot be written: Not a directory"
    assert refusal(tmp_path / "file") == f"{tmp_path / 'file'}: cannot be written: File exists"


def test_a_lock_that_cannot_be_taken_is_refused(tmp_path):
    (tmp_path / ".lock").mkdir()
    assert refusal(tmp_path) == f"{tmp_path}: cannot be written: Is a directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    assert refusal(tmp_path) == f"{tmp_path}: cannot be written: Permission denied"


def test_a_missing_folder_is_created(tmp_path):
    put(tmp_path / "a" / "b", "old")
    assert is_whole(tmp_path / "a" / "b", "old")


def test_a_missing_filelock_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "filelock", None)
    expected = "filelock is missing; run pip install 'rnnparity[regenerate]'"
    assert refusal(tmp_path) == f"writing fixtures: {expected}"


def test_drift_names_the_files_that_would_change(tmp_path):
    texts, manifest = states()["new"]
    write_fixtures(tmp_path, texts, manifest)
    assert drift(tmp_path, texts, manifest) == []
    name = next(iter(texts))
    (tmp_path / name).write_text("[]")
    assert drift(tmp_path, texts, manifest) == [name]
    rest = {other: text for other, text in texts.items() if other != name}
    assert drift(tmp_path, rest, manifest) == [name]
