"""The draw of mutants and their edits; the runs of the tests are not tested here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from validation.mutants.__main__ import equivalent_mutants
from validation.mutants.draw import AREAS, PACKAGE, draw, mutants_of
from validation.mutants.edits import Editor
from validation.mutants.stages import command_of

CHECKOUT = Path(__file__).parents[2]


def edits_of(source):
    """Return the source after each edit."""
    text = source.encode()
    return {
        (text[: edit.start] + edit.after.encode() + text[edit.end :]).decode()
        for edit in Editor(text).edits()
    }


@pytest.mark.parametrize(
    ("source", "mutants"),
    [
        ("a < b", {"a <= b"}),
        ("a not in b", {"a in b"}),
        ("a < b == c", {"a <= b == c", "a < b != c"}),
        ("a + (b * c)", {"a - (b * c)", "a + (b / c)"}),
        ("a -= b", {"a += b"}),
        ("a and b and c", {"a or b and c", "a and b or c"}),
        ("x = not (a or b)", {"x = bool(a or b)", "x = not (a and b)"}),
        ("x = True", {"x = False"}),
        ("x = 3", {"x = 4"}),
        ("x = 1e-300", {"x = 1.0"}),
        ("x = 'mask'", {"x = 'maskx'"}),
        ("if a: b()", {"if not (a): b()"}),
        ("b() if a == c else d", {"b() if a != c else d"}),
        ("[a for a in b if a.c]", {"[a for a in b if not (a.c)]"}),
        ("def f(): return a", {"def f(): return None"}),
        ("def f(): return False", {"def f(): return True"}),
        ("np.max(a)", {"np.min(a)"}),
        (
            "é = 'é' and (\n  a\n  < b)",
            {"é = 'é' or (\n  a\n  < b)", "é = 'é' and (\n  a\n  <= b)"},
        ),
    ],
)
def test_edits_change_what_they_state(source, mutants):
    assert edits_of(source) == mutants


@pytest.mark.parametrize(
    "source",
    [
        '"""The 3 docstrings."""',
        "raise FormatError(f'row {a + 1}', 2)",
        "raise self.refusal('rows', a + 1)",
        "x = f'{a + 1}'",
        "errors.append('a message')",
        "warnings.warn('w', stacklevel=2)",
        "__all__ = ['draw']",
        "x: Literal['a', 'bc']",
        "Name: TypeAlias = Literal['abc']",
        "Name = Annotated[int, Field(gt=0)]",
        "def f(a: 'abc' = None) -> 'abc': pass",
        "if TYPE_CHECKING: x = 1",
        "x = 'a text' + a",
    ],
)
def test_messages_and_types_are_not_edited(source):
    assert edits_of(source) == set()


def test_draw_has_equal_shares_and_a_longer_one_begins_with_it():
    mutants = draw(CHECKOUT, 40, 11)
    assert [mutant.area for mutant in mutants] == 10 * list(AREAS)
    assert mutants == draw(CHECKOUT, 60, 11)[:40]
    assert mutants != draw(CHECKOUT, 40, 12)
    assert len({mutant.key for mutant in draw(CHECKOUT, 160, 11)}) == 160


def test_mutants_change_their_line_only():
    for mutant in draw(CHECKOUT, 200, 11):
        source = (CHECKOUT / mutant.file).read_bytes()
        changed = mutant.apply(source)
        ast.parse(changed)
        before, after = source.decode().splitlines(), changed.decode().splitlines()
        first = mutant.line - 1
        last = first + mutant.before.count("\n") + 1
        assert before[first].strip() == mutant.source_line
        assert before[:first] == after[:first]
        assert before[last:] == after[len(after) - len(before) + last :]
        assert before != after


def test_code_that_moves_is_drawn_again(tmp_path):
    for area in AREAS:
        (tmp_path / PACKAGE / area).mkdir(parents=True)
    old, new = (tmp_path / PACKAGE / "verdict" / name for name in ("a.py", "b.py"))
    old.write_text("x = 1 < y\nz = x + 1\n")
    ranks = [mutant.rank for mutant in draw(tmp_path, 9, 11)]
    old.unlink()
    new.write_text('"""Moved."""\n\nz = x + 1\nx = 1 < y\n')
    assert [mutant.rank for mutant in draw(tmp_path, 9, 11)] == ranks
    assert len(ranks) == 4


def test_the_tests_of_the_module_run_first():
    assert command_of("module", "reference", "noise")[-1].startswith("tests/reference/test_noise")
    assert command_of("module", "golden", "no_such_module") == []
    assert "tests/reference" not in command_of("rest", "reference")
    assert "tests/problem" in command_of("rest", "reference")


def test_equivalent_mutants_exist_and_have_a_reason():
    mutants = [mutant.facts() for area in AREAS for mutant in mutants_of(CHECKOUT, area, 11)]
    for entry in equivalent_mutants():
        assert entry.pop("reason")
        assert entry in mutants
