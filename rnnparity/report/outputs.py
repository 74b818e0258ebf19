"""What `rnnparity check` writes: HTML, Markdown and JSON, from a run or from stored runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnparity.golden.goldens import KNOWN, default_folder
from rnnparity.golden.known_differences import read_known
from rnnparity.problem.errors import RequestError
from rnnparity.problem.files import check_writable, write_file
from rnnparity.problem.results import Report
from rnnparity.report.merge import merge
from rnnparity.report.store import dump, load

STDOUT = Path("-")


@dataclass(frozen=True)
class Outputs:
    """Files to write a report to; "-" is stdout, for one of them."""

    html: Path | None = None
    markdown: Path | None = None
    json: Path | None = None

    @property
    def requested(self) -> bool:
        return any((self.html, self.markdown, self.json))

    def check(self) -> None:
        """Check that the files can be written, before minutes of running.

        Raises:
            RequestError: a file cannot be written, or two are the same.
        """
        files = [file for file in (self.html, self.markdown, self.json) if file is not None]
        for position, file in enumerate(files):
            if file in files[:position]:
                raise RequestError(f"{file}: --html, --markdown and --json must be different files")
            if file != STDOUT:
                check_writable(file)

    def keep(self, report: Report) -> None:
        """Write the JSON file of a run whose causes are still to be searched."""
        if self.json is not None and self.json != STDOUT:
            write_file(self.json, dump(report))

    def write(self, report: Report) -> str:
        """Write the files and return the text for stdout, if one is requested."""
        if not self.requested:
            return ""
        # Templates and pictures, which a run on the terminal does not need.
        from rnnparity.report.conformance_page import markdown, page

        text = ""
        for file, render in ((self.json, dump), (self.markdown, markdown), (self.html, page)):
            if file == STDOUT:
                text = render(report)
            elif file is not None:
                write_file(file, render(report))
        return text


def load_merged(files: Sequence[Path], fixtures: Path | None) -> Report:
    """Return stored reports as one.

    Raises:
        RequestError: a file is unreadable, or the reports do not belong together.
    """
    entries = read_known((fixtures or default_folder()) / KNOWN)
    return merge({str(file): load(file) for file in dict.fromkeys(files)}, entries)
