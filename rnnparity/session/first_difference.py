"""The first release of a framework that computes something else, found by bisection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from rnnparity.golden.goldens import KNOWN, default_folder
from rnnparity.golden.known_differences import (
    KnownDifference,
    in_all_versions,
    of_outputs,
    read_known,
)
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference.tolerance import Expected
from rnnparity.session.ask import is_case
from rnnparity.session.history import check_version, distance
from rnnparity.session.processes import one_blas_thread
from rnnparity.session.releases import Release
from rnnparity.session.session import open_session
from rnnparity.session.workers import TIMEOUT_S
from rnnparity.verdict.judge import expect_answer, with_known


@dataclass(frozen=True)
class Tried:
    """What a release computes: its verdict, and how far it is from the first release in sigma.

    `known` names the known differences that cover a verdict, whatever versions they are listed for.
    It `differs` if the verdict is another one, or a number is off by more than the tolerance.
    """

    version: str
    verdict: Verdict
    from_good: float
    differs: bool
    reason: str = ""
    known: tuple[str, ...] = ()


@dataclass(frozen=True)
class FirstDifference:
    """The last release that computes what the first one does, and the next, which does not."""

    last: Tried
    first: Tried


def first_difference(
    problem: Problem,
    subject: str,
    versions: Sequence[str],
    install: Callable[[str], Release],
    timeout_s: float = TIMEOUT_S,
    tried: Callable[[Tried], None] = lambda _: None,
) -> FirstDifference:
    """Return where the answer to a problem changes between the first version and the last.

    `tried` is called with each release that was run.

    Raises:
        RequestError: the last release computes what the first does, or one cannot be run.
    """
    with one_blas_thread():
        expected = expect_answer(problem)
        entries = of_outputs(read_known(default_folder() / KNOWN)) if is_case(problem) else ()
        known = in_all_versions(entries)
        answered = partial(_answered, problem, subject, expected, known, timeout_s)
        good = answered(install(versions[0]))

        def ask(version: str) -> Tried:
            result = _compared(version, answered(install(version)), good, expected)
            tried(result)
            return result

        results = {0: _compared(versions[0], good, good, expected)}
        tried(results[0])
        low, high = 0, len(versions) - 1
        results[high] = ask(versions[high])
        if not results[high].differs:
            raise RequestError(f"{versions[high]} computes what {versions[0]} does")
        while high - low > 1:
            middle = (low + high) // 2
            results[middle] = ask(versions[middle])
            if results[middle].differs:
                high = middle
            else:
                low = middle
    return FirstDifference(results[low], results[high])


@dataclass(frozen=True)
class _Answered:
    """A result, and the outputs."""

    result: CaseResult
    outputs: Sequence[Tensor]


def _answered(
    problem: Problem,
    subject: str,
    expected: Expected,
    known: Sequence[KnownDifference],
    timeout_s: float,
    release: Release,
) -> _Answered:
    with open_session(subject, timeout_s=timeout_s, folder=str(release.folder)) as session:
        check_version(session.versions, release)
        outcome = session.ask(problem)
        result = session.judge(outcome, None, {problem.id: expected})
        result = with_known(result, known, subject, session.versions)
    return _Answered(result, outcome.answer.outputs if outcome.answer else ())


def _compared(version: str, answer: _Answered, good: _Answered, expected: Expected) -> Tried:
    moved = 0.0
    if answer.outputs and good.outputs:
        moved = distance(answer.outputs, good.outputs, expected)
    result = answer.result
    differs = result.verdict is not good.result.verdict or moved > expected.dtype.threshold
    return Tried(version, result.verdict, moved, differs, result.reason, result.known)
