"""The faults: every named way to get a recurrent layer wrong, once.

The list serves twice: as mutants, which the catalogue must see (`visible`), and as hypotheses about
a divergence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rnnparity.faults.cells import cell_faults
from rnnparity.faults.fault import Fault, Mutant, PlacedFault
from rnnparity.faults.injection import Injection, places, run_all
from rnnparity.faults.masks import mask_faults
from rnnparity.faults.options import option_faults
from rnnparity.faults.precision import precision_faults
from rnnparity.faults.time import time_faults
from rnnparity.faults.weights import weight_faults
from rnnparity.faults.whole import whole_faults
from rnnparity.problem.problem import Problem
from rnnparity.reference.tolerance import Expected, expect
from rnnparity.verdict.compare import compare_values

__all__ = [
    "FAULTS",
    "Fault",
    "FaultCoverage",
    "Mutant",
    "PlacedFault",
    "fault_coverage",
    "hypotheses",
    "is_seen",
    "mutants",
    "mutate",
    "visible",
]

FAULTS: tuple[Fault, ...] = (
    *weight_faults(),
    *option_faults(),
    *cell_faults(),
    *mask_faults(),
    *time_faults(),
    *whole_faults(),
    *precision_faults(),
)

# How many problems a fault is tried on: what the first thirty that it fits do not show the others
# hardly will.
TRIES = 30


def hypotheses(problem: Problem, faults: Iterable[Fault] = FAULTS) -> list[Injection]:
    """Faults in every place where they may fit the problem, one each, not yet run."""
    start = Injection(problem)
    placed = (one for fault in faults for one in places(problem, fault))
    return [struck for one in placed if (struck := start.with_fault(one)) is not None]


def mutants(problem: Problem, faults: Iterable[Fault] = FAULTS) -> list[Mutant]:
    """Every fault in every place where it fits, in their order, with the outputs that it would
    give."""
    made = hypotheses(problem, faults)
    order = {id(struck): number for number, struck in enumerate(made)}
    found = [
        (order[id(s)], batch.mutant(n))
        for batch in run_all(made)
        for n, s in enumerate(batch.struck)
    ]
    return [mutant for _, mutant in sorted(found, key=lambda pair: pair[0])]


def mutate(problem: Problem, fault: Fault) -> list[Mutant]:
    """The same for one fault."""
    return mutants(problem, [fault])


@dataclass(frozen=True)
class FaultCoverage:
    """Which mutants a problem's outputs could show, and which they could not, by name."""

    seen: tuple[str, ...]
    hidden: tuple[str, ...]


def fault_coverage(problem: Problem, expected: Expected | None = None) -> FaultCoverage:
    """What a problem could have shown: a mutant is seen where its outputs leave the noise of the
    right ones."""
    right = expected or expect(problem)
    found = [(mutant.name, is_seen(mutant, right)) for mutant in mutants(problem)]
    return FaultCoverage(
        tuple(name for name, seen in found if seen), tuple(name for name, seen in found if not seen)
    )


def visible(problems: Iterable[Problem]) -> dict[Fault, str]:
    """The faults that fit any of the problems, each with the first that could show it in some
    place, or "".

    A fault is tried on the first TRIES problems that it fits, those with constant weights last,
    which hide the most.
    """
    found: dict[Fault, str] = {}
    left = dict.fromkeys(FAULTS, TRIES)
    for problem in sorted(
        problems, key=lambda problem: bool(problem.case and problem.case.initializers)
    ):
        right: Expected | None = None
        for fault in list(left):
            placed = mutate(problem, fault)
            if not placed:
                continue
            right = right or expect(problem)
            left[fault] -= 1
            found[fault] = problem.id if any(is_seen(mutant, right) for mutant in placed) else ""
            if found[fault] or not left[fault]:
                del left[fault]
        if not left:
            break
    return found


def is_seen(mutant: Mutant, right: Expected) -> bool:
    """Whether a subject with this fault would diverge."""
    if right.inconclusive or [t.shape for t in mutant.outputs] != [t.shape for t in right.outputs]:
        return not right.inconclusive
    return bool(
        compare_values(
            mutant.outputs, right.outputs, right.sigmas, right.kind.threshold
        ).differences
    )
