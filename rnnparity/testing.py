"""What a parametrized test holds: a case, and the means to hold a subject against it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.selection import select
from rnnparity.golden.goldens import KNOWN, Goldens, default_folder, read_goldens
from rnnparity.golden.known_differences import KnownDifference, read_known
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import FAILING, CaseResult, Verdict
from rnnparity.reference.tolerance import expect
from rnnparity.report.messages import failure, summary
from rnnparity.session.ask import outcome_of
from rnnparity.session.check import ask, result_of, self_check
from rnnparity.session.workers import Outcome, Workers
from rnnparity.subjects import FunctionSubject, name_of
from rnnparity.verdict.judge import reference_result, with_known


def chosen_ids(expression: str) -> list[str]:
    """The ids of the cases that an expression matches.

    Raises:
        RequestError: it cannot be read or matches nothing.
    """
    return [problem.id for problem in select(catalogue().values(), expression)]


class RnnCase:
    """One case: `problem` has all its numbers, `assert_parity` holds a subject against it."""

    def __init__(self, case: str, sessions: Sessions) -> None:
        self.problem: Problem = catalogue()[case]
        self._sessions = sessions

    def assert_parity(self, subject: str | Callable[[Problem], Any]) -> CaseResult:
        """Fail unless the subject (a registered name, or a function from a Problem to its outputs)
        agrees.

        A known difference is reported as xfailed; an inconclusive or unsupported case as skipped,
        for neither is a pass.
        """
        import pytest

        __tracebackhide__ = True
        try:
            verdict = self._sessions.verdict(self.problem, subject)
        except RequestError as error:
            pytest.fail(str(error), pytrace=False)
        if verdict.verdict in FAILING:
            pytest.fail(failure(self.problem, verdict, name_of(subject)), pytrace=False)
        if verdict.verdict is Verdict.KNOWN:
            pytest.xfail(summary(verdict, self.problem))
        if verdict.verdict is not Verdict.AGREES:
            pytest.skip(f"{verdict.verdict}: {verdict.reason}")
        return verdict


class Sessions:
    """What one pytest run shares: goldens, known differences, and a stream of outcomes for every
    subject by name."""

    def __init__(self, cases: Sequence[str]) -> None:
        self._cases = cases
        self._streams: dict[str, _Stream] = {}
        self._workers = ExitStack()
        self._goldens: Goldens | None = None
        self._entries: tuple[KnownDifference, ...] = ()
        # What is wrong with the fixtures or a framework is wrong for every case: found out once,
        # told each time.
        self._faults: dict[str, RequestError] = {}
        with self._once("fixtures"):
            self._goldens = read_goldens(default_folder(), catalogue())
            self._entries = read_known(default_folder() / KNOWN)
        self_check()

    @contextmanager
    def _once(self, what: str) -> Iterator[None]:
        try:
            yield
        except RequestError as error:
            self._faults[what] = error

    def verdict(self, problem: Problem, subject: str | Callable[[Problem], Any]) -> CaseResult:
        """The verdict on one case; the first case of a named subject starts its worker."""
        goldens = self._goldens
        if goldens is None:
            raise self._faults["fixtures"]
        golden = goldens.outputs.get(problem.id)
        if subject == "reference":
            return reference_result(problem, golden, goldens.left_out.get(problem.id, ""))
        if not isinstance(subject, str):
            return result_of(ask(FunctionSubject(subject), problem), expect(problem), golden)
        if subject not in self._streams and subject not in self._faults:
            with self._once(subject):
                self._streams[subject] = _Stream(
                    self._workers.enter_context(Workers(subject, 1)), self._cases
                )
        if subject in self._faults:
            raise self._faults[subject]
        stream = self._streams[subject]
        verdict = result_of(stream.outcome(problem), expect(problem), golden)
        return with_known(verdict, self._entries, subject, stream.versions)

    def close(self) -> None:
        """End all workers."""
        self._workers.close()


class _Stream:
    """The outcomes of the collected cases, computed ahead of the tests that ask for them.

    Under pytest-xdist each process runs a part of the tests that it cannot foresee, and asks for
    one case at a time.
    """

    def __init__(self, workers: Workers, cases: Sequence[str]) -> None:
        self._workers = workers
        self.versions = workers.versions()
        foresees = "PYTEST_XDIST_WORKER" not in os.environ
        self._coming: Iterator[Outcome] = workers.run(
            catalogue()[case] for case in cases if foresees
        )
        self._here: dict[str, Outcome] = {}

    def outcome(self, problem: Problem) -> Outcome:
        while problem.id not in self._here:
            outcome = next(self._coming, None)
            if outcome is None:
                return next(self._workers.run([problem]))
            self._here[outcome.problem.id] = outcome
        return self._here.pop(problem.id)


def assert_parity(given: Any, problem: Problem) -> CaseResult:
    """Assert that `given` is what Keras specifies for `problem`.

    `given` is a function from the problem to its outputs, a subject's name, or the outputs
    themselves: one array, a sequence in Keras' order, or a mapping by name.

    Raises:
        TypeError: `problem` is none: the outputs come first. AssertionError: something differs, or
        the noise would hide it if it did (which is never a pass). RequestError: an unknown subject.
    """
    if not isinstance(problem, Problem):
        raise TypeError(
            f"assert_parity(outputs, problem): the second argument is {type(problem).__name__}, no Problem"
        )
    if callable(given) or isinstance(given, str):
        verdict = result_of(outcome_of(problem, given), expect(problem), None)
        name = name_of(given)
    else:
        verdict = result_of(ask(FunctionSubject(lambda _: given), problem), expect(problem), None)
        name = ""
    if verdict.verdict is not Verdict.AGREES:
        raise AssertionError(failure(problem, verdict, name))
    return verdict
