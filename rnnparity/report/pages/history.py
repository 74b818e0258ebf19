"""Released versions on the site: a table for each stored history, releases across."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rnnparity.golden.known_differences import KnownDifference
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.pages.page import render_template
from rnnparity.report.stored.history import StoredHistory, StoredRelease
from rnnparity.report.text.history import NOTHING, contradiction, occurrence_text
from rnnparity.session.occurrence import Occurrence, occurrences


@dataclass(frozen=True)
class HistoryRow:
    """A line of the table. `changed` are the columns whose cell differs from the one before."""

    name: str
    cells: Sequence[str]
    occurrence: Occurrence | None = None

    @property
    def changed(self) -> Collection[int]:
        pairs = zip(self.cells, self.cells[1:], strict=False)
        return {number for number, (before, now) in enumerate(pairs, 1) if before != now}

    @property
    def note(self) -> str:
        """What is wrong with the stated range of a known difference, "" where it is right."""
        return contradiction(self.occurrence) if self.occurrence else ""


@dataclass(frozen=True)
class HistoryTable:
    """A history as the page shows it; `anchor` is its place there."""

    history: StoredHistory
    rows: Sequence[HistoryRow]
    anchor: str

    @property
    def ran(self) -> Sequence[StoredRelease]:
        return [release for release in self.history.releases if not release.error]


def history_tables(
    histories: Sequence[StoredHistory], entries: Sequence[KnownDifference]
) -> list[HistoryTable]:
    """Return a table for each history, with the known differences that occur in it."""
    return [
        HistoryTable(history, list(_rows(history, entries)), f"history-{number}")
        for number, history in enumerate(histories)
    ]


def history_page(tables: Sequence[HistoryTable], home: str, links: Mapping[str, str]) -> str:
    """Return the page of all histories; `links` lead from a known difference to its page."""
    words = {"tables": tables, "home": home, "links": links, "nothing": NOTHING}
    return render_template("site_history.html.j2", words)


def places(tables: Sequence[HistoryTable], difference: str) -> list[tuple[HistoryTable, str]]:
    """Return where a known difference occurs: the tables that have it, and in which releases."""
    return [
        (table, occurrence_text(row.occurrence))
        for table in tables
        for row in table.rows
        if row.occurrence is not None and row.occurrence.name == difference
    ]


def _rows(history: StoredHistory, entries: Sequence[KnownDifference]) -> Iterator[HistoryRow]:
    ran = [release for release in history.releases if not release.error]

    def row(name: str, count: Callable[[StoredRelease], int | None]) -> HistoryRow:
        counts = [count(release) for release in ran]
        return HistoryRow(name, [NOTHING if number is None else str(number) for number in counts])

    yield row("agree", lambda release: release.counts.get(Verdict.AGREES))
    for found in occurrences(history.package, entries, ran):
        counts = [str(release.listed.get(found.name) or NOTHING) for release in ran]
        yield HistoryRow(found.name, counts, found)
    yield row("not listed", lambda release: len(release.unlisted) or None)
    yield row("not compared", _not_compared)
    yield row("numbers moved", lambda release: release.moved.bits if release.moved else None)
    yield row(
        "moved beyond the tolerance", lambda release: release.moved.far if release.moved else None
    )


def _not_compared(release: StoredRelease) -> int | None:
    counts = release.counts.items()
    return sum(count for name, count in counts if not Verdict(name).compared) or None
