"""The bundles of the known differences: of each entry its plainest case, as a problem and a script
that shows it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from rnnparity.catalogue import catalogue
from rnnparity.golden.goldens import KNOWN
from rnnparity.golden.known_differences import KnownDifference, read_known
from rnnparity.problem.errors import RequestError
from rnnparity.problem.files import write_where_asked
from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import CaseResult
from rnnparity.report.bundle import bundle_files, plainest_kind
from rnnparity.session.session import open_session
from rnnparity.subjects import registered_names, registration
from rnnparity.verdict.judge import with_known

BUNDLES = "bundles"


def write_bundles(
    folder: Path, names: Collection[str] = (), check: bool = False
) -> Iterator[tuple[str, bool]]:
    """Write the bundles of known differences (of all, or of those named); with `check`, say what
    would change.

    Gives a line an entry, and whether its bundle has changed. One whose framework is missing, or
    here in another version, is left as it is.

    Raises:
        RequestError: no entry has that name, or the folder cannot be written.
    """
    entries = read_known(folder / KNOWN)
    known = [entry.name for entry in entries]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise RequestError(
                f"{folder / KNOWN}: no entry {name!r}{f'; did you mean {near[0]}?' if near else ''}"
            )
    with _Subjects(entries) as subjects:
        for entry in entries:
            if not names or entry.name in names:
                yield _bundled(folder / BUNDLES / entry.name, entry, subjects, check)


class _Subjects:
    """Subjects as they are asked for, one process at a time; neighbouring entries are of the same
    ones."""

    def __init__(self, entries: Sequence[KnownDifference]) -> None:
        self.entries, self.stack = entries, ExitStack()
        self.name, self.missing = "", dict[str, str]()

    def __enter__(self) -> _Subjects:
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def verdicts(self, name: str, entry: KnownDifference) -> Iterator[tuple[Problem, CaseResult]]:
        """The cases of an entry, the plainest first, with what came of each; none where it does not
        apply.

        Raises:
            RequestError: its framework is missing.
        """
        if name in self.missing:
            raise RequestError(self.missing[name])
        if name != self.name:
            self.stack.close()
            self.session = self.stack.enter_context(open_session(name))
            self.name = name
        try:
            versions = self.session.versions
        except RequestError as error:
            self.missing[name] = str(error)
            raise
        if not entry.applies(name, versions):
            return
        cases = [case for case in catalogue().values() if entry.matches(case.id)]
        for outcome in self.session.ask_all(sorted(cases, key=_plainness)):
            verdict = with_known(self.session.judge(outcome), self.entries, name, versions)
            outputs = outcome.answer.outputs if outcome.answer else None
            yield (
                outcome.problem if outputs is None else outcome.problem.with_outputs(outputs),
                verdict,
            )


def _plainness(case: Problem) -> tuple[int, int, int, str]:
    """Few layers and calls before short names: what a tracker's reader has to understand."""
    return len(halves(case.layer)), len(case.steps), len(case.id), case.id


def _bundled(
    folder: Path, entry: KnownDifference, subjects: _Subjects, check: bool
) -> tuple[str, bool]:
    """A line on an entry's bundle, and whether it has changed."""
    why = f"no subject is called {entry.subject}"
    for name in registered_names():
        fits = any(fnmatchcase(name, pattern) for pattern in entry.subject.split(" | "))
        if not fits or registration(name).needs_gpu:
            continue
        try:
            found = next(_scripts(entry, name, subjects), None)
        except RequestError as error:
            why = str(error)
            continue
        if found is None:
            why = f"{name} here is of another version, or no case that a script can run differs by it alone"
            continue
        case, files = found
        changed = [file for file, content in files.items() if not _is(folder / file, content)]
        # tf2onnx orders nodes by chance; a model of another version comes with a script that says
        # so.
        if (
            changed == ["model.onnx"]
            and name.endswith(":keras")
            and (folder / "model.onnx").is_file()
        ):
            changed = []
        if not check:
            _write(folder, {file: files[file] for file in changed})
        return f"{entry.name}: {case} on {name}: {', '.join(changed) or 'up to date'}", bool(
            changed
        )
    return f"{entry.name}: left as it is: {why}", False


def _scripts(
    entry: KnownDifference, name: str, subjects: _Subjects
) -> Iterator[tuple[str, dict[str, str | bytes]]]:
    """Cases that differ by that entry alone, and the files of their bundles."""
    ranges = ", ".join(
        f"{package} {','.join(sorted(map(str, wanted), reverse=True))}"
        for package, wanted in entry.versions.items()
    )
    for problem, verdict in subjects.verdicts(name, entry):
        if verdict.known != (entry.name,):
            continue
        kind = plainest_kind(verdict.difference_types or {"error"})
        try:
            yield (
                problem.id,
                bundle_files(
                    problem, f"{' '.join(entry.reason.split())} ({name}, {ranges})", name, kind
                ),
            )
        except RequestError:  # no script can run it: the next may do
            continue


def _is(file: Path, content: str | bytes) -> bool:
    """Whether the file holds that already."""
    return file.is_file() and file.read_bytes() == (
        content.encode() if isinstance(content, str) else content
    )


def _write(folder: Path, files: dict[str, str | bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"{folder}: cannot be written: {error.strerror or error}") from None
    for name, content in files.items():
        write_where_asked(folder / name, content)
