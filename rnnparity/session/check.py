"""A whole run: subjects against cases, with goldens, known differences and the proof that a wrong
subject is seen."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.selection import select
from rnnparity.explanation.causes import Cause, causes
from rnnparity.faults import detecting_cases
from rnnparity.golden import known_differences
from rnnparity.golden.goldens import KNOWN, Goldens, default_folder, read_goldens
from rnnparity.golden.known_differences import KnownDifference, read_known
from rnnparity.problem.answer import Unsupported
from rnnparity.problem.errors import MissingFrameworkError, RequestError, SelfCheckError
from rnnparity.problem.problem import Problem
from rnnparity.reference.tolerance import Expected, expect
from rnnparity.session.workers import TIMEOUT_S, Outcome, Workers, one_line
from rnnparity.subjects import FunctionSubject, name_of, registered_names, registration
from rnnparity.verdict.judge import (
    FAILING,
    Kind,
    Verdict,
    judge,
    judge_with_golden,
    reference_verdict,
    with_known,
    wrong_on_purpose,
)

# A case on which a subject that swaps two gates must fail, or no verdict of the run is worth
# anything.
SELF_CHECK_CASE = "lstm-spread-sequences-state"
# Below this many cases a second worker costs more than it saves: a framework loads for seconds.
CASES_A_WORKER = 150

SubjectLike = str | Callable[[Problem], Any]
Progress = Callable[[str, int, int], None]


@dataclass
class SubjectReport:
    """All verdicts on one subject; `stale` are known differences that no longer say the truth, with
    why.

    `wrong` are the problems that diverge in shape or value, with the outputs given, and `causes`
    what explains each.
    """

    name: str
    versions: Mapping[str, str]
    verdicts: list[Verdict] = field(default_factory=list)
    stale: list[tuple[KnownDifference, str]] = field(default_factory=list)
    causes: Mapping[str, Cause] = field(default_factory=dict)
    seconds: float = 0.0
    wrong: list[Problem] = field(default_factory=list)

    def add(self, outcome: Outcome, expected: Expected, golden: Any) -> None:
        """Judge what came of a case."""
        verdict = verdict_of(outcome, expected, golden)
        self.verdicts.append(verdict)
        if (
            outcome.answer is not None
            and outcome.answer.outputs
            and any(d.kind not in ("fact", "dtype") for d in verdict.differences)
        ):
            self.wrong.append(outcome.problem.with_outputs(outcome.answer.outputs))

    @property
    def counts(self) -> Counter[Kind]:
        return Counter(verdict.kind for verdict in self.verdicts)

    @property
    def failing(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.kind in FAILING]

    @property
    def compared(self) -> int:
        """How many cases were truly held against something."""
        return sum(verdict.kind is not Kind.UNSUPPORTED for verdict in self.verdicts)

    @property
    def passed(self) -> bool:
        return self.compared > 0 and not self.failing and not self.stale


@dataclass(frozen=True)
class LeftOut:
    """A subject that could not be run. `asked`: it was named, or there was more to it than what it
    needs missing."""

    subject: str
    why: str
    asked: bool


@dataclass
class Report:
    """What a run gave, subject by subject.

    `faults`: how many of those that fit the cases they would have shown, and how many fit;
    `by_constants` the same of the cases with constant weights alone. The reference alone has no use
    for them.
    """

    subjects: list[SubjectReport]
    faults: tuple[int, int] | None = None
    by_constants: tuple[int, int] | None = None
    left_out: list[LeftOut] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not any(out.asked for out in self.left_out) and all(
            subject.passed for subject in self.subjects
        )

    @property
    def status(self) -> int:
        """The exit status: 1 where something differs, 2 where a subject could not be run or has
        compared nothing."""
        differs = any(subject.failing or subject.stale for subject in self.subjects)
        return 1 if differs else 0 if self.passed else 2

    @property
    def compared(self) -> int:
        """How many cases were truly held against something."""
        return sum(subject.compared for subject in self.subjects)


def check(
    *subjects: SubjectLike,
    k: str = "",
    fixtures: Path | None = None,
    jobs: int | None = None,
    timeout_s: float = TIMEOUT_S,
    progress: Progress | None = None,
    all_subjects: bool = False,
) -> Report:
    """Hold subjects (names, or functions from a Problem to its outputs) against the catalogue.

    `k` chooses cases (see `selection`), `jobs` the number of worker processes a subject,
    `timeout_s` the seconds that a case may take in one; `progress` is told the subject, how many
    cases are done and how many there are. `all_subjects`: besides those that are named every one
    that has what it needs here. One that cannot be loaded does not keep the others from running.

    Raises:
        RequestError: an unknown subject, an unreadable fixture, no subject that can be loaded,
        nothing to compare. MistrustedRunError: a subject that is wrong on purpose passed.
    """
    named = tuple(dict.fromkeys(subjects)) or (() if all_subjects else ("keras",))
    wanted = tuple(dict.fromkeys((*named, *(registered_names() if all_subjects else ()))))
    for subject in wanted:
        if isinstance(subject, str):
            registration(subject)
    folder = fixtures or default_folder()
    with one_blas_thread():
        goldens = read_goldens(folder, catalogue())
        entries = read_known(folder / KNOWN)
        self_check()
        reports: list[SubjectReport] = []
        refused: list[tuple[SubjectLike, RequestError]] = []
        for subject in wanted:
            try:
                reports.append(
                    _check_one(subject, k, goldens, entries, (jobs, timeout_s), progress)
                )
            except RequestError as error:
                refused.append((subject, error))
        if not reports:
            raise RequestError("; ".join(dict.fromkeys(str(error) for _, error in refused)))
        faults, by_constants = _faults(reports)
        report = Report(reports, faults, by_constants)
    report.left_out = [
        LeftOut(
            name_of(subject),
            str(error),
            subject in named or not isinstance(error, MissingFrameworkError),
        )
        for subject, error in refused
    ]
    if report.compared == 0:
        reasons = Counter(
            verdict.reason for subject in report.subjects for verdict in subject.verdicts
        )
        why = f", most often: {reasons.most_common(1)[0][0]}"
        raise RequestError(
            f"nothing was compared: every chosen case is unsupported by every subject{why}"
        )
    return report


def _faults(reports: Sequence[SubjectReport]) -> Iterator[tuple[int, int] | None]:
    """The score of all cases that were compared by any subject, and of those of them with constant
    weights."""
    silent = (Kind.UNSUPPORTED, Kind.ERROR)
    others = [report for report in reports if report.name != "reference"]
    names = dict.fromkeys(
        v.id for report in others for v in report.verdicts if v.kind not in silent
    )
    cases = [catalogue()[name] for name in names]
    constant = [case for case in cases if case.case and case.case.initializers]
    for some in (cases, constant):
        found = detecting_cases(some)
        yield (sum(map(bool, found.values())), len(found)) if found else None


def self_check() -> None:
    """Judge one subject that is wrong on purpose.

    Raises:
        MistrustedRunError: it passed.
    """
    problem = catalogue()[SELF_CHECK_CASE]
    if judge(problem, wrong_on_purpose(problem)).kind is not Kind.DIVERGES:
        raise SelfCheckError(
            f"a subject with two gates swapped passed {SELF_CHECK_CASE}: no verdict of this run counts"
        )


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Matrices here are small: a second BLAS thread on a busy machine makes them a hundred times
    slower."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


def cases_for(subject: SubjectLike, k: str) -> list[Problem]:
    """The chosen cases; where none are chosen, all that the subject takes by default."""
    default = registration(subject).cases if isinstance(subject, str) else ""
    return select(catalogue().values(), k or default)


def _check_one(
    subject: SubjectLike,
    k: str,
    goldens: Goldens,
    entries: Sequence[KnownDifference],
    workers: tuple[int | None, float],
    progress: Progress | None,
) -> SubjectReport:
    jobs, timeout_s = workers
    cases = cases_for(subject, k)
    if subject == "reference":
        report = _check_reference(cases, goldens, progress)
    elif isinstance(subject, str):
        report = _check_in_workers(
            subject, cases, goldens, (jobs or _jobs(len(cases)), timeout_s), progress
        )
    else:
        report = _check_function(subject, cases, goldens, progress)
    report.verdicts = [
        with_known(verdict, entries, report.name, report.versions) for verdict in report.verdicts
    ]
    place = {case.id: number for number, case in enumerate(cases)}
    report.verdicts.sort(key=lambda verdict: place[verdict.id])
    used = {name for verdict in report.verdicts for name in verdict.known}
    ran = {verdict.id for verdict in report.verdicts if verdict.kind is not Kind.UNSUPPORTED}
    report.stale = known_differences.stale(
        entries, report.name, report.versions, used, ran, catalogue()
    )
    failing = {verdict.id for verdict in report.failing}
    told = [problem for problem in report.wrong if problem.id in failing]
    report.causes = causes(
        told, lambda done: _tell_of(progress, f"{report.name}: causes", done, len(told))
    )
    return report


def _check_reference(
    cases: Sequence[Problem], goldens: Goldens, progress: Progress | None
) -> SubjectReport:
    import numpy as np

    report = SubjectReport("reference", {"numpy": np.__version__})
    for case in cases:
        left_out = goldens.left_out.get(case.id, "")
        report.verdicts.append(reference_verdict(case, goldens.outputs.get(case.id), left_out))
        _tell(progress, report, cases)
    return report


def _check_in_workers(
    subject: str,
    cases: Sequence[Problem],
    goldens: Goldens,
    how: tuple[int, float],
    progress: Progress | None,
) -> SubjectReport:
    with Workers(subject, *how) as workers:
        # The reference runs while the workers load their framework.
        expected = {case.id: expect(case) for case in cases}
        report = SubjectReport(subject, workers.versions())
        for outcome in workers.run(cases):
            golden = goldens.outputs.get(outcome.problem.id)
            report.add(outcome, expected[outcome.problem.id], golden)
            report.seconds += outcome.answer.seconds if outcome.answer else 0.0
            _tell(progress, report, cases)
    return report


def _check_function(
    function: Callable[[Problem], Any],
    cases: Sequence[Problem],
    goldens: Goldens,
    progress: Progress | None,
) -> SubjectReport:
    subject = FunctionSubject(function)
    report = SubjectReport(name_of(function), {})
    for case in cases:
        outcome = ask(subject, case)
        report.add(outcome, expect(case), goldens.outputs.get(case.id))
        _tell(progress, report, cases)
    return report


def ask(subject: FunctionSubject, problem: Problem) -> Outcome:
    """A function's outcome, in this process."""
    try:
        return Outcome(problem, subject.answer(problem))
    except Unsupported as reason:
        return Outcome(problem, unsupported=str(reason) or "no reason given")
    except Exception as error:
        return Outcome(problem, error=one_line(error))


def verdict_of(outcome: Outcome, expected: Expected, golden: Any) -> Verdict:
    """The verdict on what came of a case."""
    if outcome.answer is not None:
        return judge_with_golden(outcome.problem, outcome.answer, expected, golden)
    if outcome.unsupported:
        return Verdict(outcome.problem.id, Kind.UNSUPPORTED, reason=outcome.unsupported)
    return Verdict(outcome.problem.id, Kind.ERROR, reason=outcome.error)


def _jobs(cases: int) -> int:
    return max(1, min(os.cpu_count() or 1, 4, cases // CASES_A_WORKER))


def _tell(progress: Progress | None, report: SubjectReport, cases: Sequence[Problem]) -> None:
    _tell_of(progress, report.name, len(report.verdicts), len(cases))


def _tell_of(progress: Progress | None, what: str, done: int, total: int) -> None:
    if progress is not None:
        progress(what, done, total)
