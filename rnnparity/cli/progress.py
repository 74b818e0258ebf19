"""Progress on stderr: a bar on a terminal, a plain line every ten seconds in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from textwrap import wrap
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from rnnparity.cli.common import echo
from rnnparity.problem.text import visible
from rnnparity.problem.verdicts import Verdict

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from rnnparity.problem.results import CaseResult

# In a pipe a line is printed after so many seconds.
LINE_S = 10.0
# Of each run so many failing problems are printed as they come, unless all verdicts are to be.
SHOWN = 10


class ShowProgress(Protocol):
    """What is called whenever a part of the work is done."""

    def __call__(
        self, name: str, done: int, total: int, result: CaseResult | None = None, /
    ) -> None:
        """Show what is running, how many are done, of how many, and the last case's result."""


@dataclass
class _Task:
    """One thing that is running, such as a subject; `unsupported` are the reasons so far."""

    start: float
    bar: TaskID | None = None
    failing: int = 0
    unsupported: set[str] = field(default_factory=set)
    next_line: float = field(init=False)

    def __post_init__(self) -> None:
        self.next_line = self.start + LINE_S


@contextmanager
def show_progress(start: str = "loading", *, every_verdict: bool = False) -> Iterator[ShowProgress]:
    """Show progress until the context is left, `start` until something is done.

    What is printed goes to stderr. With `every_verdict` each one that is not a pass is printed as
    it comes, of what is unsupported for the same reason the first; else the first failing ones on
    a terminal.
    """
    if not sys.stderr.isatty():
        yield _Lines(every_verdict)
        return
    # Slow to import.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failing]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        yield _Bar(every_verdict, console, bar, start)


class _Lines:
    """Prints verdicts as they come, and a line every ten seconds."""

    def __init__(self, every_verdict: bool) -> None:
        self._every_verdict = every_verdict
        self._tasks: dict[str, _Task] = {}

    def __call__(
        self, name: str, done: int, total: int, result: CaseResult | None = None, /
    ) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._started(name, total)
        task = self._tasks[name]
        if result is not None:
            task.failing += result.failing
            if self._is_shown(task, result):
                from rnnparity.report.text.messages import verdict_line

                self._print(f"{name}: {verdict_line(result)}")
        self._update(name, task, done, total)

    def _started(self, name: str, total: int) -> _Task:  # noqa: ARG002 - for the bar
        return _Task(monotonic())

    def _is_shown(self, task: _Task, result: CaseResult) -> bool:
        """Return whether a verdict is printed when it arrives."""
        if not self._every_verdict or result.verdict is not Verdict.UNSUPPORTED:
            return self._every_verdict and not result.passed
        known = result.reason in task.unsupported
        task.unsupported.add(result.reason)
        return not known

    def _update(self, name: str, task: _Task, done: int, total: int) -> None:
        now = monotonic()
        if now < task.next_line:
            return
        task.next_line = now + LINE_S
        left = (now - task.start) * (total - done) / done if done else 0.0
        failing = f", {task.failing} failing" if task.failing else ""
        self._print(f"{name}: {done} of {total} done{failing}, {left:.0f} s left")

    def _print(self, line: str) -> None:
        echo(line, err=True)


class _Bar(_Lines):
    """Shows a bar on a terminal, with verdicts above it."""

    def __init__(self, every_verdict: bool, console: Console, bar: Bar, start: str) -> None:
        super().__init__(every_verdict)
        self._console, self._bar = console, bar
        self._loading = bar.add_task(start, total=None, failing="")

    def _started(self, name: str, total: int) -> _Task:
        self._bar.update(self._loading, visible=False)
        return _Task(monotonic(), self._bar.add_task(visible(name), total=total, failing=""))

    def _is_shown(self, task: _Task, result: CaseResult) -> bool:
        if self._every_verdict:
            return super()._is_shown(task, result)
        return result.failing and task.failing <= SHOWN

    def _update(self, name: str, task: _Task, done: int, total: int) -> None:  # noqa: ARG002 - for lines
        failing = f"{task.failing} failing" if task.failing else ""
        if task.bar is not None:
            self._bar.update(task.bar, completed=done, failing=failing)

    def _print(self, line: str) -> None:
        width = self._console.width
        for part in wrap(visible(line), width, subsequent_indent="  ", break_on_hyphens=False):
            self._console.print(part, highlight=False, markup=False, soft_wrap=True)
