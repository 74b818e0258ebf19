"""Writing fixtures: locked, synced, renamed, the manifest last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rnnparity.catalogue import family
from rnnparity.golden.manifest import MANIFEST, read_manifest
from rnnparity.problem.errors import FormatError, RequestError
from rnnparity.problem.files import TEMPORARY, check_folder, write_files
from rnnparity.problem.format_writing import dump_pretty
from rnnparity.problem.problem import Problem

REJECTED = ".rej"
# What every fixture file starts with.
_FIRST_BYTES = b'[\n{\n"format": "rnnparity/'


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
        check_folder(folder)
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

    The manifest comes last. A writer that is killed leaves whole files, and a mixture of old and
    new ones is detected by checksum.

    Raises:
        RequestError: a file cannot be written, or is not of rnnparity; then none has changed.
    """
    changed: dict[str, str | None] = {
        name: text for name, text in texts.items() if not has_text(folder / name, text)
    }
    changed |= dict.fromkeys(unused(folder, texts))
    if not has_text(folder / MANIFEST, manifest):
        changed[MANIFEST] = manifest
    write_files({folder / name: text for name, text in changed.items()})
    for path in [*folder.glob("*".join(TEMPORARY)), *rejected(folder, texts)]:
        path.unlink()
    return list(changed)


def rejected(folder: Path, texts: Iterable[str]) -> list[Path]:
    """Return the candidates that were kept; what `patch` leaves under such a name is not JSON."""
    paths = [folder / f"{name}{REJECTED}" for name in texts]
    return [path for path in paths if path.is_file() and path.read_bytes().startswith(b"[")]


def drift(folder: Path, texts: Mapping[str, str], manifest: str) -> list[str]:
    """Return the names of the files that `write_fixtures` would write or remove."""
    expected = {**texts, MANIFEST: manifest}
    drifted = [name for name, text in expected.items() if not has_text(folder / name, text)]
    return drifted + unused(folder, texts)


def unused(folder: Path, texts: Iterable[str]) -> list[str]:
    """Return the names of the JSON files that are no longer fixtures.

    Raises:
        RequestError: rnnparity has not written such a file: the manifest does not list it, and it
            does not hold fixtures (which a writer that was killed leaves behind).
    """
    names = {path.name for path in folder.glob("*.json")} - {*texts, MANIFEST}
    stray = {name for name in names - _listed(folder) if not _holds_fixtures(folder / name)}
    if stray:
        raise RequestError(f"{folder / min(stray)}: not in the manifest; remove it")
    return sorted(names)


def _holds_fixtures(path: Path) -> bool:
    return path.read_bytes().startswith(_FIRST_BYTES)


def _listed(folder: Path) -> set[str]:
    """Return the files in the manifest; none if it is missing, malformed or edited."""
    try:
        files: Mapping[str, object] = read_manifest(folder)["files"]
    except FormatError:
        return set()
    return set(files)


def has_text(path: Path, text: str) -> bool:
    """Return whether a file is there with exactly that text."""
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False
