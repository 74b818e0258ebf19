"""Fuzzing on a cluster of dask.distributed that is there already.

A task is a block of seeds, run as on one machine, so that the counts are the same. dask runs a task
again whose worker died. The log is kept here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from rnnparity import __version__
from rnnparity.problem.errors import RequestError
from rnnparity.session.block import Block, FinishedBlock, run_block
from rnnparity.session.fuzz import BATCH, FuzzRun, Log
from rnnparity.session.progress import Progress, report_progress
from rnnparity.session.random_problems import DRAWS
from rnnparity.session.session import check_name
from rnnparity.session.workers import TIMEOUT_S

if TYPE_CHECKING:
    from distributed import Client

# Seconds until there must be a scheduler, and then a worker.
CONNECT_S = 20
# Blocks that are submitted for each thread of the cluster: one runs, one waits.
AHEAD = 2
# What must be the same on all workers.
SAME = ("versions", "rnnparity", "precision")


def fuzz_on_cluster(
    address: str,
    subject: str,
    seeds: Sequence[int],
    timeout_s: float = TIMEOUT_S,
    progress: Progress | None = None,
    precision: str = "",
    log: Log | None = None,
    gradients: bool = False,
) -> FuzzRun:
    """Ask a subject all problems of the seeds that are not in the log, on a cluster's workers.

    Seeds that are finished survive Ctrl-C and the end of the cluster.

    Raises:
        RequestError: dask or the cluster is missing, workers have different versions, or as `fuzz`.
    """
    check_name(subject)
    log = log or Log()
    missing = [seed for seed in seeds if not log.has(seed)]
    # One seed is run in any case, which shows the versions.
    asked = Block(subject, missing or seeds[:1], timeout_s, precision, gradients)
    with _client(address) as client:
        finished = _finished(client, address, asked)
        first = next(finished)
        run = replace(first.run, seeds=(seeds[0], seeds[-1]), tally=log.tally)
        log.begin(run)
        done = len(seeds) - len(missing)
        try:
            for block in chain([first], finished):
                _check_same(block.run, run)
                for seed in block.seeds:
                    if not log.has(seed.seed):
                        log.add(seed)
                        done += 1
                report_progress(progress, subject, DRAWS * done, DRAWS * len(seeds))
        except KeyboardInterrupt:
            return replace(run, interrupted=True)
    return run


@contextmanager
def _client(address: str) -> Iterator[Client]:
    """Connect to a cluster that has a worker.

    Raises:
        RequestError: dask, the cluster or a worker is missing.
    """
    try:
        from distributed import Client
    except ImportError as error:
        message = f"--dask: cannot import distributed ({error}); run pip install 'rnnparity[dask]'"
        raise RequestError(message) from None
    _silence_logs()
    with _in_one_line(address):
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    with client:
        with _in_one_line(address):
            client.wait_for_workers(1, timeout=CONNECT_S)
        yield client


def _silence_logs() -> None:
    """Keep distributed from printing what is reported in one line; its loggers have own levels."""
    for name in logging.root.manager.loggerDict:
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def _in_one_line(address: str) -> Iterator[None]:
    """Raise a RequestError for whatever a cluster raises, those of its tasks included."""
    try:
        yield
    except RequestError:
        raise
    except Exception as error:  # whatever a scheduler, a worker or a task raises
        reason = f"{type(error).__name__}: {error}"
        raise RequestError(f"--dask {address}: {reason}; see the logs of the cluster") from None


def _finished(client: Client, address: str, asked: Block) -> Iterator[FinishedBlock]:
    """Yield the finished blocks of what is asked, in the order in which they come in.

    Raises:
        RequestError: a worker cannot run its block, or the cluster has ended.
    """
    from distributed import as_completed

    blocks = _divided(asked, _threads(client))
    running = as_completed(loop=client.loop)
    while True:
        with _in_one_line(address):
            while running.count() < AHEAD * _threads(client) and (block := next(blocks, None)):
                running.add(client.submit(run_block, block, pure=False))
            if running.is_empty():
                return
            finished = next(running).result()
        yield finished


def _divided(asked: Block, threads: int) -> Iterator[Block]:
    """Yield blocks of so many seeds that each thread gets some, and BATCH at most."""
    size = max(1, min(BATCH, len(asked.seeds) // (AHEAD * threads)))
    for start in range(0, len(asked.seeds), size):
        yield replace(asked, seeds=asked.seeds[start : start + size])


def _threads(client: Client) -> int:
    """Return the number of tasks that run at a time, 1 while there is no worker."""
    threads: dict[str, int] = client.nthreads()
    return max(1, sum(threads.values()))


def _check_same(actual: FuzzRun, expected: FuzzRun) -> None:
    """Check that what a worker ran is what the first one ran.

    Raises:
        RequestError: they have different versions.
    """
    for what in SAME:
        got, first = getattr(actual, what), getattr(expected, what)
        if got != first:
            message = f"{what} of two workers differ: got {got}, expected {first} on all"
            raise RequestError(f"on the cluster: {message}")
    if actual.rnnparity != __version__:
        message = f"rnnparity: got {actual.rnnparity}, expected {__version__} as here"
        raise RequestError(f"on the cluster: {message}")
