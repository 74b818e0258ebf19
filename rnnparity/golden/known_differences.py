"""Known differences: what a subject gets wrong by the documentation's word, listed as data with the
reason.

An entry that matches no case, or whose cases all ran and now agree, is stale and fails the run.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnparity.problem.errors import FormatError
from rnnparity.problem.results import Stale, StaleReason

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

# What a difference can be (`results.DifferenceType`), and "error" for none at all.
KINDS = ("count", "names", "shape", "dtype", "finiteness", "values", "fact", "error")
_KEYS = {"name", "subject", "cases", "kinds", "versions", "cause", "standing", "reason", "link"}
# By what an entry is wrong: its framework's own documentation, or Keras' alone, where its own is
# silent.
STANDINGS = ("mistake", "undocumented")


@dataclass(frozen=True)
class KnownDifference:
    """One entry. `subject` and each of `cases` are patterns (*, ?) of subject names, joined by " |
    ", and of case ids.

    `kinds` are the kinds of difference it covers (see `results.DifferenceType`), or "error". `versions`
    maps a package to a range like ">=3.0,<3.16"; the entry holds where all of them match. `cause`
    is the fault that explains it, by its name, or the place where it was found in the framework's
    code. `standing` is one of STANDINGS.
    """

    name: str
    subject: str
    cases: tuple[str, ...]
    kinds: tuple[str, ...]
    versions: Mapping[str, SpecifierSet]
    cause: str
    standing: str
    reason: str
    link: str

    def applies(self, subject: str, versions: Mapping[str, str]) -> bool:
        return any(fnmatchcase(subject, pattern) for pattern in self.subject.split(" | ")) and all(
            package in versions and versions[package] in wanted
            for package, wanted in self.versions.items()
        )

    def matches(self, case: str) -> bool:
        return any(fnmatchcase(case, pattern) for pattern in self.cases)


def read_known(path: Path) -> tuple[KnownDifference, ...]:
    """The entries of a `known_differences.toml`; none where there is no such file.

    Raises:
        FormatError: it is no TOML, or an entry has a wrong key or type.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (
        ValueError
    ) as error:  # no TOML, no UTF-8, or an integer of more digits than Python converts
        raise FormatError(f"{path}: {str(error).split(';')[0]}") from None
    except RecursionError:
        raise FormatError(f"{path}: is nested too deeply") from None
    tables = content.pop("difference", [])
    if (
        content
        or not isinstance(tables, list)
        or not all(isinstance(table, dict) for table in tables)
    ):
        raise FormatError(f"{path}: should hold tables [[difference]] and nothing else")
    entries = tuple(
        _entry(table, f"{path}: difference {place + 1}") for place, table in enumerate(tables)
    )
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise FormatError(f"{path}: two entries are named {name!r}")
    return entries


def _entry(table: Mapping[str, Any], where: str) -> KnownDifference:
    if set(table) != _KEYS:
        wrong = sorted(set(table) ^ _KEYS)
        raise FormatError(
            f"{where}: its keys should be {', '.join(sorted(_KEYS))}; look at {', '.join(wrong)}"
        )
    for key, kind in (("cases", list), ("kinds", list), ("versions", dict)):
        values = table[key].values() if isinstance(table[key], dict) else table[key]
        if not isinstance(table[key], kind) or not all(isinstance(value, str) for value in values):
            raise FormatError(
                f"{where}: {key} should be a {'table' if kind is dict else 'list'} of strings"
            )
    for key in ("name", "subject", "cause", "standing", "reason", "link"):
        if not isinstance(table[key], str):
            raise FormatError(f"{where}: {key} should be a string")
    new = sorted(set(table["kinds"]) - set(KINDS))
    if new:
        raise FormatError(f"{where}: the kind {new[0]!r} is unknown; known are {', '.join(KINDS)}")
    if table["standing"] not in STANDINGS:
        raise FormatError(
            f"{where}: the standing {table['standing']!r} is unknown; known are {', '.join(STANDINGS)}"
        )
    if not table["cause"]:
        raise FormatError(
            f"{where}: nothing is listed that was neither explained nor located: give its cause"
        )
    lists = {key: tuple(table[key]) for key in ("cases", "kinds")}
    versions = {package: _range(wanted, where) for package, wanted in table["versions"].items()}
    return KnownDifference(**{**table, **lists, "versions": versions})


def covering(
    entries: Sequence[KnownDifference],
    subject: str,
    versions: Mapping[str, str],
    case: str,
    kinds: Collection[str],
) -> tuple[str, ...]:
    """The names of the entries that together cover all `kinds` of difference of a case; none if one
    kind is new."""
    fitting = [
        entry for entry in entries if entry.applies(subject, versions) and entry.matches(case)
    ]
    if not set(kinds) <= {kind for entry in fitting for kind in entry.kinds}:
        return ()
    return tuple(entry.name for entry in fitting if set(entry.kinds) & set(kinds))


def stale(
    entries: Sequence[KnownDifference],
    subject: str,
    versions: Mapping[str, str],
    used: Collection[str],
    ran: Collection[str],
    catalogue: Collection[str],
) -> list[Stale]:
    """Return the entries that no longer hold.

    `used` are the names of entries that covered a difference, `ran` the cases that ran, `catalogue`
    all there are.
    """
    found = []
    for entry in entries:
        matched = {case for case in catalogue if entry.matches(case)}
        if not matched:
            found.append(Stale(entry.name, StaleReason.NO_CASE))
        elif entry.applies(subject, versions) and entry.name not in used and matched <= set(ran):
            found.append(Stale(entry.name, StaleReason.ALL_AGREE, len(matched)))
    return found


def _range(text: str, where: str) -> SpecifierSet:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(text, prereleases=True)
    except InvalidSpecifier:
        raise FormatError(f"{where}: versions: {text!r} is no range like >=3.0,<3.16") from None
