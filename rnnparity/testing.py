"""Assertions for tests: `assert_parity`, and the cases of the fixture `rnn_case`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import cast

from rnnparity.catalogue import catalogue
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import FAILING, CaseResult, Verdict
from rnnparity.problem.text import visible, visible_lines
from rnnparity.report.messages import failure, summary
from rnnparity.session.ask import ask_loaded
from rnnparity.session.fixtures import Fixtures, read_fixtures
from rnnparity.session.judging import self_check
from rnnparity.session.outcome import Outcome
from rnnparity.session.selection import Selection, by_configuration
from rnnparity.session.session import Session, SubjectLike, open_session
from rnnparity.subjects import name_of


def assert_parity(actual: object, problem: Problem) -> CaseResult:
    """Assert that `actual` is what Keras specifies for `problem`, and return the result.

    `actual` is a function from the problem to its outputs, the name of a subject, or the outputs
    themselves: an array, a sequence in Keras' order, or a mapping by name.

    Raises:
        TypeError: `problem` is not a Problem; the outputs come first.
        AssertionError: something differs, or rounding would hide a fault (which is never a pass).
        RequestError: the subject is unknown or cannot be loaded.

    Example:
        >>> from rnnparity import Problem, assert_parity
        >>> from rnnparity.catalogue import catalogue
        >>> problem = catalogue()["lstm-spread-last"]
        >>> str(assert_parity("reference", problem).verdict)
        'agrees'
    """
    if not isinstance(problem, Problem):
        raise TypeError(
            "assert_parity(actual, problem): the second argument must be a Problem, "
            f"got {type(problem).__name__}"
        )
    is_subject = callable(actual) or isinstance(actual, str)
    subject = cast("SubjectLike", actual) if is_subject else lambda _: actual
    with open_session(subject) as session:
        result = session.judge(ask_loaded(session, problem))
    if result.verdict is not Verdict.AGREES:
        name = session.name if is_subject else ""
        raise AssertionError(visible_lines(failure(problem, result, name)))
    return result


def selected_ids(expression: str, full: bool = False) -> list[str]:
    """Return the ids of the cases that an expression selects, by default those of the core set.

    Cases that a framework can run with one built layer are neighbours.

    Raises:
        RequestError: it is malformed or selects no case.
    """
    cases = Selection(expression, full).cases()
    return [problem.id for group in by_configuration(cases) for problem in group]


class RnnCase:
    """A case: `problem` has its numbers, `assert_parity` compares a subject with them."""

    def __init__(self, case: str, run: PytestRun) -> None:
        self.problem: Problem = catalogue()[case]
        self._run = run

    def assert_parity(self, subject: SubjectLike) -> CaseResult:
        """Fail unless a subject agrees: a registered name, or a function from a Problem to outputs.

        A known difference is reported as xfailed, an inconclusive or unsupported case as skipped:
        neither is a pass.
        """
        import pytest

        __tracebackhide__ = True
        try:
            result = self._run.result(self.problem, subject)
        except RequestError as error:
            pytest.fail(str(error), pytrace=False)
        if result.verdict in FAILING:
            lines = failure(self.problem, result, name_of(subject))
            pytest.fail(visible_lines(lines), pytrace=False)
        # Neither is a pass: pytest's own words for them are xfailed and skipped.
        if result.verdict is Verdict.KNOWN:
            pytest.xfail(visible(summary(result, self.problem)))
        if result.verdict is not Verdict.AGREES:
            pytest.skip(visible(f"{result.verdict}: {result.reason}"))
        return result


class PytestRun:
    """What the tests of one pytest run share: the fixtures, and a session per named subject.

    Unreadable fixtures and missing frameworks are wrong for every case: they are found once and
    reported for each test.
    """

    def __init__(self, cases: Sequence[str]) -> None:
        self._cases = cases
        self._fixtures: Fixtures | RequestError
        self._streams: dict[str, _Stream | RequestError] = {}
        self._stack = ExitStack()
        try:
            self._fixtures = read_fixtures()
        except RequestError as error:
            self._fixtures = error
        self_check()

    def result(self, problem: Problem, subject: SubjectLike) -> CaseResult:
        """Return the result of a case. The first case of a named subject opens its session.

        Raises:
            RequestError: a fixture is unreadable, or the subject is unknown or cannot be loaded.
        """
        fixtures = self._fixtures
        if isinstance(fixtures, RequestError):
            raise fixtures
        if callable(subject):
            with open_session(subject) as session:
                return fixtures.result(session, session.ask(problem))
        if subject not in self._streams:
            self._streams[subject] = self._open(subject)
        stream = self._streams[subject]
        if isinstance(stream, RequestError):
            raise stream
        return fixtures.result(stream.session, stream.outcome(problem))

    def _open(self, subject: str) -> _Stream | RequestError:
        try:
            session = self._stack.enter_context(open_session(subject))
            _ = session.versions  # waits until the framework is loaded
        except RequestError as error:
            return error
        return _Stream(session, self._cases)

    def close(self) -> None:
        """End all sessions."""
        self._stack.close()


class _Stream:
    """The outcomes of a session, where workers compute ahead of the tests that ask for them.

    Under pytest-xdist each process runs tests that it cannot foresee, and asks case by case.
    """

    def __init__(self, session: Session, cases: Sequence[str]) -> None:
        self.session = session
        ahead = session.parallel and "PYTEST_XDIST_WORKER" not in os.environ
        problems = [catalogue()[case] for case in cases] if ahead else []
        self._coming: Iterator[Outcome] = session.ask_all(problems)
        self._outcomes: dict[str, Outcome] = {}

    def outcome(self, problem: Problem) -> Outcome:
        while problem.id not in self._outcomes:
            outcome = next(self._coming, None)
            if outcome is None:
                return self.session.ask(problem)
            self._outcomes[outcome.problem.id] = outcome
        return self._outcomes.pop(problem.id)
