"""Choosing cases with an expression: words joined by and, or, not and parentheses, as in pytest's
-k.

A word matches a case if it is part of its id, or is one of its tags ("mask:interior"), or the value
of one; capitals count as small letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem

_TOKEN = re.compile(r"\s*(\(|\)|[^\s()]+)")


def select(cases: Iterable[Problem], expression: str) -> list[Problem]:
    """The cases that the expression matches; all of them where it is empty.

    Raises:
        RequestError: the expression cannot be read, or matches nothing.
    """
    tokens = [match[1].lower() for match in _TOKEN.finditer(expression)]
    if not tokens:
        return list(cases)
    try:
        chosen = [case for case in cases if _Reader(expression, tokens, case).matches()]
    except RecursionError:
        raise RequestError(f"-k {expression[:60]!r}: is nested too deeply") from None
    if not chosen:
        raise RequestError(
            f"-k {expression!r} matches no case; `rnnparity list --tags` shows the words"
        )
    return chosen


class _Reader:
    """Recursive descent: or-terms of and-terms of words, each with `not` before it."""

    def __init__(self, expression: str, tokens: list[str], case: Problem) -> None:
        self.expression, self.left, self.case = expression, list(tokens), case

    def matches(self) -> bool:
        result = self._either()
        if self.left:
            raise self._unreadable(f"{self.left[0]!r} is left over")
        return result

    def _either(self) -> bool:
        result = self._both()
        while self.left and self.left[0] == "or":
            self.left.pop(0)
            # Both sides must be read, whatever the first one says.
            result = self._both() or result
        return result

    def _both(self) -> bool:
        result = self._one()
        while self.left and self.left[0] == "and":
            self.left.pop(0)
            result = self._one() and result
        return result

    def _one(self) -> bool:
        word = self.left.pop(0) if self.left else ""
        if word == "not":
            return not self._one()
        if word == "(":
            result = self._either()
            if not self.left or self.left.pop(0) != ")":
                raise self._unreadable("a parenthesis is not closed")
            return result
        if word in ("", ")", "and", "or"):
            raise self._unreadable(
                f"a word is missing before {word!r}" if word else "a word is missing at the end"
            )
        return self._word(word)

    def _word(self, word: str) -> bool:
        tags = self.case.case.tags if self.case.case else ()
        return word in self.case.id.lower() or any(
            word in (tag, tag.partition(":")[2]) for tag in map(str.lower, tags)
        )

    def _unreadable(self, why: str) -> RequestError:
        return RequestError(
            f"-k {self.expression!r}: {why}; write words joined by and, or, not, ( and )"
        )
