"""Mutants of the package: single edits of its code, drawn by a seed in equal shares of its areas.

The rank of a mutant in the draw is a hash of its line's text and of its edit, not of its file or
line number: code that only moves is drawn again.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path

from validation.mutants.edits import Editor

PACKAGE = "rnnparity"
AREAS = ("reference", "verdict", "golden", "problem")


@dataclass(frozen=True)
class Mutant:
    """One edit of one file, and what a reader needs to judge it."""

    area: str
    file: str
    line: int
    source_line: str
    operator: str
    before: str
    after: str
    start: int
    rank: str

    @property
    def key(self) -> str:
        """The area and the rank: equal lines of two areas have the same rank."""
        return f"{self.area} {self.rank}"

    def facts(self) -> dict[str, str]:
        """Return what names the mutant to a reader, also after the code moved within its file."""
        names = ("file", "source_line", "before", "after")
        return {name: getattr(self, name) for name in names}

    def apply(self, source: bytes) -> bytes:
        """Return the file's content with the edit."""
        end = self.start + len(self.before.encode())
        return source[: self.start] + self.after.encode() + source[end:]


def mutants_of(checkout: Path, area: str, seed: int) -> Iterator[Mutant]:
    """Yield all mutants of an area; equal lines with equal edits are numbered."""
    counts: Counter[str] = Counter()
    for path in sorted((checkout / PACKAGE / area).rglob("*.py")):
        source = path.read_bytes()
        lines = source.decode().splitlines()
        for edit in Editor(source).edits():
            number = source.count(b"\n", 0, edit.start) + 1
            line, before = lines[number - 1].strip(), source[edit.start : edit.end].decode()
            key = json.dumps([edit.operator, before.split(), edit.after.split(), line])
            counts[key] += 1
            rank = hashlib.sha256(f"{seed} {counts[key]} {key}".encode()).hexdigest()
            file = path.relative_to(checkout).as_posix()
            yield Mutant(
                area, file, number, line, edit.operator, before, edit.after, edit.start, rank
            )


def draw(checkout: Path, count: int, seed: int) -> list[Mutant]:
    """Return `count` mutants, the areas in turn: a short draw is the start of a longer one."""
    ranked = [
        sorted(mutants_of(checkout, area, seed), key=lambda mutant: mutant.rank) for area in AREAS
    ]
    turns = (mutant for turn in zip_longest(*ranked) for mutant in turn if mutant)
    return list(islice(turns, count))
