"""How a run is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rnnparity.problem.results import Report
from rnnparity.session.progress import Progress
from rnnparity.session.workers import TIMEOUT_S


@dataclass(frozen=True)
class Settings:
    """How a run is done.

    `jobs` is the number of worker processes per subject and `timeout_s` the time limit of a case in
    a worker, in seconds. `progress` is called with the subject, the number of cases that are done,
    that of all, and the last result. With `causes` the causes of what fails are searched when all
    verdicts are there. `save` is called with the report of what has finished, in another thread
    every few seconds, and before the causes are searched. `precision` is what the subjects declare
    to compute in, "" what their registrations state.
    """

    jobs: int | None = None
    timeout_s: float = TIMEOUT_S
    fixtures: Path | None = None
    causes: bool = True
    progress: Progress | None = None
    save: Callable[[Report], None] | None = None
    precision: str = ""
