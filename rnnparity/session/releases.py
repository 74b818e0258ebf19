"""Released versions of a package: which there are, and a folder with each.

pip installs a release without what it depends on, so that all of them share one environment.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from packaging.version import InvalidVersion, Version

from rnnparity.problem.errors import RequestError

_RANGE = re.compile(r"(\d+(?:\.\d+)*)\.\.(\d+(?:\.\d+)*)")
_PACKAGE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_AVAILABLE = "Available versions:"


@dataclass(frozen=True)
class Release:
    """A version of a package, and the folder that has it."""

    package: str
    version: str
    folder: Path


def default_cache() -> Path:
    """Return the user's folder for installed releases."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "rnnparity" / "releases"


def select_versions(package: str, text: str) -> list[str]:
    """Return the versions that a text names: "3.1.1,3.4.0", or "3.1..3.15".

    Of a range that is the last release of each minor version.

    Raises:
        RequestError: the text is malformed, or pip finds no release.
    """
    _check_package(package)
    match = _RANGE.fullmatch(text)
    if match is None:
        return [str(_version(word)) for word in text.split(",")]
    last = {version.release[:2]: version for version in list_releases(package, match[1], match[2])}
    return [str(version) for version in last.values()]


def list_releases(package: str, first: str, last: str) -> list[Version]:
    """Return the final releases from one to another, both included, the oldest first.

    Raises:
        RequestError: pip finds none.
    """
    _check_package(package)
    low, high = _version(first).release, _version(last).release
    found = [
        version
        for version in _available(package)
        if version.release[: len(low)] >= low and version.release[: len(high)] <= high
    ]
    if not found:
        raise RequestError(f"{package}: no release from {first} to {last} was found")
    return found


def install_release(package: str, version: str, cache: Path) -> Release:
    """Install a release, if it is not in the cache, and return it.

    Raises:
        RequestError: pip cannot install it.
    """
    folder = _folder(package, version, cache)
    if not folder.is_dir():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            partial = Path(mkdtemp(prefix=".partial-", dir=cache))
        except OSError as error:
            raise RequestError(f"{cache}: cannot be written: {error.strerror or error}") from None
        try:
            _pip("install", "--no-deps", "--target", str(partial), f"{package}=={version}")
            if not folder.is_dir():  # another run may have been faster
                partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return Release(package, version, folder)


def is_installed(package: str, version: str, cache: Path) -> bool:
    """Return whether a release is in the cache."""
    return _folder(package, version, cache).is_dir()


def _folder(package: str, version: str, cache: Path) -> Path:
    return cache / f"{package}-{version}"


def _check_package(package: str) -> None:
    if not _PACKAGE.fullmatch(package):
        raise RequestError(f"package: got {package!r}, expected a name as pip takes it")


def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        raise RequestError(
            f"releases: got {text!r}, expected versions like 3.1.1,3.4.0 or a range like 3.1..3.15"
        ) from None


def _available(package: str) -> Sequence[Version]:
    """Return the final releases that pip finds, the oldest first."""
    output = _pip("index", "versions", package)
    line = next((line for line in output.splitlines() if line.startswith(_AVAILABLE)), "")
    versions = [Version(word) for word in line.removeprefix(_AVAILABLE).split(",") if word.strip()]
    return sorted(version for version in versions if not version.is_prerelease)


def _pip(*words: str) -> str:
    """Return the output of pip.

    Raises:
        RequestError: it fails.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
    # Names of packages are checked; versions are those that `packaging` reads.
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = lines[-1].removeprefix("ERROR:").strip() if lines else done.stderr.strip()[:200]
        raise RequestError(f"pip {words[0]} {words[-1]}: {reason}")
    return done.stdout
