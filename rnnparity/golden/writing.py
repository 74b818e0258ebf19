"""Writing fixtures: locked, synced, renamed, the manifest last."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rnnparity.catalogue import family
from rnnparity.golden.manifest import MANIFEST
from rnnparity.problem.errors import RequestError
from rnnparity.problem.file_format import dump_pretty
from rnnparity.problem.files import TEMPORARY, write_whole
from rnnparity.problem.problem import Problem

REJECTED = ".rej"


def family_texts(rows: Iterable[Problem]) -> dict[str, str]:
    """Return the text of each file by name: the same bytes for the same rows on every machine."""
    families: dict[str, list[Problem]] = {}
    for row in sorted(rows, key=lambda row: row.id):
        families.setdefault(f"{family(row.id)}.json", []).append(row)
    texts = {}
    for name, members in sorted(families.items()):
        body = ",\n".join(dump_pretty(row) for row in members)
        texts[name] = f"[\n{body}\n]\n"
    return texts


def require_filelock() -> None:
    """Raise RequestError where filelock is missing: it is part of an extra."""
    try:
        import filelock  # noqa: F401 - only whether it is installed
    except ImportError:
        message = "filelock is missing; run pip install 'rnnparity[regenerate]'"
        raise RequestError(f"writing fixtures: {message}") from None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, so that two writers take turns.

    Raises:
        RequestError: the folder cannot be written, or filelock is missing.
    """
    require_filelock()
    from filelock import FileLock

    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Permissions mean nothing to root and on a read-only file system: try to write.
        with tempfile.TemporaryFile(dir=folder):
            pass
        lock.acquire()
    except OSError as error:
        raise RequestError(f"{folder}: cannot be written: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()


def write_fixtures(folder: Path, texts: Mapping[str, str], manifest: str) -> list[str]:
    """Write the files that change and remove unused ones; return the names of both.

    `texts` are the families and the schema.

    A file is written under a temporary name, synced and renamed; the manifest comes last. A writer
    that is killed leaves whole files, and a mixture of old and new ones is detected by checksum.
    """
    changed = []
    for name, text in {**texts, MANIFEST: manifest}.items():
        if not has_text(folder / name, text):
            write_whole(folder / name, text)
            changed.append(name)
    # Only once the new manifest is there is a file that it does not list unused.
    for name in unused(folder, texts):
        (folder / name).unlink()
        changed.append(name)
    for pattern in (f"*{TEMPORARY}", f"*{REJECTED}"):
        for path in folder.glob(pattern):
            path.unlink()
    return changed


def drift(folder: Path, texts: Mapping[str, str], manifest: str) -> list[str]:
    """Return the names of the files that `write_fixtures` would write or remove."""
    expected = {**texts, MANIFEST: manifest}
    drifted = [name for name, text in expected.items() if not has_text(folder / name, text)]
    return drifted + unused(folder, texts)


def unused(folder: Path, texts: Mapping[str, str]) -> list[str]:
    """Return the names of the JSON files that are no part of the fixtures."""
    used = {*texts, MANIFEST}
    return sorted(path.name for path in folder.glob("*.json") if path.name not in used)


def has_text(path: Path, text: str) -> bool:
    """Return whether a file is there with exactly that text."""
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False
