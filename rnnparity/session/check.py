"""A whole run: subjects are compared with the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import Report, Skipped
from rnnparity.session.fixtures import read_fixtures
from rnnparity.session.judging import check_compared, self_check
from rnnparity.session.processes import one_blas_thread
from rnnparity.session.progress import Progress
from rnnparity.session.record import RunRecord, saving
from rnnparity.session.scores import with_scores
from rnnparity.session.selection import Selection
from rnnparity.session.session import SubjectLike, check_name
from rnnparity.session.settings import Settings
from rnnparity.session.subject_run import judge_subject, with_causes
from rnnparity.session.workers import TIMEOUT_S
from rnnparity.subjects import MissingFrameworkError, SubjectError, UnknownSubjectError, name_of

DEFAULT_SUBJECT = "keras"


@dataclass(frozen=True)
class Run:
    """The report of a run, and by subject the problems that differ, with the subject's outputs."""

    report: Report
    wrong: Mapping[str, Sequence[Problem]]


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
    """Return the report of `check`, with the outputs that differ.

    `optional` are subjects that are skipped where their framework is missing.
    """
    available, refused = _available(list(dict.fromkeys([*subjects, *optional])))
    cases = selection.cases()
    with one_blas_thread():
        ids = [case.id for case in cases]
        fixtures = read_fixtures(settings.fixtures, ids, gradients=selection.gradients)
        self_check()
        record = RunRecord(
            [name_of(each) for each in available], cases, selection.shards(), fixtures
        )
        skip = partial(_skipped, named=subjects)
        record.skipped += [skip(each, error) for each, error in refused.items()]
        with saving(settings.save, record.report):
            _judge_all(available, record, settings, skip)
        wrong = {subject.name: subject.wrong for subject in record.subjects}
        report = record.report()
        if report is None:
            raise KeyboardInterrupt  # there is nothing to keep
        report = with_scores(report)
        if not report.interrupted:
            check_compared(report)
        if settings.causes and not report.interrupted and not report.passed:
            if settings.save is not None:
                with suppress(RequestError):  # as while the run goes on, see `saving`
                    settings.save(report)
            report = _with_causes(report, wrong, settings.progress)
    return Run(report, wrong)


def _with_causes(
    report: Report, wrong: Mapping[str, Sequence[Problem]], progress: Progress | None
) -> Report:
    """Return a report with the causes of what fails; after Ctrl-C with those that were found."""
    subjects = list(report.subjects)
    interrupted = False
    try:
        for position, subject in enumerate(subjects):
            subjects[position] = with_causes(subject, wrong[subject.name], progress)
    except KeyboardInterrupt:
        interrupted = True
    return replace(report, subjects=tuple(subjects), interrupted=interrupted)


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
    run: RunRecord,
    settings: Settings,
    skip: Callable[[SubjectLike, RequestError], Skipped],
) -> None:
    """Run the subjects, and `skip` those that cannot be loaded. Ctrl-C keeps what is finished.

    Raises:
        RequestError: none could be loaded.
    """
    refused: dict[SubjectLike, RequestError] = {}
    for subject in subjects:
        record = run.start(name_of(subject))
        try:
            judge_subject(subject, record, settings)
        except RequestError as error:
            refused[subject] = error
            run.subjects.remove(record)
            run.skipped.append(skip(subject, error))
        except KeyboardInterrupt:
            return
    run.interrupted = False
    _check_any(run.subjects, refused)


def _skipped(subject: SubjectLike, error: RequestError, named: Sequence[SubjectLike]) -> Skipped:
    requested = subject in named or not isinstance(error, MissingFrameworkError)
    reason = error.reason if isinstance(error, SubjectError) else str(error)
    return Skipped(name_of(subject), reason, requested)
