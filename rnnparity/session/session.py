"""One way to ask a subject: a function, the reference, or a subject in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Protocol, TypeAlias

from rnnparity.problem.answer import Subject
from rnnparity.problem.dtypes import FloatType, declared_precision
from rnnparity.problem.problem import Problem
from rnnparity.session.judging import Judge, judge_outcome, judge_reference
from rnnparity.session.outcome import Outcome, ask_in_this_process
from rnnparity.session.processes import one_blas_thread
from rnnparity.session.reference_subject import ReferenceSubject
from rnnparity.session.selection import by_configuration
from rnnparity.session.workers import TIMEOUT_S, Workers
from rnnparity.subjects import FunctionSubject, check_installed, name_of, registration

REFERENCE = "reference"

# A subject by its name, or a function from a problem to its outputs (anything array-like).
SubjectLike: TypeAlias = str | Callable[[Problem], object]


class Session(Protocol):
    """A subject that is ready to be asked. `judge` makes a case's result of an outcome."""

    name: str
    judge: Judge
    # What it declares to compute in, where that is coarser than a problem's own type.
    precision: FloatType | None
    # Whether it works while this process does something else, so that asking ahead saves time.
    parallel: bool

    @property
    def ready(self) -> bool:
        """Whether its framework is loaded, so that `ask` does not wait for that."""

    @property
    def versions(self) -> Mapping[str, str]:
        """The versions of what computes; waits until the framework is loaded.

        Raises:
            RequestError: the framework is missing or cannot be loaded.
        """

    def ask(self, problem: Problem) -> Outcome:
        """Return the outcome of one problem."""

    def ask_all(self, problems: Iterable[Problem]) -> Iterator[Outcome]:
        """Yield the outcomes of problems as they come in, in any order."""


class LocalSession:
    """A subject in this process."""

    parallel = False
    ready = True

    def __init__(
        self,
        name: str,
        subject: Subject,
        judge: Judge | None = None,
        precision: FloatType | None = None,
    ) -> None:
        self.name = name
        self.precision = precision
        self.judge = judge or partial(judge_outcome, precision=precision)
        self._subject = subject

    @property
    def versions(self) -> Mapping[str, str]:
        return self._subject.versions()

    def ask(self, problem: Problem) -> Outcome:
        return ask_in_this_process(self._subject, problem)

    def ask_all(self, problems: Iterable[Problem]) -> Iterator[Outcome]:
        return map(self.ask, problems)


class WorkerSession:
    """A subject in worker processes."""

    parallel = True

    def __init__(self, name: str, workers: Workers, precision: FloatType | None = None) -> None:
        self.name = name
        self.precision = precision
        self.judge: Judge = partial(judge_outcome, precision=precision)
        self._workers = workers

    @property
    def ready(self) -> bool:
        return self._workers.loaded

    @cached_property
    def versions(self) -> Mapping[str, str]:
        return self._workers.versions()

    def ask(self, problem: Problem) -> Outcome:
        return next(self._workers.run([[problem]]))

    def ask_all(self, problems: Iterable[Problem]) -> Iterator[Outcome]:
        return self._workers.run(by_configuration(problems))


@contextmanager
def open_session(
    subject: SubjectLike,
    *,
    jobs: int = 1,
    timeout_s: float = TIMEOUT_S,
    precision: str = "",
    folder: str = "",
) -> Iterator[Session]:
    """Open a session with a subject; leaving the context ends its worker processes.

    A function and the reference run in this process, every other subject in `jobs` worker
    processes, where a problem may take `timeout_s` seconds. Without a declared `precision` it is
    that of the subject's registration, if any; the reference has none. Workers find the modules in
    `folder` before those of the same name: another release of a framework.

    Raises:
        RequestError: no subject has that name, or there is no such precision.
    """
    check_name(subject)
    if not precision and not callable(subject):
        precision = registration(subject).precision
    declared = declared_precision(precision) if precision else None
    if callable(subject):
        yield LocalSession(name_of(subject), FunctionSubject(subject), precision=declared)
    elif subject == REFERENCE:
        with one_blas_thread():
            yield LocalSession(subject, ReferenceSubject(), judge_reference)
    else:
        with Workers(subject, jobs, timeout_s, folder) as workers:
            yield WorkerSession(subject, workers, declared)


def check_name(subject: SubjectLike) -> None:
    """Check that a subject exists and its packages are there, without loading its framework.

    Raises:
        RequestError: no subject has that name, or a package is missing.
    """
    if not callable(subject):
        check_installed(subject)
