"""Where a user wants a file: what is there already is respected, and what cannot be written is
found out before."""

import errno
import os
import stat
import threading

import pytest
from _support.small_disk import on_small_disk

from rnnparity.problem.errors import RequestError
from rnnparity.problem.files import (
    check_new_folder,
    check_writable,
    write_file,
    write_files,
    write_folder,
)


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / "report.json"
    write_file(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_file(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_pipe_is_written_to_and_stays(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_file(pipe, "new")
    reader.join()
    assert read == ["new"]
    assert pipe.is_fifo()


def test_a_device_is_written_to_and_stays(tmp_path):
    path = tmp_path / "null"
    path.symlink_to("/dev/null")
    write_file(path, "new")
    assert path.is_char_device()


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("", "it is a folder"),
        ("missing/report.json", "folder .* not found"),
        ("file/report.json", "folder .* not found"),
    ],
)
def test_an_unwritable_path_is_refused_before_the_work(tmp_path, place, why):
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match=rf"cannot be written: ({why})"):
        check_writable(tmp_path / place)
    check_writable(tmp_path / "report.json")


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755])
def test_a_file_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "report.json"
    path.write_text("old")
    path.chmod(mode)
    write_file(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_has_the_usual_mode(tmp_path):
    (tmp_path / "usual").touch()
    write_file(tmp_path / "new", "new")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_temporary_file_is_never_created_through_a_link(tmp_path, monkeypatch):
    """Somebody else has put a link where the temporary file would be."""
    victim, report = tmp_path / "victim", tmp_path / "report.json"
    victim.write_text("precious")
    report.write_text("old")
    monkeypatch.setattr("rnnparity.problem.files.token_hex", lambda _: "0")
    link = tmp_path / ".rnnparity-0.tmp"
    link.symlink_to(victim)
    with pytest.raises(RequestError, match=r"report.json: cannot be written: File exists"):
        write_file(report, "new")
    link.unlink()
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(RequestError, match="File exists"):
        write_file(report, "new")
    assert link.is_symlink()
    assert (victim.read_text(), report.read_text()) == ("precious", "old")


def test_names_of_temporary_files_cannot_be_foreseen(tmp_path, monkeypatch):
    names = []
    monkeypatch.setattr(
        "os.fsync", lambda _: names.extend(path.name for path in tmp_path.iterdir())
    )
    for _ in range(3):
        write_file(tmp_path / "report.json", "new")
    temporary = {name for name in names if name != "report.json"}
    assert len(temporary) == 3
    assert min(map(len, temporary)) > 16


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_full_disk_leaves_all_files_unchanged(tmp_path, monkeypatch, number):
    old, calls = {tmp_path / name: f"old {name}" for name in "abc"}, []
    for path, text in old.items():
        path.write_text(text)

    def sync(_):
        calls.append(1)
        if len(calls) == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", sync)
    with pytest.raises(RequestError, match=r"[abc]: cannot be written: No space left on device"):
        write_files(dict.fromkeys(old, "new"))
    assert {path: path.read_text() for path in tmp_path.iterdir()} == old


def test_an_interruption_leaves_no_temporary_file(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "report.json", "new")
    assert list(tmp_path.iterdir()) == []


def test_files_are_removed_between_those_that_are_written(tmp_path):
    gone = tmp_path / "gone"
    gone.touch()
    write_files({tmp_path / "a": "a", gone: None, tmp_path / "b": b"b"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    write_files({gone: None})


def test_a_folder_that_exists_is_kept_when_writing_fails(tmp_path):
    long = "x" * 300  # no file can have this name
    with pytest.raises(RequestError, match="cannot be written"):
        write_folder(tmp_path, {"x/y": "new", long: "new"})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RequestError, match=r"a/b/x*: cannot be written"):
        write_folder(tmp_path / "a" / "b", {"c/d/y": "new", long: "new"})
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_no_new_folder(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path / "a", {"b/c": "new"})
    assert list(tmp_path.iterdir()) == []


def test_files_are_written_into_folders_of_their_own(tmp_path):
    write_folder(tmp_path / "a", {"b/c/x": "1", "b/y": "2", "z": "3"})
    texts = {
        path.relative_to(tmp_path).as_posix(): path.read_text()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert texts == {"a/b/c/x": "1", "a/b/y": "2", "a/z": "3"}


def test_a_folder_that_is_checked_is_not_left_behind(tmp_path):
    check_new_folder(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    check_new_folder(tmp_path)
    assert tmp_path.is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="cannot be written: Not a directory"):
        check_new_folder(tmp_path / "file" / "a")


@pytest.mark.parametrize(
    ("options", "reason"),
    [("size=64k", "No space left on device"), ("ro", "Read-only file system")],
)
def test_every_writer_on_a_real_disk(tmp_path, options, reason):
    results = on_small_disk(tmp_path, options)
    if not results:
        # Mounting needs a user namespace, which containers often forbid.
        pytest.skip("a file system cannot be mounted here")
    rest = {".lock", "filler"}
    if options != "ro":
        assert set(results["check"].pop()) == rest
        assert results.pop("check") == [""]
        assert results.pop("check folder")[0] == ""
    for name, (error, files) in results.items():
        assert error.endswith(f"cannot be written: {reason}"), name
        assert rest.issuperset(files), name
