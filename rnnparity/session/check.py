"""A whole run: subjects are compared with the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rnnparity import __version__
from rnnparity.catalogue import digest
from rnnparity.golden.known_differences import KnownDifference
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import KnownEntry, Report, Skipped, SubjectResult
from rnnparity.session.fixtures import Fixtures, read_fixtures
from rnnparity.session.judging import check_compared, self_check
from rnnparity.session.processes import one_blas_thread
from rnnparity.session.scores import with_scores
from rnnparity.session.selection import Selection
from rnnparity.session.session import SubjectLike, check_name
from rnnparity.session.subject_run import Progress, SubjectRun, judge_subject, with_causes
from rnnparity.session.workers import TIMEOUT_S
from rnnparity.subjects import MissingFrameworkError, SubjectError, UnknownSubjectError, name_of

DEFAULT_SUBJECT = "keras"


@dataclass(frozen=True)
class Run:
    """The report of a run, and by subject the problems that differ, with the subject's outputs."""

    report: Report
    wrong: Mapping[str, Sequence[Problem]]


@dataclass(frozen=True)
class Settings:
    """How a run is done.

    `jobs` is the number of worker processes per subject and `timeout_s` the time limit of a case in
    a worker, in seconds. `progress` is called with the subject, the number of cases that are done,
    that of all, and the last result. With `causes` the causes of what fails are searched when all
    verdicts are there; `on_verdicts` is called before with the report so far. `precision` is what
    the subjects declare to compute in, "" what their registrations state.
    """

    jobs: int | None = None
    timeout_s: float = TIMEOUT_S
    fixtures: Path | None = None
    causes: bool = True
    progress: Progress | None = None
    on_verdicts: Callable[[Report], None] | None = None
    precision: str = ""


def check(
    *subjects: SubjectLike,
    k: str = "",
    full: bool = False,
    gradients: bool = False,
    fixtures: Path | None = None,
    jobs: int | None = None,
    timeout_s: float = TIMEOUT_S,
    precision: str = "",
) -> Report:
    """Compare subjects (names, or functions from a Problem to its outputs) with the test cases.

    The cases are those of the core set, or all (`full`), or those that the expression `k` selects
    of all. With `gradients` these are compared instead of outputs. `jobs` is the number of worker
    processes per subject and `timeout_s` the time limit of a case in a worker, in seconds.
    `precision` is a coarser arithmetic that the subjects declare (float16, bfloat16 or 2**-N),
    which verdicts are then relative to. A subject that cannot be loaded does not keep the others
    from running.

    Raises:
        RequestError: a subject is unknown, a fixture unreadable, no subject can be loaded, or
            nothing was compared.
        SelfCheckError: a subject that is wrong on purpose passed.

    Example:
        >>> from rnnparity import check
        >>> check("reference", k="lstm-spread-last").passed
        True
    """
    settings = Settings(jobs=jobs, timeout_s=timeout_s, fixtures=fixtures, precision=precision)
    selection = Selection(k, full, gradients=gradients)
    return check_run(subjects or [DEFAULT_SUBJECT], selection, settings).report


def check_run(
    subjects: Sequence[SubjectLike],
    selection: Selection,
    settings: Settings,
    optional: Sequence[str] = (),
) -> Run:
    """Do what `check` does, and keep the outputs that differ.

    `optional` are subjects that are skipped where their framework is missing.
    """
    available, refused = _available(list(dict.fromkeys([*subjects, *optional])))
    cases = selection.cases()
    with one_blas_thread():
        ids = [case.id for case in cases]
        fixtures = read_fixtures(settings.fixtures, ids, gradients=selection.gradients)
        self_check()
        runs, failed = _judge_all(available, cases, fixtures, settings)
        refused |= failed
        skipped = tuple(_skipped(subject, error, subjects) for subject, error in refused.items())
        report = _report(runs, skipped, fixtures)
        if not report.interrupted:
            check_compared(report)
        elif not any(result.cases for result in report.subjects):
            raise KeyboardInterrupt  # there is nothing to keep
        if settings.causes and not report.interrupted and not report.passed:
            if settings.on_verdicts is not None:
                settings.on_verdicts(report)
            runs = [with_causes(run, settings.progress) for run in runs]
            report = replace(report, subjects=tuple(_covered_as(report, runs)))
    return Run(report, {run.result.name: run.wrong for run in runs})


def _covered_as(report: Report, runs: Sequence[SubjectRun]) -> Iterator[SubjectResult]:
    """Yield the results of runs with the coverage that a report of the same runs has."""
    for run, before in zip(runs, report.subjects, strict=True):
        yield replace(run.result, not_covered=before.not_covered)


def _available(
    subjects: Sequence[SubjectLike],
) -> tuple[list[SubjectLike], dict[SubjectLike, RequestError]]:
    """Return the subjects whose packages are there, and why the others cannot run.

    Raises:
        RequestError: no subject has one of the names, or none can run.
    """
    available: list[SubjectLike] = []
    refused: dict[SubjectLike, RequestError] = {}
    for subject in subjects:
        try:
            check_name(subject)
            available.append(subject)
        except SubjectError as error:
            if isinstance(error, UnknownSubjectError):
                raise
            refused[subject] = error
    _check_any(available, refused)
    return available, refused


def _check_any(subjects: Sequence[object], refused: Mapping[SubjectLike, RequestError]) -> None:
    if not subjects:
        raise RequestError("; ".join(dict.fromkeys(map(str, refused.values()))))


def _judge_all(
    subjects: Sequence[SubjectLike],
    cases: Sequence[Problem],
    fixtures: Fixtures,
    settings: Settings,
) -> tuple[list[SubjectRun], dict[SubjectLike, RequestError]]:
    """Return the runs of the subjects, and why others could not be loaded.

    Raises:
        RequestError: none could be loaded.
    """
    runs: list[SubjectRun] = []
    refused: dict[SubjectLike, RequestError] = {}
    for subject in subjects:
        try:
            run = judge_subject(
                subject,
                cases,
                fixtures,
                settings.jobs,
                settings.timeout_s,
                settings.progress,
                settings.precision,
            )
        except RequestError as error:
            refused[subject] = error
            continue
        runs.append(run)
        if run.interrupted:
            break
    _check_any(runs, refused)
    return runs, refused


def _skipped(subject: SubjectLike, error: RequestError, named: Sequence[SubjectLike]) -> Skipped:
    requested = subject in named or not isinstance(error, MissingFrameworkError)
    reason = error.reason if isinstance(error, SubjectError) else str(error)
    return Skipped(name_of(subject), reason, requested)


def _report(runs: Sequence[SubjectRun], skipped: tuple[Skipped, ...], fixtures: Fixtures) -> Report:
    results = tuple(run.result for run in runs)
    met = {name for result in results for case in result.cases for name in case.known}
    report = Report(
        results,
        skipped,
        tuple(_known_entry(entry) for entry in fixtures.known if entry.name in met),
        rnnparity=__version__,
        catalogue=digest(),
        without_golden=fixtures.goldens.missing,
        interrupted=any(run.interrupted for run in runs),
        gradients=fixtures.gradients,
    )
    return with_scores(report)


def _known_entry(entry: KnownDifference) -> KnownEntry:
    reason = " ".join(entry.reason.split())
    return KnownEntry(entry.name, entry.cause, entry.standing, reason, entry.link)
