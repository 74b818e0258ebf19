"""Released versions of a framework: what each computes, and how far that is from the one before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from packaging.version import InvalidVersion, Version

from rnnparity.golden.known_differences import KnownDifference, in_all_versions
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference.tolerance import Expected
from rnnparity.session.fixtures import Fixtures
from rnnparity.session.outcome import Outcome
from rnnparity.session.processes import one_blas_thread
from rnnparity.session.progress import Progress, report_progress
from rnnparity.session.releases import Release
from rnnparity.session.session import Session, open_session
from rnnparity.session.workers import TIMEOUT_S
from rnnparity.verdict.compare import compare_values
from rnnparity.verdict.judge import expect_answer, with_known


@dataclass(frozen=True)
class Moved:
    """How outputs differ from those of the release before.

    `bits` is the number of cases in which any bit differs, `far` that of cases in which a number
    moved by more than the tolerance, `sigma` the largest distance.
    """

    bits: int = 0
    far: int = 0
    sigma: float = 0.0


@dataclass(frozen=True)
class ReleaseResult:
    """What a release computes.

    `listed` is the number of cases with each known difference, whatever versions it is listed for;
    of the others that fail `unlisted` has the ids. `agreeing` is the number of the cases that each is
    listed for and that agree, where none of them fails otherwise. `moved` is None for the first release. `error`
    is why it could not be run.
    """

    version: str
    cases: tuple[CaseResult, ...] = ()
    listed: Mapping[str, int] = field(default_factory=dict)
    unlisted: tuple[str, ...] = ()
    moved: Moved | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    agreeing: Mapping[str, int] = field(default_factory=dict)


def history(
    subject: str,
    versions: Sequence[str],
    install: Callable[[str], Release],
    cases: Sequence[Problem],
    fixtures: Fixtures,
    timeout_s: float = TIMEOUT_S,
    progress: Progress | None = None,
) -> Iterator[ReleaseResult]:
    """Yield what releases compute in cases, one after the other, each installed when its turn comes.

    One that cannot be installed or run has an error as its result.
    """
    entries = in_all_versions(fixtures.known)
    expected: dict[str, Expected] = {}
    before: dict[str, Sequence[Tensor]] | None = None
    with one_blas_thread():
        for version in versions:
            try:
                release = install(version)
                with open_session(
                    subject, timeout_s=timeout_s, folder=str(release.folder)
                ) as session:
                    outcomes = _outcomes(session, release, cases, progress)
                    packages = session.versions
            except RequestError as error:
                yield ReleaseResult(version, error=str(error))
                continue
            for outcome in outcomes:
                if outcome.problem.id not in expected:
                    expected[outcome.problem.id] = expect_answer(outcome.problem)
            results = [session.judge(outcome, fixtures.goldens, expected) for outcome in outcomes]
            outputs: dict[str, Sequence[Tensor]] = {
                outcome.problem.id: outcome.answer.outputs for outcome in outcomes if outcome.answer
            }
            moved = None if before is None else _moved(outputs, before, expected)
            applying = [entry for entry in entries if entry.applies(subject, packages)]
            known = [with_known(result, applying, subject, packages) for result in results]
            yield _release_result(version, known, moved, packages, _agreeing(applying, known))
            before = outputs


def _outcomes(
    session: Session, release: Release, cases: Sequence[Problem], progress: Progress | None
) -> list[Outcome]:
    """Return the outcomes of cases, in their order.

    Raises:
        RequestError: the framework cannot be loaded, or is of another version.
    """
    check_version(session.versions, release)
    name = f"{release.package} {release.version}"
    outcomes: dict[str, Outcome] = {}
    for done, outcome in enumerate(session.ask_all(cases), 1):
        outcomes[outcome.problem.id] = outcome
        report_progress(progress, name, done, len(cases))
    return [outcomes[case.id] for case in cases]


def check_version(versions: Mapping[str, str], release: Release) -> None:
    """Check that a subject uses the release, where it states the version.

    Raises:
        RequestError: it does not.
    """
    actual = versions.get(release.package, release.version)
    if _public(actual) != _public(release.version):
        raise RequestError(f"{release.package}: got version {actual}, expected {release.version}")


def _public(text: str) -> Version | str:
    """Return a version without what follows a "+"; the text where it is no version."""
    public = text.partition("+")[0]
    try:
        return Version(public)
    except InvalidVersion:
        return public


def _release_result(
    version: str,
    cases: Sequence[CaseResult],
    moved: Moved | None,
    versions: Mapping[str, str],
    agreeing: Mapping[str, int],
) -> ReleaseResult:
    listed = Counter(name for case in cases for name in case.known)
    unlisted = tuple(case.id for case in cases if case.failing)
    return ReleaseResult(
        version, tuple(cases), listed, unlisted, moved, dict(versions), agreeing=agreeing
    )


def _agreeing(entries: Sequence[KnownDifference], cases: Sequence[CaseResult]) -> Mapping[str, int]:
    """Return how many of the cases that each entry matches agree, where some do and none fails."""
    agreeing = [case.id for case in cases if case.verdict is Verdict.AGREES]
    failing = [case.id for case in cases if case.failing]
    return Counter(
        entry.name
        for entry in entries
        if not any(map(entry.matches, failing))
        for id_ in agreeing
        if entry.matches(id_)
    )


def _moved(
    outputs: Mapping[str, Sequence[Tensor]],
    before: Mapping[str, Sequence[Tensor]],
    expected: Mapping[str, Expected],
) -> Moved:
    bits = far = 0
    largest = 0.0
    for id_, tensors in outputs.items():
        if id_ not in before or _equal(tensors, before[id_]):
            continue
        bits += 1
        sigma = distance(tensors, before[id_], expected[id_])
        far += sigma > expected[id_].dtype.threshold
        largest = max(largest, sigma)
    return Moved(bits, far, largest)


def _equal(outputs: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    return len(outputs) == len(others) and all(
        one.dtype == other.dtype and np.array_equal(one.data, other.data, equal_nan=True)
        for one, other in zip(outputs, others, strict=True)
    )


def distance(outputs: Sequence[Tensor], others: Sequence[Tensor], expected: Expected) -> float:
    """Return how far outputs are from others, in sigma; infinite where their structure differs."""
    shapes = [[tensor.shape for tensor in each] for each in (outputs, others, expected.outputs)]
    if shapes[0] != shapes[1] or shapes[0] != shapes[2]:
        return float("inf")
    return compare_values(outputs, others, expected.sigmas, expected.dtype.threshold).sigma
