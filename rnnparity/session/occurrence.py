"""In which releases a known difference occurs, and whether its stated range of versions has these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rnnparity.golden.known_differences import KnownDifference


class Counted(Protocol):
    """What is counted in a release: cases with each known difference, and of its cases that agree."""

    @property
    def version(self) -> str:
        """The release."""

    @property
    def listed(self) -> Mapping[str, int]:
        """How many cases have each known difference."""

    @property
    def agreeing(self) -> Mapping[str, int]:
        """How many of the cases that each known difference is listed for agree."""


@dataclass(frozen=True)
class Occurrence:
    """The releases that show a known difference, and those in which its cases agree.

    `stated` is its range of versions of the package, "" where it has none. `outside` are the
    releases that show it beyond this range, `missing` those of the range that do not.
    """

    name: str
    seen: tuple[str, ...]
    absent: tuple[str, ...]
    stated: str = ""
    outside: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def contradicts(self) -> bool:
        """Whether the stated range is another than that of the releases."""
        return bool(self.outside or self.missing)


def occurrences(
    package: str, entries: Sequence[KnownDifference], releases: Sequence[Counted]
) -> Iterator[Occurrence]:
    """Yield where the known differences of which a release has cases occur."""
    for entry in entries:
        seen = tuple(each.version for each in releases if each.listed.get(entry.name))
        absent = tuple(
            each.version
            for each in releases
            if each.agreeing.get(entry.name) and not each.listed.get(entry.name)
        )
        if not seen and not absent:
            continue
        stated = entry.versions.get(package)
        if stated is None:
            yield Occurrence(entry.name, seen, absent)
            continue
        outside = tuple(version for version in seen if version not in stated)
        missing = tuple(version for version in absent if version in stated)
        yield Occurrence(entry.name, seen, absent, str(stated), outside, missing)
