"""Where a user wants a file: what is there already is respected, and what cannot be written is
found out before."""

import os
import threading

import pytest

from rnnparity.problem.errors import RequestError
from rnnparity.problem.files import check_writable, write_where_asked


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / "report.json"
    write_where_asked(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_where_asked(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_pipe_is_written_to_and_stays(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_where_asked(pipe, "new")
    reader.join()
    assert read == ["new"]
    assert pipe.is_fifo()


def test_a_device_is_written_to_and_stays(tmp_path):
    path = tmp_path / "null"
    path.symlink_to("/dev/null")
    write_where_asked(path, "new")
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
