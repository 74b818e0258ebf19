"""Assertions for tests: `assert_parity`, and the cases of the fixture `rnn_case`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import cast

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.explanation.causes import CauseSearch
from rnnparity.problem.answer import Unsupported
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem, without_cotangents
from rnnparity.problem.results import CaseResult
from rnnparity.problem.text import visible, visible_lines
from rnnparity.problem.verdicts import FAILING, Verdict
from rnnparity.report.groups import accounting_findings, group_of
from rnnparity.report.text.findings import finding_text
from rnnparity.report.text.messages import (
    NOT_LISTED,
    cause_text,
    explain_command,
    failure,
    fixes,
    group_title,
    summary,
)
from rnnparity.session.ask import ask_loaded
from rnnparity.session.pytest_run import PytestRun, with_cause
from rnnparity.session.selection import Selection, by_configuration
from rnnparity.session.session import Session, SubjectLike, open_session
from rnnparity.subjects import is_importable, name_of


class ParityError(AssertionError):
    """Outputs that are not what Keras specifies.

    `result` has the differences and their cause, `command` is the one that explains them.
    """

    def __init__(self, lines: Sequence[str], result: CaseResult, command: str) -> None:
        super().__init__(visible_lines(lines))
        self.result = result
        self.command = command


def assert_parity(actual: object, problem: Problem, *, gradients: object = None) -> CaseResult:
    """Assert that `actual` is what Keras specifies for `problem`, and return the result.

    `actual` is a function from the problem to its outputs, the name of a subject, or the outputs
    themselves: an array, a sequence in Keras' order, or a mapping by name.

    `gradients` are compared after the outputs, and their result is returned: those for
    `problem.cotangents` (a sequence in the order of `problem.gradient_slots()`, or a mapping by
    name), a function from a problem with cotangents to them, or True to ask `actual` for them.

    Raises:
        TypeError: `problem` is not a Problem; the outputs come first. Or `gradients` is True, but
            `actual` is not a subject.
        ParityError: something differs, or rounding would hide a fault (which is never a pass). It
            is an AssertionError and states the cause; what the function raised is its `__cause__`.
        RequestError: the subject is unknown or cannot be loaded.

    Example:
        >>> from rnnparity import Problem, assert_parity
        >>> from rnnparity.catalogue import catalogue
        >>> problem = catalogue()["lstm-spread-last"]
        >>> str(assert_parity("reference", problem).verdict)
        'agrees'
    """
    __tracebackhide__ = True  # by pytest
    if not isinstance(problem, Problem):
        raise TypeError(
            "assert_parity(actual, problem): the second argument must be a Problem, "
            f"got {type(problem).__name__}"
        )
    is_subject = callable(actual) or isinstance(actual, str)
    if gradients is True and not is_subject:
        raise TypeError("gradients=True: the first argument must be a subject, or pass gradients")
    subject = cast("SubjectLike", actual) if is_subject else _Outputs(actual)
    named = subject if is_subject else None
    with open_session(subject) as session:
        result = _agreeing(session, without_cotangents(problem), named)
        if gradients is None:
            return result
        if gradients is True:
            return _agreeing(session, with_cotangents(problem), named)
    if problem.cotangents is None and not callable(gradients):
        raise RequestError(f"{problem.id}: cotangents: got none, expected those of the gradients")
    function = gradients if callable(gradients) else lambda _: gradients
    with open_session(_Gradients(function)) as session:
        return _agreeing(session, with_cotangents(problem), None)


class _Outputs:
    """Outputs that were passed in, as a subject."""

    takes_dropout_masks = True

    def __init__(self, outputs: object) -> None:
        self._outputs = outputs

    def __call__(self, _: Problem) -> object:
        return self._outputs

    train = __call__


class _Gradients:
    """A function as a subject that has gradients only."""

    takes_dropout_masks = True

    def __init__(self, function: Callable[[Problem], object]) -> None:
        self.gradients = function

    def __call__(self, problem: Problem) -> object:
        raise Unsupported(f"{problem.id}: only gradients were passed")


def _agreeing(session: Session, problem: Problem, subject: SubjectLike | None) -> CaseResult:
    """Return the result of a subject that agrees; without `subject` its answer was passed in.

    Raises:
        ParityError: it does not agree.
    """
    __tracebackhide__ = True
    outcome = ask_loaded(session, problem)
    result = session.judge(outcome)
    if result.verdict is Verdict.AGREES:
        return result
    result = with_cause(CauseSearch(), outcome, result)
    name = "" if subject is None else session.name
    importable = subject is not None and is_importable(subject)
    raise _parity_error(problem, result, name, importable) from outcome.exception


def _parity_error(
    problem: Problem, result: CaseResult, subject: str, importable: bool
) -> ParityError:
    lines = failure(problem, result, subject, importable=importable)
    command = explain_command(problem, result, subject, importable=importable)
    return ParityError(lines, result, command)


def properties(error: ParityError) -> Iterator[tuple[str, str]]:
    """Yield what a test's report states of a failure with a cause, by its name.

    That is the cause, the group of failures that it belongs to, the fix and the command.
    """
    if error.result.cause is None:
        return
    found = accounting_findings(error.result)
    yield "cause", visible(NOT_LISTED if found else cause_text(error.result.cause))
    for finding in found:
        yield "finding", visible(finding_text(finding))
    yield "group", visible(group_title(group_of(error.result), error.result))
    for fix in fixes(error.result):
        yield "fix", visible(fix)
    if error.command:
        yield "command", visible(error.command)


def selected_ids(expression: str, full: bool = False) -> list[str]:
    """Return the ids of the cases that an expression selects, by default those of the core set.

    Cases that a framework can run with one built layer are neighbours.

    Raises:
        RequestError: it is malformed or selects no case.
    """
    cases = Selection(expression, full).cases()
    return [problem.id for group in by_configuration(cases) for problem in group]


class RnnCase:
    """A case: `problem` has its numbers, `assert_parity` compares a subject with them.

    `failure` is the last failure.
    """

    def __init__(self, case: str, run: PytestRun) -> None:
        self.problem: Problem = catalogue()[case]
        self.failure: ParityError | None = None
        self._run = run

    def assert_parity(self, subject: SubjectLike) -> CaseResult:
        """Fail unless a subject agrees: a registered name, or a function from a Problem to outputs.

        A known difference is reported as xfailed, an inconclusive or unsupported case as skipped:
        neither is a pass. A failure states the cause; what the function raised keeps its traceback.
        """
        import pytest

        __tracebackhide__ = True
        try:
            outcome, result = self._run.result(self.problem, subject)
        except RequestError as error:
            pytest.fail(str(error), pytrace=False)
        if result.verdict in FAILING:
            self.failure = _parity_error(
                self.problem, result, name_of(subject), is_importable(subject)
            )
            if outcome.exception:
                raise self.failure from outcome.exception
            pytest.fail(str(self.failure), pytrace=False)
        # Neither is a pass: pytest's own words for them are xfailed and skipped.
        if result.verdict is Verdict.KNOWN:
            pytest.xfail(visible(summary(result, self.problem)))
        if result.verdict is not Verdict.AGREES:
            pytest.skip(visible(f"{result.verdict}: {result.reason}"))
        return result
