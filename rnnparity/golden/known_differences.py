"""Known differences: what a subject gets wrong by the documentation, listed with the reason.

An entry that matches no case, or whose cases all ran and now agree, is stale and fails the run.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase, translate
from pathlib import Path
from typing import TYPE_CHECKING

from rnnparity.problem.dtypes import FLOAT_TYPES, FloatType, declared_precision
from rnnparity.problem.errors import FormatError, RequestError
from rnnparity.problem.json_text import read_bytes
from rnnparity.problem.results import Stale, StaleReason

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

    from rnnparity.problem.schema import KnownFields


# The id of a random problem.
_RANDOM = re.compile(r"fuzz-\d+-\d+")


@dataclass(frozen=True)
class KnownDifference:
    """An entry. `subject` holds patterns (*, ?) joined by " | ", `cases` are patterns of case ids,
    or ids of random problems where no case of the catalogue shows it.

    `kinds` are the types of difference that it covers (`verdicts.DifferenceType`), or "error".
    `versions` maps a package to a range like ">=3.0,<3.16"; the entry applies where all of them
    match. `cause` is the fault that explains it, by its name, or the location in the framework's
    code. `standing` is "mistake", or "undocumented" where only Keras' documentation decides.
    `gradients`: only gradients differ, and it covers no outputs.

    In random problems an entry is recognized by its cause where that is a fault, or by patterns of
    such `faults`, by a part of an error's message in `messages`, or by a coarser `precision` in which
    values agree, None where none is stated.
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
    gradients: bool = False
    faults: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    precision: FloatType | None = None

    def applies(self, subject: str, versions: Mapping[str, str]) -> bool:
        return any(fnmatchcase(subject, pattern) for pattern in self.subject.split(" | ")) and all(
            package in versions and versions[package] in wanted
            for package, wanted in self.versions.items()
        )

    @property
    def random_problems(self) -> tuple[str, ...]:
        """Those of its `cases` that are random problems."""
        return tuple(case for case in self.cases if _RANDOM.fullmatch(case))

    def matches(self, case: str) -> bool:
        return any(fnmatchcase(case, pattern) for pattern in self.cases)


def read_known(path: Path) -> tuple[KnownDifference, ...]:
    """Return the entries of a `known_differences.toml`; none if there is no such file.

    Raises:
        FormatError: invalid TOML, or an entry with a wrong key or value.
    """
    try:
        content = tomllib.loads(read_bytes(path).decode()) if path.exists() else {}
    except ValueError as error:  # invalid TOML or UTF-8, or an integer of too many digits
        message = str(error).split(";", maxsplit=1)[0]
        raise FormatError(f"{path}: {message}") from None
    except RecursionError:
        raise FormatError(f"{path}: nested too deeply") from None
    from rnnparity.problem.schema import KnownFile
    from rnnparity.problem.validation import validate

    tables = validate(KnownFile, content, str(path)).difference
    entries = tuple(
        _entry(table, f"{path}: difference.{index}") for index, table in enumerate(tables)
    )
    names = Counter(entry.name for entry in entries)
    for name, count in names.items():
        if count > 1:
            raise FormatError(f"{path}: {count} entries are named {name!r}, expected one")
    return entries


def _entry(fields: KnownFields, where: str) -> KnownDifference:
    versions = {package: _range(text, where) for package, text in fields.versions.items()}
    return KnownDifference(
        name=fields.name,
        subject=fields.subject,
        cases=tuple(fields.cases),
        kinds=tuple(fields.kinds),
        versions=versions,
        cause=fields.cause,
        standing=fields.standing,
        reason=fields.reason,
        link=fields.link,
        gradients=fields.gradients,
        faults=tuple(fields.faults),
        messages=tuple(fields.messages),
        precision=_precision(fields.precision, where),
    )


def of_outputs(entries: Sequence[KnownDifference]) -> tuple[KnownDifference, ...]:
    """Return the entries that may cover outputs: all but those of gradients only."""
    return tuple(entry for entry in entries if not entry.gradients)


def in_all_versions(entries: Sequence[KnownDifference]) -> tuple[KnownDifference, ...]:
    """Return entries without their ranges of versions, to see in which they occur."""
    return tuple(replace(entry, versions={}) for entry in entries)


def covering(
    entries: Sequence[KnownDifference],
    subject: str,
    versions: Mapping[str, str],
    case: str,
    kinds: Collection[str],
) -> tuple[str, ...]:
    """Return the names of the entries that together cover all `kinds` of difference of a case.

    None if one of them is not covered.
    """
    fitting = [
        entry for entry in entries if entry.applies(subject, versions) and entry.matches(case)
    ]
    covered = set[str]().union(*(entry.kinds for entry in fitting))
    if not covered.issuperset(kinds):
        return ()
    return tuple(entry.name for entry in fitting if not set(entry.kinds).isdisjoint(kinds))


def stale(
    entries: Sequence[KnownDifference],
    subject: str,
    versions: Mapping[str, str],
    used: Collection[str],
    ran: Collection[str],
    catalogue: Collection[str],
) -> list[Stale]:
    """Return the entries that no longer hold.

    `used` are the names of entries that covered a difference of outputs, `ran` the cases that ran,
    `catalogue` all cases.
    """
    entries_to_remove = []
    for entry in entries:
        if next(_matching(entry, catalogue), None) is None:
            if not entry.random_problems:
                entries_to_remove.append(Stale(entry.name, StaleReason.NO_CASE))
        elif entry.gradients or not entry.applies(subject, versions):
            continue
        elif entry.name not in used:
            matched = set(_matching(entry, catalogue))
            if matched <= set(ran):
                entries_to_remove.append(Stale(entry.name, StaleReason.ALL_AGREE, len(matched)))
    return entries_to_remove


def _matching(entry: KnownDifference, catalogue: Collection[str]) -> Iterator[str]:
    """Yield the cases that an entry's patterns match; most patterns are just an id."""
    for pattern in entry.cases:
        if pattern in catalogue:
            yield pattern
        else:
            matches = re.compile(translate(pattern)).match
            yield from filter(matches, catalogue)


def _precision(text: str, where: str) -> FloatType | None:
    try:
        return FLOAT_TYPES.get(text) or (declared_precision(text) if text else None)
    except RequestError as error:
        raise FormatError(f"{where}.{error}") from None


def _range(text: str, where: str) -> SpecifierSet:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(text, prereleases=True)
    except InvalidSpecifier:
        raise FormatError(
            f"{where}.versions: got {text!r}, expected a range like '>=3.0,<3.16'"
        ) from None
