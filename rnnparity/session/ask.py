"""Questions about one problem: its outputs, the result of a case, and the cause of differences."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.golden.goldens import KNOWN, default_folder
from rnnparity.golden.known_differences import covering, of_outputs, read_known
from rnnparity.problem.answer import Answer
from rnnparity.problem.answer_types import AnswerType
from rnnparity.problem.dtypes import declared_precision
from rnnparity.problem.errors import RequestError, SubjectFailedError
from rnnparity.problem.explanations import Cause, Explanation
from rnnparity.problem.format_writing import dump_line
from rnnparity.problem.problem import Problem, without_cotangents
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import DifferenceType, Verdict
from rnnparity.session.fixtures import read_fixtures
from rnnparity.session.outcome import Outcome
from rnnparity.session.processes import one_blas_thread
from rnnparity.session.session import REFERENCE, Session, SubjectLike, open_session
from rnnparity.verdict.judge import rounded_outputs

if TYPE_CHECKING:
    from rnnparity.explanation.pairs import Progress
    from rnnparity.explanation.reading_diagnosis import Diagnosis


def run(problem: Problem, subject: SubjectLike = REFERENCE, *, gradients: bool = False) -> Problem:
    """Return the problem with the outputs of a subject, in the subject's dtypes.

    Those of the reference are float64. With `gradients` these are computed too, for the problem's
    cotangents or, where it has none, for those of `with_cotangents`. A training step is answered by
    the weights after it; with `gradients` it is left out, and there are no outputs.

    Raises:
        RequestError: the subject is unknown, cannot be loaded, or does not support the problem.
        SubjectFailedError: it failed on it.
    """
    with open_session(subject) as session:
        outputs = None
        trains = problem.answer_type is AnswerType.TRAINED_WEIGHTS
        if not (gradients and trains):
            outcome = ask_loaded(session, without_cotangents(problem))
            outputs = _answer(outcome, session.name).outputs
        problem = replace(problem, outputs=outputs, gradients=None)
        if not gradients:
            return problem
        problem = with_cotangents(problem)
        answer = _answer(ask_loaded(session, problem), session.name)
        return replace(problem, gradients=answer.gradients)


def ask_loaded(session: Session, problem: Problem) -> Outcome:
    """Return the outcome of a problem once the subject's framework is loaded.

    Raises:
        RequestError: the framework is missing or cannot be loaded.
    """
    _ = session.versions
    return session.ask(problem)


def _answer(outcome: Outcome, subject: str) -> Answer:
    case, who = outcome.problem.id, f"subject {subject!r}"
    if outcome.unsupported:
        raise RequestError(f"{case}: {who} does not support it: {outcome.unsupported}")
    if outcome.answer is None:
        raise SubjectFailedError(case, f"{who} failed: {outcome.error}")
    return outcome.answer


def check_case(
    problem: Problem, subject: SubjectLike, fixtures: Path | None = None, precision: str = ""
) -> tuple[Outcome, CaseResult]:
    """Return the outcome of a case, and its result by golden and known differences.

    The verdict is relative to a declared `precision`, if there is one.

    Raises:
        RequestError: the subject is unknown or cannot be loaded, or a fixture is unreadable.
    """
    compared_with = read_fixtures(fixtures, [problem.id])
    with open_session(subject, precision=precision) as session:
        outcome = ask_loaded(session, problem)
        return outcome, compared_with.result(session, outcome)


def explain_outputs(problem: Problem, progress: Progress | None = None) -> Diagnosis:
    """Explain a problem's outputs, with an input that would separate causes that fit equally well.

    If they are right, or there are none, its gradients are explained where it has some. `progress` is
    called while pairs of faults are tried.

    Raises:
        RequestError: the problem has no outputs and no gradients.
    """
    from rnnparity.explanation.explain import explain

    with one_blas_thread():
        if problem.gradients is None:
            return explain(without_cotangents(problem), progress=progress)
        if problem.outputs is not None:
            diagnosis = explain(without_cotangents(problem), progress=progress)
            if diagnosis.explanation.verdict is Verdict.DIVERGES:
                return diagnosis
        return explain(replace(problem, training_step=None))


def explain_subject(
    problem: Problem,
    subject: SubjectLike,
    *,
    gradients: bool = False,
    progress: Progress | None = None,
    precision: str = "",
) -> Diagnosis:
    """Explain the outputs of a subject, and ask it again where inputs can separate causes.

    Wrong facts are added to the differences, and the known differences of the subject that cover
    them are named. Of a problem with a training step the weights after it are explained. With
    `gradients` these are explained if the outputs are right, or if the problem has a training step,
    which is left out. `progress` is called while pairs of faults are tried. What agrees to a declared
    `precision` is not explained.

    Raises:
        RequestError: the subject is unknown, cannot be loaded, or does not support the problem.
        SubjectFailedError: it failed on it.
    """
    with open_session(subject, precision=precision) as session:
        if gradients and problem.answer_type is AnswerType.TRAINED_WEIGHTS:
            problem = replace(problem, outputs=None)  # they are weights
        else:
            diagnosis = _explain_outputs_of(session, without_cotangents(problem), progress)
            if not gradients or diagnosis.explanation.verdict is Verdict.DIVERGES:
                return diagnosis
        return _explain_gradients_of(session, with_cotangents(problem))


def _explain_outputs_of(session: Session, problem: Problem, progress: Progress | None) -> Diagnosis:
    from rnnparity.explanation.explain import explain

    outcome = ask_loaded(session, problem)
    known = _KnownDifferences(problem, session.name, session.versions)
    if outcome.error and known.of({"error"}):
        names = ", ".join(known.of({"error"}))
        outcome = replace(outcome, error=f"{outcome.error}; known difference: {names}")
    outputs = _answer(outcome, session.name).outputs
    if session.name == REFERENCE:
        outputs = rounded_outputs(problem, outputs)

    with one_blas_thread():
        result = session.judge(outcome)
        problem = problem.with_outputs(outputs)
        if result.precision and result.verdict is not Verdict.DIVERGES:
            return _relative(problem, result)
        diagnosis = explain(problem, _asking(session), progress)
    explanation = _with_facts(diagnosis.explanation, result)
    return _with_known(replace(diagnosis, explanation=explanation), known)


def _asking(session: Session) -> Callable[[Problem], Answer]:
    """Return the function that asks the subject further problems."""
    return lambda problem: _answer(session.ask(problem), session.name)


def _relative(problem: Problem, result: CaseResult) -> Diagnosis:
    """Return the diagnosis of outputs that agree to the declared precision: there is no cause."""
    from rnnparity.explanation.reading_diagnosis import Diagnosis

    explanation = Explanation(
        problem.id,
        result.verdict,
        sigma=result.sigma,
        threshold=declared_precision(result.precision).threshold,
        precision=result.precision,
        reason=result.reason,
    )
    return Diagnosis(problem, explanation)


def _explain_gradients_of(session: Session, problem: Problem) -> Diagnosis:
    from rnnparity.explanation.explain import explain

    outcome = ask_loaded(session, problem)
    problem = replace(problem, gradients=_answer(outcome, session.name).gradients)
    with one_blas_thread():
        if session.precision is not None:
            result = session.judge(outcome)
            if result.precision and result.verdict is not Verdict.DIVERGES:
                return _relative(problem, result)
        diagnosis = explain(problem, _asking(session))
    return _with_known(diagnosis, _KnownDifferences(problem, session.name, session.versions))


def _with_known(diagnosis: Diagnosis, known: _KnownDifferences) -> Diagnosis:
    explanation = diagnosis.explanation
    types = {difference.type for difference in explanation.differences}
    return replace(diagnosis, explanation=replace(explanation, known=known.of(types)))


def _with_facts(explanation: Explanation, result: CaseResult) -> Explanation:
    """Add wrong facts, which are no fault's effect, to an explanation."""
    facts = [
        difference for difference in result.differences if difference.type is DifferenceType.FACT
    ]
    if not facts:
        return explanation
    return replace(
        explanation,
        verdict=Verdict.DIVERGES,
        differences=(*explanation.differences, *facts),
        cause=explanation.cause or Cause(),
    )


class _KnownDifferences:
    """The known differences of a subject in a case of the catalogue; none in any other problem."""

    def __init__(self, problem: Problem, subject: str, versions: Mapping[str, str]) -> None:
        self._case = problem.id
        self._subject = subject
        self._versions = versions
        entries = read_known(default_folder() / KNOWN) if is_case(problem) else ()
        self._entries = of_outputs(entries) if problem.cotangents is None else entries

    def of(self, types: Collection[str]) -> tuple[str, ...]:
        """Return the names of the entries that together cover differences of these types."""
        if not types:
            return ()
        return tuple(covering(self._entries, self._subject, self._versions, self._case, types))


def is_case(problem: Problem) -> bool:
    """Whether the catalogue has this problem, with the same numbers."""
    case = catalogue().get(problem.id)
    if case is None:
        return False
    same = replace(without_cotangents(problem), outputs=None, case=case.case)
    return dump_line(case) == dump_line(same)
