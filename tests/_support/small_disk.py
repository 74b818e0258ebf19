"""Every writer on a disk that is full or read-only. Run as a script in a mount namespace:

small_disk.py FOLDER    prints for each writer its error and what it left in the folder
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # a script gets no pythonpath from pytest

from _support.conformance_runs import both
from _support.fixture_folders import small_rows, texts_of

from rnnparity.golden.writing import locked, write_fixtures
from rnnparity.problem.errors import RequestError
from rnnparity.problem.files import check_new_folder, check_writable, write_folder
from rnnparity.report.bundles.bundle import write_bundle
from rnnparity.report.outputs import Outputs
from rnnparity.report.vectors import export_vectors


def on_small_disk(folder: Path, options: str) -> dict[str, list[str]]:
    """Run this script where `folder` is a file system of its own; None where that is not allowed."""
    mount = f"mount -t tmpfs -o {options} none {folder}"
    words = ["unshare", "-rm", "sh", "-c", f'{mount} && "$0" "$@"', sys.executable, __file__]
    done = subprocess.run([*words, str(folder)], capture_output=True, text=True, check=False)
    if not done.stdout and ("unshare" in done.stderr or "mount" in done.stderr):
        return {}
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def fixtures(folder: Path) -> None:
    with locked(folder):
        write_fixtures(folder, *texts_of(small_rows()))


def writers(folder: Path):
    """The writers by name."""
    problem = small_rows()[0]
    large = {"a.json": "x", "b.json": "x" * 10**6}
    return {
        "problem": lambda: problem.save(folder / "x.json"),
        "html": lambda: Outputs(html=folder / "x.html").write(both()),
        "json": lambda: Outputs(json=folder / "x.json").write(both()),
        "bundle": lambda: write_bundle(folder / "a" / "b", problem, "headline"),
        "folder": lambda: write_folder(folder / "a" / "b", large),
        "site": lambda: Outputs(site=folder / "site").write(both()),
        "vectors": lambda: export_vectors(folder / "vectors", k="lstm-spread-last"),
        "fixtures": lambda: fixtures(folder),
        "check": lambda: check_writable(folder / "x.json"),
        "check folder": lambda: check_new_folder(folder / "c" / "d"),
    }


def error_of(write) -> str:
    try:
        write()
    except RequestError as error:
        return str(error)
    return ""


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def fill(folder: Path) -> None:
    """Leave no room on the disk, if it can be written at all."""
    with suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


if __name__ == "__main__":
    disk = Path(sys.argv[1])
    fill(disk)
    print(
        json.dumps({name: [error_of(write), left(disk)] for name, write in writers(disk).items()})
    )
