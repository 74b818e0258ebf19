"""The bundles of the known differences: each there, each showing its difference with the framework alone."""

import ast
import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest

from rnnparity import wire
from rnnparity.explain.bundle import ENGINES, KERAS
from rnnparity.goldens import KNOWN, default_folder
from rnnparity.known import read_known

FOLDER = default_folder() / "bundles"
ENTRIES = {entry.name: entry for entry in read_known(default_folder() / KNOWN)}
BOTH = pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)


def needed(script):
    """The packages that a script says it needs."""
    return re.search(r"needs: pip install (.+)", script).group(1).split()


def test_every_entry_has_a_bundle_and_every_bundle_an_entry():
    assert {folder.name for folder in FOLDER.iterdir()} == set(ENTRIES)


@BOTH
def test_a_bundle_holds_a_case_of_its_entry_and_a_script(entry):
    problem = wire.read_problem(FOLDER / entry.name / "problem.json")
    assert entry.matches(problem.id)
    assert problem.outputs is not None
    script = (FOLDER / entry.name / "reproduce.py").read_text()
    assert " ".join(entry.reason.split())[:60] in ast.get_docstring(ast.parse(script))
    assert "rnnparity" not in script
    assert len(script.splitlines()) <= 32
    assert set(needed(script)) <= {
        word for family in (*KERAS, *ENGINES) for word in [*(KERAS | ENGINES)[family].install.split()]
    }


def missing(entry):
    """Packages or versions of an entry that are not here."""
    for package, wanted in entry.versions.items():
        try:
            if version(package) not in wanted:
                return f"{package} {wanted}"
        except PackageNotFoundError:
            return package
    script = (FOLDER / entry.name / "reproduce.py").read_text()
    for package in needed(script):
        try:
            version(package)
        except PackageNotFoundError:
            if package != "tensorflow":  # the CPU build has a name of its own and the same module
                return package
    return ""


@pytest.mark.slow
@BOTH
def test_a_script_shows_the_difference(entry):
    if missing(entry):
        pytest.skip(f"{missing(entry)} is not installed")
    script = FOLDER / entry.name / "reproduce.py"
    clean = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", script], capture_output=True, text=True, env=clean, check=False
    )
    if "error" in entry.kinds and ran.returncode:
        assert re.search(r"^\S*(Error|Exception|Invalid\w+)\b.*", ran.stderr, re.MULTILINE)
        return
    assert ran.returncode == 0, ran.stderr
    if entry.kinds == ("fact",):
        problem = wire.read_problem(script.with_name("problem.json"))
        (said,) = re.findall(r"symbolic shapes: (.*)", ran.stdout)
        assert len(re.findall(r"None, ", said)) >= 2
        assert str(problem.outputs[0].shape[-1]) not in re.findall(r"\d+", said) or len(problem.outputs) > 1
    elif "count" in entry.kinds:
        given, computed = re.search(r"(\d+) outputs in the file, (\d+) computed", ran.stdout).groups()
        assert given != computed
    elif entry.kinds == ("dtype",):
        (right, is_) = re.search(r"^output should be (\w+) and is (\w+)$", ran.stdout, re.MULTILINE).groups()
        assert right != is_
    else:
        sizes = [float(size) for size in re.findall(r"largest difference (\S+)$", ran.stdout, re.MULTILINE)]
        assert max(sizes) > (1e-10 if "float64" in ran.stdout + entry.name else 1e-7)
