"""A function of a user's file in a worker process, with limits of time and memory."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from rnnparity.problem.errors import RequestError
from rnnparity.session.processes import (
    hidden_main,
    how_it_died,
    kill_pool,
    start_pool,
)

# Loading and running a model may take so long, the framework's import included.
TIMEOUT_S = 300.0
# The data of the worker process, and what the archive of a model may hold when it is unpacked.
MEMORY_LIMIT = 8 * 2**30
GIB = 2**30

Result = TypeVar("Result")


def in_worker(
    file: str, timeout_s: float, function: Callable[..., Result], *arguments: object
) -> Result:
    """Return what a function of the module level returns, called in a process of its own.

    `file` is what messages name. The function calls `limit_memory` once its framework is loaded.

    Raises:
        RequestError: the function raised it, or took too much time or memory.
    """
    pool = start_pool(1)
    try:
        with hidden_main():
            future = pool.submit(_run, file, function, *arguments)
        result, error = future.result(timeout=timeout_s)
    except TimeoutError:
        raise RequestError(
            f"{file}: timed out after {timeout_s:g} s; worker killed; use smaller inputs"
        ) from None
    except BrokenProcessPool:
        raise RequestError(
            f"{file}: worker died{how_it_died(pool)} while it was loaded and run; it may need more "
            f"than {MEMORY_LIMIT // GIB} GiB of memory, the limit"
        ) from None
    finally:
        kill_pool(pool)
    if result is None:
        raise RequestError(error)
    return result


def _run(
    file: str, function: Callable[..., Result], *arguments: object
) -> tuple[Result | None, str]:
    """Return the function's result, or the message of the error that prevents it."""
    try:
        return function(*arguments), ""
    except MemoryError:
        return None, (
            f"{file}: needs more than {MEMORY_LIMIT // GIB} GiB of memory, the limit; from_model in "
            "Python runs a model that you have loaded without this limit"
        )
    except RequestError as error:
        return None, str(error)


def limit_memory() -> None:
    """Limit the memory that this process may allocate, where the system can."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT, MEMORY_LIMIT))
