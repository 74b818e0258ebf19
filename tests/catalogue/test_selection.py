"""Expressions that choose cases: words, and, or, not, parentheses."""

from dataclasses import replace

import pytest
from _support.random_problems import random_problem, spec_of

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.selection import select
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Case

PROBLEM = random_problem(spec_of("simple_rnn"))


def case(id, *tags):
    return replace(PROBLEM, id=id, case=Case(tags, "for the sake of the test"))


CASES = [
    case("lstm-spread-last", "lstm", "spread", "pairs"),
    case("lstm-spread-mask_interior", "lstm", "spread", "mask:interior"),
    case("gru-spread-last", "gru", "spread"),
    case("gru-constant-mask_left", "gru", "constant", "mask:left", "source:001"),
    replace(PROBLEM, id="without-words"),
]
LAST, INTERIOR, GRU, LEFT, WITHOUT = (problem.id for problem in CASES)


def chosen(expression):
    return [problem.id for problem in select(CASES, expression)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # a word is a part of an id, a tag, or a tag's value; nothing else of a tag
        ("lstm", [LAST, INTERIOR]),
        ("spread-last", [LAST, GRU]),
        ("pairs", [LAST]),
        ("mask:left", [LEFT]),
        ("interior", [INTERIOR]),
        ("001", [LEFT]),
        ("source:001", [LEFT]),
        ("without-words", [WITHOUT]),
        # not binds closest, then and, then or
        ("not spread", [LEFT, WITHOUT]),
        ("not not pairs", [LAST]),
        ("lstm and last", [LAST]),
        ("lstm and not last", [INTERIOR]),
        ("not lstm and not gru", [WITHOUT]),
        ("gru or pairs", [LAST, GRU, LEFT]),
        ("pairs or gru and constant", [LAST, LEFT]),
        ("gru and constant or pairs", [LAST, LEFT]),
        ("not pairs or gru and constant", [INTERIOR, GRU, LEFT, WITHOUT]),
        ("(pairs or gru) and last", [LAST, GRU]),
        ("not (lstm or gru)", [WITHOUT]),
        ("((pairs))", [LAST]),
        ("(pairs)or(constant)", [LAST, LEFT]),
        ("  pairs \t or\n constant ", [LAST, LEFT]),
        ("lstm and spread and last", [LAST]),
        ("pairs or constant or without", [LAST, LEFT, WITHOUT]),
        # and, or and not are words only as whole words
        ("not-there or without-words", [WITHOUT]),
        # capitals count as small letters
        ("LSTM and Spread and last", [LAST]),
        ("Lstm AND pairs", [LAST]),
        # nothing is everything
        ("", [LAST, INTERIOR, GRU, LEFT, WITHOUT]),
        ("   ", [LAST, INTERIOR, GRU, LEFT, WITHOUT]),
    ],
)
def test_what_is_chosen(expression, expected):
    assert chosen(expression) == expected


HOW = "write words joined by and, or, not, ( and )"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("lstm and", f"-k 'lstm and': a word is missing at the end; {HOW}"),
        ("not", f"-k 'not': a word is missing at the end; {HOW}"),
        ("(", f"-k '(': a word is missing at the end; {HOW}"),
        ("and lstm", f"-k 'and lstm': a word is missing before 'and'; {HOW}"),
        ("lstm or or gru", f"-k 'lstm or or gru': a word is missing before 'or'; {HOW}"),
        ("()", f"-k '()': a word is missing before ')'; {HOW}"),
        ("lstm or (gru", f"-k 'lstm or (gru': a parenthesis is not closed; {HOW}"),
        ("(lstm gru)", f"-k '(lstm gru)': a parenthesis is not closed; {HOW}"),
        ("lstm gru", f"-k 'lstm gru': 'gru' is left over; {HOW}"),
        ("lstm)", f"-k 'lstm)': ')' is left over; {HOW}"),
        ("lstm not gru", f"-k 'lstm not gru': 'not' is left over; {HOW}"),
        ("nothing", "-k 'nothing' matches no case; `rnnparity list --tags` shows the words"),
        (
            "lstm and gru",
            "-k 'lstm and gru' matches no case; `rnnparity list --tags` shows the words",
        ),
        ("interior_", "-k 'interior_' matches no case; `rnnparity list --tags` shows the words"),
        # a part of a tag that is no part of an id
        ("pair", "-k 'pair' matches no case; `rnnparity list --tags` shows the words"),
        ("source", "-k 'source' matches no case; `rnnparity list --tags` shows the words"),
    ],
)
def test_what_cannot_be_read_or_matches_nothing(expression, expected):
    with pytest.raises(RequestError) as caught:
        chosen(expression)
    assert str(caught.value) == expected


@pytest.mark.parametrize("depth", [100, 100_000])
@pytest.mark.parametrize("form", ["{0}lstm{1}", "{2}lstm"])
def test_no_depth_is_too_much(depth, form):
    expression = form.format("(" * depth, ")" * depth, "not " * depth)
    if depth == 100:
        assert chosen(expression) == [LAST, INTERIOR]
    else:
        with pytest.raises(RequestError, match="is nested too deeply"):
            chosen(expression)


def test_the_side_that_is_not_needed_must_be_right_too():
    for expression in ("lstm or (", "nothing and ("):
        with pytest.raises(RequestError, match="a word is missing at the end"):
            chosen(expression)


def test_the_catalogues_own_words():
    everything = list(catalogue().values())
    assert select(everything, "") == everything
    chosen = select(everything, "lstm-spread and sequences and mask:interior and not bi_lstm")
    assert len(chosen) > 3
    assert all(
        problem.id.startswith("lstm-spread") and "mask_interior" in problem.id for problem in chosen
    )
    one_half = select(everything, "pairs")
    assert 0 < len(one_half) < len(everything)
    assert len(select(everything, "not pairs")) == len(everything) - len(one_half)
