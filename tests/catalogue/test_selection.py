"""Expressions that choose cases: words, and, or, not, parentheses."""

import pytest

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.core import core
from rnnparity.catalogue.selection import select
from rnnparity.problem.errors import RequestError

TAGS = {
    "lstm-spread-last": ("lstm", "spread", "chosen"),
    "lstm-spread-mask_interior": ("lstm", "spread", "mask:interior"),
    "gru-spread-last": ("gru", "spread"),
    "gru-constant-mask_left": ("gru", "constant", "mask:left", "source:001"),
    "without-words": (),
}
LAST, INTERIOR, GRU, LEFT, WITHOUT = TAGS


def selected(expression):
    return select(TAGS, expression)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # a word is a part of an id, a tag, or a tag's value; nothing else of a tag
        ("lstm", [LAST, INTERIOR]),
        ("spread-last", [LAST, GRU]),
        ("chosen", [LAST]),
        ("mask:left", [LEFT]),
        ("interior", [INTERIOR]),
        ("001", [LEFT]),
        ("source:001", [LEFT]),
        ("without-words", [WITHOUT]),
        # not binds closest, then and, then or
        ("not spread", [LEFT, WITHOUT]),
        ("not not chosen", [LAST]),
        ("lstm and last", [LAST]),
        ("lstm and not last", [INTERIOR]),
        ("not lstm and not gru", [WITHOUT]),
        ("gru or chosen", [LAST, GRU, LEFT]),
        ("chosen or gru and constant", [LAST, LEFT]),
        ("gru and constant or chosen", [LAST, LEFT]),
        ("not chosen or gru and constant", [INTERIOR, GRU, LEFT, WITHOUT]),
        ("(chosen or gru) and last", [LAST, GRU]),
        ("not (lstm or gru)", [WITHOUT]),
        ("((chosen))", [LAST]),
        ("(chosen)or(constant)", [LAST, LEFT]),
        ("  chosen \t or\n constant ", [LAST, LEFT]),
        ("lstm and spread and last", [LAST]),
        ("chosen or constant or without", [LAST, LEFT, WITHOUT]),
        # and, or and not are words only as whole words
        ("not-there or without-words", [WITHOUT]),
        # capitals count as small letters
        ("LSTM and Spread and last", [LAST]),
        ("Lstm AND chosen", [LAST]),
        # nothing is everything
        ("", [LAST, INTERIOR, GRU, LEFT, WITHOUT]),
        ("   ", [LAST, INTERIOR, GRU, LEFT, WITHOUT]),
    ],
)
def test_an_expression_selects_its_cases(expression, expected):
    assert selected(expression) == expected


HOW = "write words joined by and, or, not, ( and )"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("lstm and", f"-k 'lstm and': expected a word at the end; {HOW}"),
        ("not", f"-k 'not': expected a word at the end; {HOW}"),
        ("(", f"-k '(': expected a word at the end; {HOW}"),
        ("and lstm", f"-k 'and lstm': expected a word before 'and'; {HOW}"),
        ("lstm or or gru", f"-k 'lstm or or gru': expected a word before 'or'; {HOW}"),
        ("()", f"-k '()': expected a word before ')'; {HOW}"),
        ("lstm or (gru", f"-k 'lstm or (gru': expected a closing parenthesis; {HOW}"),
        ("(lstm gru)", f"-k '(lstm gru)': expected a closing parenthesis; {HOW}"),
        ("lstm gru", f"-k 'lstm gru': unexpected 'gru'; {HOW}"),
        ("lstm)", f"-k 'lstm)': unexpected ')'; {HOW}"),
        ("lstm not gru", f"-k 'lstm not gru': unexpected 'not'; {HOW}"),
        ("nothing", "-k 'nothing': matches no case; run `rnnparity list --tags` for the words"),
        (
            "lstm and gru",
            "-k 'lstm and gru': matches no case; each word matches some, none matches the whole",
        ),
        (
            "core and lstm and gru",
            "-k 'core and lstm and gru': matches no case; each word matches some, none matches the "
            "whole",
        ),
        ("lstn and mask", "-k 'lstn and mask': matches no case; did you mean lstm?"),
        ("interior_", "-k 'interior_': matches no case; did you mean interior?"),
        # a part of a tag that is no part of an id
        ("pair", "-k 'pair': matches no case; run `rnnparity list --tags` for the words"),
        ("source", "-k 'source': matches no case; did you mean source:001?"),
    ],
)
def test_an_invalid_expression_is_refused(expression, expected):
    with pytest.raises(RequestError) as caught:
        selected(expression)
    assert str(caught.value) == expected


@pytest.mark.parametrize("depth", [100, 100_000])
@pytest.mark.parametrize("form", ["{0}lstm{1}", "{2}lstm"])
def test_deep_nesting_is_read_or_refused(depth, form):
    expression = form.format("(" * depth, ")" * depth, "not " * depth)
    if depth == 100:
        assert selected(expression) == [LAST, INTERIOR]
    else:
        with pytest.raises(RequestError, match="nested too deeply"):
            selected(expression)


def test_both_sides_are_checked_for_syntax():
    for expression in ("lstm or (", "nothing and ("):
        with pytest.raises(RequestError, match="expected a word at the end"):
            selected(expression)


def test_words_of_the_catalogue_select_its_cases():
    everything = catalogue().tags()
    assert select(everything, "") == list(catalogue())
    selected = select(everything, "lstm-spread and sequences and mask:interior and not bi_lstm")
    assert len(selected) > 3
    assert all(id_.startswith("lstm-spread") and "mask_interior" in id_ for id_ in selected)
    both = select(everything, "core and lstm-spread")
    assert both == [id_ for id_ in core() if "lstm-spread" in id_]
