"""Groups of results: those with the same known difference, cause, error or reason are one group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rnnparity.catalogue import catalogue
from rnnparity.problem.complexity import complexity
from rnnparity.problem.explanations import Cause
from rnnparity.problem.findings import Finding, accounts_for_values
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import WITHOUT_CAUSE, DifferenceType, Verdict

# Of each verdict the most frequent groups are shown; all others are one group. Messages of a
# subject may differ in every case.
GROUPS = 20
# What comes first in a report.
ORDER = (
    Verdict.DIVERGES,
    Verdict.ERROR,
    Verdict.KNOWN,
    Verdict.INCONCLUSIVE,
    Verdict.UNSUPPORTED,
)


@dataclass(frozen=True)
class Group:
    """What the results of a group have in common.

    `faults` are cause and variant of each fault, wherever in the layer they are; none where the
    results are unexplained, None where the cause was not searched. `findings` are what accounts for
    the results where no fault does: type, name and change of each finding. `difference_types` are
    given where no cause was searched, because no fault explains them. `rest`: all other groups
    with this verdict.
    """

    verdict: Verdict
    known: tuple[str, ...] = ()
    faults: tuple[tuple[str, str], ...] | None = None
    findings: tuple[tuple[str, ...], ...] = ()
    difference_types: frozenset[DifferenceType] = frozenset()
    reason: tuple[str, ...] = ()
    rest: bool = False

    @property
    def searched(self) -> bool:
        """Whether a cause was searched, or none is to be searched."""
        return self.faults is not None or self.verdict is not Verdict.DIVERGES or self.rest


Groups = Mapping[Group, Sequence[CaseResult]]


def group_results(results: Iterable[CaseResult]) -> Groups:
    """Return all results but those that agree, by group, the most frequent groups first.

    Those whose cause was not searched come after the causes.
    """
    found: dict[Group, list[CaseResult]] = {}
    for result in results:
        if result.verdict is not Verdict.AGREES:
            found.setdefault(group_of(result), []).append(result)
    kept: dict[Group, list[CaseResult]] = {}
    for verdict in ORDER:
        groups = [group for group in found if group.verdict is verdict]
        groups.sort(key=lambda group: (not group.searched, -len(found[group])))
        for group in groups[:GROUPS]:
            kept[group] = found[group]
        rest = [result for group in groups[GROUPS:] for result in found[group]]
        if rest:
            kept[Group(verdict, rest=True)] = rest
    return kept


def plainest(results: Iterable[CaseResult]) -> CaseResult:
    """Return the result of the case that has the fewest features besides the common one."""
    return min(results, key=plainness)


def plainness(result: CaseResult) -> tuple[int, int, int, str]:
    """Return a sort key that puts the plainest result first."""
    return complexity(catalogue()[result.id])


def has_cause(result: CaseResult) -> bool:
    """Return whether a fault of the list may explain a result."""
    return result.cause is not None or not result.difference_types <= WITHOUT_CAUSE


def faults_of(cause: Cause) -> tuple[tuple[str, str], ...]:
    """Return cause and variant of each fault: it is one fault wherever in the layer it is."""
    return tuple((fault.cause, fault.variant) for fault in cause.faults)


def accounting_findings(result: CaseResult) -> tuple[Finding, ...]:
    """Return what accounts for a result where no fault does."""
    explanation = result.explanation
    if explanation is None or not explanation.accounted:
        return ()
    if result.cause is not None and result.cause.explained:
        return ()
    return tuple(filter(accounts_for_values, explanation.findings))


def group_of(result: CaseResult) -> Group:
    """Return what a result has in common with others like it."""
    if result.verdict is Verdict.KNOWN:
        return Group(result.verdict, known=result.known)
    if result.verdict is not Verdict.DIVERGES:
        return Group(result.verdict, reason=_words(result))
    if result.cause is not None:
        names = {(f.type, f.name, f.change or "") for f in accounting_findings(result)}
        faults = faults_of(result.cause)
        return Group(result.verdict, faults=faults, findings=tuple(sorted(names)))
    if has_cause(result):
        return Group(result.verdict)
    return Group(result.verdict, difference_types=result.difference_types)


def _words(result: CaseResult) -> tuple[str, ...]:
    """Return the words of a reason without its numbers.

    A message of a subject is text that nothing is known about. Shapes, rows and lines in it differ
    from case to case; a word such as "float32" starts with a letter and counts.
    """
    words = result.reason.split()
    if result.verdict is Verdict.UNSUPPORTED:
        return tuple(words)
    return tuple(word for word in words if not any(c.isdigit() for c in word) or word[0].isalpha())
