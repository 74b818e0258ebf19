"""The README says what is so: its commands, subjects, verdicts and places exist."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from rnnparity import check
from rnnparity.catalogue import catalogue
from rnnparity.catalogue.selection import select
from rnnparity.subjects import REGISTERED
from rnnparity.verdict.judge import Kind

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands():
    """The names in `rnnparity --help`."""
    text = subprocess.run(
        [sys.executable, "-m", "rnnparity", "--help"], check=True, capture_output=True, text=True
    )
    return re.findall(r"^  (\w+) {2,}", text.stdout.partition("Commands:")[2], re.MULTILINE)


def test_the_first_code_block_is_the_two_commands_and_nothing_else():
    block = re.search(r"^```\w*\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[1]
    first, second = block.splitlines()
    assert first.endswith("rnnparity check")
    assert second.endswith("pytest")


@pytest.mark.parametrize("command", commands())
def test_every_command_is_in_the_readme_and_has_help(command):
    assert f"| `rnnparity {command}" in README
    shown = subprocess.run(
        [sys.executable, "-m", "rnnparity", command, "--help"], check=True, capture_output=True
    )
    assert b"Usage: " in shown.stdout


def test_no_other_command_is_in_the_readme():
    assert set(re.findall(r"\| `rnnparity (\w+)", README)) == set(commands())


def test_every_subject_is_in_the_readme():
    assert [name for name in REGISTERED if f"`{name}`" not in README] == []


def test_every_verdict_is_in_the_readme():
    assert [kind for kind in Kind if f"| {kind} |" not in README] == []


def test_every_place_in_the_readme_exists():
    places = re.findall(r"^    (?:rnnparity|fixtures)/\S*", README, re.MULTILINE)
    assert len(places) > 8
    for line in re.findall(r"^    ((?:rnnparity|fixtures)/.*)$", README, re.MULTILINE):
        folder = line.split()[0].rstrip(",").rpartition("/")[0]
        for name in re.findall(r"[\w/]+(?:\.py|/)(?=[, ]|$)", line.split("  ")[0]):
            assert (ROOT / name).exists() or (ROOT / folder / name).exists(), name
    for link in re.findall(r"\]\((?!https:)([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_nothing_is_left_to_be_filled_in():
    assert not re.search(r"@[A-Z]+@", README)


def snippet(start):
    """The code block that begins with these words, run."""
    (code,) = [
        block
        for block in re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)
        if block.startswith(start)
    ]
    names = {}
    exec(code, names)  # noqa: S102 - what the README tells people to type
    return names


def test_the_implementation_in_the_readme_passes():
    """As its command says: where it does not step aside it is right."""
    (report,) = check(snippet("import numpy")["my_rnn"], k="simple_rnn").subjects
    assert report.failing == []
    assert report.counts[Kind.AGREES] > 30


def test_the_live_layer_in_the_readme_agrees():
    pytest.importorskip("tensorflow")
    assert snippet("import keras")["problem"].layer.units == 3


def test_the_test_in_the_readme_is_one(monkeypatch):
    monkeypatch.setitem(sys.modules, "mylib", SimpleNamespace(my_rnn=None))
    test = snippet("import pytest")["test_keras_parity"]
    assert select(catalogue().values(), test.pytestmark[0].args[0])
