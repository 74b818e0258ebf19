"""Questions about one half, whose answers are findings: those that need few runs, and the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rnnparity.explanation.findings.by_step.effective import (
    effective_weights,
    fitted_weights,
    summed_rows,
)
from rnnparity.explanation.findings.by_step.one_step import one_step
from rnnparity.explanation.findings.by_step.quantities import quantity_findings
from rnnparity.explanation.findings.by_step.steps import restart_findings, step_findings
from rnnparity.explanation.findings.changed_weights.activations import activation_findings
from rnnparity.explanation.findings.compared.dropped import dropped_findings
from rnnparity.explanation.findings.compared.masked import masked_findings
from rnnparity.explanation.findings.compared.moved import moved_findings
from rnnparity.explanation.findings.rivals import with_rivals
from rnnparity.explanation.findings.seen.half_problem import HalfProblem
from rnnparity.explanation.findings.seen.view import View
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding, FindingType, accounts_for_values
from rnnparity.problem.problem import Problem, Tensor

# What is read off the unmasked steps only.
UNMASKED = frozenset(
    {
        FindingType.RESTARTS_EVERY_STEP,
        FindingType.OTHER_QUANTITY,
        FindingType.BLOCK,
        FindingType.EFFECTIVE_WEIGHTS,
        FindingType.INITIAL_STATE,
        FindingType.ACTIVATION,
    }
)


@dataclass(frozen=True)
class Findings:
    """The findings; `complete` is whether they account for every output that differs."""

    findings: tuple[Finding, ...] = ()
    complete: bool = False

    def joined(self, other: Findings) -> Findings:
        """Return these findings and others that they do not contain."""
        types = {finding.type for finding in other.findings}
        kept = tuple(finding for finding in self.findings if finding.type not in types)
        return Findings((*kept, *other.findings), self.complete or other.complete)


Question = Callable[[HalfProblem], Findings]


def of_halves(differing: Iterable[HalfProblem], questions: Sequence[Question]) -> Findings:
    """Return the findings about some halves; complete if each is accounted for."""
    answers = [_of_half(half, questions) for half in differing]
    found = tuple(finding for answer in answers for finding in answer.findings)
    return Findings(found, bool(answers) and all(answer.complete for answer in answers))


def of_each_output(view: View, question: Callable[[View], Iterable[Finding]]) -> Findings:
    """Return the answers about each output that differs; complete if each has one."""
    answers = [tuple(question(replace(view, outputs=(output,)))) for output in view.differing]
    findings = dict.fromkeys(finding for answer in answers for finding in answer)
    return Findings(tuple(findings), bool(answers) and all(map(any_accounts, answers)))


def any_accounts(findings: Iterable[Finding]) -> bool:
    """Return whether one of the findings accounts for the outputs."""
    return any(map(accounts_for_values, findings))


def _of_half(half: HalfProblem, questions: Iterable[Question]) -> Findings:
    """Return the findings about one half; the first question that accounts for it is the last."""
    findings: tuple[Finding, ...] = ()
    for question in questions:
        answer = question(half)
        found = answer.findings
        if half.varies_before_first_step or half.masked_steps_vary:
            found = tuple(replace(f, certain=f.certain and f.type not in UNMASKED) for f in found)
        if answer.complete and any_accounts(found):
            # What accounts for one output only is not needed beside what accounts for all.
            located = tuple(f for f in findings if not accounts_for_values(f))
            found = with_rivals(half, found)
            return Findings((*located, *found), complete=any_accounts(found))
        findings += found
    return Findings(findings)


def _moved(half: HalfProblem) -> Findings:
    """Return what is in another position of one half; of a layer without a prefix it is known."""
    if not half.view.prefix:
        return Findings()
    answer = of_each_output(half.view, moved_findings)
    in_time = (
        replace(each, numbers=half.step_indices(each.numbers)) if each.name == "step" else each
        for each in answer.findings
    )
    return replace(answer, findings=tuple(in_time))


def _quantities(half: HalfProblem) -> Findings:
    return of_each_output(half.view, lambda view: quantity_findings(replace(half, view=view)))


def _at_once(question: Callable[[HalfProblem], Iterable[Finding]]) -> Question:
    """Return the question about a half as one whose answers are about everything that is seen."""

    def ask(half: HalfProblem) -> Findings:
        findings = tuple(question(half))
        return Findings(findings, any_accounts(findings))

    return ask


def _activations(half: HalfProblem) -> Iterable[Finding]:
    return activation_findings(half.problem, half.view.prefix, half.view)


def _of_steps(half: HalfProblem) -> Iterator[Finding]:
    step = one_step(half)
    if step is not None:
        yield from step_findings(half, step)


def _sequence_problem(half: HalfProblem) -> tuple[Problem, Array] | None:
    """Return a half with its actual sequence as the only output, and its noise; None without one."""
    sequence = half.sequence
    if sequence is None:
        return None
    layer = replace(half.layer, return_state=False)
    actual = Tensor("output", sequence.actual)
    problem = replace(half.problem, layer=layer, outputs=(actual,))
    return problem, sequence.allowed / half.view.threshold


def _effective(half: HalfProblem) -> Iterator[Finding]:
    """Yield the weights of one gate that were used, where they can be solved for."""
    seen = _sequence_problem(half)
    if seen is not None:
        found = effective_weights(*seen).findings or summed_rows(*seen)
        yield from (replace(finding, half=half.view.prefix) for finding in found)


def _fitted(half: HalfProblem) -> Iterator[Finding]:
    """Yield the weights of several gates that were used, or what cannot be determined of them."""
    seen = _sequence_problem(half)
    unknown = None if seen is None else effective_weights(*seen).unknown
    if seen is None or unknown is None:
        return
    found = fitted_weights(*seen, unknown.gates) or [unknown.finding]
    yield from (replace(finding, half=half.view.prefix) for finding in found)


QUICK: tuple[Question, ...] = (
    _moved,
    _at_once(masked_findings),
    _at_once(restart_findings),
    _quantities,
)
SLOW: tuple[Question, ...] = (_at_once(_of_steps), _at_once(_activations), _at_once(_effective))
LAST: tuple[Question, ...] = (_at_once(_fitted), _at_once(dropped_findings))
BY_STEP: tuple[Question, ...] = (_at_once(_of_steps), _at_once(_effective), *LAST)
