"""What `rnnparity check` writes: HTML, Markdown, JSON and a site, from a run or from stored runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rnnparity.golden.goldens import KNOWN, default_folder
from rnnparity.golden.known_differences import read_known
from rnnparity.problem.errors import RequestError
from rnnparity.problem.files import check_new_folder, check_writable, is_special, write_file
from rnnparity.problem.results import Report
from rnnparity.report.changes import Changes
from rnnparity.report.stored.merge import merge
from rnnparity.report.stored.reports import dump, load

if TYPE_CHECKING:
    from rnnparity.report.stored.history import StoredHistory

STDOUT = Path("-")


@dataclass(frozen=True)
class Outputs:
    """Files to write a report to; "-" is stdout, for one of them. `site` is a folder.

    `fixtures` is the folder of the known differences, `history` what `rnnparity history` has stored.
    """

    html: Path | None = None
    markdown: Path | None = None
    json: Path | None = None
    site: Path | None = None
    fixtures: Path | None = None
    history: Sequence[Path] = ()

    @property
    def requested(self) -> bool:
        return any((self.html, self.markdown, self.json, self.site))

    @property
    def names(self) -> list[str]:
        """What is written, without stdout."""
        paths = (self.json, self.markdown, self.html, self.site)
        return [str(path) for path in paths if path is not None and path != STDOUT]

    def check(self) -> None:
        """Check that the files can be written, before minutes of running.

        Raises:
            RequestError: a file cannot be written, two are the same, or a history is unreadable.
        """
        files = [file for file in (self.html, self.markdown, self.json) if file is not None]
        for position, file in enumerate(files):
            if file in files[:position]:
                raise RequestError(f"{file}: --html, --markdown and --json must be different files")
            if file != STDOUT:
                check_writable(file)
        if self.site is not None:
            check_new_folder(self.site)
        elif self.history:
            raise RequestError("--history is shown on a site; add --site DIR")
        self._histories()

    @property
    def save(self) -> Callable[[Report], None] | None:
        """What writes the JSON file of a run that is not finished; None without such a file.

        A pipe gets the report once, when it is complete.
        """
        if self.json is None or self.json == STDOUT or is_special(self.json):
            return None
        return partial(_write_json, self.json)

    def write(self, report: Report, changes: Changes | None = None) -> str:
        """Write the files and return the text for stdout, if one is requested.

        `changes` are those since an earlier run, for the site.
        """
        if not self.requested:
            return ""
        # Templates and pictures, which a run on the terminal does not need.
        from rnnparity.report.pages.conformance import markdown, page

        text = ""
        for file, render in ((self.json, dump), (self.markdown, markdown), (self.html, page)):
            if file == STDOUT:
                text = render(report)
            elif file is not None:
                write_file(file, render(report))
        if self.site is not None:
            from rnnparity.report.pages.site import write_site

            write_site(
                report,
                self.site,
                changes=changes,
                fixtures=self.fixtures,
                histories=self._histories(),
            )
        return text

    def _histories(self) -> list[StoredHistory]:
        """Return the stored histories.

        Raises:
            RequestError: a file is unreadable, or two are of one subject.
        """
        if not self.history:
            return []
        from rnnparity.report.stored.history import load

        histories: dict[str, StoredHistory] = {}
        for path in self.history:
            history = load(path)
            if history.subject in histories:
                raise RequestError(f"{path}: subject {history.subject} occurs twice in --history")
            histories[history.subject] = history
        return list(histories.values())


def _write_json(path: Path, report: Report) -> None:
    write_file(path, dump(report))


def load_merged(files: Sequence[Path], fixtures: Path | None) -> Report:
    """Return stored reports as one.

    Raises:
        RequestError: a file is unreadable, or the reports do not belong together.
    """
    entries = read_known((fixtures or default_folder()) / KNOWN)
    return merge({str(file): load(file) for file in dict.fromkeys(files)}, entries)
