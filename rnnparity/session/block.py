"""A block of seeds that a task of a cluster runs, in a process of its own.

A worker of a cluster is often a daemon, which may start no processes by `multiprocessing`, and it may run
several tasks in threads; a subject's workers need neither. The process gets the block on stdin,
writes what is finished to stdout, and ends when stdin is closed: with the cluster's worker.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO, cast

from rnnparity.problem.errors import RequestError
from rnnparity.session.fuzz import FuzzRun, Log, fuzz
from rnnparity.session.fuzz_records import SeedRecords
from rnnparity.session.fuzz_tally import Tally

_SERVE = "from rnnparity.session.block import serve; serve()"


@dataclass(frozen=True)
class Block:
    """Seeds to run; the other fields are arguments of `fuzz`."""

    subject: str
    seeds: Sequence[int]
    timeout_s: float
    precision: str
    gradients: bool


@dataclass(frozen=True)
class FinishedBlock:
    """The records of a block, and what was run."""

    run: FuzzRun
    seeds: Sequence[SeedRecords]


class _Kept(Log):
    """A log that has the records."""

    def __init__(self) -> None:
        super().__init__()
        self.seeds: list[SeedRecords] = []

    def add(self, seed: SeedRecords) -> None:
        super().add(seed)
        self.seeds.append(seed)


def run_block(block: Block) -> FinishedBlock:
    """Run a block in a process of its own; this is the task.

    Raises:
        RequestError: the subject cannot be run here.
        RuntimeError: the process died.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", _SERVE], stdin=pipe, stdout=pipe) as process:  # noqa: S603 - Python itself
        stdin, stdout = cast("BinaryIO", process.stdin), cast("BinaryIO", process.stdout)
        pickle.dump(block, stdin)
        stdin.flush()
        content = stdout.read()
        status = process.wait()  # before stdin is closed, which would end it
    if status:
        raise RuntimeError(f"the process of a block died with exit status {status}")
    finished: FinishedBlock | str = pickle.loads(content)  # noqa: S301 - written by `serve`
    if isinstance(finished, str):
        raise RequestError(f"on the cluster: {finished}")
    return finished


def serve() -> None:
    """Run the block on stdin; write what is finished to stdout, or why it cannot be run."""
    block: Block = pickle.load(sys.stdin.buffer)  # noqa: S301 - written by `run_block`
    threading.Thread(target=_exit_with_stdin, daemon=True).start()
    stdout = os.dup(1)
    os.dup2(2, 1)  # what a subject prints is no answer
    log = _Kept()
    try:
        run = fuzz(
            block.subject,
            block.seeds,
            1,
            block.timeout_s,
            None,
            block.precision,
            log,
            block.gradients,
        )
        finished: FinishedBlock | str = FinishedBlock(replace(run, tally=Tally()), log.seeds)
    except RequestError as error:
        finished = str(error)
    with open(stdout, "wb") as file:
        pickle.dump(finished, file)


def _exit_with_stdin() -> None:
    """Exit when stdin is closed; it has nothing more after the block."""
    os.read(0, 1)  # not `sys.stdin`, whose lock Python needs when it ends
    os._exit(1)
