"""The conformance table: features down, subjects across, and in each cell how many cases agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rnnparity.catalogue.features import FEATURES, Feature, cases_of
from rnnparity.problem.explanations import Explanation
from rnnparity.problem.results import Report, SubjectResult
from rnnparity.problem.verdicts import FAILING, Verdict
from rnnparity.report.groups import Group, Groups, group_results, plainness

NOTHING = "–"
# A verdict after a number, for one case and for several.
_VERBS = {
    Verdict.AGREES: ("agrees", "agree"),
    Verdict.DIVERGES: ("diverges", "diverge"),
    Verdict.ERROR: ("errs", "err"),
}


class State(StrEnum):
    """The worst result in a cell; `UNSUPPORTED` where no case was compared."""

    PASSED = "passed"
    FAILED = "failed"
    KNOWN = "known"
    INCONCLUSIVE = "inconclusive"
    UNSUPPORTED = "unsupported"
    NOT_RUN = "not-run"


@dataclass(frozen=True)
class Cell:
    """The results of a subject for the cases of a feature, and the groups of those not agreeing."""

    counts: Counter[Verdict]
    groups: Groups

    @property
    def ran(self) -> int:
        return self.counts.total()

    @property
    def compared(self) -> int:
        return sum(count for verdict, count in self.counts.items() if verdict.compared)

    @property
    def state(self) -> State:
        if any(self.counts[verdict] for verdict in FAILING):
            return State.FAILED
        for verdict in (Verdict.KNOWN, Verdict.INCONCLUSIVE):
            if self.counts[verdict]:
                return State(verdict)
        if self.compared:
            return State.PASSED
        return State.UNSUPPORTED if self.ran else State.NOT_RUN

    @property
    def share(self) -> str:
        """How many of the compared cases agree."""
        return f"{self.counts[Verdict.AGREES]}/{self.compared}" if self.compared else NOTHING

    @property
    def note(self) -> str:
        """What the share does not show, in two or three words."""
        failing = [verdict for verdict in FAILING if self.counts[verdict]]
        if len(failing) > 1:
            return f"{sum(self.counts[verdict] for verdict in failing)} fail"
        others = (Verdict.KNOWN, Verdict.INCONCLUSIVE, Verdict.UNSUPPORTED)
        for verdict in (*failing, *others):
            if self.counts[verdict]:
                return counted(self.counts[verdict], verdict)
        return "" if self.ran else "not run"


@dataclass(frozen=True)
class Column:
    """A subject: its groups, the explanations of some of them, and a cell for each feature."""

    subject: SubjectResult
    groups: Groups
    explanations: Mapping[Group, Explanation]
    cells: Sequence[Cell]

    @property
    def total(self) -> Cell:
        return self.cells[0]

    @property
    def outcome(self) -> str:
        precision = self.subject.precision
        if not self.subject.compared:
            return "not compared"
        if not self.subject.passed:
            return f"failed, compared to {precision}" if precision else "failed"
        known = ", known differences" if self.total.state is State.KNOWN else ""
        return f"passed, agrees to {precision}{known}" if precision else f"passed{known}"


def columns(report: Report) -> list[Column]:
    """Return the table by columns; each has one cell for each of FEATURES, in their order."""
    return [_column(subject) for subject in report.subjects]


def counted(count: int, verdict: Verdict) -> str:
    """Return a number of cases with a verdict, as in "2 diverge"."""
    return f"{count} {verb(count, verdict)}"


def number_of_cases(count: int) -> str:
    """Return a number of cases, as in "2 cases"."""
    return f"{count} case{'' if count == 1 else 's'}"


def verb(count: int, verdict: Verdict) -> str:
    """Return a verdict as it follows a number of cases."""
    one, several = _VERBS.get(verdict, (verdict, verdict))
    return one if count == 1 else several


def _column(subject: SubjectResult) -> Column:
    groups = group_results(subject.cases)
    explanations: dict[Group, Explanation] = {}
    for group, results in groups.items():
        for result in sorted(results, key=plainness):
            if result.explanation and group not in explanations:
                explanations[group] = result.explanation
    cells = [_cell(feature, subject, groups) for feature in FEATURES]
    return Column(subject, groups, explanations, cells)


def _cell(feature: Feature, subject: SubjectResult, groups: Groups) -> Cell:
    cases = cases_of(feature)
    counts = Counter(result.verdict for result in subject.cases if result.id in cases)
    chosen = {
        group: [result for result in results if result.id in cases]
        for group, results in groups.items()
    }
    return Cell(counts, {group: results for group, results in chosen.items() if results})
