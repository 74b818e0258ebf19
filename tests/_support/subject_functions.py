"""Subjects for the tests, correct ones and faulty ones; they are loaded in worker processes."""

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.answer import Unsupported

kept = []


def right(problem):
    return [tensor.data for tensor in golden_outputs(problem)]


def wrong(problem):
    first, *others = right(problem)
    return [first + first.dtype.type(0.01), *others]


def named(problem):
    return {tensor.name: tensor.data for tensor in golden_outputs(problem)}


def numbered(problem):
    return dict(enumerate(right(problem)))


def one_more(problem):
    return [*right(problem), np.zeros(3)]


def integers(problem):
    return [array.astype(int) for array in right(problem)]


def raises(problem):
    raise ValueError("no such gate\nand more that nobody reads")


def nothing(problem):
    """As a function that forgot its return does."""


def imaginary(problem):
    return [array + 0j for array in right(problem)]


def prints(problem):
    print("a subject may print")
    return right(problem)


def unsupported(problem):
    raise Unsupported("not today")


def exits(problem):
    sys.exit(0)


def dies_with_initial_states(problem):
    if problem.initial_state is not None:
        os._exit(3)
    return right(problem)


def hangs_with_initial_states(problem):
    if problem.initial_state is not None:
        time.sleep(600)
    return right(problem)


def sleeps(problem):
    """Report the process, then do nothing for longer than any test waits."""
    Path(os.environ["RNNPARITY_TEST_PIDS"]).joinpath(str(os.getpid())).touch()
    time.sleep(600)


def crashes(problem):
    os.kill(os.getpid(), signal.SIGSEGV)


def locks(problem):
    kept.append(multiprocessing.RLock())
    return right(problem)
