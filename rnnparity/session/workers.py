"""Subjects in processes of their own: each loads once and takes many cases; one that dies or hangs
costs its case.

One standard-library pool of one process a worker, so that what breaks one worker breaks no other.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process, resource_tracker
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self

from rnnparity.problem.answer import Answer, Subject, Unsupported
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem
from rnnparity.subjects import make_subject, place_in

# A case takes milliseconds, its first XLA compilation on a busy machine some ten seconds.
TIMEOUT_S = 120.0
# A subject that let the time run out so often in a row is asked no more: a whole catalogue of such
# cases takes days.
PATIENCE = 5
# A worker that holds more bytes than that after a case is replaced: frameworks keep what they
# compile, and 2 GiB are too much for a run of several.
ENOUGH = 3 * 2**29


@dataclass(frozen=True)
class Outcome:
    """What came of a case in a worker: an answer, or why there is none. `held`: the bytes in its
    process' memory."""

    problem: Problem
    answer: Answer | None = None
    unsupported: str = ""
    error: str = ""
    held: int = 0


class Workers:
    """Processes that hold one subject. A context manager: leaving it ends them.

    Raises:
        RequestError: the subject is unknown, or its framework missing or too old (when it is asked
        first).
    """

    def __init__(self, subject: str, count: int, timeout_s: float = TIMEOUT_S) -> None:
        self.subject, self.timeout_s = subject, timeout_s
        self.pools = [_start(subject) for _ in range(count)]
        with main_unseen():
            self.loaded = [pool.submit(_load) for pool in self.pools]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pool in self.pools:
            end_now(pool)

    def versions(self) -> dict[str, str]:
        """Wait until the first worker has loaded its framework, and ask it for its versions."""
        try:
            versions, fault = self.loaded[0].result()
        except BrokenProcessPool:
            raise RequestError(
                f"subject {self.subject!r}: its process died while loading"
            ) from None
        if fault is not None:
            raise fault
        return versions

    def run(self, problems: Iterable[Problem]) -> Iterator[Outcome]:
        """The outcomes, in the order in which they come in. See PATIENCE for who is not asked to
        the end."""
        waiting = iter(problems)
        busy: dict[Future[Outcome], tuple[int, Problem, float]] = {}
        silent = 0
        for place in range(len(self.pools)):
            self._next(place, waiting, busy)
        while busy:
            soonest = min(begun for _, _, begun in busy.values()) + self.timeout_s
            done, _ = wait(
                busy, timeout=max(0.0, soonest - monotonic()), return_when=FIRST_COMPLETED
            )
            overdue = [
                future
                for future, (_, _, begun) in busy.items()
                if monotonic() - begun >= self.timeout_s
            ]
            for future in [*done, *(future for future in overdue if future not in done)]:
                place, problem, _ = busy.pop(future)
                silent = 0 if future in done else silent + 1
                outcome = self._outcome(future, place, problem, future in done)
                if silent < PATIENCE:
                    self._next(place, waiting, busy)
                yield outcome
        why = f"not asked: {PATIENCE} cases in a row had no answer within {self.timeout_s:g} s"
        yield from (Outcome(problem, error=why) for problem in waiting)

    def _next(
        self,
        place: int,
        waiting: Iterator[Problem],
        busy: dict[Future[Outcome], tuple[int, Problem, float]],
    ) -> None:
        problem = next(waiting, None)
        if problem is not None:
            try:
                future = self.pools[place].submit(_answer, problem)
            except BrokenProcessPool:  # it died while it had nothing to do
                self._restart(place)
                future = self.pools[place].submit(_answer, problem)
            busy[future] = place, problem, monotonic()

    def _outcome(
        self, future: Future[Outcome], place: int, problem: Problem, done: bool
    ) -> Outcome:
        try:
            if done:
                outcome = future.result()
                if outcome.held > ENOUGH:
                    self._restart(place)
                return outcome
            error = f"no answer within {self.timeout_s:g} s; its process was ended"
        except BrokenProcessPool:
            error = f"its process died{_how(self.pools[place])}"
        self._restart(place)
        return Outcome(problem, error=error)

    def _restart(self, place: int) -> None:
        end_now(self.pools[place])
        self.pools[place] = _start(self.subject)
        with main_unseen():
            self.loaded[place] = self.pools[place].submit(_load)


@contextlib.contextmanager
def main_unseen() -> Iterator[None]:
    """A spawned process imports the main module again, which would run a user's script a second
    time.

    Workers need nothing of it: for as long as they are started it has neither a file nor a name.
    Nor do they take Ctrl-C, which is the parent's: what a parent ignores its children ignore from
    their first line on.
    """
    ours = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if ours else None
    main = sys.modules["__main__"]
    kept: dict[str, Any] = {
        name: vars(main)[name] for name in ("__file__", "__spec__") if name in vars(main)
    }
    vars(main).update(__spec__=None)
    vars(main).pop("__file__", None)
    try:
        yield
    finally:
        vars(main).update(kept)
        if ours:
            signal.signal(signal.SIGINT, handler or signal.SIG_DFL)


def end_now(pool: ProcessPoolExecutor) -> None:
    """End a pool's processes at once: by itself it would wait for what they are doing."""
    for process in list(
        (pool._processes or {}).values()
    ):  # public only from Python 3.14 on (kill_workers)
        with contextlib.suppress(ProcessLookupError, AttributeError):
            process.kill()
    # Waits for the pool's own thread alone: one that is still at work when Python ends may fail
    # there, loudly.
    pool.shutdown(cancel_futures=True)


def _how(pool: ProcessPoolExecutor) -> str:
    """By what signal, or with what status, a pool's process ended, where that is known yet."""
    for process in (pool._processes or {}).values():  # see end_now
        until = monotonic() + 2
        while (
            process.exitcode is None and monotonic() < until
        ):  # the pool's own thread is asking as well
            sleep(0.01)
        if (code := process.exitcode) is not None:
            name = next((one.name for one in signal.Signals if one == -code), f"signal {-code}")
            return f" by {name}" if code < 0 else f" with exit status {code}"
    return ""


def prepare_worker() -> None:
    """Ctrl-C is the parent's to handle; warnings of frameworks are not the user's business; stdout
    is the report's."""
    os.dup2(2, 1)  # what a subject prints goes to stderr
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed ends nobody: without this its workers would wait for work forever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _start(subject: str) -> ProcessPoolExecutor:
    _start_tracker()
    return ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=_prepare, initargs=(subject,)
    )


def _start_tracker() -> None:
    """Python's tracker of semaphores would warn of what a worker that is ended leaves behind (tqdm
    makes one)."""
    if os.name != "posix":  # there is none elsewhere
        return
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore:resource_tracker"
    try:
        resource_tracker.ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before


# What a worker process holds: its subject's name, the subject once loaded, or why it cannot be.
_name = ""
_subject: Subject | None = None
_fault: RequestError | None = None


def _prepare(subject: str) -> None:
    global _name  # noqa: PLW0603 - a worker process is the one place where this state can live
    _name = subject
    prepare_worker()


def _load() -> tuple[dict[str, str], RequestError | None]:
    global _subject, _fault  # noqa: PLW0603 - see _prepare
    if _subject is None and _fault is None:
        try:
            _subject = make_subject(_name)
        except RequestError as error:
            _fault = error
        except (Exception, SystemExit) as error:  # whatever a module that is imported may do
            _fault = RequestError(f"subject {_name!r}: cannot be loaded: {one_line(error)}")
    return _subject.versions() if _subject else {}, _fault


def _answer(problem: Problem) -> Outcome:
    return replace(_asked(problem), held=_held())


def _held() -> int:
    """The bytes that this process holds in memory; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _asked(problem: Problem) -> Outcome:
    _load()
    if _subject is None:
        return Outcome(problem, error=str(_fault))
    try:
        return Outcome(problem, _subject.answer(problem))
    except Unsupported as reason:
        return Outcome(problem, unsupported=str(reason) or "no reason given")
    except (
        Exception,
        SystemExit,
    ) as error:  # a subject that exits must not end the run, least of all with status 0
        return Outcome(problem, error=one_line(error) + place_in(error))


def one_line(error: BaseException) -> str:
    """An exception's type and first telling line; Keras spreads its own over many, in colours."""
    text = "".join(part for part in str(error).replace("\x1b[1m", "").replace("\x1b[0m", ""))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith("Exception encountered")]
    return f"{type(error).__name__}: {(telling or lines or [''])[0]}"[:300]
