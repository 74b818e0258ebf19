"""Which cases a run takes, and in which order."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.core import core
from rnnparity.catalogue.cotangents import gradient_cases, with_cotangents
from rnnparity.catalogue.selection import select
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import Shards


@dataclass(frozen=True)
class Shard:
    """A part of a run: number `index` of `count`, from 1 on."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return the shard written as "I/N".

        Raises:
            RequestError: it is not a number from 1 to N.
        """
        match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
        shard = cls(int(match[1]), int(match[2])) if match else cls(0, 0)
        if not 1 <= shard.index <= shard.count:
            raise RequestError(
                f"--shard: got {text!r}, expected I/N such as 2/4, with I from 1 to N"
            )
        return shard


@dataclass(frozen=True)
class Selection:
    """The cases of a run: those that the expression `k` selects, or all (`full`), or the core set.

    With `gradients` they have cotangents, and by default are those that have golden gradients.
    """

    k: str = ""
    full: bool = False
    shard: Shard | None = None
    gradients: bool = False

    def cases(self) -> list[Problem]:
        """Return the cases in the order of the catalogue.

        Raises:
            RequestError: `k` is malformed, or no case is selected.
        """
        selected = self._all()
        if self.shard is None:
            return selected
        kept = {case.id for case in _parts(selected, self.shard.count)[self.shard.index - 1]}
        if not kept:
            raise RequestError(f"--shard: no case is left for part {self.shard.index}")
        return [case for case in selected if case.id in kept]

    def shards(self) -> tuple[Shards, ...]:
        """Return the parts of the selection of which `cases` is one; none without `shard`."""
        if self.shard is None:
            return ()
        sizes = tuple(map(len, _parts(self._all(), self.shard.count)))
        missing = [
            number for number, size in enumerate(sizes, 1) if size and number != self.shard.index
        ]
        return (Shards(sizes, tuple(missing), self.k, self.full),)

    def _all(self) -> list[Problem]:
        """Return the cases of all parts."""
        default = gradient_cases() if self.gradients else core()
        ids = select(catalogue().tags(None if self.full or self.k else default), self.k)
        selected = [catalogue()[id_] for id_ in ids]
        return [with_cotangents(case) for case in selected] if self.gradients else selected


def _parts(selected: Iterable[Problem], count: int) -> list[list[Problem]]:
    groups = by_configuration(selected)
    return [[case for group in groups[start::count] for case in group] for start in range(count)]


def by_configuration(cases: Iterable[Problem]) -> list[list[Problem]]:
    """Return the cases in groups, each of which a framework can run with one built layer."""
    groups: dict[Hashable, list[Problem]] = {}
    for case in cases:
        initializers = case.case.initializers if case.case else None
        constant = None if initializers is None else tuple(sorted(initializers.items()))
        key = (case.layer, case.inputs.shape[2], constant)
        groups.setdefault(key, []).append(case)
    return list(groups.values())
