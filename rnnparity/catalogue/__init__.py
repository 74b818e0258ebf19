"""The catalogue: every case that is checked, each with its numbers and the reason why it exists.

A new family of cases is one function that yields `CaseSpec`s (see `options.bias`) and its name in
FAMILIES. The ids of its cases start with the name of the family, which is also the fixture file:
`rnnparity regenerate` writes it. A case must have an id, tags and a reason; `CaseSpec` makes weights,
inputs, masks and states from a layer's configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from hashlib import sha256

from rnnparity.catalogue.build import CaseSpec
from rnnparity.catalogue.composition import different_halves, stacks, stateful
from rnnparity.catalogue.cross import cross_cases, length_cases
from rnnparity.catalogue.dropout import dropout
from rnnparity.catalogue.dtypes import dtypes, saturation
from rnnparity.catalogue.options import activations, bias, edges, kinks, zero_output
from rnnparity.catalogue.sources import source_cases
from rnnparity.catalogue.training import training_steps
from rnnparity.problem.problem import Problem

FAMILIES: tuple[Callable[[], Iterator[CaseSpec]], ...] = (
    cross_cases,
    length_cases,
    bias,
    activations,
    zero_output,
    edges,
    kinks,
    dtypes,
    saturation,
    different_halves,
    stateful,
    stacks,
    dropout,
    training_steps,
    source_cases,
)


class Catalogue(Mapping[str, Problem]):
    """The cases by id; the numbers of a case are made when it is first used."""

    def __init__(self, specs: Iterable[CaseSpec]) -> None:
        ordered = sorted(specs, key=lambda spec: (family(spec.id), spec.id))
        self._specs = {spec.id: spec for spec in ordered}
        self._problems: dict[str, Problem] = {}
        if len(self._specs) != len(ordered):
            raise AssertionError("two cases have the same id")

    def __getitem__(self, id: str) -> Problem:
        if id not in self._problems:
            self._problems[id] = self._specs[id].build()
        return self._problems[id]

    def tags(self, ids: Iterable[str] | None = None) -> dict[str, tuple[str, ...]]:
        """Return the tags of these cases, by default of all, without making their numbers."""
        chosen = self._specs if ids is None else ids
        return {id_: self._specs[id_].all_tags for id_ in chosen}

    def __contains__(self, id: object) -> bool:
        return id in self._specs

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)


@cache
def catalogue() -> Catalogue:
    """Return all cases by id, in the order of the families and, inside each, of the ids.

    >>> catalogue()["gru-spread-last"]
    Problem('gru-spread-last', GRU(5), B=2 T=4 D=6)
    """
    return Catalogue(spec for cases_of_family in FAMILIES for spec in cases_of_family())


@cache
def digest() -> str:
    """Return the catalogue in ten hexadecimal digits, made from every case's id and tags."""
    lines = [f"{case} {' '.join(tags)}" for case, tags in catalogue().tags().items()]
    return sha256("\n".join(lines).encode()).hexdigest()[:10]


def family(id: str) -> str:
    """Return the name of the fixture file of a case: the first one or two words of its id.

    >>> family("lstm-spread-last"), family("edge-T1-lstm-forward")
    ('lstm-spread', 'edge')
    """
    first, hyphen, rest = id.partition("-")
    if not hyphen:
        raise AssertionError(f"case id {id!r}: expected FAMILY-REST, with a hyphen")
    second = rest.partition("-")[0]
    return f"{first}-{second}" if second in ("spread", "constant") else first
