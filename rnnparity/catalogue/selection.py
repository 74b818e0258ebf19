"""Selecting cases with an expression: words joined by and, or, not, as in pytest's -k.

A word matches a case if it is part of its id, or is one of its tags ("mask:interior") or a tag's
value; upper and lower case are the same. The word core matches the cases of the core set.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from rnnparity.catalogue.core import core
from rnnparity.problem.errors import RequestError
from rnnparity.problem.text import did_you_mean

_TOKEN = re.compile(r"\s*(\(|\)|[^\s()]+)")


OPERATORS = {"and", "or", "not", "(", ")"}
CORE = "core"
TAGS = "run `rnnparity list --tags` for the words"


def select(cases: Mapping[str, Sequence[str]], expression: str) -> list[str]:
    """Return the ids of the cases that the expression matches; all of them where it is empty.

    `cases` are the ids with their tags, as `Catalogue.tags` returns them.

    Raises:
        RequestError: a syntax error, or no case matches.
    """
    tokens = _tokens(expression)
    if not tokens:
        return list(cases)
    selected = [id_ for id_, tags in cases.items() if _matches(expression, tokens, id_, tags)]
    if not selected:
        raise RequestError(f"-k {expression!r}: matches no case{_hint(tokens, cases)}")
    return selected


def matches(expression: str, id: str, tags: Sequence[str]) -> bool:
    """Return whether an expression matches an id with its tags; an empty one matches every id.

    Raises:
        RequestError: a syntax error.
    """
    tokens = _tokens(expression)
    return not tokens or _matches(expression, tokens, id, tags)


def _tokens(expression: str) -> list[str]:
    return [match[1].lower() for match in _TOKEN.finditer(expression)]


def _matches(expression: str, tokens: Sequence[str], id: str, tags: Sequence[str]) -> bool:
    try:
        return _Reader(expression, tokens, id, tags).matches()
    except RecursionError:
        raise RequestError(f"-k {expression[:60]!r}: nested too deeply") from None


def _hint(tokens: Collection[str], cases: Mapping[str, Sequence[str]]) -> str:
    """Return a word that a misspelled one may stand for: part of an id, a tag or a tag's value."""
    tags = {tag.lower() for each in cases.values() for tag in each}
    words = tags | {tag.partition(":")[2] for tag in tags}
    words |= {CORE} | {part for id_ in cases for part in re.split("[-_]", id_.lower())}
    for token in tokens:
        if not any(token in id_.lower() for id_ in cases) and token not in words | OPERATORS:
            return did_you_mean(token, words, TAGS)
    return "; each word matches some, none matches the whole"


class _Reader:
    """Recursive descent: or-terms of and-terms of words, each possibly after `not`."""

    def __init__(
        self, expression: str, tokens: Sequence[str], id: str, tags: Sequence[str]
    ) -> None:
        self.expression, self.tokens = expression, list(tokens)
        self.id, self.tags = id, tags

    def matches(self) -> bool:
        result = self._or_term()
        if self.tokens:
            raise self._unreadable(f"unexpected {self.tokens[0]!r}")
        return result

    def _or_term(self) -> bool:
        result = self._and_term()
        while self.tokens and self.tokens[0] == "or":
            self.tokens.pop(0)
            # Both sides must be read, whatever the result of the first is.
            result = self._and_term() or result
        return result

    def _and_term(self) -> bool:
        result = self._not_term()
        while self.tokens and self.tokens[0] == "and":
            self.tokens.pop(0)
            result = self._not_term() and result
        return result

    def _not_term(self) -> bool:
        word = self.tokens.pop(0) if self.tokens else ""
        if word == "not":
            return not self._not_term()
        if word == "(":
            result = self._or_term()
            if not self.tokens or self.tokens.pop(0) != ")":
                raise self._unreadable("expected a closing parenthesis")
            return result
        if word in ("", ")", "and", "or"):
            raise self._unreadable(
                f"expected a word before {word!r}" if word else "expected a word at the end"
            )
        return self._word(word)

    def _word(self, word: str) -> bool:
        if word == CORE:
            return self.id in core()
        return word in self.id.lower() or any(
            word in (tag, tag.partition(":")[2]) for tag in map(str.lower, self.tags)
        )

    def _unreadable(self, why: str) -> RequestError:
        return RequestError(
            f"-k {self.expression!r}: {why}; write words joined by and, or, not, ( and )"
        )
