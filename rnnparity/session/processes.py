"""Child processes: how they start, and how they end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.process import BaseProcess
from time import monotonic, sleep

# How long to wait for the exit code of a process that has died, in seconds.
EXIT_CODE_S = 2.0
_MISSING = object()


def prepare_process() -> None:
    """Set up a child process. stdout is the report's: what a subject prints goes to stderr.

    It leads a process group, so that all that a subject starts ends with it. Ctrl-C is handled by
    the parent, and warnings of frameworks are not the user's concern.
    """
    if os.name == "posix":
        os.setpgid(0, 0)
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """Exit when the parent is killed: otherwise a child would wait for work forever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        _kill_group(os.getpid())
        os._exit(1)


def _kill_group(leader: int) -> None:
    """Kill a child process with all that it has started, also where only the latter still runs."""
    # There is no such group where the child had no time to make it, or everything has ended.
    with contextlib.suppress(ProcessLookupError, PermissionError, AttributeError):
        os.killpg(leader, signal.SIGKILL)


def start_pool(
    jobs: int, initializer: Callable[..., None] = prepare_process, *arguments: str
) -> ProcessPoolExecutor:
    """Return a pool of spawned processes, which start with the first task that is submitted."""
    _start_resource_tracker()
    return ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=initializer, initargs=arguments
    )


def kill_pool(pool: ProcessPoolExecutor) -> None:
    """Kill the processes of a pool and what they started: `shutdown` would wait for their tasks."""
    for process in processes_of(pool):
        if process.pid is not None:
            _kill_group(process.pid)
        with contextlib.suppress(ProcessLookupError, AttributeError):
            process.kill()
    # Waits for the pool's thread only: one that still works when Python exits may raise there.
    pool.shutdown(cancel_futures=True)


def processes_of(pool: ProcessPoolExecutor) -> list[BaseProcess]:
    """Return the processes of a pool. They are public only from Python 3.14 on."""
    return list((pool._processes or {}).values())


@contextmanager
def hidden_main() -> Iterator[None]:
    """Hide the main module from processes that start meanwhile, and keep Ctrl-C from them.

    A spawned process imports the main module again, which would run a user's script a second
    time. Workers need nothing of it: it has no file and no name here. Ctrl-C is blocked, not
    ignored: it reaches this process afterwards.
    """
    can_block = hasattr(signal, "pthread_sigmask")  # not on Windows
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if can_block else set()
    main = vars(sys.modules["__main__"])
    hidden = {name: main.get(name, _MISSING) for name in ("__file__", "__spec__")}
    main["__spec__"] = None
    main.pop("__file__", None)
    try:
        yield
    finally:
        for name, value in hidden.items():
            if value is not _MISSING:
                main[name] = value
        if can_block:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def how_it_died(pool: ProcessPoolExecutor) -> str:
    """Return " by SIGKILL" or " with exit status 1" for a pool's process; "" if it is not known."""
    for process in processes_of(pool):
        deadline = monotonic() + EXIT_CODE_S
        # The pool's thread collects the exit code as well, and may be first.
        while process.exitcode is None and monotonic() < deadline:
            sleep(0.01)
        if process.exitcode is None:
            continue
        if process.exitcode < 0:
            return f" by {_signal_name(-process.exitcode)}"
        return f" with exit status {process.exitcode}"
    return ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _start_resource_tracker() -> None:
    """Start Python's tracker of semaphores without its warnings.

    It would warn of what a killed worker leaves behind (tqdm makes a semaphore).
    """
    if os.name != "posix":
        return
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore:resource_tracker"
    try:
        resource_tracker.ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread: matrices are small, and more threads are up to 100 times slower."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield
