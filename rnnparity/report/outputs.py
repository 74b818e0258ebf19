"""The conformance table: runs stored, merged, and told feature by feature as a page, as Markdown
and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnparity.golden.goldens import KNOWN, default_folder
from rnnparity.golden.known_differences import KnownDifference, read_known
from rnnparity.problem.errors import RequestError
from rnnparity.problem.files import check_writable, write_where_asked
from rnnparity.report import runs
from rnnparity.report.conformance_page import markdown, page
from rnnparity.report.merge import merge
from rnnparity.report.runs import Progress, as_report
from rnnparity.report.stored_report import StoredReport, dump, load
from rnnparity.session.check import Run

__all__ = ["Outputs", "StoredReport", "as_report", "merged", "stored_report"]

STDOUT = Path("-")


@dataclass(frozen=True)
class Outputs:
    """Where the report is to be written; "-" is stdout, which has room for one of them."""

    html: Path | None = None
    markdown: Path | None = None
    json: Path | None = None

    @property
    def asked(self) -> bool:
        return any((self.html, self.markdown, self.json))

    def check(self) -> None:
        """Ask before minutes of running, not after.

        Raises:
            RequestError: one of them cannot be written, or two would go to the same place.
        """
        paths = [path for path in (self.html, self.markdown, self.json) if path is not None]
        for place, path in enumerate(paths):
            if path in paths[:place]:
                raise RequestError(
                    f"{path}: two of --html, --markdown and --json would be written there"
                )
            if path != STDOUT:
                check_writable(path)

    def write(self, report: StoredReport) -> str:
        """Write what is asked for, and give what goes to stdout instead."""
        said = ""
        for path, render in ((self.json, dump), (self.markdown, markdown), (self.html, page)):
            if path == STDOUT:
                said = render(report)
            elif path is not None:
                write_where_asked(path, render(report))
        return said


def stored_report(run: Run, progress: Progress | None) -> StoredReport:
    """What is kept of a run that has just ended."""
    return runs.stored_report(run, progress)


def merged(paths: Sequence[Path], fixtures: Path | None) -> StoredReport:
    """Stored runs as one.

    Raises:
        RequestError: one of them is at fault, or they do not belong together.
    """
    return merge({str(path): load(path) for path in dict.fromkeys(paths)}, _entries(fixtures))


def _entries(fixtures: Path | None) -> Sequence[KnownDifference]:
    return read_known((fixtures or default_folder()) / KNOWN)
