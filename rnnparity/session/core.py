"""The core set: the fewest cases found that are worth as much as the whole catalogue.

What a case is worth are the requirements that it meets: faults that it detects, pairs of features
and known differences that it contains, for each profile of an engine that can run it. The core set
meets every requirement that the catalogue meets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import sha256
from itertools import combinations
from typing import NamedTuple, TypeAlias

from rnnparity.catalogue import catalogue, digest
from rnnparity.catalogue.features import features_of, option_values
from rnnparity.catalogue.profiles import PROFILES
from rnnparity.faults import (
    FAULTS,
    TRAINING_FAULTS,
    Fault,
    FaultCoverage,
    fault_coverage,
    faults_of,
    placements,
)
from rnnparity.golden.known_differences import KnownDifference
from rnnparity.problem.explanations import FaultId
from rnnparity.problem.layers import Bidirectional, Recurrent, Stack, halves
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import OptionValue
from rnnparity.session.processes import start_pool
from rnnparity.session.progress import Progress, report_progress
from rnnparity.verdict.judge import expect_answer

# Cases that a process is given at once.
CHUNK = 20


class Detects(NamedTuple):
    """To detect a fault at a location of a class of layers."""

    profile: str
    layer: str
    fault: FaultId


class Contains(NamedTuple):
    """To contain an option value, or two features or two tags at once."""

    profile: str
    values: tuple[OptionValue | str, ...]


class Shows(NamedTuple):
    """To be a case of a known difference."""

    profile: str
    difference: str


class Printed(NamedTuple):
    """To be this case, whose numbers a source printed."""

    case: str


Requirement: TypeAlias = Detects | Contains | Shows | Printed


def requirements(
    problem: Problem, detected: Iterable[FaultId], entries: Iterable[KnownDifference]
) -> frozenset[Requirement]:
    """Return what a case meets that detects these faults."""
    layer = layer_class(problem)
    contained: list[tuple[OptionValue | str, ...]] = [
        *((value,) for value in option_values(problem)),
        *combinations(features_of(problem), 2),
        *combinations(_options(problem), 2),
    ]
    shown = [entry.name for entry in entries if entry.matches(problem.id)]
    detected = list(detected)
    from_source = problem.case is not None and "sources" in problem.case.tags
    met: set[Requirement] = {Printed(problem.id)} if from_source else set()
    for profile in PROFILES:
        if profile.accepts(problem):
            met.update(Detects(profile.name, layer, fault) for fault in detected)
            met.update(Contains(profile.name, values) for values in contained)
            met.update(Shows(profile.name, name) for name in shown)
    return frozenset(met)


def _options(problem: Problem) -> list[str]:
    """Return the tags that are options, such as "direction:sum"."""
    tags = problem.case.tags if problem.case else ()
    return sorted(tag for tag in tags if ":" in tag and not tag.startswith("source:"))


def layer_class(problem: Problem) -> str:
    """Return the class, form and direction of a layer, such as "GRU, reset_after=True, forward".

    A stack counts as one of the class of its first layer.
    """
    layer = problem.layer
    first = halves(layer)[0][1]
    option = first.cell.two_biases
    name = first.class_name + (f", {option}={getattr(first, option)}" if option else "")
    match layer:
        case Recurrent():
            return f"{name}, {'backwards' if layer.go_backwards else 'forward'}"
        case Bidirectional():
            return f"{name}, {layer.merge_mode}"
        case Stack():
            return f"{name}, stack"


def smallest_cover(
    met: Mapping[str, frozenset[Requirement]], start: Iterable[str] = ()
) -> list[str]:
    """Return ids that together meet every requirement that any id meets.

    Greedy: after those of `start`, the id that meets the most new requirements is next. Ids that the
    later ones made superfluous are removed, so that without any one of the result a requirement is
    lost.
    """
    chosen = [id_ for id_ in start if id_ in met]
    gained: frozenset[Requirement] = frozenset().union(*(met[id_] for id_ in chosen))
    remaining: set[Requirement] = set().union(*met.values()) - gained
    new = {id_: left for id_, requirements in met.items() if (left := requirements - gained)}
    while remaining:
        best = max(new, key=lambda id_: len(new[id_]))
        chosen.append(best)
        gained = new.pop(best)
        remaining -= gained
        new = {id_: left for id_, requirements in new.items() if (left := requirements - gained)}
    return without_superfluous({id_: met[id_] for id_ in chosen})


def without_superfluous(met: Mapping[str, frozenset[Requirement]]) -> list[str]:
    """Return the ids without those of which every requirement is met by others, last ones first."""
    counts = Counter(requirement for each in met.values() for requirement in each)
    kept = list(met)
    for id_ in reversed(list(met)):
        if all(counts[requirement] > 1 for requirement in met[id_]):
            counts.subtract(met[id_])
            kept.remove(id_)
    return kept


def core_basis() -> str:
    """Return what the core set is computed from: counts, and a digest of the names.

    The stored core set is out of date where this has changed. Known differences are not in it:
    whether each has its cases in the set takes no computation (`lost_requirements`, a test).
    """
    lines = [
        digest(),
        *(f"{fault.cause}, {fault.variant}" for fault in (*FAULTS, *TRAINING_FAULTS)),
        *(profile.name for profile in PROFILES),
    ]
    names = sha256("\n".join(lines).encode()).hexdigest()[:10]
    return f"{len(catalogue())} cases, {len(FAULTS)} faults, {names}"


def compute_core(
    entries: Sequence[KnownDifference],
    jobs: int = 2,
    progress: Progress | None = None,
    start: Iterable[str] = (),
) -> list[str]:
    """Return the ids of the core set of the catalogue, in its order.

    It keeps the cases of `start` that are still needed: the fewest goldens change.
    """
    problems = catalogue()
    met: dict[str, frozenset[Requirement]] = {}
    with start_pool(jobs) as pool:
        coverages = pool.map(_coverage, problems, chunksize=CHUNK)
        for done, (id_, coverage) in enumerate(zip(problems, coverages, strict=True), 1):
            if coverage is not None:
                met[id_] = requirements(problems[id_], coverage.detected, entries)
            report_progress(progress, "core", done, len(problems))
    chosen = set(smallest_cover(met, start))
    return [id_ for id_ in problems if id_ in chosen]


def _coverage(id_: str, faults: Sequence[Fault] | None = None) -> FaultCoverage | None:
    """Return the fault coverage of a case, None where it is inconclusive: it detects nothing."""
    problem = catalogue()[id_]
    expected = expect_answer(problem)
    return None if expected.inconclusive else fault_coverage(problem, expected, faults)


def lost_requirements(
    core: Collection[str], entries: Sequence[KnownDifference]
) -> set[Requirement]:
    """Return what the catalogue meets and the core set does not.

    A fault that the core set detects is not run on the other cases.
    """
    problems = catalogue()
    met: set[Requirement] = set()
    for id_ in core:
        coverage = _coverage(id_)
        if coverage is not None:
            met |= requirements(problems[id_], coverage.detected, entries)
    lost: set[Requirement] = set()
    for id_ in problems.keys() - core:
        coverage = _coverage(id_, _undetected(problems[id_], met))
        if coverage is not None:
            lost |= requirements(problems[id_], coverage.detected, entries) - met
    return lost


def _undetected(problem: Problem, met: Collection[Requirement]) -> list[Fault]:
    """Return the faults that are not detected yet at every location in every profile."""
    layer = layer_class(problem)
    profiles = [profile.name for profile in PROFILES if profile.accepts(problem)]
    return [
        fault
        for fault in faults_of(problem)
        if any(
            Detects(profile, layer, placed.id) not in met
            for placed in placements(problem, fault)
            for profile in profiles
        )
    ]
