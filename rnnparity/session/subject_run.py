"""The run of one subject over the selected cases."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from rnnparity.catalogue import catalogue
from rnnparity.golden.known_differences import stale
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import CaseResult, Stale, SubjectResult
from rnnparity.problem.stored import this_machine
from rnnparity.problem.verdicts import DifferenceType, Verdict
from rnnparity.reference.tolerance import Expected
from rnnparity.session.fixtures import Fixtures
from rnnparity.session.outcome import Outcome
from rnnparity.session.session import Session, SubjectLike, open_session
from rnnparity.verdict.judge import expect_answer

# Below this many cases a second worker costs more than it saves: a framework loads for seconds.
CASES_PER_WORKER = 100

# No fault of the list is the cause of these differences.
_WITHOUT_CAUSE = frozenset({DifferenceType.FACT, DifferenceType.DTYPE})

# Gradients are explained if they have the right number, names and shapes.
_IN_GRADIENTS = frozenset({DifferenceType.DTYPE, DifferenceType.FINITENESS, DifferenceType.VALUES})

# Called with what is running, the number of cases that are done, that of all, and the last result.
Progress = Callable[[str, int, int, CaseResult | None], None]


@dataclass(frozen=True)
class SubjectRun:
    """The result of a subject, and the problems whose outputs differ, with these outputs.

    `interrupted`: Ctrl-C ended it before all cases had a result.
    """

    result: SubjectResult
    wrong: Sequence[Problem]
    interrupted: bool = False


def judge_subject(
    subject: SubjectLike,
    cases: Sequence[Problem],
    fixtures: Fixtures,
    jobs: int | None,
    timeout_s: float,
    progress: Progress | None,
    precision: str = "",
) -> SubjectRun:
    """Run a subject on cases and judge every outcome. What is finished survives Ctrl-C.

    Raises:
        RequestError: the framework cannot be loaded.
    """
    jobs = jobs or _default_jobs(len(cases))
    results: dict[str, CaseResult] = {}
    wrong: list[Problem] = []
    with open_session(subject, jobs=jobs, timeout_s=timeout_s, precision=precision) as session:
        expected = _expected_while_loading(session, cases)
        versions = dict(session.versions)
        interrupted = False
        try:
            for done, outcome in enumerate(session.ask_all(cases), 1):
                case_result = fixtures.result(session, outcome, expected)
                results[case_result.id] = case_result
                wrong += wrong_outputs(outcome, case_result)
                versions |= outcome.answer.versions if outcome.answer else {}
                report_progress(progress, session.name, done, len(cases), case_result)
        except KeyboardInterrupt:
            interrupted = True
    ordered = [results[case.id] for case in cases if case.id in results]
    result = SubjectResult(
        session.name,
        versions,
        tuple(ordered),
        _stale(fixtures, session.name, versions, ordered),
        round(sum(case.seconds for case in ordered), 3),
        datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        this_machine(),
    )
    return SubjectRun(result, wrong, interrupted)


def _stale(
    fixtures: Fixtures, name: str, versions: Mapping[str, str], cases: Sequence[CaseResult]
) -> tuple[Stale, ...]:
    if fixtures.gradients:
        return ()  # an entry may be of outputs only
    used = {entry for case in cases for entry in case.known}
    ran = {case.id for case in cases if case.verdict is not Verdict.UNSUPPORTED}
    return tuple(stale(fixtures.known, name, versions, used, ran, catalogue()))


def _default_jobs(cases: int) -> int:
    return max(1, min(os.cpu_count() or 1, cases // CASES_PER_WORKER))


def _expected_while_loading(session: Session, cases: Sequence[Problem]) -> dict[str, Expected]:
    """Run the reference on cases for as long as the subject's framework loads."""
    expected: dict[str, Expected] = {}
    for case in cases:
        if session.ready:
            break
        expected[case.id] = expect_answer(case, by_gate=True, precision=session.precision)
    return expected


def wrong_outputs(outcome: Outcome, result: CaseResult) -> Iterator[Problem]:
    """Yield the problem with the actual outputs where a fault may explain their differences."""
    answer, problem = outcome.answer, outcome.problem
    if answer is None or result.difference_types <= _WITHOUT_CAUSE:
        return
    if problem.training_step is not None:
        return  # what is wrong with a step is to be seen in its gradients
    if problem.cotangents is None and answer.outputs:
        yield problem.with_outputs(answer.outputs)
    if problem.cotangents is not None and result.difference_types <= _IN_GRADIENTS:
        yield replace(problem, gradients=answer.gradients)


def with_causes(run: SubjectRun, progress: Progress | None) -> SubjectRun:
    """Return a run with the causes of its failing cases, and their explanations."""
    failing = {result.id for result in run.result.failing}
    if not failing:
        return run
    # Slow to import, and most runs have nothing to explain.
    from rnnparity.explanation.causes import find_causes

    problems = [problem for problem in run.wrong if problem.id in failing]

    def report_done(done: int) -> None:
        report_progress(progress, f"{run.result.name}: causes", done, len(problems))

    found = find_causes(problems, report_done)
    cases = tuple(map(found.with_cause, run.result.cases))
    return replace(run, result=replace(run.result, cases=cases))


def report_progress(
    progress: Progress | None, name: str, done: int, total: int, result: CaseResult | None = None
) -> None:
    """Call `progress`, where there is one."""
    if progress is not None:
        progress(name, done, total, result)
