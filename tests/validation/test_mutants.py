"""The draw of mutants and their edits; the runs of the tests are not tested here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from validation.mutants.__main__ import quickest, stages
from validation.mutants.draw import AREAS, PACKAGE, draw
from validation.mutants.edits import Editor

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


def test_near_tests_run_first_and_slow_ones_only_there():
    seconds = {
        "tests/report/test_page.py::a": 0.1,
        "tests/reference/test_noise_rules.py::slow": 9.0,
        "tests/reference/test_spec.py::a": 0.2,
        "tests/reference/test_spec.py::slow": 9.0,
        "tests/reference/test_exact.py::a": 0.1,
    }
    near, package, rest = stages("rnnparity/reference/noise.py", seconds)
    assert list(near) == ["tests/reference/test_noise_rules.py::slow"]
    assert list(package) == ["tests/reference/test_exact.py::a", "tests/reference/test_spec.py::a"]
    assert list(rest) == ["tests/report/test_page.py::a"]


def test_only_the_quickest_of_the_far_tests_are_run():
    seconds = {"a": 2.0, "b": 0.5, "c": 1.0, "d": 0.1}
    assert list(quickest(seconds, 1.9).items()) == [("b", 0.5), ("c", 1.0), ("d", 0.1)]
