"""Arrays from .npy, .npz and .json."""

import json
import pickle

import numpy as np
import pytest

from rnnparity.problem.array_files import read_arrays
from rnnparity.problem.errors import RequestError

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_each_format_is_read(tmp_path):
    np.save(tmp_path / "a.npy", ARRAY)
    np.savez(tmp_path / "named.npz", output=ARRAY)
    np.savez(tmp_path / "plain.npz", ARRAY, ARRAY + 1)
    (tmp_path / "a.json").write_text(json.dumps(ARRAY.tolist()))
    assert (read_arrays(tmp_path / "a.npy") == ARRAY).all()
    assert (read_arrays(tmp_path / "named.npz")["output"] == ARRAY).all()
    first, second = read_arrays(tmp_path / "plain.npz")
    assert (first + 1 == second).all()
    assert read_arrays(tmp_path / "a.json") == ARRAY.tolist()


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def test_nothing_in_a_file_is_executed(tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.array([Evil()]), allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Evil()))
    for name in ("a.npy", "b.npy"):
        with pytest.raises(RequestError, match=f"{name}: cannot be read as an array"):
            read_arrays(tmp_path / name)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", b"", "a.npy: cannot be read as an array"),
        ("a.npz", b"PK\x03\x04 torn", "a.npz: cannot be read as an array"),
        ("a.json", b"[1,", "a.json: "),
        ("a.csv", b"1 2 3", r"a.csv: got suffix '.csv', expected .npy, .npz, .json or .txt"),
        ("a.txt", b"", "a.txt: no numbers in it"),
        ("missing.npy", None, "missing.npy: cannot be read: No such file"),
    ],
)
def test_a_file_that_holds_no_arrays_is_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError, match=message):
        read_arrays(tmp_path / name)
