"""A whole run: subjects against cases, with goldens, known differences and the proof that a wrong
subject is seen."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rnnparity import __version__
from rnnparity.catalogue import catalogue, digest
from rnnparity.catalogue.selection import select
from rnnparity.explanation.causes import causes
from rnnparity.faults import detecting_cases
from rnnparity.golden import known_differences
from rnnparity.golden.goldens import KNOWN, Goldens, default_folder, read_goldens
from rnnparity.golden.known_differences import KnownDifference, read_known
from rnnparity.problem.answer import Unsupported
from rnnparity.problem.errors import MissingFrameworkError, RequestError, SelfCheckError
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import (
    FAILING,
    CaseResult,
    DifferenceType,
    KnownEntry,
    Machine,
    Report,
    Score,
    Skipped,
    SubjectResult,
    Verdict,
)
from rnnparity.problem.stored import this_machine
from rnnparity.reference.tolerance import Expected, expect
from rnnparity.session.workers import TIMEOUT_S, Outcome, Workers, one_line
from rnnparity.subjects import FunctionSubject, name_of, registered_names, registration
from rnnparity.verdict.judge import (
    judge,
    judge_with_golden,
    reference_result,
    with_known,
    wrong_answer,
)

# A case on which a subject that swaps two gates must fail, or no verdict of the run is worth
# anything.
SELF_CHECK_CASE = "lstm-spread-sequences-state"
# Below this many cases a second worker costs more than it saves: a framework loads for seconds.
CASES_A_WORKER = 150

SubjectLike = str | Callable[[Problem], Any]
Progress = Callable[[str, int, int], None]


@dataclass
class _SubjectRun:
    """What is known of a subject while it runs.

    `wrong` are the problems that differ in structure or value, with the outputs of the subject.
    """

    name: str
    versions: Mapping[str, str]
    results: list[CaseResult] = field(default_factory=list)
    seconds: float = 0.0
    wrong: list[Problem] = field(default_factory=list)

    def add(self, outcome: Outcome, expected: Expected, golden: Sequence[Tensor] | None) -> None:
        """Judge the outcome of a case."""
        result = result_of(outcome, expected, golden)
        self.results.append(result)
        if (
            outcome.answer is not None
            and outcome.answer.outputs
            and not result.difference_types <= {DifferenceType.FACT, DifferenceType.DTYPE}
        ):
            self.wrong.append(outcome.problem.with_outputs(outcome.answer.outputs))


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

    `k` selects cases (see `selection`), `jobs` is the number of worker processes per subject,
    `timeout_s` the time limit of a case in a worker, in seconds; `progress` is called with the
    subject, the number of cases done and of all. With `all_subjects` every subject whose
    framework is installed runs besides the named ones. A subject that cannot be loaded does not
    keep the others from running.

    Raises:
        RequestError: a subject is unknown, a fixture unreadable, no subject can be loaded, or
        nothing was compared.
        SelfCheckError: a subject that is wrong on purpose passed.
    """
    words: dict[str, Any] = {"fixtures": fixtures, "jobs": jobs, "timeout_s": timeout_s}
    return check_run(*subjects, k=k, progress=progress, all_subjects=all_subjects, **words).report


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
    named = tuple(dict.fromkeys(subjects)) or (() if all_subjects else ("keras",))
    wanted = tuple(dict.fromkeys((*named, *(registered_names() if all_subjects else ()))))
    for subject in wanted:
        if isinstance(subject, str):
            registration(subject)
    folder = fixtures or default_folder()
    results: list[SubjectResult] = []
    wrong: dict[str, Sequence[Problem]] = {}
    refused: list[tuple[SubjectLike, RequestError]] = []
    with one_blas_thread():
        goldens = read_goldens(folder, catalogue())
        entries = read_known(folder / KNOWN)
        self_check()
        for subject in wanted:
            try:
                result, problems = _check_one(
                    subject, k, goldens, entries, (jobs, timeout_s), progress
                )
            except RequestError as error:
                refused.append((subject, error))
            else:
                results.append(result)
                wrong[result.name] = problems
        if not results:
            raise RequestError("; ".join(dict.fromkeys(str(error) for _, error in refused)))
        skipped = tuple(_skipped(subject, error, named) for subject, error in refused)
        report = _report(results, skipped, entries)
    if report.compared == 0:
        raise RequestError(_nothing_compared(report))
    return Run(report, wrong)


def _skipped(subject: SubjectLike, error: RequestError, named: Sequence[SubjectLike]) -> Skipped:
    requested = subject in named or not isinstance(error, MissingFrameworkError)
    return Skipped(name_of(subject), str(error), requested)


def _report(
    results: Sequence[SubjectResult],
    skipped: tuple[Skipped, ...],
    entries: Sequence[KnownDifference],
) -> Report:
    met = {name for result in results for case in result.cases for name in case.known}
    known = tuple(_known_entry(entry) for entry in entries if entry.name in met)
    compared = _compared_cases(results)
    constant = [case for case in compared if case.case and case.case.initializers]
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


def _nothing_compared(report: Report) -> str:
    reasons = Counter(case.reason for result in report.subjects for case in result.cases)
    most_common = reasons.most_common(1)[0][0]
    return (
        "nothing was compared: no selected case is supported and conclusive; "
        f"most frequent reason: {most_common}"
    )


def _compared_cases(results: Sequence[SubjectResult]) -> list[Problem]:
    """Return the cases that gave an answer from any subject but the reference."""
    silent = (Verdict.UNSUPPORTED, Verdict.ERROR)
    others = [result for result in results if result.name != "reference"]
    names = dict.fromkeys(
        case.id for result in others for case in result.cases if case.verdict not in silent
    )
    return [catalogue()[name] for name in names]


def _score(cases: Sequence[Problem]) -> Score | None:
    """Return the mutation score of some cases; None where no fault applies."""
    found = detecting_cases(cases)
    return Score(sum(map(bool, found.values())), len(found)) if found else None


def self_check() -> None:
    """Judge a subject that is wrong on purpose.

    Raises:
        SelfCheckError: it passed.
    """
    problem = catalogue()[SELF_CHECK_CASE]
    if judge(problem, wrong_answer(problem)).verdict is not Verdict.DIVERGES:
        raise SelfCheckError(
            f"self-check failed: discard this run; a subject with two gates swapped passed {SELF_CHECK_CASE}"
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
) -> tuple[SubjectResult, list[Problem]]:
    jobs, timeout_s = workers
    cases = cases_for(subject, k)
    if subject == "reference":
        run = _check_reference(cases, goldens, progress)
    elif isinstance(subject, str):
        run = _check_in_workers(
            subject, cases, goldens, (jobs or _jobs(len(cases)), timeout_s), progress
        )
    else:
        run = _check_function(subject, cases, goldens, progress)
    order = {case.id: position for position, case in enumerate(cases)}
    results = [with_known(result, entries, run.name, run.versions) for result in run.results]
    results.sort(key=lambda result: order[result.id])
    used = {name for result in results for name in result.known}
    ran = {result.id for result in results if result.verdict is not Verdict.UNSUPPORTED}
    stale = known_differences.stale(entries, run.name, run.versions, used, ran, catalogue())
    failing = {result.id for result in results if result.verdict in FAILING}
    unexplained = [problem for problem in run.wrong if problem.id in failing]

    def report_progress(done: int) -> None:
        _report_progress(progress, f"{run.name}: causes", done, len(unexplained))

    found = causes(unexplained, report_progress)
    return SubjectResult(
        run.name,
        run.versions,
        tuple(replace(result, cause=found.get(result.id)) for result in results),
        tuple(stale),
        round(run.seconds, 3),
        datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        Machine(**this_machine().model_dump()),
    ), run.wrong


def _check_reference(
    cases: Sequence[Problem], goldens: Goldens, progress: Progress | None
) -> _SubjectRun:
    import numpy as np

    run = _SubjectRun("reference", {"numpy": np.__version__})
    for case in cases:
        left_out = goldens.left_out.get(case.id, "")
        run.results.append(reference_result(case, goldens.outputs.get(case.id), left_out))
        _report_progress(progress, run.name, len(run.results), len(cases))
    return run


def _check_in_workers(
    subject: str,
    cases: Sequence[Problem],
    goldens: Goldens,
    how: tuple[int, float],
    progress: Progress | None,
) -> _SubjectRun:
    with Workers(subject, *how) as workers:
        # The reference runs while the workers load their framework.
        expected = {case.id: expect(case) for case in cases}
        run = _SubjectRun(subject, workers.versions())
        for outcome in workers.run(cases):
            golden = goldens.outputs.get(outcome.problem.id)
            run.add(outcome, expected[outcome.problem.id], golden)
            run.seconds += outcome.answer.seconds if outcome.answer else 0.0
            _report_progress(progress, run.name, len(run.results), len(cases))
    return run


def _check_function(
    function: Callable[[Problem], Any],
    cases: Sequence[Problem],
    goldens: Goldens,
    progress: Progress | None,
) -> _SubjectRun:
    subject = FunctionSubject(function)
    run = _SubjectRun(name_of(function), {})
    for case in cases:
        outcome = ask(subject, case)
        run.add(outcome, expect(case), goldens.outputs.get(case.id))
        _report_progress(progress, run.name, len(run.results), len(cases))
    return run


def ask(subject: FunctionSubject, problem: Problem) -> Outcome:
    """A function's outcome, in this process."""
    try:
        return Outcome(problem, subject.answer(problem))
    except Unsupported as reason:
        return Outcome(problem, unsupported=str(reason) or "no reason given")
    except Exception as error:
        return Outcome(problem, error=one_line(error))


def result_of(outcome: Outcome, expected: Expected, golden: Sequence[Tensor] | None) -> CaseResult:
    """Return the result of a case from its outcome."""
    problem, answer = outcome.problem, outcome.answer
    if answer is not None:
        result = judge_with_golden(problem, answer, expected, golden)
        return replace(result, seconds=answer.seconds)
    if outcome.unsupported:
        return CaseResult(problem.id, Verdict.UNSUPPORTED, reason=outcome.unsupported)
    return CaseResult(problem.id, Verdict.ERROR, reason=outcome.error)


def _jobs(cases: int) -> int:
    return max(1, min(os.cpu_count() or 1, 4, cases // CASES_A_WORKER))


def _report_progress(progress: Progress | None, what: str, done: int, total: int) -> None:
    if progress is not None:
        progress(what, done, total)
