"""The conformance table as one HTML page, and as Markdown for a README."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from shlex import quote
from typing import Any

from rnnparity.problem import results
from rnnparity.problem.results import Verdict
from rnnparity.report.explanation_page import Drawing, drawing
from rnnparity.report.features import FEATURES, cases_of
from rnnparity.report.groups import Group, plainest
from rnnparity.report.page import render_template, words_of_markdown
from rnnparity.report.stored_report import Example, KnownEntry, Picture, StoredReport, StoredVerdict
from rnnparity.report.table import Cell, Column, chosen, columns, headline

# So many of a group's cases stand there at once, so many more where one asks; all of them are in
# the JSON.
SHOWN, MORE = 3, 60
# A verdict as it stands before the name of a group.
CALLED = {
    Verdict.DIVERGES: "diverges",
    Verdict.ERROR: "error",
    Verdict.KNOWN: "known difference",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.UNSUPPORTED: "unsupported",
}
# The same behind a number.
COUNTED = {Verdict.AGREES: "agree", Verdict.DIVERGES: "diverge", Verdict.ERROR: "fail"}
MARKS = {"wrong": " ✗", "known": " †", "unclear": " ?"}


@dataclass(frozen=True)
class Part:
    """A group on the page: where it stands, what it is called, how it is reproduced, and its
    example."""

    anchor: str
    group: Group
    called: str
    title: str
    verdicts: Sequence[StoredVerdict]
    entries: Sequence[KnownEntry]
    example: Example | None
    picture: Drawing | None
    command: str

    @property
    def first(self) -> Sequence[str]:
        return [verdict.id for verdict in self.sorted[:SHOWN]]

    @property
    def rest(self) -> Sequence[str]:
        return [verdict.id for verdict in self.sorted[SHOWN : SHOWN + MORE]]

    @property
    def sorted(self) -> Sequence[StoredVerdict]:
        return sorted(self.verdicts, key=lambda verdict: (len(verdict.id), verdict.id))

    @property
    def says(self) -> Sequence[str]:
        """What it is and how it is mended; of a listed difference the entries tell it."""
        return self.example.says if self.example and not self.entries else []

    @property
    def reason(self) -> str:
        """What its plainest case says, without the names of the entries that cover it."""
        return self.sorted[0].reason.removeprefix(f"{', '.join(self.sorted[0].known)}: ")

    @property
    def place(self) -> str:
        """Where its example first differs."""
        where = self.example.headline.partition("; first mismatch: ")[2] if self.example else ""
        return f"First mismatch: {where}" if where else ""

    @property
    def open(self) -> bool:
        """Whether some of its cases have other causes as well that would give the same."""
        return any(verdict.also for verdict in self.verdicts)


def page(report: StoredReport) -> str:
    """The whole page: one file, no script, nothing from elsewhere."""
    table = columns(report)
    parts = [_parts(number, column, report) for number, column in enumerate(table)]
    return render_template("conformance.html.j2", {**_words(report, table), "parts": parts})


def markdown(report: StoredReport) -> str:
    """The table alone, with the versions below."""
    return render_template(
        "conformance.md.j2", _words(report, columns(report)), plain=words_of_markdown
    )


def _words(report: StoredReport, table: Sequence[Column]) -> dict[str, Any]:
    numbered = [
        (number, feature, len(cases_of(feature))) for number, feature in enumerate(FEATURES)
    ]
    return {
        "report": report,
        "headline": f"{headline(report)} {chosen(report)}".strip(),
        "columns": table,
        "features": numbered,
        "rows": [
            (group, list(rows)) for group, rows in groupby(numbered, key=lambda row: row[1].group)
        ],
        "reproduce": reproduce,
        "marks": MARKS,
        "called": CALLED,
        "summary": summary,
        "versions": versions,
    }


def _parts(number: int, column: Column, report: StoredReport) -> dict[Group, Part]:
    """The groups of one subject, those that fail first."""
    entries = {entry.name: entry for entry in report.known}
    found = {}
    for place, (group, verdicts) in enumerate(column.groups.items()):
        example = column.examples.get(group)
        found[group] = Part(
            anchor=f"s{number}-g{place}",
            group=group,
            called=CALLED[group.kind],
            title=_title(group, verdicts),
            verdicts=verdicts,
            entries=[entries[name] for name in verdicts[0].known],
            example=example,
            picture=_picture(example.picture) if example and example.picture else None,
            command=reproduce(column, verdicts, example.id if example else ""),
        )
    return found


def _title(group: Group, verdicts: Sequence[StoredVerdict]) -> str:
    """The group's name; of what has a reason alone, the reason of its plainest case."""
    said = (
        group.name if group.kind in (Verdict.DIVERGES, Verdict.KNOWN) else plainest(verdicts).reason
    )
    return said or "no reason given"


def _picture(picture: Picture) -> Drawing:
    units, columns = picture.shape
    levels = tuple(tuple(row) for row in picture.rows)
    return drawing(results.Picture(picture.name, picture.across, (units, columns), levels))


def reproduce(column: Column, verdicts: Sequence[StoredVerdict], id: str = "") -> str:
    """The command that shows one of these cases again: what can be explained is."""
    told = plainest(verdicts)
    explained = told.verdict in (Verdict.DIVERGES, Verdict.KNOWN) and not {
        "error",
        "fact",
        "dtype",
    } & set(told.kinds or ["error"])
    return f"rnnparity {'explain' if explained else 'show'} {id or told.id} --subject {quote(column.subject.name)}"


def summary(cell: Cell) -> str:
    """A cell's counts in words."""
    said = [
        f"{cell.counts[kind]} {COUNTED.get(kind, kind)}" for kind in Verdict if cell.counts[kind]
    ]
    return ", ".join(said) or "no case was run"


def versions(column: Column) -> str:
    """What computed, in a line."""
    return ", ".join(f"{name} {version}" for name, version in column.subject.versions.items())
