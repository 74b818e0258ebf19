"""The run of one subject over the selected cases."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rnnparity.problem.answer_types import AnswerType
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import CaseResult, SubjectResult
from rnnparity.problem.verdicts import WITHOUT_CAUSE, DifferenceType
from rnnparity.reference.tolerance import Expected
from rnnparity.session.outcome import Outcome
from rnnparity.session.progress import Progress, report_progress
from rnnparity.session.record import SubjectRecord
from rnnparity.session.session import Session, SubjectLike, open_session
from rnnparity.session.settings import Settings
from rnnparity.verdict.judge import expect_answer

# Below this many cases a second worker costs more than it saves: a framework loads for seconds.
CASES_PER_WORKER = 100

# Gradients and weights after a step are explained if their number, names and shapes are right.
_IN_BACKWARD = frozenset({DifferenceType.DTYPE, DifferenceType.FINITENESS, DifferenceType.VALUES})


def judge_subject(
    subject: SubjectLike,
    record: SubjectRecord,
    settings: Settings,
) -> None:
    """Run a subject on the cases of a record and judge every outcome, which enters the record.

    Raises:
        RequestError: the framework cannot be loaded.
    """
    cases = record.cases
    jobs = settings.jobs or _default_jobs(len(cases))
    timeout_s, precision = settings.timeout_s, settings.precision
    with open_session(subject, jobs=jobs, timeout_s=timeout_s, precision=precision) as session:
        expected = _expected_while_loading(session, cases)
        record.versions = dict(session.versions)
        for done, outcome in enumerate(session.ask_all(cases), 1):
            result = record.fixtures.result(session, outcome, expected)
            if outcome.answer:
                record.versions |= outcome.answer.versions
            record.results[result.id] = result
            record.wrong += wrong_outputs(outcome, result)
            report_progress(settings.progress, session.name, done, len(cases), result)


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
    if answer is None or result.difference_types <= WITHOUT_CAUSE:
        return
    if problem.answer_type is AnswerType.OUTPUTS and answer.outputs:
        yield problem.with_outputs(answer.outputs)
    if not result.difference_types <= _IN_BACKWARD and not _lacks_gradients(outcome):
        return
    if problem.answer_type is AnswerType.GRADIENTS:
        yield replace(problem, gradients=answer.gradients)
    elif problem.answer_type is AnswerType.TRAINED_WEIGHTS:
        yield problem.with_outputs(answer.outputs)


def _lacks_gradients(outcome: Outcome) -> bool:
    """Return whether some gradients are None, which a fault may explain, and the others have their shapes."""
    problem, answer = outcome.problem, outcome.answer
    if problem.answer_type is not AnswerType.GRADIENTS or answer is None:
        return False
    gradients, slots = answer.gradients or (), problem.gradient_slots()
    return len(gradients) == len(slots) and all(
        gradient is None or (gradient.name, gradient.shape) == (slot.name, slot.shape)
        for gradient, slot in zip(gradients, slots, strict=True)
    )


def with_causes(
    subject: SubjectResult, wrong: Sequence[Problem], progress: Progress | None
) -> SubjectResult:
    """Return a subject's result with the causes of its failing cases, their fixes and explanations."""
    failing = {result.id for result in subject.failing}
    if not failing:
        return subject
    # Slow to import, and most runs have nothing to explain.
    from rnnparity.explanation.causes import find_causes

    problems = [problem for problem in wrong if problem.id in failing]

    def report_done(done: int) -> None:
        report_progress(progress, f"{subject.name}: causes", done, len(problems))

    found = find_causes(problems, report_done)
    cases = (
        replace(found.with_cause(case), fixes=found.fixes.get(case.id, ()))
        for case in subject.cases
    )
    return replace(subject, cases=tuple(cases))
