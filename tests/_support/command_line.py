"""The command line for the tests: in a process of its own, or, where nothing but words is at stake,
in this one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rnnparity.__main__ import main

ROOT = Path(__file__).parents[2]


def own_package(folder: Path) -> Path:
    """A folder for `sys.path` with the package `own`, whose module `functions` holds the functions
    of the tests."""
    package = folder / "own"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copy(Path(__file__).with_name("subject_functions.py"), package / "functions.py")
    return folder


def environment(*path: Path, **variables: str) -> dict[str, str]:
    """This process' own, with folders first on the path of modules."""
    places = [*map(str, path), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places), **variables}


def start(*words: str, path: tuple[Path, ...] = (), **given) -> subprocess.Popen[str]:
    """The command in a process, its output in pipes."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    variables = given.pop("variables", {})
    command = [sys.executable, "-m", "rnnparity", *words]
    # A shell starts what runs in the background with Ctrl-C ignored, which children inherit.
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return subprocess.Popen(
            command, env=environment(*path, **variables), text=True, **{**pipes, **given}
        )
    finally:
        signal.signal(signal.SIGINT, handler)


def command(
    *words: str, input: str | None = None, path: tuple[Path, ...] = ()
) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of the command in a process of its own."""
    process = start(*words, path=path, stdin=subprocess.PIPE)
    out, err = process.communicate(input)
    return process.returncode, out, err


@pytest.fixture
def here(monkeypatch, capfd):
    """The command in this process: a function from its words to exit status, stdout and stderr."""

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rnnparity", *words])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capfd.readouterr()
        return caught.value.code or 0, out, err

    return call
