"""What changed between two reports: verdicts of the same cases of the same subjects, and versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rnnparity.problem.errors import RequestError
from rnnparity.problem.results import CaseResult, Report, SubjectResult
from rnnparity.problem.verdicts import Verdict


@dataclass(frozen=True)
class SubjectChanges:
    """The changes of one subject.

    `verdicts` has the ids of the cases by their verdict before and now; `versions` has a package's
    version before and now, "" where it had or has none. `precision` is the declared one before and
    now, None where it is the same. `added` and `removed` are the numbers of cases that only one of
    the two reports has.
    """

    subject: str
    verdicts: dict[tuple[Verdict, Verdict], tuple[str, ...]]
    versions: dict[str, tuple[str, str]]
    added: int = 0
    removed: int = 0
    precision: tuple[str, str] | None = None

    @property
    def any(self) -> bool:
        changed = self.verdicts or self.versions or self.precision
        return bool(changed or self.added or self.removed)


@dataclass(frozen=True)
class Changes:
    """The changes of all subjects that both reports have, and the subjects that only one has."""

    subjects: tuple[SubjectChanges, ...]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        return bool(self.added or self.removed or any(each.any for each in self.subjects))

    @property
    def counts(self) -> Counter[tuple[Verdict, Verdict]]:
        """The number of cases by their verdict before and now."""
        counts: Counter[tuple[Verdict, Verdict]] = Counter()
        for each in self.subjects:
            counts.update({pair: len(cases) for pair, cases in each.verdicts.items()})
        return counts


def check_comparable(baseline: Report, gradients: bool) -> None:
    """Check that a run has what an earlier one had: `gradients`, or outputs.

    Raises:
        RequestError: one of them has gradients, the other has outputs.
    """
    if baseline.gradients != gradients:
        raise RequestError(
            "--baseline: one of the two reports is of gradients, the other of outputs"
        )


def changes_since(baseline: Report, report: Report) -> Changes:
    """Return what changed from an earlier report to a later one.

    Raises:
        RequestError: one of them has gradients, the other has outputs.
    """
    check_comparable(baseline, report.gradients)
    before = {subject.name: subject for subject in baseline.subjects}
    now = {subject.name: subject for subject in report.subjects}
    return Changes(
        tuple(_subject_changes(before[name], now[name]) for name in now if name in before),
        added=tuple(name for name in now if name not in before),
        removed=tuple(name for name in before if name not in now),
    )


def _subject_changes(before: SubjectResult, now: SubjectResult) -> SubjectChanges:
    old = {case.id for case in before.cases}
    new = {case.id for case in now.cases}
    packages = dict.fromkeys([*before.versions, *now.versions])
    versions = {
        name: (before.versions.get(name, ""), now.versions.get(name, "")) for name in packages
    }
    return SubjectChanges(
        now.name,
        changed_verdicts(before.cases, now.cases),
        {name: pair for name, pair in versions.items() if pair[0] != pair[1]},
        added=len(new - old),
        removed=len(old - new),
        precision=None if before.precision == now.precision else (before.precision, now.precision),
    )


def changed_verdicts(
    before: Iterable[CaseResult], now: Iterable[CaseResult]
) -> dict[tuple[Verdict, Verdict], tuple[str, ...]]:
    """Return the ids of the cases whose verdict changed, by the verdict before and now."""
    old = {case.id: case.verdict for case in before}
    ids: dict[tuple[Verdict, Verdict], list[str]] = {}
    for case in now:
        was = old.get(case.id, case.verdict)
        if was is not case.verdict:
            ids.setdefault((was, case.verdict), []).append(case.id)
    return {pair: tuple(names) for pair, names in ids.items()}
