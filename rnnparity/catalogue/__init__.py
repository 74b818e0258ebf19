"""The catalogue: every case of RNN behaviour that is checked, each with its numbers and the reason
why it is there."""

from __future__ import annotations

from functools import cache
from hashlib import sha256

from rnnparity.catalogue.cross import cross_cases
from rnnparity.catalogue.rows import row_cases
from rnnparity.catalogue.sources import source_cases
from rnnparity.problem.problem import Problem


@cache
def catalogue() -> dict[str, Problem]:
    """All cases by id, in the order of the families and, inside each, of the ids."""
    cases = [*cross_cases(), *row_cases(), *source_cases()]
    found = {case.id: case for case in sorted(cases, key=lambda case: (family(case.id), case.id))}
    if len(found) != len(cases):
        raise AssertionError("two cases have the same id")
    return found


@cache
def digest() -> str:
    """Return the catalogue in ten hexadecimal digits, made from every case's id and tags."""
    lines = [
        f"{case} {' '.join(problem.case.tags) if problem.case else ''}"
        for case, problem in catalogue().items()
    ]
    return sha256("\n".join(lines).encode()).hexdigest()[:10]


def family(id: str) -> str:
    """The fixture file that holds a case: the first two words of a cross product's id, the first of
    a row's."""
    first, second, *_ = id.split("-")
    return f"{first}-{second}" if second in ("spread", "constant") else first
