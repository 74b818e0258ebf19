"""A whole run: subjects are compared with the catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnparity import __version__
from rnnparity.catalogue import catalogue, digest
from rnnparity.faults import detecting_cases
from rnnparity.golden.known_differences import KnownDifference
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import (
    KnownEntry,
    Report,
    Score,
    Skipped,
    SubjectResult,
)
from rnnparity.session.fixtures import read_fixtures
from rnnparity.session.judging import check_compared, self_check
from rnnparity.session.processes import one_blas_thread
from rnnparity.session.session import REFERENCE, SubjectLike, check_name
from rnnparity.session.subject_run import Progress, SubjectRun, check_subject
from rnnparity.session.workers import TIMEOUT_S
from rnnparity.subjects import MissingFrameworkError, SubjectError, name_of, registered_names

DEFAULT_SUBJECT = "keras"


@dataclass(frozen=True)
class Run:
    """The report of a run, and by subject the problems that differ, with the subject's outputs."""

    report: Report
    wrong: Mapping[str, Sequence[Problem]]


def check(
    *subjects: SubjectLike,
    k: str = "",
    fixtures: Path | None = None,
    jobs: int | None = None,
    timeout_s: float = TIMEOUT_S,
    progress: Progress | None = None,
    all_subjects: bool = False,
) -> Report:
    """Compare subjects (names, or functions from a Problem to its outputs) with the catalogue.

    `k` selects cases, `jobs` is the number of worker processes per subject and `timeout_s` the
    time limit of a case in a worker, in seconds. `progress` is called with the subject, the number
    of cases that are done and that of all. With `all_subjects` every registered subject runs
    besides the named ones; those whose framework is missing are skipped. A subject that cannot be
    loaded does not keep the others from running.

    Raises:
        RequestError: a subject is unknown, a fixture unreadable, no subject can be loaded, or
            nothing was compared.
        SelfCheckError: a subject that is wrong on purpose passed.

    Example:
        >>> from rnnparity import check
        >>> check("reference", k="lstm-spread-last").passed
        True
    """
    run = check_run(
        *subjects,
        k=k,
        fixtures=fixtures,
        jobs=jobs,
        timeout_s=timeout_s,
        progress=progress,
        all_subjects=all_subjects,
    )
    return run.report


def check_run(
    *subjects: SubjectLike,
    k: str = "",
    fixtures: Path | None = None,
    jobs: int | None = None,
    timeout_s: float = TIMEOUT_S,
    progress: Progress | None = None,
    all_subjects: bool = False,
) -> Run:
    """Do what `check` does, and keep the outputs that differ."""
    named = list(dict.fromkeys(subjects))
    if not named and not all_subjects:
        named = [DEFAULT_SUBJECT]
    registered = registered_names() if all_subjects else []
    requested = list(dict.fromkeys([*named, *registered]))
    for subject in requested:
        check_name(subject)
    runs: list[SubjectRun] = []
    refused: dict[SubjectLike, RequestError] = {}
    with one_blas_thread():
        compared_with = read_fixtures(fixtures)
        self_check()
        for subject in requested:
            try:
                runs.append(check_subject(subject, k, compared_with, jobs, timeout_s, progress))
            except RequestError as error:
                refused[subject] = error
        if not runs:
            raise RequestError("; ".join(dict.fromkeys(map(str, refused.values()))))
        skipped = tuple(_skipped(subject, error, named) for subject, error in refused.items())
        report = _report([run.result for run in runs], skipped, compared_with.known)
    check_compared(report)
    return Run(report, {run.result.name: run.wrong for run in runs})


def _skipped(subject: SubjectLike, error: RequestError, named: Sequence[SubjectLike]) -> Skipped:
    requested = subject in named or not isinstance(error, MissingFrameworkError)
    reason = error.reason if isinstance(error, SubjectError) else str(error)
    return Skipped(name_of(subject), reason, requested)


def _report(
    results: Sequence[SubjectResult],
    skipped: tuple[Skipped, ...],
    entries: Sequence[KnownDifference],
) -> Report:
    met = {name for result in results for case in result.cases for name in case.known}
    known = tuple(_known_entry(entry) for entry in entries if entry.name in met)
    compared = _compared_cases(results)
    constant = [problem for problem in compared if problem.case and problem.case.initializers]
    return Report(
        tuple(results),
        skipped,
        known,
        score=_score(compared),
        score_constant=_score(constant),
        rnnparity=__version__,
        catalogue=digest(),
    )


def _known_entry(entry: KnownDifference) -> KnownEntry:
    reason = " ".join(entry.reason.split())
    return KnownEntry(entry.name, entry.cause, entry.standing, reason, entry.link)


def _compared_cases(results: Sequence[SubjectResult]) -> list[Problem]:
    """Return the cases in which outputs of a subject other than the reference were compared."""
    ids: dict[str, None] = {}
    for result in results:
        if result.name != REFERENCE:
            ids.update((case.id, None) for case in result.cases if case.outputs_compared)
    return [catalogue()[id_] for id_ in ids]


def _score(cases: Sequence[Problem]) -> Score | None:
    """Return the mutation score of cases; None where no fault applies to any of them."""
    detecting = detecting_cases(cases)
    detected = sum(1 for case in detecting.values() if case)
    return Score(detected, len(detecting)) if detecting else None
