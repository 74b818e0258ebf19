"""How far a run is: what reports it, and when."""

from __future__ import annotations

from collections.abc import Callable

from rnnparity.problem.results import CaseResult

# Called with what is running, the number of cases that are done, that of all, and the last result.
Progress = Callable[[str, int, int, CaseResult | None], None]


def report_progress(
    progress: Progress | None, name: str, done: int, total: int, result: CaseResult | None = None
) -> None:
    """Call `progress`, where there is one."""
    if progress is not None:
        progress(name, done, total, result)
