"""How benchmarks are timed: in blocks, each of which calls every contender in turn.

A machine that is busy for a while is busy for all contenders of a block, so the ratio of two times
of one block shows what a ratio of times from different minutes does not. pytest-benchmark times each
(contender, block) and stores it; `rnnparity bench` reads what it stored.
"""

from __future__ import annotations

import os
from math import ceil
from time import perf_counter

import pytest

# Before NumPy is imported anywhere: every contender has one thread.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

ROUND_SECONDS, BLOCK_SECONDS, MOST_ROUNDS = 0.004, 0.03, 5

left_out_key = pytest.StashKey[dict[tuple[str, str], str]]()


def pytest_addoption(parser):
    group = parser.getgroup("rnnparity benchmarks")
    group.addoption(
        "--blocks", type=int, default=3, help="how often all contenders are timed in turn"
    )
    group.addoption("--quick", action="store_true", help="fewer and smaller problems")


def pytest_configure(config):
    config.stash[left_out_key] = {}


def pytest_generate_tests(metafunc):
    if "block" in metafunc.fixturenames:
        blocks = metafunc.config.getoption("--blocks")
        # What takes seconds a time is timed half as often.
        metafunc.parametrize(
            "block",
            range((blocks + 1) // 2 if metafunc.module.__name__ == "test_harness" else blocks),
        )


def pytest_benchmark_update_json(config, output_json):
    output_json["left_out"] = [
        {"contender": contender, "problem": problem, "why": why}
        for (contender, problem), why in sorted(config.stash[left_out_key].items())
    ]


class Timed:
    """A call and how often it is made for one time to be taken: enough rounds of enough calls,
    found by one try."""

    def __init__(self, call, once=None):
        if once is None:
            call()
            start = perf_counter()
            call()
            once = perf_counter() - start
        self.call = call
        self.iterations = ceil(ROUND_SECONDS / once)
        self.rounds = min(MOST_ROUNDS, ceil(BLOCK_SECONDS / (self.iterations * once)))


@pytest.fixture
def record(benchmark):
    """Time one block of one contender; what else is to be stored goes by name."""

    def record(timed, group, problem, contender, block, **more):
        benchmark.group = f"{group}: {problem}"
        benchmark.extra_info.update(
            group=group, problem=problem, contender=contender, block=block, **more
        )
        benchmark.pedantic(timed.call, rounds=timed.rounds, iterations=timed.iterations)

    return record
