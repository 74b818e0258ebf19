"""The bundles of the known differences: of each entry its simplest case, as a problem and a script
that shows it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.golden.goldens import KNOWN
from rnnparity.golden.known_differences import KnownDifference, read_known
from rnnparity.problem.complexity import complexity
from rnnparity.problem.errors import RequestError
from rnnparity.problem.files import write_folder
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import CaseResult
from rnnparity.problem.text import did_you_mean
from rnnparity.report.bundles.bundle import bundle_files, shown_difference
from rnnparity.report.bundles.gradients import backward_bundle_files
from rnnparity.session.random_problems import problem_of_id
from rnnparity.session.session import open_session
from rnnparity.subjects import registered_names, registration
from rnnparity.verdict.judge import with_known

BUNDLES = "bundles"
MODEL = "model.onnx"


@dataclass(frozen=True)
class _Bundle:
    """The files of a bundle, and the case and subject that they show."""

    case: str
    subject: str
    files: Mapping[str, str | bytes]


def write_bundles(
    folder: Path, names: Collection[str] = (), check: bool = False
) -> Iterator[tuple[str, bool]]:
    """Write the bundles of all known differences, or of those with these names.

    Yields a line for each entry, and whether its bundle has changed. With `check` nothing is
    written. The bundle of a framework that is missing, or installed in another version, stays
    unchanged.

    Raises:
        RequestError: no entry has that name, or the folder cannot be written.
    """
    entries = read_known(folder / KNOWN)
    known = [entry.name for entry in entries]
    for name in names:
        if name not in known:
            raise RequestError(f"{folder / KNOWN}: no entry {name!r}{did_you_mean(name, known)}")
    with _Subjects(entries) as subjects:
        for entry in entries:
            if not names or entry.name in names:
                yield _write_bundle(folder / BUNDLES / entry.name, entry, subjects, check)


class _Subjects:
    """The subjects in worker processes, one at a time: neighbouring entries share a subject."""

    def __init__(self, entries: Sequence[KnownDifference]) -> None:
        self.entries = entries
        self.stack = ExitStack()
        self.name = ""
        self.missing: dict[str, str] = {}

    def __enter__(self) -> _Subjects:
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def results(self, name: str, entry: KnownDifference) -> Iterator[tuple[Problem, CaseResult]]:
        """Yield the cases of an entry with their results, the simplest first.

        The problems have the subject's outputs where it returned any. Nothing is yielded where the
        entry does not apply to the subject's version.

        Raises:
            RequestError: the subject's framework is missing.
        """
        versions = self._versions(name)
        if not entry.applies(name, versions):
            return
        cases = [case for case in catalogue().values() if entry.matches(case.id)]
        cases += filter(None, map(problem_of_id, entry.random_problems))
        if entry.gradients:
            cases = [with_cotangents(case) for case in cases]
        for outcome in self.session.ask_all(sorted(cases, key=complexity)):
            problem = outcome.problem
            result = with_known(self.session.judge(outcome), self.entries, name, versions)
            if outcome.answer and not entry.gradients:
                problem = problem.with_outputs(outcome.answer.outputs)
            yield problem, result

    def _versions(self, name: str) -> Mapping[str, str]:
        if name in self.missing:
            raise RequestError(self.missing[name])
        if name != self.name:
            self.stack.close()
            self.session = self.stack.enter_context(open_session(name))
            self.name = name
        try:
            return self.session.versions
        except RequestError as error:
            self.missing[name] = str(error)
            raise


def _write_bundle(
    folder: Path, entry: KnownDifference, subjects: _Subjects, check: bool
) -> tuple[str, bool]:
    """Write an entry's bundle; return a line about it, and whether it has changed."""
    reason = f"no subject is called {entry.subject}"
    for name in _subjects_of(entry):
        try:
            bundle = next(_bundles(entry, name, subjects), None)
        except RequestError as error:
            reason = str(error)
            continue
        if bundle is None:
            reason = (
                f"{name} has another version here, or no case that a script can run differs only "
                "by this entry"
            )
            continue
        changed = _changed_files(folder, bundle)
        if not check:
            write_folder(folder, {file: bundle.files[file] for file in changed})
        state = ", ".join(changed) or "up to date"
        return f"{entry.name}: {bundle.case} on {name}: {state}", bool(changed)
    return f"{entry.name}: unchanged: {reason}", False


def _subjects_of(entry: KnownDifference) -> list[str]:
    """Return the subjects of an entry that run on the CPU."""
    patterns = entry.subject.split(" | ")
    return [
        name
        for name in registered_names()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
        and not registration(name).needs_gpu
    ]


def _bundles(entry: KnownDifference, name: str, subjects: _Subjects) -> Iterator[_Bundle]:
    """Yield the bundles of the cases that differ only by that entry."""
    headline = f"{' '.join(entry.reason.split())} ({name}, {version_ranges(entry)})"
    for problem, result in subjects.results(name, entry):
        if result.known != (entry.name,):
            continue
        shown = shown_difference(result.difference_types) if result.differences else None
        try:
            if entry.gradients:
                files = backward_bundle_files(problem, headline, name)
            else:
                files = bundle_files(problem, headline, name, shown)
        except RequestError:  # no script can run this case; another one may do
            continue
        yield _Bundle(problem.id, name, files)


def version_ranges(entry: KnownDifference) -> str:
    """Return the packages of an entry with the releases that it applies to."""
    ranges = {
        package: ",".join(sorted(map(str, specifiers), reverse=True))
        for package, specifiers in entry.versions.items()
    }
    return ", ".join(f"{package} {specifiers}" for package, specifiers in ranges.items())


def _changed_files(folder: Path, bundle: _Bundle) -> list[str]:
    """Return the names of the files whose content differs from what is on disk."""
    changed = [
        file for file, content in bundle.files.items() if not _has_content(folder / file, content)
    ]
    # tf2onnx orders nodes at random; a model of another version comes with a script that states it.
    random_order = bundle.subject.endswith(":keras") and (folder / MODEL).is_file()
    return [] if changed == [MODEL] and random_order else changed


def _has_content(file: Path, content: str | bytes) -> bool:
    expected = content.encode() if isinstance(content, str) else content
    if not file.is_file():
        return False
    actual = file.read_bytes()
    # Versions of Python write different archives of the same arrays.
    return actual == expected or (file.suffix == ".npz" and _same_arrays(actual, expected))


def _same_arrays(actual: bytes, expected: bytes) -> bool:
    try:
        with np.load(BytesIO(actual)) as ours, np.load(BytesIO(expected)) as theirs:
            return ours.keys() == theirs.keys() and all(
                ours[name].dtype == theirs[name].dtype and np.array_equal(ours[name], theirs[name])
                for name in ours
            )
    except (OSError, ValueError, BadZipFile):  # what is there is not an archive of arrays
        return False
