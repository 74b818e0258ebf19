"""Progress on stderr: a bar on a terminal, a plain line every ten seconds in a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Protocol

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
    bar: TaskID
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
    bar = Bar(*columns, console=console, disable=not console.is_terminal, transient=True)
    with bar:
        yield _Reporter(console, bar, start, every_verdict)


class _Reporter:
    """Shows a bar and failing cases as they come, or lines in a pipe."""

    def __init__(self, console: Console, bar: Bar, start: str, every_verdict: bool) -> None:
        self._console, self._bar = console, bar
        self._every_verdict = every_verdict
        self._tasks: dict[str, _Task] = {}
        self._loading = bar.add_task(start, total=None, failing="")

    def __call__(
        self, name: str, done: int, total: int, result: CaseResult | None = None, /
    ) -> None:
        if name not in self._tasks:
            self._bar.update(self._loading, visible=False)
            bar = self._bar.add_task(visible(name), total=total, failing="")
            self._tasks[name] = _Task(monotonic(), bar)
        task = self._tasks[name]
        if result is not None:
            self._show(name, task, result)
        if self._console.is_terminal:
            failing = f"{task.failing} failing" if task.failing else ""
            self._bar.update(task.bar, completed=done, failing=failing)
        else:
            self._print_line(name, task, done, total)

    def _show(self, name: str, task: _Task, result: CaseResult) -> None:
        """Print a verdict that is not a pass, and count those that fail."""
        task.failing += result.failing
        if not self._every_verdict:
            shown = result.failing and self._console.is_terminal and task.failing <= SHOWN
        elif result.verdict is Verdict.UNSUPPORTED:
            shown = result.reason not in task.unsupported
            task.unsupported.add(result.reason)
        else:
            shown = not result.passed
        if shown:
            from rnnparity.report.messages import verdict_line

            self._print(f"{name}: {verdict_line(result)}")

    def _print_line(self, name: str, task: _Task, done: int, total: int) -> None:
        now = monotonic()
        if now < task.next_line:
            return
        task.next_line = now + LINE_S
        left = (now - task.start) * (total - done) / done if done else 0.0
        failing = f", {task.failing} failing" if task.failing else ""
        self._print(f"{name}: {done} of {total} done{failing}, {left:.0f} s left")

    def _print(self, line: str) -> None:
        self._console.print(visible(line), highlight=False, markup=False, soft_wrap=True)
