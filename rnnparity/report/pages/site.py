"""The conformance table as a site: an index, a page for each subject and for each known difference.

Every page is one file without external resources; the index has a short script for its filter, and
is complete without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from rnnparity.catalogue.features import FEATURES
from rnnparity.golden.goldens import KNOWN, default_folder
from rnnparity.golden.known_differences import read_known
from rnnparity.problem.files import write_folder
from rnnparity.problem.results import CaseResult, KnownEntry, Report, SubjectResult
from rnnparity.report.bundles.known import BUNDLES
from rnnparity.report.changes import Changes
from rnnparity.report.pages.conformance import (
    MARKS,
    STANDINGS,
    Links,
    Row,
    cell_summary,
    page,
    reproduce,
    versions,
)
from rnnparity.report.pages.history import HistoryTable, history_page, history_tables, places
from rnnparity.report.pages.page import render_template
from rnnparity.report.stored.history import StoredHistory
from rnnparity.report.stored.reports import dump
from rnnparity.report.table import columns
from rnnparity.report.text.headline import headline

INDEX, TABLE, REPORT, HISTORY = "index.html", "table.html", "report.json", "history.html"
SUBJECTS, DIFFERENCES = "subjects", "differences"
# The name of a bundle's script, without what depends on the language.
SCRIPT = "reproduce."
# On the page of a difference so many cases of a subject are named.
SHOWN = 12


def write_site(
    report: Report,
    folder: Path,
    *,
    changes: Changes | None = None,
    fixtures: Path | None = None,
    histories: Sequence[StoredHistory] = (),
) -> None:
    """Write the site into a folder.

    `changes` are those since an earlier run. `fixtures` is the folder of the known differences.
    `histories` are what releases of frameworks compute.

    Raises:
        RequestError: a file cannot be written.
    """
    fixtures = fixtures or default_folder()
    names = file_names(report)
    up = Links(f"../{INDEX}", f"../{DIFFERENCES}/")
    subjects = {
        names[subject.name]: page(one_subject(report, subject), up) for subject in report.subjects
    }
    affected = {entry.name: list(_affected(report, entry)) for entry in report.known}
    listed = read_known(fixtures / KNOWN)
    tables = history_tables(histories, listed)
    ranges = {entry.name: entry.versions for entry in listed}
    bundles = {entry.name: _bundle(fixtures / BUNDLES / entry.name) for entry in report.known}
    differences = {
        f"{entry.name}.html": _difference_page(
            entry, names, affected[entry.name], ranges, bundles[entry.name], tables
        )
        for entry in report.known
    }
    links = {entry.name: f"{DIFFERENCES}/{entry.name}.html" for entry in report.known}
    index = {
        **({HISTORY: history_page(tables, INDEX, links)} if tables else {}),
        INDEX: _index(report, names, changes, affected, tables),
        TABLE: page(report, Links(INDEX, f"{DIFFERENCES}/")),
        REPORT: dump(report),
    }
    _write(folder, bundles, differences, subjects, index)


def _write(
    folder: Path,
    bundles: Mapping[str, Mapping[str, bytes]],
    differences: Mapping[str, str],
    subjects: Mapping[str, str],
    index: Mapping[str, str],
) -> None:
    """Write the pages, all or none, the index last: its links lead to files that are there."""
    files: dict[str, str | bytes] = {}
    for entry, content in bundles.items():
        files |= {f"{DIFFERENCES}/{entry}/{name}": data for name, data in content.items()}
    files |= {f"{DIFFERENCES}/{name}": text for name, text in differences.items()}
    files |= {f"{SUBJECTS}/{name}": text for name, text in subjects.items()}
    write_folder(folder, {**files, **index})


def file_names(report: Report) -> dict[str, str]:
    """Return a file name for each subject: letters and digits of its name, and no name twice."""
    names: dict[str, str] = {}
    for subject in report.subjects:
        plain = re.sub(r"[^A-Za-z0-9.]+", "-", subject.name).strip("-.")[:60] or "subject"
        name, number = plain, 1
        while f"{name}.html" in names.values():
            number += 1
            name = f"{plain}-{number}"
        names[subject.name] = f"{name}.html"
    return names


def one_subject(report: Report, subject: SubjectResult) -> Report:
    """Return the part of a report that is about one subject."""
    used = {name for case in subject.cases for name in case.known}
    known = tuple(entry for entry in report.known if entry.name in used)
    return replace(
        report, subjects=(subject,), known=known, skipped=(), score=None, score_constant=None
    )


def _index(
    report: Report,
    names: Mapping[str, str],
    changes: Changes | None,
    affected: Mapping[str, Sequence[_Affected]],
    tables: Sequence[HistoryTable],
) -> str:
    rows = [Row(number, feature) for number, feature in enumerate(FEATURES)]
    grouped = [
        (group, list(members))
        for group, members in groupby(rows, key=lambda row: row.feature.group)
    ]
    words = {
        "report": report,
        "headline": headline(report),
        "columns": columns(report),
        "groups": grouped,
        "files": {name: f"{SUBJECTS}/{file}" for name, file in names.items()},
        "table": TABLE,
        "report_file": REPORT,
        "differences": [(entry, f"{DIFFERENCES}/{entry.name}.html") for entry in report.known],
        "affected": {name: len(subjects) for name, subjects in affected.items()},
        "standings": STANDINGS,
        "marks": MARKS,
        "summary": cell_summary,
        "versions": versions,
        "changes": changes,
        "history": HISTORY,
        "tables": tables,
    }
    return render_template("site_index.html.j2", words)


@dataclass(frozen=True)
class _Affected:
    """A subject that shows a known difference: its page, its cases and the command to see one."""

    subject: SubjectResult
    cases: Sequence[CaseResult]
    command: str

    @property
    def first(self) -> Sequence[str]:
        return [case.id for case in self.cases[:SHOWN]]


def _affected(report: Report, entry: KnownEntry) -> Iterator[_Affected]:
    for subject in report.subjects:
        cases = [case for case in subject.cases if entry.name in case.known]
        if cases:
            yield _Affected(subject, cases, reproduce(report, subject, cases))


def _difference_page(
    entry: KnownEntry,
    names: Mapping[str, str],
    affected: Sequence[_Affected],
    ranges: Mapping[str, Mapping[str, object]],
    bundle: Mapping[str, bytes],
    tables: Sequence[HistoryTable],
) -> str:
    versions_of = sorted(ranges.get(entry.name, {}).items())
    words = {
        "history": [
            (f"../{HISTORY}#{table.anchor}", table, text)
            for table, text in places(tables, entry.name)
        ],
        "entry": entry,
        "home": f"../{INDEX}",
        "standing": STANDINGS.get(entry.standing, entry.standing),
        "ranges": [(package, str(releases)) for package, releases in versions_of],
        "affected": affected,
        "files": {name: f"../{SUBJECTS}/{file}" for name, file in names.items()},
        "script": next(
            (text.decode() for name, text in bundle.items() if name.startswith(SCRIPT)), ""
        ),
        "bundle": {name: f"{entry.name}/{name}" for name in bundle},
        "versions": versions,
    }
    return render_template("site_difference.html.j2", words)


def _bundle(folder: Path) -> dict[str, bytes]:
    """Return the files of a bundle by name; none where it has not been written."""
    if not folder.is_dir():
        return {}
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
