"""Bundles of known differences are compared with what is on disk."""

import shutil

import numpy as np
import pytest

from rnnparity.golden.goldens import KNOWN, default_folder
from rnnparity.report.bundles.known import BUNDLES, write_bundles

ENTRY = "evaluator-ignores-activations"


@pytest.fixture
def folder(tmp_path):
    """Return fixtures with one bundle."""
    pytest.importorskip("onnx", reason="ONNX is not installed: pip install onnx")
    fixtures = default_folder()
    shutil.copy(fixtures / KNOWN, tmp_path)
    shutil.copytree(fixtures / BUNDLES / ENTRY, tmp_path / BUNDLES / ENTRY)
    return tmp_path


def feeds(folder):
    path = folder / BUNDLES / ENTRY / "feeds.npz"
    with np.load(path) as stored:
        return path, dict(stored)


@pytest.mark.parametrize(
    ("damage", "changed"),
    [
        (lambda path, arrays: np.savez_compressed(path, **arrays), False),
        (lambda path, arrays: np.savez(path, **{n: a + 1 for n, a in arrays.items()}), True),
        (lambda path, arrays: np.savez(path, **arrays, more=np.zeros(1)), True),
        (lambda path, _: path.write_bytes(b"no archive"), True),
        (lambda path, _: path.unlink(), True),
    ],
    ids=["another archive", "other numbers", "one more", "no archive", "missing"],
)
def test_arrays_are_compared_and_not_the_archive(folder, damage, changed):
    damage(*feeds(folder))
    ((line, differs),) = write_bundles(folder, [ENTRY], check=True)
    if "unchanged" in line:
        pytest.skip(line)
    assert differs is changed
    assert line.endswith("feeds.npz" if changed else "up to date")
