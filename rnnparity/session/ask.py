"""The two questions asked of one problem: what are its outputs, and are these them?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rnnparity.catalogue import catalogue
from rnnparity.explanation.explain import UNEXPLAINED, Explanation, explain
from rnnparity.explanation.separate import probed, with_separator
from rnnparity.golden.goldens import KNOWN, default_folder, read_goldens
from rnnparity.golden.known_differences import covering, read_known
from rnnparity.problem import file_format as wire
from rnnparity.problem.answer import Answer
from rnnparity.problem.errors import RequestError, SubjectFailedError
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import CaseResult
from rnnparity.reference.tolerance import expect
from rnnparity.session.check import ask, one_blas_thread, result_of
from rnnparity.session.reference_subject import ReferenceSubject
from rnnparity.session.workers import Outcome, Workers
from rnnparity.subjects import FunctionSubject, name_of
from rnnparity.verdict.judge import reference_result, with_known


def run(problem: Problem, subject: str | Callable[[Problem], Any] = "reference") -> Problem:
    """The problem with the outputs that a subject computes: float64 for the reference, else the
    subject's own types.

    Raises:
        RequestError: the subject is unknown, cannot be loaded, or does not support the problem.
        SubjectFailedError: it failed on it.
    """
    return problem.with_outputs(_answer(problem, subject).outputs)


def _answer(problem: Problem, subject: str | Callable[[Problem], Any]) -> Answer:
    return _answered(outcome_of(problem, subject), subject)


def _answered(outcome: Outcome, subject: str | Callable[[Problem], Any]) -> Answer:
    problem = outcome.problem
    who = f"{problem.id}: subject {name_of(subject)!r}"
    if outcome.unsupported:
        raise RequestError(f"{who} does not support it: {outcome.unsupported}")
    if outcome.answer is None:
        raise SubjectFailedError(f"{who} failed: {outcome.error}")
    return outcome.answer


def outcome_of(problem: Problem, subject: str | Callable[[Problem], Any]) -> Outcome:
    """What came of a problem: the reference and functions in this process, frameworks in a worker
    of their own."""
    if subject == "reference":
        with one_blas_thread():
            return Outcome(problem, ReferenceSubject().answer(problem))
    if callable(subject):
        return ask(FunctionSubject(subject), problem)
    with Workers(subject, 1) as workers:
        workers.versions()
        return next(workers.run([problem]))


def check_case(
    problem: Problem, subject: str, fixtures: Path | None = None
) -> tuple[Outcome, CaseResult]:
    """One case of the catalogue, with its golden and the known differences: what came of it, and
    the verdict.

    Raises:
        RequestError: the subject is unknown or cannot be loaded, or a fixture is unreadable.
    """
    folder = fixtures or default_folder()
    goldens, entries = read_goldens(folder, catalogue()), read_known(folder / KNOWN)
    golden = goldens.outputs.get(problem.id)
    if subject == "reference":
        outcome = outcome_of(problem, subject)
        return outcome, reference_result(problem, golden, goldens.left_out.get(problem.id, ""))
    with Workers(subject, 1) as workers:
        versions = workers.versions()
        outcome = next(workers.run([problem]))
    verdict = result_of(outcome, expect(problem), golden)
    return outcome, with_known(verdict, entries, subject, versions)


def explained(problem: Problem) -> Explanation:
    """The cause of what is wrong with a problem's outputs, and an input that would tell apart what
    fits alike.

    Raises:
        RequestError: the problem has no outputs.
    """
    with one_blas_thread():
        return with_separator(explain(problem))


def explain_subject(problem: Problem, subject: str | Callable[[Problem], Any]) -> Explanation:
    """The cause of what a subject gets wrong; it is asked again where inputs made for it can tell
    causes apart.

    Wrong symbolic shapes and types are told beside, and no fault is their cause. What is on the
    list of known differences is told as well.

    Raises:
        RequestError: the subject is unknown, cannot be loaded, or does not support the problem.
        SubjectFailedError: it failed on it.
    """

    with _asking(subject) as (versions, ask_it):

        def answers(other: Problem) -> tuple[Tensor, ...] | None:
            answer = ask_it(other).answer
            return None if answer is None else answer.outputs

        outcome = ask_it(problem)
        listed = _listed(problem, name_of(subject), versions)
        if outcome.error and listed({"error"}):
            outcome = replace(
                outcome, error=f"{outcome.error}; listed: {'; '.join(listed({'error'}))}"
            )
        answer = _answered(outcome, subject)
        told = explained(problem.with_outputs(answer.outputs))
        told = probed(told, answers) if told.also_fits else told
    verdict = result_of(outcome, expect(problem), None)
    kinds = (
        ("fact",) if subject == "reference" else ("fact", "dtype")
    )  # the reference's outputs are float64
    beside = [found for found in verdict.differences if found.type in kinds]
    if beside:
        differences = (*told.differences, *(one for one in beside if one not in told.differences))
        told = replace(
            told, verdict="diverges", differences=differences, cause=told.cause or UNEXPLAINED
        )
    return replace(told, listed=listed({difference.type for difference in told.differences}))


@contextmanager
def _asking(
    subject: str | Callable[[Problem], Any],
) -> Iterator[tuple[Mapping[str, str], Callable[[Problem], Outcome]]]:
    """A subject's versions, and how it is asked: one process for all questions."""
    if callable(subject) or subject == "reference":
        yield {}, partial(outcome_of, subject=subject)
        return
    with Workers(subject, 1) as workers:
        yield workers.versions(), lambda problem: next(workers.run([problem]))


def _listed(
    problem: Problem, subject: str, versions: Mapping[str, str]
) -> Callable[[Collection[str]], tuple[str, ...]]:
    """What the known differences say of some kinds of difference in a case of the catalogue."""
    entries = {entry.name: entry for entry in read_known(default_folder() / KNOWN)}
    own = catalogue().get(problem.id)
    if own is None or wire.dump_line(own) != wire.dump_line(
        replace(problem, outputs=None, case=own.case)
    ):
        entries = {}

    def listed(kinds: Collection[str]) -> tuple[str, ...]:
        names = covering([*entries.values()], subject, versions, problem.id, kinds) if kinds else ()
        found = [entries[name] for name in names]
        return tuple(
            f"{one.name} ({one.standing}; {one.cause}): {' '.join(one.reason.split())}"
            for one in found
        )

    return listed
