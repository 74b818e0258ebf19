"""The words of `check -k` on random problems."""

import pytest
from _support.random_problems import (
    BOTH,
    SEQUENCES,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
)

from rnnparity.problem.errors import RequestError
from rnnparity.session.random_problems import problems_of_seed
from rnnparity.session.random_selection import SEARCHED, matches_problem, matching_seeds

MASK = ["011011"] * 3
BIDIRECTIONAL = random_problem(two_ways(spec_of("lstm", 5, **BOTH)), 1, (3, 6, 4), mask=MASK)
BEFORE = random_problem(spec_of("gru", 5, reset_after=False, use_bias=False), 1, (3, 6, 4))
STACK = random_problem(
    stack_of(spec_of("lstm", 5, **SEQUENCES), spec_of("gru", 5, activation="selu", **BOTH)),
    1,
    (3, 6, 4),
    initial=True,
)


@pytest.mark.parametrize(
    ("expression", "matched"),
    [
        ("lstm", [BIDIRECTIONAL, STACK]),
        ("kind:gru", [STACK]),
        ("gru_before or stack", [BEFORE, STACK]),
        ("mask", [BIDIRECTIONAL]),
        ("not mask", [BEFORE, STACK]),
        ("bi_lstm and concat", [BIDIRECTIONAL]),
        ("initial", [STACK]),
        ("selu and dtype:float32", [STACK]),
        ("bias:off", [BEFORE]),
        ("state", [BIDIRECTIONAL, STACK]),
        ("core", []),
        ("", [BIDIRECTIONAL, BEFORE, STACK]),
    ],
)
def test_words_select_problems_as_they_select_cases(expression, matched):
    problems = [BIDIRECTIONAL, BEFORE, STACK]
    found = [problem for problem in problems if matches_problem(expression, problem)]
    assert [str(problem) for problem in found] == [str(problem) for problem in matched]


def test_the_first_seeds_that_match_are_taken_and_all_their_problems_match():
    seeds = matching_seeds(range(10**12), "float16 and not stack", 3)
    assert len(seeds) == 3
    for seed in range(seeds[-1] + 1):
        matched = {matches_problem("float16 and not stack", p) for p in problems_of_seed(seed)}
        assert matched == {seed in seeds}


def test_a_range_is_searched_to_its_end():
    assert matching_seeds(range(30), "lstm", None) == [
        seed for seed in range(30) if matches_problem("lstm", next(problems_of_seed(seed)))
    ]


@pytest.mark.parametrize(
    ("expression", "message"), [("core", "matches no seed"), ("lstm and", "at the end")]
)
def test_words_that_match_nothing_are_refused(monkeypatch, expression, message):
    monkeypatch.setattr("rnnparity.session.random_selection.SEARCHED", 20)
    assert SEARCHED > 20
    with pytest.raises(RequestError, match=message):
        matching_seeds(range(10**12), expression, 5)
