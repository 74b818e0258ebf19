"""The questions of a few seeds, asked and judged: what a run of `fuzz` records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from rnnparity.problem.dtypes import arithmetic_type
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import FAILING, Verdict
from rnnparity.reference.tolerance import Expected
from rnnparity.session.fuzz_known import KnownSigns
from rnnparity.session.fuzz_questions import Question, questions_of, with_changed_gradients
from rnnparity.session.fuzz_records import Record, rejecting
from rnnparity.session.outcome import Outcome
from rnnparity.session.session import Session
from rnnparity.verdict.judge import expect_answer

# A question with its result, and what is recorded of it.
Answered: TypeAlias = tuple[Question, CaseResult, Record | None]
# A larger distance in sigma, also an infinite one, is recorded as this one.
FARTHEST = 1e15


def answered(
    session: Session, seeds: Sequence[int], gradients: bool, signs: KnownSigns
) -> Iterator[Answered]:
    """Yield the questions of seeds with their results, in the order in which answers come in."""
    questions = [
        question for seed in seeds for question in questions_of(seed, session.precision, gradients)
    ]
    asked = {question.problem.id: question for question in questions}
    waiting = Counter(question.healthy.id for question in questions)
    failing = []
    healthy: dict[str, Expected] = {}
    for outcome in session.ask_all([question.problem for question in questions]):
        question = asked.pop(outcome.problem.id)
        id_ = question.healthy.id
        waiting[id_] -= 1
        expected = None
        if not outcome.unsupported:  # else there is nothing to compare
            expected = healthy.pop(id_, None) or expect_answer(
                question.healthy, precision=session.precision
            )
        if expected and waiting[id_]:  # what was computed serves the changes of the problem
            healthy[id_] = expected
        result = _result(session, question, outcome, expected, signs)
        if gradients and result[1].verdict in FAILING and signs.of_outputs:
            failing.append(result)
        else:
            yield result
        if gradients:
            for changed, edited in with_changed_gradients(question, outcome, expected):
                yield _result(session, changed, edited, expected, signs)
    yield from _known_by_outputs(session, failing, signs)


def _known_by_outputs(
    session: Session, failing: Sequence[Answered], signs: KnownSigns
) -> Iterator[Answered]:
    """Yield failing results of gradients, as `known` where outputs fail alike by known differences."""
    waiting = {result.id: (question, result, record) for question, result, record in failing}
    problems = [replace(question.problem, cotangents=None) for question, _, _ in failing]
    for outcome in session.ask_all(problems):
        question, result, record = waiting.pop(outcome.problem.id)
        if not outcome.unsupported and record is not None:
            expected = expect_answer(outcome.problem, precision=session.precision)
            shown = _judged(session, outcome, expected)
            known = signs.judged(shown, outcome.problem, outcome.answer, expected).known
            if known and shown.verdict is result.verdict:
                result = replace(result, verdict=Verdict.KNOWN, known=known)
                record = replace(record, verdict=Verdict.KNOWN, known=known, reason="")
        yield question, result, record


def _result(
    session: Session,
    question: Question,
    outcome: Outcome,
    expected: Expected | None,
    signs: KnownSigns,
) -> Answered:
    """Return a question, its result, and what is recorded of it; `expected` unless unsupported."""
    if expected is None:
        result = session.judge(outcome)
        dtype = arithmetic_type(question.healthy.threshold_type, session.precision).name
        record = Record(question.healthy.id, dtype, result.verdict, 0.0, reason=result.reason)
        return question, result, None if question.change else record
    result = _judged(session, outcome, expected)
    if question.change and not _must_be_detected(question, expected):
        return question, result, None
    if not question.change:
        result = signs.judged(result, question.problem, outcome.answer, expected)
    return question, result, _record(question, result, outcome, expected)


def _judged(session: Session, outcome: Outcome, expected: Expected) -> CaseResult:
    """Judge an answer by that of the healthy problem; what is stated of a layer is left out."""
    if outcome.answer is not None:
        outcome = replace(outcome, answer=replace(outcome.answer, facts={}))
    return session.judge(outcome, None, {outcome.problem.id: expected})


def _must_be_detected(question: Question, expected: Expected) -> bool:
    """Return whether a change of the array has any influence in a problem that is conclusive."""
    return not expected.inconclusive and expected.visible.get(question.array, 0.0) > 0


def _record(question: Question, result: CaseResult, outcome: Outcome, expected: Expected) -> Record:
    compared = not question.change and result.verdict.compared
    return Record(
        question.healthy.id,
        expected.dtype.name,
        result.verdict,
        min(result.sigma, FARTHEST),
        question.change,
        tuple(rejecting(outcome, expected)) if compared else (),
        result.reason if result.verdict is Verdict.ERROR else "",
        result.known,
    )
