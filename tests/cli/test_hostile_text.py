"""Hostile text in every field that a subject, a file or a report has: nothing that shows it obeys."""

import ast
import re
from dataclasses import replace

import pytest
from _support.command_line import here
from _support.conformance_runs import MIXED, report, subject
from _support.explanations import from_port, lstm
from _support.hostile_text import (
    ENCODABLE,
    STATEMENTS,
    assert_harmless,
    program,
    with_hostile_text,
)

from rnnparity import assert_parity
from rnnparity.catalogue import catalogue
from rnnparity.cli.common import echo
from rnnparity.problem.format_writing import dump_pretty
from rnnparity.report.pages.conformance import markdown
from rnnparity.report.stored.reports import dump

__all__ = ["here"]

CASE = "lstm-spread-last"
FUNCTIONS = "fails", "refuses", "names"
# What the options of `check` write.
FILES = {"html": "t.html", "markdown": "t.md", "json": "t.json"}


@pytest.fixture
def harmless(here, tmp_path):
    """A function that runs the command and checks what it prints and writes."""

    def call(*words):
        status, out, err = here(*words)
        assert status in (0, 1, 2)
        verdicts = [line for line in err.splitlines() if line.startswith("_support.")]
        assert len(err.splitlines()) - len(verdicts) <= 1
        files = {path.name: path.read_text() for path in tmp_path.rglob("*.*") if path.is_file()}
        for text in (out, err, *files.values()):
            assert_harmless(text)
        assert all("<script" not in text for name, text in files.items() if name.endswith("html"))
        return out + err

    return call


def options(folder):
    """The options that write every file of `check`."""
    return [word for kind, name in FILES.items() for word in (f"--{kind}", str(folder / name))]


def hostile_report():
    """A report of a subject with one of every verdict."""
    mixed = report(subject("a:mixed", MIXED))
    return replace(with_hostile_text(mixed), rnnparity=mixed.rnnparity)


def test_text_of_a_function(harmless, tmp_path):
    functions = [f"_support.hostile_text:{name}" for name in FUNCTIONS]
    text = harmless("check", *functions, "-k", CASE, "-j", "1", *options(tmp_path))
    assert text.count(r"\x1b[2J") > len(FUNCTIONS)
    assert r"\x1b[2J" in harmless("show", CASE, "--subject", functions[-1])
    assert r"\x1b[2J" in harmless("explain", CASE, "--subject", functions[-1])


@pytest.mark.parametrize("statement", STATEMENTS)
def test_text_of_a_program(tmp_path, statement):
    with pytest.raises(AssertionError) as caught:
        assert_parity(program(tmp_path / "program.py", statement), catalogue()[CASE])
    assert_harmless(str(caught.value))


def test_text_of_a_stored_report(harmless, tmp_path):
    stored = tmp_path / "stored.json"
    stored.write_text(dump(hostile_report()))
    text = harmless("check", "--from", str(stored), *options(tmp_path))
    assert r"\x1b[2J" in text
    assert (tmp_path / "t.json").read_text() == stored.read_text()


def test_text_of_a_problem_file(harmless, tmp_path):
    problem = replace(from_port(lstm()), id=ENCODABLE)
    path = tmp_path / f"x{chr(27)}.json"
    path.write_text(dump_pretty(problem))
    assert_harmless(path.read_text())
    page, bundle = tmp_path / "page.html", tmp_path / "bundle"
    words = ("explain", str(path), "--html", str(page), "--bundle", str(bundle))
    assert r"\x1b[2J" in harmless(*words)
    script = ast.parse((bundle / "reproduce.py").read_text())
    assert_harmless(ast.get_docstring(script))
    harmless("run", str(path))
    harmless("run", str(tmp_path / ENCODABLE.replace("/", "").replace("\0", "")))


@pytest.mark.parametrize("words", [("check", "-k"), ("show",), ("list", "-k"), ("bench",)])
def test_text_of_the_command_line(harmless, words):
    assert r"\x1b[2J" in harmless(*words, "\x1b[2J\x9b\u202e\udcff\n")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_text_in_an_assertion(function):
    from _support import hostile_text

    with pytest.raises(AssertionError) as caught:
        assert_parity(getattr(hostile_text, function), catalogue()[CASE])
    assert_harmless(str(caught.value))
    assert r"\x1b[2J" in str(caught.value)


def test_cells_of_markdown_stay_cells():
    table = markdown(hostile_report())
    rows = [line for line in table.splitlines() if line.startswith("|")]
    cells = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
    assert cells == {4}
    assert r"\`x\`\[link\](u)" in table


def test_a_line_is_coloured_only_on_request(monkeypatch, capsys):
    monkeypatch.setattr("typer.echo", lambda text, **_: print(text))
    monkeypatch.delenv("NO_COLOR", raising=False)
    echo("a\x1b", "b", colour="red", bold=True)
    echo("c")
    monkeypatch.setenv("NO_COLOR", "1")
    echo("d", colour="red")
    expected = "\x1b[31m\x1b[1ma\\x1b\x1b[0m\n\x1b[31m\x1b[1mb\x1b[0m\nc\nd\n"
    assert capsys.readouterr().out == expected
