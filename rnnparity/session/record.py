"""What has come in of a run, readable at any time by the thread that saves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event, Thread
from time import thread_time

from rnnparity import __version__
from rnnparity.catalogue import catalogue, digest
from rnnparity.golden.known_differences import KnownDifference, stale
from rnnparity.problem.errors import RequestError
from rnnparity.problem.machine import this_machine
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import (
    CaseResult,
    KnownEntry,
    Report,
    Shards,
    Skipped,
    Stale,
    SubjectResult,
)
from rnnparity.problem.verdicts import Verdict
from rnnparity.session.fixtures import Fixtures

# What has finished is saved after so many seconds, and in at most this share of the time.
SAVE_S, SAVE_SHARE = 2.0, 0.02


@dataclass
class SubjectRecord:
    """The results of a subject as they come in, and the problems whose outputs differ."""

    name: str
    cases: Sequence[Problem]
    fixtures: Fixtures
    shards: tuple[Shards, ...]
    versions: dict[str, str] = field(default_factory=dict)
    results: dict[str, CaseResult] = field(default_factory=dict)
    wrong: list[Problem] = field(default_factory=list)

    def result(self) -> SubjectResult:
        """Return what there is, with the cases in the order of the catalogue."""
        results = dict(self.results)
        ordered = [results[case.id] for case in self.cases if case.id in results]
        return SubjectResult(
            self.name,
            dict(self.versions),
            tuple(ordered),
            self._stale(ordered),
            round(sum(case.seconds for case in ordered), 3),
            datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
            this_machine(),
            unfinished=len(self.cases) - len(ordered),
            shards=self.shards,
        )

    def _stale(self, cases: Sequence[CaseResult]) -> tuple[Stale, ...]:
        if self.fixtures.gradients:
            return ()  # an entry may be of outputs only
        used = {entry for case in cases for entry in case.known}
        ran = {case.id for case in cases if case.verdict is not Verdict.UNSUPPORTED}
        return tuple(stale(self.fixtures.known, self.name, self.versions, used, ran, catalogue()))


@dataclass
class RunRecord:
    """What has come in of the subjects that are to run; `skipped` are those that cannot.

    `interrupted`: the run was ended, or has not ended yet.
    """

    names: Sequence[str]
    cases: Sequence[Problem]
    shards: tuple[Shards, ...]
    fixtures: Fixtures
    subjects: list[SubjectRecord] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    interrupted: bool = True

    def start(self, name: str) -> SubjectRecord:
        """Return the record of a subject that is run next."""
        self.subjects.append(SubjectRecord(name, self.cases, self.fixtures, self.shards))
        return self.subjects[-1]

    def report(self) -> Report | None:
        """Return what there is, without scores; None before the first result."""
        results = [record.result() for record in list(self.subjects) if record.results]
        if not results:
            return None
        met = {name for result in results for case in result.cases for name in case.known}
        return Report(
            tuple(results),
            (*self.skipped, *self._left_out(results)),
            tuple(_known_entry(entry) for entry in self.fixtures.known if entry.name in met),
            rnnparity=__version__,
            catalogue=digest(),
            without_golden=self.fixtures.goldens.missing,
            interrupted=self.interrupted,
            gradients=self.fixtures.gradients,
        )

    def _left_out(self, results: Sequence[SubjectResult]) -> Iterator[Skipped]:
        """Yield the subjects of which the run has ended before their first result."""
        there = {each.name for each in results} | {each.subject for each in self.skipped}
        for name in self.names:
            if name not in there:
                yield Skipped(name, "the run ended before", requested=True)


def _known_entry(entry: KnownDifference) -> KnownEntry:
    reason = " ".join(entry.reason.split())
    return KnownEntry(entry.name, entry.cause, entry.standing, reason, entry.link)


@contextmanager
def saving(
    save: Callable[[Report], None] | None, report: Callable[[], Report | None]
) -> Iterator[None]:
    """Save the report of what has finished every few seconds until the context is left.

    A thread does it, so that it is also done while a case takes minutes. What cannot be saved does
    not end the run: that is reported where the whole report cannot be written.
    """
    if save is None:
        yield
        return
    end = Event()
    thread = Thread(target=_save_until, args=(end, save, report), daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _save_until(
    end: Event, save: Callable[[Report], None], report: Callable[[], Report | None]
) -> None:
    pause, saved = SAVE_S, None
    while not end.wait(pause):
        started = thread_time()
        current = report()
        if current is not None and current != saved:
            with suppress(RequestError):
                save(current)
            saved = current
        pause = max(SAVE_S, (thread_time() - started) / SAVE_SHARE)
