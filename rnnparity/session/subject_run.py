"""The run of one subject over the selected cases."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.selection import select
from rnnparity.explanation.causes import find_causes
from rnnparity.golden.known_differences import stale
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import (
    FAILING,
    CaseResult,
    DifferenceType,
    Stale,
    SubjectResult,
    Verdict,
)
from rnnparity.problem.stored import this_machine
from rnnparity.reference.tolerance import Expected, expect
from rnnparity.session.fixtures import Fixtures
from rnnparity.session.outcome import Outcome
from rnnparity.session.session import Session, SubjectLike, default_cases, open_session

# Below this many cases a second worker costs more than it saves: a framework loads for seconds.
CASES_PER_WORKER = 150
MOST_WORKERS = 4

# No fault of the list is the cause of these differences.
_WITHOUT_CAUSE = frozenset({DifferenceType.FACT, DifferenceType.DTYPE})

# Called with what is running, the number of cases that are done, and that of all.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SubjectRun:
    """The result of a subject, and the problems whose outputs differ, with these outputs."""

    result: SubjectResult
    wrong: Sequence[Problem]


def selected_cases(subject: SubjectLike, k: str) -> list[Problem]:
    """Return the cases that `k` selects; without it all that the subject takes by default."""
    return select(catalogue().values(), k or default_cases(subject))


def check_subject(
    subject: SubjectLike,
    k: str,
    fixtures: Fixtures,
    jobs: int | None,
    timeout_s: float,
    progress: Progress | None,
) -> SubjectRun:
    """Run a subject on the selected cases, judge every outcome, and search the causes.

    Raises:
        RequestError: no case is selected, or the framework cannot be loaded.
    """
    cases = selected_cases(subject, k)
    jobs = jobs or _default_jobs(len(cases))
    results: dict[str, CaseResult] = {}
    wrong: list[Problem] = []
    with open_session(subject, jobs=jobs, timeout_s=timeout_s) as session:
        expected = _expected_while_loading(session, cases)
        versions = dict(session.versions)
        for done, outcome in enumerate(session.ask_all(cases), 1):
            case_result = fixtures.result(session, outcome, expected)
            results[case_result.id] = case_result
            wrong += _wrong_outputs(outcome, case_result)
            report_progress(progress, session.name, done, len(cases))
    ordered = [results[case.id] for case in cases]
    result = SubjectResult(
        session.name,
        versions,
        _with_causes(ordered, wrong, session.name, progress),
        _stale(fixtures, session.name, versions, ordered),
        round(sum(case.seconds for case in ordered), 3),
        datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        this_machine(),
    )
    return SubjectRun(result, wrong)


def _stale(
    fixtures: Fixtures, name: str, versions: Mapping[str, str], cases: Sequence[CaseResult]
) -> tuple[Stale, ...]:
    used = {entry for case in cases for entry in case.known}
    ran = {case.id for case in cases if case.verdict is not Verdict.UNSUPPORTED}
    return tuple(stale(fixtures.known, name, versions, used, ran, catalogue()))


def _default_jobs(cases: int) -> int:
    return max(1, min(os.cpu_count() or 1, MOST_WORKERS, cases // CASES_PER_WORKER))


def _expected_while_loading(session: Session, cases: Sequence[Problem]) -> dict[str, Expected]:
    """Run the reference on cases for as long as the subject's framework loads."""
    expected: dict[str, Expected] = {}
    for case in cases:
        if session.ready:
            break
        expected[case.id] = expect(case)
    return expected


def _wrong_outputs(outcome: Outcome, result: CaseResult) -> Iterator[Problem]:
    """Yield the problem with the actual outputs where a fault may explain their differences."""
    outputs = outcome.answer.outputs if outcome.answer else ()
    if outputs and not result.difference_types <= _WITHOUT_CAUSE:
        yield outcome.problem.with_outputs(outputs)


def _with_causes(
    results: Sequence[CaseResult],
    wrong: Sequence[Problem],
    name: str,
    progress: Progress | None,
) -> tuple[CaseResult, ...]:
    """Return the results with the causes of those that fail, and their explanations."""
    failing = {result.id for result in results if result.verdict in FAILING}
    problems = [problem for problem in wrong if problem.id in failing]

    def report_done(done: int) -> None:
        report_progress(progress, f"{name}: causes", done, len(problems))

    found = find_causes(problems, report_done)
    return tuple(
        replace(
            result,
            cause=found.causes.get(result.id),
            explanation=found.explanations.get(result.id),
        )
        for result in results
    )


def report_progress(progress: Progress | None, name: str, done: int, total: int) -> None:
    """Call `progress`, where there is one."""
    if progress is not None:
        progress(name, done, total)
