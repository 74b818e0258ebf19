"""The causes of many divergences of one subject: what explains one case is tried on the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.known_findings import Statement, accounted_again, statement_of
from rnnparity.faults import Mutant, PlacedFault, run_one
from rnnparity.problem.answer_types import AnswerType
from rnnparity.problem.complexity import complexity
from rnnparity.problem.explanations import EVERY_HALF, WHOLE, Cause, Explanation
from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import DifferenceType
from rnnparity.reference.tolerance import expect
from rnnparity.verdict.compare import compare_structure

# This many cases of a subject are searched in full; what is found there is tried on all others. A
# search that findings end is quick: so many more of these.
SEARCHED, ACCOUNTED = 60, 500
# In a group of similar cases so many that stay unexplained are searched for pairs of faults.
THOROUGH = 2

Progress = Callable[[int], None]


@dataclass
class CauseSearch:
    """The causes of a subject's divergences by case id; a case that was not searched is missing.

    `explanations` are those of the cases that were searched in full: `searched` at most, and
    `ACCOUNTED` more that findings account for; and of all for which the findings of a similar case
    account, too. `fixes` are how the faults are fixed in the others.
    """

    searched: int = SEARCHED
    causes: dict[str, Cause] = field(default_factory=dict)
    explanations: dict[str, Explanation] = field(default_factory=dict)
    fixes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _known: list[Mutant] = field(default_factory=list)
    _unexplained: Counter[Hashable] = field(default_factory=Counter)
    _ambiguous: list[Problem] = field(default_factory=list)
    _statements: dict[Hashable, list[Statement]] = field(default_factory=dict)
    _searched: int = 0
    _accounted: int = 0

    @property
    def _may_search(self) -> bool:
        """Whether another case may be searched in full."""
        return self._searched - min(self._accounted, ACCOUNTED) < self.searched

    def add(self, problem: Problem) -> None:
        """Search the cause of a problem's wrong outputs, that of an earlier one first.

        Where the problem asks for gradients, or for the weights after a training step, the cause is
        that of these.
        """
        if problem.answer_type is not AnswerType.OUTPUTS:
            self._add_backward(problem)
            return
        mutant = _first_fit(problem, self._known)
        if mutant is not None:
            self._set(problem, mutant)
            return
        group = _group(problem)
        again = accounted_again(problem, self._statements.get(group, ()))
        if again is not None:
            self.causes[problem.id] = Cause()
            self.explanations[problem.id] = again
        elif self._may_search:
            self._search(problem, group)

    def _set(self, problem: Problem, mutant: Mutant) -> None:
        """Set the cause of a problem to that of another one, and how it is fixed here."""
        self.causes[problem.id] = Cause(mutant.faults)
        self.fixes[problem.id] = tuple(placed.fix(problem) for placed in mutant.placed)

    def _search(self, problem: Problem, group: Hashable) -> None:
        """Search the cause of a problem's outputs in full."""
        thorough = self._unexplained[group] < THOROUGH
        diagnosis = diagnose(problem, thorough=thorough)
        explanation = diagnosis.explanation
        cause = explanation.cause or Cause()
        self._searched += 1
        self._unexplained[group] += not cause.explained
        self._accounted += explanation.accounted
        self.causes[problem.id] = cause
        self.explanations[problem.id] = explanation
        if cause.also_fits:
            self._ambiguous.append(problem)
        elif explanation.unambiguous:
            self._known.append(diagnosis.fits[0])
        elif explanation.accounted and not cause.explained:
            statements = self._statements.setdefault(group, [])
            statement = statement_of(explanation.findings)
            if statement not in statements:
                statements.append(statement)

    def _add_backward(self, problem: Problem) -> None:
        if self._may_search:
            self._searched += 1
            explanation = diagnose(problem).explanation
            cause = explanation.cause or Cause()
            if problem.answer_type is AnswerType.GRADIENTS and not cause.explained:
                # The outputs were not asked for: they may be wrong already.
                explanation = replace(explanation, explain_next=AnswerType.OUTPUTS)
            self.causes[problem.id] = cause
            self.explanations[problem.id] = explanation

    def settle(self) -> None:
        """Decide where several faults fit, once a later case has shown which one it is."""
        for problem in self._ambiguous:
            mutant = _first_fit(problem, self._known)
            if mutant is not None:
                self._set(problem, mutant)

    def with_cause(self, result: CaseResult) -> CaseResult:
        """Return a result with what was found."""
        return replace(
            result,
            cause=self.causes.get(result.id),
            explanation=self.explanations.get(result.id),
        )


def find_causes(problems: Iterable[Problem], progress: Progress) -> CauseSearch:
    """Return the cause of each problem's wrong outputs.

    The plainest problems come first, those with constant weights last: many causes, and wrong ones,
    fit the few different numbers that they give. `progress` gets the number that is done.
    """
    search = CauseSearch(SEARCHED)
    ordered = sorted(problems, key=lambda problem: (_is_constant(problem), complexity(problem)))
    for done, problem in enumerate(ordered, 1):
        search.add(problem)
        progress(done)
    search.settle()
    return search


def _is_constant(problem: Problem) -> bool:
    return problem.case is not None and problem.case.initializers is not None


def _group(problem: Problem) -> Hashable:
    """Return what cases have in common that are likely to differ for the same reason."""
    layer = problem.layer
    classes = tuple((prefix, half.class_name) for prefix, half in halves(layer))
    structure = compare_structure(problem.outputs or (), problem.output_slots())
    types = tuple(difference.type for difference in structure)
    return classes, layer.return_sequences, problem.mask is None, types


def _first_fit(problem: Problem, known: Sequence[Mutant]) -> Mutant | None:
    """Return the first cause of other cases that gives these outputs as well."""
    actual = problem.outputs or ()
    structure = compare_structure(actual, problem.output_slots())
    if not known or any(difference.type is not DifferenceType.DTYPE for difference in structure):
        return None
    evidence = Evidence(problem, actual, expect(problem))
    if evidence.expected.unpredictable:
        return None
    for placed in _candidates(problem, known):
        mutant = run_one(problem, placed)
        if mutant is None:
            continue
        if evidence.largest_distance(mutant.outputs) <= evidence.noise.threshold:
            return mutant
    return None


def _candidates(problem: Problem, known: Sequence[Mutant]) -> Iterable[tuple[PlacedFault, ...]]:
    """Return the faults of known causes at their locations in another layer, without repetition."""
    placed = [moved for mutant in known for moved in _relocated(problem, mutant.placed)]
    return dict.fromkeys(placed)


def _relocated(
    problem: Problem, placed: Sequence[PlacedFault]
) -> Iterator[tuple[PlacedFault, ...]]:
    """Yield faults where they were, if the layer has that location, and in all of its halves."""
    prefixes = [prefix for prefix, _ in halves(problem.layer)]
    if all(fault.location in (*prefixes, EVERY_HALF, WHOLE) for fault in placed):
        yield tuple(placed)
    everywhere = EVERY_HALF if len(prefixes) > 1 else prefixes[0]
    yield tuple(
        fault if fault.location == WHOLE else replace(fault, location=everywhere)
        for fault in placed
    )
