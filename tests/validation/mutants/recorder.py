"""A pytest plugin that runs selected tests, ends each after a time limit and records how it went.

`MUTANT_RECORD` is the file to which one line of JSON per test is added: its id, its outcome and
the seconds of CPU it took. `MUTANT_SELECTION` is a file with a JSON object, the seconds of each
test to be run, or null to run all. A test that is over its limit fails.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

# What a test may take: CPU time of this process, wall time, and multiples of its healthy CPU time.
CPU_LIMIT, WALL_LIMIT, FACTOR = 10.0, 60.0, 10.0
SLOW_SECONDS = 3.0

RECORD = Path(os.environ["MUTANT_RECORD"])
SELECTION: dict[str, float] | None = json.loads(Path(os.environ["MUTANT_SELECTION"]).read_text())


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its children that have ended."""
    return sum(os.times()[:4])


def fail_test(*_: Any) -> None:
    """End the running test."""
    pytest.fail("timed out", pytrace=False)


def record(test: str, outcome: str, seconds: float) -> None:
    """Add one line to the record."""
    with RECORD.open("a") as file:
        file.write(json.dumps([test, outcome, round(seconds, 3)]) + "\n")


class Recorder:
    """The test that runs: its outcome so far, and when it began."""

    def __init__(self) -> None:
        self.outcome = "passed"
        self.begun = 0.0

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.outcome, self.begun = "passed", cpu_seconds()
        seconds = (SELECTION or {}).get(nodeid, 0.0)
        signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT + FACTOR * seconds)
        signal.setitimer(signal.ITIMER_REAL, WALL_LIMIT + FACTOR * seconds)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome != "passed":
            self.outcome = report.outcome

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        record(nodeid, self.outcome, cpu_seconds() - self.begun)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            record(report.nodeid, "failed", 0.0)

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Keep the selected tests, the slow ones last."""
        if SELECTION is not None:
            selection = SELECTION
            config.hook.pytest_deselected(items=[i for i in items if i.nodeid not in selection])
            items[:] = [item for item in items if item.nodeid in selection]
            items.sort(key=lambda item: selection[item.nodeid] > SLOW_SECONDS)


def pytest_configure(config: pytest.Config) -> None:
    """Start to record."""
    signal.signal(signal.SIGPROF, fail_test)
    signal.signal(signal.SIGALRM, fail_test)
    config.pluginmanager.register(Recorder())
