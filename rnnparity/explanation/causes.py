"""The causes of many divergences of one subject: what explains one case is tried first on the
others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.explain import Explanation, explain
from rnnparity.faults import Mutant, PlacedFault, run_one
from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import EVERY_HALF, WHOLE, Cause
from rnnparity.reference.tolerance import expect
from rnnparity.verdict.compare import compare_structure

# The search through all hypotheses is made for so many cases a subject; what is found there is
# tried on every other.
SEARCHED = 60


def causes(problems: Iterable[Problem], progress: Callable[[int], None]) -> dict[str, Cause]:
    """Return by id the cause of each problem's wrong outputs, as far as it was searched.

    Cases with the shortest names, the plainest ones, come first. `progress` gets the number of
    problems that are done.
    """
    found: dict[str, Cause] = {}
    known: list[Mutant] = []
    open_: list[Problem] = []
    searched = 0
    plainest_first = sorted(problems, key=lambda problem: (len(problem.id), problem.id))
    for done, problem in enumerate(plainest_first, 1):
        again = _first_fit(problem, known) if known else None
        if again is not None:
            found[problem.id] = Cause(again.faults)
        elif searched < SEARCHED:
            searched += 1
            told = explain(problem)
            found[problem.id] = _cause(told)
            if told.also_fits:
                open_.append(problem)
            elif told.fault is not None and told.certain:
                known.append(told.fault)
        progress(done)
    for problem in open_:  # what several faults explain here one of them has perhaps done elsewhere
        again = _first_fit(problem, known)
        if again is not None:
            found[problem.id] = Cause(again.faults)
    return found


def _cause(told: Explanation) -> Cause:
    if told.fault is None:
        return Cause()
    also_fits = tuple(mutant.faults for mutant in told.also_fits)
    return Cause(told.fault.faults, also_fits, told.certain)


def _first_fit(problem: Problem, known: Sequence[Mutant]) -> Mutant | None:
    """A cause found elsewhere that gives these outputs too."""
    given = problem.outputs or ()
    if any(d.type != "dtype" for d in compare_structure(given, problem.output_slots())):
        return None
    evidence = Evidence(problem, given, expect(problem))
    if evidence.expected.unpredictable:
        return None
    for placed in dict.fromkeys(
        other for mutant in known for other in _elsewhere(problem, mutant.placed)
    ):
        mutant = run_one(problem, placed)
        if mutant is not None and evidence.worst(mutant.outputs) <= evidence.own.threshold:
            return mutant
    return None


def _elsewhere(
    problem: Problem, placed: Sequence[PlacedFault]
) -> Iterator[tuple[PlacedFault, ...]]:
    """The same faults in another layer: where they were, if it has such a place, and in all of its
    halves."""
    prefixes = [prefix for prefix, _ in halves(problem.layer)]
    if all(one.location in (*prefixes, EVERY_HALF, WHOLE) for one in placed):
        yield tuple(placed)
    everywhere = EVERY_HALF if len(prefixes) > 1 else prefixes[0]
    yield tuple(
        one if one.location == WHOLE else replace(one, location=everywhere) for one in placed
    )
