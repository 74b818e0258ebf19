"""The smallest problem on which a subject still fails, found from a large one by leaving things out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from time import monotonic

from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.explanation.reading_diagnosis import Diagnosis
from rnnparity.problem.answer import Answer
from rnnparity.problem.errors import SubjectFailedError
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import FAILING, Difference, Verdict
from rnnparity.session.outcome import Outcome
from rnnparity.session.processes import one_blas_thread
from rnnparity.session.random_problems import problem_of_id
from rnnparity.session.reductions import reductions
from rnnparity.session.session import Session, SubjectLike, open_session
from rnnparity.session.subject_run import wrong_outputs

# So many smaller problems are asked at most, for so many seconds.
MOST_ASKED, MOST_SECONDS = 200, 120.0


@dataclass(frozen=True)
class SmallestFailure:
    """The smallest problem found that fails like the random one with the same id.

    `diagnosis` is None where the subject fails with an error, which is `error`, or with gradients of
    another form, in which `differences` are.
    """

    problem: Problem
    diagnosis: Diagnosis | None = None
    error: str = ""
    differences: tuple[Difference, ...] = ()


def shrink(problem: Problem, fails: Callable[[Problem], bool], most: int = MOST_ASKED) -> Problem:
    """Return a small problem for which `fails` holds, as it does for `problem`.

    Greedy: the first smaller problem that fails is the next to be made smaller, until none of them
    fails, `most` were asked or MOST_SECONDS are over. The id stays.
    """
    smallest, asked = problem, 0
    end = monotonic() + MOST_SECONDS
    candidates = reductions(smallest)
    while asked < most and monotonic() < end:
        smaller = next(candidates, None)
        if smaller is None:
            break
        asked += 1
        if fails(smaller):
            smallest = smaller
            candidates = reductions(smallest)
    return smallest


def smallest_failures(
    subject: SubjectLike,
    ids: Iterable[str],
    timeout_s: float,
    precision: str = "",
    gradients: bool = False,
) -> Iterator[SmallestFailure]:
    """Yield, for random problems on which a subject fails, the smallest one and its explanation.

    With `gradients` it is asked for these. Where it fails no longer, as one that is sometimes too slow, there is none.

    Raises:
        RequestError: the subject is unknown or cannot be loaded.
    """
    opened = open_session(subject, timeout_s=timeout_s, precision=precision)
    with opened as session, one_blas_thread():
        for id_ in ids:
            problem = problem_of_id(id_)
            if problem is None:
                continue
            asked = with_cotangents if gradients else lambda problem: problem
            verdict = _ask(session, asked(problem))[1].verdict
            if verdict in FAILING:
                yield _smallest_failure(session, problem, verdict, asked)


def _smallest_failure(
    session: Session, problem: Problem, verdict: Verdict, asked: Callable[[Problem], Problem]
) -> SmallestFailure:
    """Return the smallest failure; `asked` adds cotangents, which have the shapes of the outputs."""
    from rnnparity.explanation.explain import explain  # slow to import

    smaller = shrink(problem, lambda each: _ask(session, asked(each))[1].verdict is verdict)
    smallest = asked(smaller)
    outcome, result = _ask(session, smallest)
    answered = next(wrong_outputs(outcome, result), None)
    if verdict is not Verdict.DIVERGES or answered is None:
        return SmallestFailure(smallest, error=result.reason, differences=result.differences)

    def ask(other: Problem) -> Answer:
        answer = session.ask(other).answer
        if answer is None:
            raise SubjectFailedError(other.id, f"subject {session.name!r} gives no answer")
        return answer

    return SmallestFailure(smallest, explain(answered, ask))


def _ask(session: Session, problem: Problem) -> tuple[Outcome, CaseResult]:
    """Ask a subject; what it states of a layer without computing is left out."""
    outcome = session.ask(problem)
    if outcome.answer is not None:
        outcome = replace(outcome, answer=replace(outcome.answer, facts={}))
    return outcome, session.judge(outcome)
