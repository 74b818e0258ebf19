"""Worker processes that hold one subject: one that dies or hangs costs only its case.

Each worker is a standard-library pool of one process, so that a broken worker breaks no other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Self

from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem
from rnnparity.session import worker
from rnnparity.session.outcome import Outcome
from rnnparity.session.processes import hidden_main, how_it_died, kill_pool, start_pool
from rnnparity.subjects import SubjectError

# A case takes milliseconds, its first XLA compilation on a busy machine some ten seconds.
TIMEOUT_S = 120.0
# After so many consecutive timeouts the rest is skipped: a catalogue of such cases takes days.
PATIENCE = 5
# A worker with more memory than that after a case is replaced, in bytes: frameworks keep what they
# compile, and several workers with 2 GiB are too much.
MEMORY_LIMIT = 3 * 2**29


@dataclass(frozen=True)
class _Task:
    """A problem that a worker has been asked, and when."""

    worker: int
    problem: Problem
    start: float


class _Queue:
    """Groups of problems that wait for workers; each worker empties one group after the other."""

    def __init__(self, groups: Iterable[Sequence[Problem]], workers: int) -> None:
        self._groups = deque(deque(group) for group in groups)
        self._own: list[deque[Problem]] = [deque() for _ in range(workers)]

    def next_of(self, worker: int) -> Problem | None:
        """Return the next problem of a worker; the end of another's group if nothing else is left."""
        if not self._own[worker] and self._groups:
            self._own[worker] = self._groups.popleft()
        if self._own[worker]:
            return self._own[worker].popleft()
        longest = max(self._own, key=len)
        return longest.pop() if longest else None

    def rest(self) -> Iterator[Problem]:
        """Yield all problems that no worker has taken."""
        for group in (*self._own, *self._groups):
            yield from group


class Workers:
    """A number of worker processes with one subject; leaving the context kills them.

    Modules in `folder` come before those of the same name.
    """

    def __init__(
        self, subject: str, count: int, timeout_s: float = TIMEOUT_S, folder: str = ""
    ) -> None:
        self.subject = subject
        self.folder = folder
        self.timeout_s = timeout_s
        self.pools: list[ProcessPoolExecutor] = []
        self._loading: list[Future[tuple[dict[str, str], RequestError | None]]] = []
        for _ in range(count):
            self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pool in self.pools:
            kill_pool(pool)

    @property
    def loaded(self) -> bool:
        """Whether the first worker has loaded its framework, or failed to."""
        return self._loading[0].done()

    def versions(self) -> dict[str, str]:
        """Wait until the first worker has loaded its framework, and return the versions.

        Raises:
            RequestError: the subject is unknown, its framework is missing, or the worker died.
        """
        try:
            versions, failure = self._loading[0].result()
        except BrokenProcessPool:
            raise SubjectError(self.subject, "worker died while loading") from None
        if failure is not None:
            raise failure
        return versions

    def run(self, groups: Iterable[Sequence[Problem]]) -> Iterator[Outcome]:
        """Yield the outcomes in the order in which they come in.

        A worker takes a whole group of problems, one after the other: what it has built for one
        serves the next.
        """
        waiting = _Queue(groups, len(self.pools))
        running: dict[Future[Outcome], _Task] = {}
        timeouts = 0
        for number in range(len(self.pools)):
            self._submit(number, waiting, running)
        while running:
            done, overdue = self._wait(running)
            for future in [*done, *overdue]:
                task = running.pop(future)
                timeouts = 0 if future in done else timeouts + 1
                outcome = self._outcome(future, task, future in done)
                if timeouts < PATIENCE:
                    self._submit(task.worker, waiting, running)
                yield outcome
        for problem in waiting.rest():
            yield Outcome(problem, error=f"skipped after {PATIENCE} consecutive timeouts")

    def _wait(
        self, running: dict[Future[Outcome], _Task]
    ) -> tuple[set[Future[Outcome]], list[Future[Outcome]]]:
        """Wait until a task is done or overdue; return those that are done, and the overdue."""
        deadline = min(task.start for task in running.values()) + self.timeout_s
        remaining = max(0.0, deadline - monotonic())
        done, pending = wait(running, timeout=remaining, return_when=FIRST_COMPLETED)
        latest_start = monotonic() - self.timeout_s
        overdue = [future for future in pending if running[future].start <= latest_start]
        return done, overdue

    def _submit(self, number: int, waiting: _Queue, running: dict[Future[Outcome], _Task]) -> None:
        problem = waiting.next_of(number)
        if problem is None:
            return
        try:
            future = self.pools[number].submit(worker.answer, problem)
        except BrokenProcessPool:  # it died while it was idle
            self._restart(number)
            future = self.pools[number].submit(worker.answer, problem)
        running[future] = _Task(number, problem, monotonic())

    def _outcome(self, future: Future[Outcome], task: _Task, done: bool) -> Outcome:
        """Return the outcome of a task, and replace its worker where it cannot go on."""
        error = f"timed out after {self.timeout_s:g} s; worker killed"
        if done:
            try:
                outcome = future.result()
            except BrokenProcessPool:
                error = f"worker died{how_it_died(self.pools[task.worker])}"
            else:
                if outcome.memory > MEMORY_LIMIT:
                    self._restart(task.worker)
                return outcome
        self._restart(task.worker)
        return Outcome(task.problem, error=error)

    def _start(self) -> None:
        pool = start_pool(1, worker.prepare_worker, self.subject, self.folder)
        self.pools.append(pool)
        with hidden_main():
            self._loading.append(pool.submit(worker.load))

    def _restart(self, number: int) -> None:
        kill_pool(self.pools[number])
        self._start()
        self.pools[number] = self.pools.pop()
        self._loading[number] = self._loading.pop()
