"""All findings about the outputs of one problem, the simplest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.findings.activations import activation_findings
from rnnparity.explanation.findings.after_layer import after_layer_findings
from rnnparity.explanation.findings.blocks import Base, block_findings
from rnnparity.explanation.findings.effective import effective_weights, summed_rows
from rnnparity.explanation.findings.grids import (
    grid_findings,
    shared_grid_findings,
    storage_findings,
)
from rnnparity.explanation.findings.half_problem import (
    BACKWARD,
    HalfProblem,
    first_steps,
    view_of,
    visible_halves,
)
from rnnparity.explanation.findings.initial import initial_findings
from rnnparity.explanation.findings.masked import masked_findings
from rnnparity.explanation.findings.merged import MERGED, merged_findings
from rnnparity.explanation.findings.moved import finite_findings, moved_findings
from rnnparity.explanation.findings.one_step import one_step
from rnnparity.explanation.findings.other_inputs import other_input_findings
from rnnparity.explanation.findings.permuted import permuted_findings
from rnnparity.explanation.findings.quantities import quantity_findings
from rnnparity.explanation.findings.steps import restart_findings, step_findings
from rnnparity.explanation.findings.view import View
from rnnparity.explanation.location import last_layer
from rnnparity.problem.findings import Finding, FindingType, WeightBlock, accounts_for_values
from rnnparity.problem.layers import Bidirectional, Recurrent, halves
from rnnparity.problem.problem import Tensor

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


def find(evidence: Evidence, *, quickly: bool = False) -> Findings:
    """Return what accounts for the outputs that differ; the first answer that does ends the search.

    `quickly`: only what a comparison shows, not the weights, states and activations for which the
    layer has to run many times. Where an output is not finite, only whether all finite values agree.
    """
    if not evidence.finite:
        found = tuple(finite_findings(view_of(evidence)))
        return Findings(found, complete=bool(found))
    for answer in _comparisons(evidence, quickly):
        if answer.complete:
            return answer
    differing = [half for half in visible_halves(evidence) if any(half.view.differing)]
    found = tuple(_one_direction(evidence, differing))
    answers = [_of_half(half, QUICK if quickly else (*QUICK, *SLOW)) for half in differing]
    for answer in answers:
        found += answer.findings
    complete = bool(answers) and all(answer.complete for answer in answers)
    if complete or quickly:
        return Findings(found, complete)
    whole = tuple(_of_whole(evidence))
    return Findings((*found, *whole), complete=_any_accounts(whole))


def _comparisons(evidence: Evidence, quickly: bool) -> Iterator[Findings]:
    """Yield what a comparison of the outputs with the expected ones shows."""
    view = view_of(evidence)
    yield _moved_outputs(view)
    for question in (grid_findings, storage_findings):
        yield _of_each_output(view, question)
    shared = tuple(shared_grid_findings(view))
    yield Findings(shared, bool(shared) and all(map(accounts_for_values, shared)))
    if not quickly:
        yield _of_each_output(view, partial(after_layer_findings, evidence.problem))


def find_by_step(evidence: Evidence) -> Findings:
    """Return what single steps show by themselves, which takes one pass however many there are."""
    if not evidence.finite:
        return Findings()
    differing = [half for half in visible_halves(evidence) if any(half.view.differing)]
    answers = [_of_half(half, BY_STEP) for half in differing]
    found = tuple(finding for answer in answers for finding in answer.findings)
    return Findings(found, bool(answers) and all(answer.complete for answer in answers))


def find_in_halves(evidence: Evidence) -> Findings:
    """Return the findings about each half that differs, on the steps around its first difference."""
    if not evidence.finite:
        return Findings()
    differing = [half for half in visible_halves(evidence) if any(half.view.differing)]
    found = tuple(_one_direction(evidence, differing))
    answers = [_of_half(first_steps(half), (*QUICK, *SLOW)) for half in differing]
    for answer in answers:
        found += answer.findings
    return Findings(found, bool(answers) and all(answer.complete for answer in answers))


def _moved_outputs(view: View) -> Findings:
    """Return how each output is moved, in the same way if there is one for all of them."""
    answer = _of_each_output(view, moved_findings)
    if answer.complete and len(_ways(answer)) > 1:
        rows = tuple(permuted_findings(view))
        if _any_accounts(rows):
            return Findings(rows, complete=True)
        other = _of_each_output(view, partial(moved_findings, zeros=False))
        if other.complete and len(_ways(other)) == 1:
            return other
    return answer


def _ways(answer: Findings) -> set[tuple[FindingType, tuple[int, ...]]]:
    return {(finding.type, finding.numbers) for finding in answer.findings}


def _any_accounts(findings: Iterable[Finding]) -> bool:
    return any(map(accounts_for_values, findings))


def _of_each_output(view: View, question: Callable[[View], Iterable[Finding]]) -> Findings:
    """Return the answers about each output that differs; complete if each has one."""
    answers = [tuple(question(replace(view, outputs=(output,)))) for output in view.differing]
    findings = dict.fromkeys(finding for answer in answers for finding in answer)
    return Findings(tuple(findings), bool(answers) and all(map(_any_accounts, answers)))


def _one_direction(evidence: Evidence, differing: list[HalfProblem]) -> Iterator[Finding]:
    """Yield the only one of two directions that differs."""
    names = [half.view.prefix for half in differing]
    if len(names) == 1 and names[0].endswith("/") and len(halves(evidence.problem.layer)) > 1:
        direction = names[0].rstrip("/").rpartition("/")[2]
        if direction in (BACKWARD, "forward"):
            yield Finding(FindingType.ONE_DIRECTION_ONLY, direction, half=names[0])


def _of_half(half: HalfProblem, questions: Iterable[Question]) -> Findings:
    """Return the findings about one half; the first question that accounts for it is the last."""
    findings: tuple[Finding, ...] = ()
    for question in questions:
        answer = question(half)
        found = answer.findings
        if half.varies_before_first_step:
            found = tuple(replace(f, certain=f.certain and f.type not in UNMASKED) for f in found)
        if answer.complete and _any_accounts(found):
            # What accounts for one output only is not needed beside what accounts for all.
            located = tuple(f for f in findings if not accounts_for_values(f))
            return Findings((*located, *found), complete=True)
        findings += found
    return Findings(findings)


def _moved(half: HalfProblem) -> Findings:
    """Return what is in another position of one half; of a layer without a prefix it is known."""
    return _of_each_output(half.view, moved_findings) if half.view.prefix else Findings()


def _quantities(half: HalfProblem) -> Findings:
    return _of_each_output(half.view, lambda view: quantity_findings(replace(half, view=view)))


def _at_once(question: Callable[[HalfProblem], Iterable[Finding]]) -> Question:
    """Return the question about a half as one whose answers are about everything that is seen."""

    def ask(half: HalfProblem) -> Findings:
        findings = tuple(question(half))
        return Findings(findings, _any_accounts(findings))

    return ask


def _activations(half: HalfProblem) -> Iterable[Finding]:
    return activation_findings(half.problem, half.view.prefix, half.view)


def _of_steps(half: HalfProblem) -> Iterator[Finding]:
    step = one_step(half)
    if step is not None:
        yield from step_findings(half, step)


def _effective(half: HalfProblem) -> Iterator[Finding]:
    """Yield the weights that were used, or of which gate they cannot be determined, where it has steps."""
    sequence = half.sequence
    if sequence is None:
        return
    layer = replace(half.layer, return_state=False)
    actual = Tensor("output", sequence.actual)
    problem = replace(half.problem, layer=layer, outputs=(actual,))
    sigmas = sequence.allowed / half.view.threshold
    found, unknown = effective_weights(problem, sigmas)
    found = found or summed_rows(problem, sigmas)
    prefix = half.view.prefix
    yield from (replace(finding, half=prefix) for finding in found)
    if unknown and not found:
        gates = "".join(gate.gate for gate in unknown)
        usable = min(gate.usable for gate in unknown)
        needed = max(gate.needed for gate in unknown)
        yield Finding(
            FindingType.EFFECTIVE_WEIGHTS, numbers=(usable, needed), half=prefix,
            block=WeightBlock("", gates), certain=False,
        )  # fmt: skip


def _of_whole(evidence: Evidence) -> Iterator[Finding]:
    """Yield initial states and changes of blocks that account for the outputs of the whole layer."""
    view, problem = view_of(evidence), evidence.problem
    last = last_layer(problem.layer)
    if isinstance(last, Bidirectional) and last.merge_mode in MERGED and problem.calls is None:
        merged = tuple(merged_findings(evidence, last))
        yield from merged
        if _any_accounts(merged):
            return
    yield from initial_findings(problem, "", view)
    if not isinstance(problem.layer, Recurrent):  # else it is its only half
        yield from activation_findings(problem, "", view)
    blocks = block_findings(Base(problem, view, halves(problem.layer)))
    yield from blocks
    if not _any_accounts(blocks):
        yield from other_input_findings(problem, view)


QUICK: tuple[Question, ...] = (
    _moved,
    _at_once(masked_findings),
    _at_once(restart_findings),
    _quantities,
)
SLOW: tuple[Question, ...] = (_at_once(_of_steps), _at_once(_activations), _at_once(_effective))
BY_STEP: tuple[Question, ...] = (_at_once(_of_steps), _at_once(_effective))
