"""Writing files so that nothing is lost and nothing is half-written."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from stat import S_IMODE

from rnnparity.problem.errors import RequestError

# Of saved Keras models.
MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")
# Names of temporary files; the middle is random.
TEMPORARY = ".rnnparity-", ".tmp"


def write_file(path: Path, content: str | bytes) -> None:
    """Write one file as `write_files` does."""
    write_files({path: content})


def write_files(files: Mapping[Path, str | bytes | None]) -> None:
    """Write files, all or none of them, and remove those whose content is None.

    Every content is first written to a temporary file of a name that cannot be foreseen, created
    exclusively (so never through a link), and synced. Then they are renamed in the order of
    `files`. A file keeps its mode, a link is followed, and a device or a pipe is written to.

    Raises:
        RequestError: a file cannot be written; no file has changed unless renaming failed.
    """
    temporary: dict[Path, Path] = {}
    path = Path()
    try:
        for path, content in files.items():
            if content is not None and not is_special(path):
                _stage(path, content, temporary)
        for path, content in files.items():
            if path in temporary:
                temporary[path].replace(path.resolve())
            elif content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(_bytes(content))
    except OSError as error:
        raise _refusal(path, error) from None
    finally:
        for left in temporary.values():
            with suppress(OSError):
                left.unlink()


def write_folder(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files by name into a folder as `write_files` does; a name may have folders.

    Raises:
        RequestError: a file cannot be written; folders that were created are removed.
    """
    paths = {folder / name: content for name, content in files.items()}
    try:
        with _folders([folder, *(path.parent for path in paths)]):
            write_files(paths)
    except OSError as error:
        raise _refusal(folder, error) from None


def check_new_folder(folder: Path) -> None:
    """Check before long work that a folder can be written into; none is left behind.

    Raises:
        RequestError: it cannot.
    """
    try:
        with _folders([folder], keep=False):
            check_folder(folder)
    except OSError as error:
        raise _refusal(folder, error) from None


@contextmanager
def _folders(folders: Iterable[Path], *, keep: bool = True) -> Iterator[None]:
    """Create folders where they are missing; remove these after an error, or unless `keep`.

    Raises:
        OSError: one cannot be created.
    """
    created: list[Path] = []
    done = False
    try:
        for folder in folders:
            missing = [path for path in (folder, *folder.parents) if not path.exists()]
            created += reversed(missing)
            folder.mkdir(parents=True, exist_ok=True)
        yield
        done = keep
    finally:
        for path in () if done else reversed(created):
            with suppress(OSError):
                path.rmdir()


def check_writable(path: Path) -> None:
    """Check before long work that its result can be written.

    Raises:
        RequestError: it cannot.
    """
    folder = path.resolve().parent
    if path.is_dir():
        raise RequestError(f"{path}: cannot be written: it is a folder; name a file in it")
    if not folder.is_dir():
        raise RequestError(f"{path}: cannot be written: folder {folder} not found")
    try:
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if not is_special(path):
            check_folder(folder)
    except OSError as error:
        raise _refusal(path, error) from None


def check_folder(folder: Path) -> None:
    """Check that a file can be created in a folder.

    Permissions mean nothing to root and on a read-only file system: a file is created, without a
    name.

    Raises:
        OSError: it cannot.
    """
    with tempfile.TemporaryFile(dir=folder):
        pass


def _stage(path: Path, content: str | bytes, temporary: dict[Path, Path]) -> None:
    """Write what is to become `path` beside it, and enter its name into `temporary`."""
    target = path.resolve()
    beside = target.with_name(token_hex(8).join(TEMPORARY))
    with beside.open("xb") as file:
        temporary[path] = beside
        if target.exists():
            beside.chmod(S_IMODE(target.stat().st_mode))
        file.write(_bytes(content))
        file.flush()
        os.fsync(file.fileno())


def is_special(path: Path) -> bool:
    """Return whether a path is a device, a pipe or a folder: what is written to it is not replaced."""
    return path.exists() and not path.is_file()


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _refusal(path: Path, error: OSError) -> RequestError:
    return RequestError(f"{path}: cannot be written: {error.strerror or error}")
