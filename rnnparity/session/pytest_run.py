"""The sessions and fixtures that the tests of one pytest run share."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

from rnnparity.catalogue import catalogue
from rnnparity.explanation.causes import CauseSearch
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import CaseResult
from rnnparity.session.fixtures import Fixtures, read_fixtures
from rnnparity.session.judging import self_check
from rnnparity.session.outcome import Outcome
from rnnparity.session.processes import one_blas_thread
from rnnparity.session.session import Session, SubjectLike, open_session
from rnnparity.session.subject_run import wrong_outputs
from rnnparity.subjects import name_of

# Of one subject so many failing cases are explained in full in a pytest run; what is found there is
# tried on the others.
EXPLAINED = 10


def with_cause(search: CauseSearch, outcome: Outcome, result: CaseResult) -> CaseResult:
    """Return a result with the cause of its wrong outputs and its fixes, where a fault may be the cause."""
    with one_blas_thread():
        for problem in wrong_outputs(outcome, result):
            search.add(problem)
    return replace(search.with_cause(result), fixes=search.fixes.get(result.id, ()))


class PytestRun:
    """What the tests of one pytest run share: the fixtures, and a session per named subject.

    Unreadable fixtures and missing frameworks are wrong for every case: they are found once and
    reported for each test.
    """

    def __init__(self, cases: Sequence[str]) -> None:
        self._cases = cases
        self._fixtures: Fixtures | RequestError
        self._streams: dict[str, _Stream | RequestError] = {}
        self._searches: dict[str, CauseSearch] = {}
        self._stack = ExitStack()
        try:
            self._fixtures = read_fixtures(only=cases)
        except RequestError as error:
            self._fixtures = error
        self_check()

    def result(self, problem: Problem, subject: SubjectLike) -> tuple[Outcome, CaseResult]:
        """Return the outcome of a case, and its result with the cause of a failure.

        The first case of a named subject opens its session.

        Raises:
            RequestError: a fixture is unreadable, or the subject is unknown or cannot be loaded.
        """
        outcome, result = self._judged(problem, subject)
        if result.failing:
            search = self._searches.setdefault(name_of(subject), CauseSearch(EXPLAINED))
            result = with_cause(search, outcome, result)
        return outcome, result

    def _judged(self, problem: Problem, subject: SubjectLike) -> tuple[Outcome, CaseResult]:
        fixtures = self._fixtures
        if isinstance(fixtures, RequestError):
            raise fixtures
        if callable(subject):
            with open_session(subject) as session:
                outcome = session.ask(problem)
                return outcome, fixtures.result(session, outcome)
        if subject not in self._streams:
            self._streams[subject] = self._open(subject)
        stream = self._streams[subject]
        if isinstance(stream, RequestError):
            raise stream
        outcome = stream.outcome(problem)
        return outcome, fixtures.result(stream.session, outcome)

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
