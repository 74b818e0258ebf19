"""The conformance table as an HTML page, and as Markdown for a README."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from shlex import quote

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.features import FEATURES, Feature, cases_of
from rnnparity.problem.explanations import Explanation
from rnnparity.problem.results import CaseResult, KnownEntry, Report, SubjectResult
from rnnparity.problem.verdicts import WITHOUT_CAUSE, Verdict
from rnnparity.report.groups import Group, plainest, plainness
from rnnparity.report.pages.explanation import Drawing, drawing, sentences
from rnnparity.report.pages.page import render_template
from rnnparity.report.table import Cell, Column, State, columns, counted
from rnnparity.report.text.explanation import lines
from rnnparity.report.text.headline import headline, not_covered_text
from rnnparity.report.text.messages import gradients_command, group_title, stale_text, summary
from rnnparity.report.text.phrases import mismatch_text

# This many cases of a group are shown at once, this many more on demand; the JSON has all.
SHOWN, MORE = 3, 60
# The mark behind a count in Markdown, which has no colours.
MARKS = {State.FAILED: "✗", State.KNOWN: "†", State.INCONCLUSIVE: "?"}
STANDINGS = {"mistake": "A mistake by its own documentation", "undocumented": "Undocumented"}


@dataclass(frozen=True)
class Section:
    """A group of a subject on the page; `anchor` is its id, `command` reproduces it."""

    anchor: str
    group: Group
    title: str
    results: Sequence[CaseResult]
    entries: Sequence[KnownEntry]
    explanation: Explanation | None
    command: str

    @property
    def first(self) -> Sequence[str]:
        return self._ids[:SHOWN]

    @property
    def further(self) -> Sequence[str]:
        return self._ids[SHOWN : SHOWN + MORE]

    @property
    def _ids(self) -> Sequence[str]:
        return [result.id for result in sorted(self.results, key=plainness)]

    @property
    def sentences(self) -> Sequence[str]:
        """What its fault is and how it is fixed; for a known difference the entries state it."""
        return sentences(self.explanation) if self.explanation and not self.entries else []

    @property
    def evidence(self) -> Sequence[str]:
        if self.explanation is None or self.explanation.cause is None:
            return []
        return [line.text for line in lines(self.explanation, with_picture=False)]

    @property
    def reason(self) -> str:
        """The reason or the first difference of the plainest case."""
        result = plainest(self.results)
        return summary(result, catalogue()[result.id])

    @property
    def drawing(self) -> Drawing | None:
        picture = self.explanation.picture if self.explanation else None
        return drawing(picture) if picture else None

    @property
    def mismatch(self) -> str:
        """The first mismatch of the explained case."""
        first = self.explanation.first if self.explanation else None
        return f"First mismatch: {mismatch_text(first)}." if first else ""

    def explains(self, results: Sequence[CaseResult]) -> bool:
        """Whether the explained case is one of some results, as of those in a cell of the table."""
        explained = self.explanation.id if self.explanation else ""
        return any(result.id == explained for result in results)

    @property
    def ambiguous(self) -> bool:
        """Whether other causes are equally consistent with some of the cases."""
        return any(result.cause and result.cause.also_fits for result in self.results)


@dataclass(frozen=True)
class Links:
    """Where the page of a site leads: to its index, and to the folder of the known differences."""

    home: str = ""
    differences: str = ""


def page(report: Report, links: Links | None = None) -> str:
    """Return the whole page: one file without scripts and without external resources."""
    table = columns(report)
    sections = [_sections(number, column, report) for number, column in enumerate(table)]
    words = {
        **_words(report, table),
        "sections": sections,
        "overflow_below": _overflow_below(len(table)),
        "stale_text": stale_text,
        "links": links or Links(),
    }
    return render_template("conformance.html.j2", words)


def markdown(report: Report) -> str:
    """Return the table without details, followed by the versions."""
    return render_template("conformance.md.j2", _words(report, columns(report)))


def _words(report: Report, table: Sequence[Column]) -> dict[str, object]:
    rows = [Row(number, feature) for number, feature in enumerate(FEATURES)]
    groups = groupby(rows, key=lambda row: row.feature.group)
    return {
        "report": report,
        "headline": headline(report),
        "columns": table,
        "rows": rows,
        "row_groups": [(group, list(members)) for group, members in groups],
        "reproduce": reproduce,
        "marks": MARKS,
        "standings": STANDINGS,
        "summary": cell_summary,
        "versions": versions,
        "not_covered_text": not_covered_text,
    }


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    number: int
    feature: Feature

    @property
    def size(self) -> int:
        return len(cases_of(self.feature))

    @property
    def title(self) -> str:
        group = f"{self.feature.group}: " if self.feature.group else ""
        return group + self.feature.name


def _overflow_below(subjects: int) -> float:
    """Return the width in rem below which the table does not fit on the page.

    The widths are those of the style sheet: the features' column, the subjects' columns and the
    margins, below 600 pixels (37.5 rem) and above.
    """
    narrow = 8.5 + 5.6 * subjects + 2
    return narrow if narrow <= 37.5 else 13 + 6.2 * subjects + 4


def _sections(number: int, column: Column, report: Report) -> Mapping[Group, Section]:
    """Return the sections of one subject, failing groups first."""
    return {section.group: section for section in _each_section(number, column, report)}


def _each_section(number: int, column: Column, report: Report) -> Iterator[Section]:
    entries = {entry.name: entry for entry in report.known}
    for position, (group, results) in enumerate(column.groups.items()):
        explanation = column.explanations.get(group)
        yield Section(
            anchor=f"s{number}-g{position}",
            group=group,
            title=group_title(group, plainest(results)),
            results=results,
            entries=[entries[name] for name in group.known],
            explanation=explanation,
            command=reproduce(report, column.subject, results, explanation),
        )


def reproduce(
    report: Report,
    subject: SubjectResult,
    results: Sequence[CaseResult],
    explanation: Explanation | None = None,
) -> str:
    """Return the command that reproduces the explained or the plainest of some results."""
    result = plainest(results)
    if report.gradients and not explanation:
        return gradients_command(result.id, subject.name)
    has_values = bool(result.differences) and not result.difference_types & WITHOUT_CAUSE
    explained = result.verdict in (Verdict.DIVERGES, Verdict.KNOWN) and has_values
    command = "explain" if explained else "show"
    case = explanation.id if explanation else result.id
    option = " --gradients" if report.gradients else ""
    return f"rnnparity {command} {quote(case)} --subject {quote(subject.name)}{option}"


def cell_summary(cell: Cell) -> str:
    """Return the counts of a cell by verdict."""
    counts = [counted(cell.counts[verdict], verdict) for verdict in Verdict if cell.counts[verdict]]
    return ", ".join(counts) or "no case was run"


def versions(subject: SubjectResult) -> str:
    """Return a subject's versions in a line."""
    return ", ".join(f"{name} {version}" for name, version in subject.versions.items())
