"""The conformance table: features down, subjects across, and in each cell the share of cases that
agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rnnparity.problem.results import Verdict
from rnnparity.report.features import FEATURES, Feature, cases_of
from rnnparity.report.groups import Group, groups
from rnnparity.report.stored_report import Example, StoredReport, StoredSubject, StoredVerdict

State = Literal["right", "wrong", "known", "unclear", "nothing", "absent"]
NOTHING = "–"


@dataclass(frozen=True)
class Cell:
    """A subject on a feature: what became of the feature's cases, and in which groups they are that
    do not agree."""

    feature: Feature
    counts: Counter[Verdict]
    groups: Mapping[Group, Sequence[StoredVerdict]]

    @property
    def ran(self) -> int:
        return self.counts.total()

    @property
    def compared(self) -> int:
        """All but the unsupported: an error is a comparison that failed."""
        return self.ran - self.counts[Verdict.UNSUPPORTED]

    @property
    def state(self) -> State:
        """The worst that there is in it; "nothing" where all is unsupported, "absent" where no case
        was run."""
        if not self.compared:
            return "nothing" if self.ran else "absent"
        if self.counts[Verdict.DIVERGES] or self.counts[Verdict.ERROR]:
            return "wrong"
        return (
            "known"
            if self.counts[Verdict.KNOWN]
            else "unclear"
            if self.counts[Verdict.INCONCLUSIVE]
            else "right"
        )

    @property
    def share(self) -> str:
        """Those that agree of those that were compared, rounded down: 100 % is all of them."""
        if not self.compared:
            return NOTHING
        agree = self.counts[Verdict.AGREES]
        percent = 100 * agree // self.compared
        return f"{percent} %" if percent or not agree else "< 1 %"

    @property
    def note(self) -> str:
        """What the share alone would hide, in two or three words."""
        diverge, err = self.counts[Verdict.DIVERGES], self.counts[Verdict.ERROR]
        if self.state == "wrong":
            return f"{diverge + err} {'fail' if err else 'diverge'}"
        if self.state in ("known", "unclear"):
            kind = Verdict.KNOWN if self.state == "known" else Verdict.INCONCLUSIVE
            return f"{self.counts[kind]} {kind}"
        if self.state == "nothing":
            return "unsupported"
        some = self.compared < len(cases_of(self.feature))
        return "not run" if self.state == "absent" else f"of {self.compared}" if some else ""


@dataclass(frozen=True)
class Column:
    """A subject: its groups, with an example where there is one, and a cell a feature."""

    subject: StoredSubject
    groups: Mapping[Group, Sequence[StoredVerdict]]
    examples: Mapping[Group, Example]
    cells: Sequence[Cell]

    @property
    def total(self) -> Cell:
        return self.cells[0]

    @property
    def says(self) -> str:
        """The subject's result in three words."""
        if not self.subject.passed:
            return "fails"
        return "differs as listed" if self.total.state == "known" else "passes"


def columns(report: StoredReport) -> list[Column]:
    """The table, column by column; every column has a cell for each of FEATURES, in their order."""
    return [_column(subject) for subject in report.subjects]


def _column(subject: StoredSubject) -> Column:
    found = groups(subject.verdicts)
    home = {verdict.id: group for group, own in found.items() for verdict in own}
    examples: dict[Group, Example] = {}
    for example in sorted(subject.examples, key=lambda example: (len(example.id), example.id)):
        if group := home.get(example.id):
            examples.setdefault(group, example)
    return Column(
        subject, found, examples, [_cell(feature, subject, found) for feature in FEATURES]
    )


def _cell(
    feature: Feature, subject: StoredSubject, found: Mapping[Group, Sequence[StoredVerdict]]
) -> Cell:
    cases = cases_of(feature)
    counts = Counter(verdict.verdict for verdict in subject.verdicts if verdict.id in cases)
    own = {
        group: [verdict for verdict in verdicts if verdict.id in cases]
        for group, verdicts in found.items()
    }
    return Cell(feature, counts, {group: verdicts for group, verdicts in own.items() if verdicts})


def headline(report: StoredReport) -> str:
    """The whole table in a sentence or two."""
    passing = [subject.name for subject in report.subjects if subject.passed]
    failing = [subject.name for subject in report.subjects if not subject.passed]
    some = len(report.subjects)
    if not failing:
        listed = any(verdict.known for subject in report.subjects for verdict in subject.verdicts)
        alone = "differs only as listed" if listed else "passes"
        together = f"pass{' or differ only as listed' if listed else ''}"
        said = f"All {some} subjects {together}." if some > 1 else f"{passing[0]} {alone}."
    elif not passing:
        said = f"None of {some} subjects passes." if some > 1 else f"{failing[0]} does not pass."
    else:
        verb = "does" if len(failing) == 1 else "do"
        said = f"{len(passing)} of {some} subjects pass; {_listed(failing)} {verb} not."
    return said + (f" {len(report.left_out)} more could not be run." if report.left_out else "")


def chosen(report: StoredReport) -> str:
    """How many of all cases were run, where it was not all of them."""
    ran, total = (
        max(len(subject.verdicts) for subject in report.subjects),
        len(cases_of(FEATURES[0])),
    )
    return f"Only {ran} of the {total} cases were chosen." if ran < total else ""


def _listed(names: Sequence[str]) -> str:
    """Up to four names, in words."""
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} others"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
