"""Fuzzing: verdicts on random healthy problems, and on some with slightly changed weights or gradients.

No healthy problem may diverge, and the changes must be detected. The thresholds are fixed before
the problems are drawn. For comparison, fixed tolerances in use elsewhere judge the same outputs.
The unit of a run is a seed: what it adds to the counts does not depend on the others, so that a run
can be continued, divided and merged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from rnnparity import __version__
from rnnparity.session.fuzz_answers import answered
from rnnparity.session.fuzz_known import KnownSigns, known_signs
from rnnparity.session.fuzz_questions import (
    CHANGED_DRAWS,
    Question,
)
from rnnparity.session.fuzz_records import CHANGES, Record, SeedRecords
from rnnparity.session.fuzz_tally import Tally
from rnnparity.session.processes import one_blas_thread
from rnnparity.session.progress import Progress, report_progress
from rnnparity.session.random_problems import DRAWS
from rnnparity.session.session import Session, SubjectLike, open_session
from rnnparity.session.workers import TIMEOUT_S

# So many seeds are drawn at a time: their problems are in memory.
BATCH = 24
# Of so many problems that fail the smallest one is searched.
SMALLEST = 3


@dataclass(frozen=True)
class FuzzRun:
    """What was run; `tally` has the counts of its finished seeds.

    `seeds` are the first and the last that there were to draw; those of the tally include what a
    continued log had before. `interrupted`: Ctrl-C ended it.
    """

    subject: str
    versions: Mapping[str, str]
    seeds: tuple[int, int]
    tally: Tally = field(default_factory=Tally, compare=False)
    date: str = ""
    rnnparity: str = ""
    interrupted: bool = False
    precision: str = ""
    gradients: bool = False

    @property
    def compared(self) -> str:
        """What is compared: outputs or gradients."""
        return "gradients" if self.gradients else "outputs"


class Log:
    """Where a run is kept while it goes on; this one keeps the counts only."""

    def __init__(self) -> None:
        self.tally = Tally()

    def begin(self, run: FuzzRun) -> None:
        """Start with what is run, or continue the same."""

    def has(self, seed: int) -> bool:  # noqa: ARG002 - for logs that are continued
        """Return whether the records of a seed are there already."""
        return False

    def add(self, seed: SeedRecords) -> None:
        """Keep the records of a seed."""
        self.tally.add(seed)


def fuzz(
    subject: SubjectLike,
    seeds: Sequence[int],
    jobs: int = 1,
    timeout_s: float = TIMEOUT_S,
    progress: Progress | None = None,
    precision: str = "",
    log: Log | None = None,
    gradients: bool = False,
) -> FuzzRun:
    """Ask a subject all problems of the seeds that are not in the log.

    With `gradients` it is asked for these instead of outputs. Verdicts are relative to a declared
    `precision`, by default that of the subject's registration. A problem on which the subject dies or
    hangs is an error; the run goes on. Seeds that are finished survive Ctrl-C.

    Raises:
        RequestError: the subject is unknown or cannot be loaded, or the log is of another run.
    """
    log = log or Log()
    opened = open_session(subject, jobs=jobs, timeout_s=timeout_s, precision=precision)
    with opened as session, one_blas_thread():
        run = FuzzRun(
            session.name,
            dict(session.versions),
            (seeds[0], seeds[-1]),
            log.tally,
            datetime.now(UTC).strftime("%Y-%m-%d"),
            __version__,
            precision=session.precision.name if session.precision else "",
            gradients=gradients,
        )
        log.begin(run)
        signs = known_signs(session.name, run.versions)
        try:
            _run(session, seeds, log, progress, gradients, signs)
        except KeyboardInterrupt:
            return replace(run, interrupted=True)
    return run


def _run(
    session: Session,
    seeds: Sequence[int],
    log: Log,
    progress: Progress | None,
    gradients: bool,
    signs: KnownSigns,
) -> None:
    total, done = DRAWS * len(seeds), 0
    for start in range(0, len(seeds), BATCH):
        batch = seeds[start : start + BATCH]
        missing = [seed for seed in batch if not log.has(seed)]
        done += DRAWS * (len(batch) - len(missing))
        records = _Gathered(missing, log.add)
        for question, result, record in answered(session, missing, gradients, signs):
            records.add(question, record)
            if not question.change:
                done += 1
                report_progress(progress, session.name, done, total, result)


class _Gathered:
    """The records of seeds whose problems are not all answered; passes on those that are."""

    def __init__(self, seeds: Sequence[int], finished: Callable[[SeedRecords], None]) -> None:
        self._waiting: dict[int, dict[str, Record | None]] = {seed: {} for seed in seeds}
        self._finished = finished

    def add(self, question: Question, record: Record | None) -> None:
        """Add the record of a question; None where nothing is recorded of it."""
        answered = self._waiting[question.seed]
        answered[f"{question.healthy.id} {question.change}"] = record
        if len(answered) == DRAWS + len(CHANGES) * CHANGED_DRAWS:
            del self._waiting[question.seed]
            kept = [each for each in answered.values() if each is not None]
            kept.sort(key=lambda each: (each.order, each.change))
            self._finished(SeedRecords(question.seed, tuple(kept)))
