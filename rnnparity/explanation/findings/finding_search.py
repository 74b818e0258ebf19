"""All findings about the outputs of one problem, the simplest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from dataclasses import replace
from functools import partial

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.findings.changed_weights.activations import activation_findings
from rnnparity.explanation.findings.changed_weights.blocks import Base, block_findings
from rnnparity.explanation.findings.changed_weights.initial import initial_findings
from rnnparity.explanation.findings.changed_weights.tables import table_findings
from rnnparity.explanation.findings.compared.after_layer import after_layer_findings
from rnnparity.explanation.findings.compared.grids import (
    grid_findings,
    shared_grid_findings,
    storage_findings,
)
from rnnparity.explanation.findings.compared.layouts import halves_findings, layout_candidates
from rnnparity.explanation.findings.compared.moved import finite_findings, moved_findings
from rnnparity.explanation.findings.compared.permuted import permuted_findings
from rnnparity.explanation.findings.half_questions import (
    BY_STEP,
    LAST,
    QUICK,
    SLOW,
    Findings,
    any_accounts,
    of_each_output,
    of_halves,
)
from rnnparity.explanation.findings.other_runs.between import between_findings
from rnnparity.explanation.findings.other_runs.merged import MERGED, merged_findings
from rnnparity.explanation.findings.other_runs.other_inputs import (
    other_input_findings,
    variants_that_hold,
)
from rnnparity.explanation.findings.other_runs.other_problems import (
    lengths_candidates,
    problem_candidates,
)
from rnnparity.explanation.findings.other_runs.recurrence import recurrence_findings
from rnnparity.explanation.findings.rivals import CONTESTED
from rnnparity.explanation.findings.seen.candidates import Candidate, held_candidates
from rnnparity.explanation.findings.seen.half_problem import (
    BACKWARD,
    HalfProblem,
    first_steps,
    view_of,
    visible_halves,
)
from rnnparity.explanation.findings.seen.view import View
from rnnparity.explanation.location import last_layer
from rnnparity.problem.findings import BlockChange, Finding, FindingType, accounts_for_values
from rnnparity.problem.layers import Bidirectional, Recurrent, halves


def find(evidence: Evidence, *, quickly: bool = False) -> Findings:
    """Return what accounts for the outputs that differ; the first answer that does ends the search.

    `quickly`: only what a comparison shows, not the weights, states and activations for which the
    layer has to run many times. Where an output is not finite, only whether all finite values agree.
    """
    if not evidence.finite:
        found = tuple(finite_findings(view_of(evidence)))
        return Findings(found, complete=any_accounts(found))
    for answer in _comparisons(evidence, quickly):
        if answer.complete:
            return answer
    differing = _differing_halves(evidence)
    direction = tuple(_one_direction(evidence, differing))
    answer = of_halves(differing, QUICK if quickly else (*QUICK, *SLOW))
    found = (*direction, *answer.findings)
    fits = any(map(_is_free_fit, answer.findings))
    if quickly or (answer.complete and not fits):
        return Findings(found, answer.complete)
    whole = tuple(_computed_otherwise(evidence) if fits else _of_whole(evidence))
    contested = any(not each.certain and each.type in CONTESTED for each in answer.findings)
    if contested:
        whole = tuple(replace(each, certain=False) for each in whole)
    if any_accounts(whole):
        # What accounts for a half only, or with numbers that are fitted, is not needed beside it.
        located = tuple(finding for finding in found if not accounts_for_values(finding))
        return Findings((*located, *whole), complete=True)
    if answer.complete:
        return Findings(found, complete=True)
    tables = tuple(table_findings(evidence.problem, view_of(evidence)))
    last = Findings(tables, complete=True)
    if not any_accounts(tables):
        last = of_halves(differing, LAST)
    if contested:  # weights that were fitted give the same as what is contested
        last = Findings(tuple(replace(each, certain=False) for each in last.findings))
    return Findings(_without_repetition((*found, *whole, *last.findings)), last.complete)


def find_again(evidence: Evidence, types: Set[FindingType]) -> Findings:
    """Return what accounts for the outputs, where findings of these types are expected to.

    What has a question of its own is asked alone.
    """
    if types <= {FindingType.INPUTS, FindingType.MASK}:
        found = tuple(other_input_findings(evidence.problem, view_of(evidence)))
        return Findings(found, any_accounts(found))
    return find(evidence)


def _without_repetition(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings without those that another one states, whatever their errors."""
    different: dict[Finding, Finding] = {}
    for finding in findings:
        different.setdefault(replace(finding, sigma=None), finding)
    return tuple(different.values())


def _is_free_fit(finding: Finding) -> bool:
    """Return whether a finding accounts for the outputs by weights of which every number was fitted."""
    fitted = finding.type is FindingType.EFFECTIVE_WEIGHTS
    return fitted and finding.change is BlockChange.OTHER and accounts_for_values(finding)


def _differing_halves(evidence: Evidence) -> list[HalfProblem]:
    return [half for half in visible_halves(evidence) if any(half.view.differing)]


def _comparisons(evidence: Evidence, quickly: bool) -> Iterator[Findings]:
    """Yield what a comparison of the outputs with the expected ones shows."""
    view = view_of(evidence)
    yield of_each_output(view, partial(halves_findings, evidence.problem))
    yield _moved_outputs(view)
    for question in (grid_findings, storage_findings):
        yield of_each_output(view, question)
    shared = tuple(shared_grid_findings(view))
    yield Findings(shared, bool(shared) and all(map(accounts_for_values, shared)))
    if not quickly:
        yield of_each_output(view, partial(after_layer_findings, evidence.problem))


def find_by_step(evidence: Evidence) -> Findings:
    """Return what single steps show by themselves, which takes one pass however many there are."""
    if not evidence.finite:
        return Findings()
    return of_halves(_differing_halves(evidence), BY_STEP)


def find_in_halves(evidence: Evidence) -> Findings:
    """Return the findings about each half that differs, on the steps around its first difference."""
    if not evidence.finite:
        return Findings()
    differing = _differing_halves(evidence)
    answer = of_halves(map(first_steps, differing), (*QUICK, *SLOW, *LAST))
    return Findings((*_one_direction(evidence, differing), *answer.findings), answer.complete)


def _moved_outputs(view: View) -> Findings:
    """Return how each output is moved, in the same way if there is one for all of them."""
    answer = of_each_output(view, moved_findings)
    if answer.complete and len(_ways(answer)) > 1:
        rows = tuple(permuted_findings(view))
        if any_accounts(rows):
            return Findings(rows, complete=True)
        other = of_each_output(view, partial(moved_findings, zeros=False))
        if other.complete and len(_ways(other)) == 1:
            return other
    return answer


def _ways(answer: Findings) -> set[tuple[FindingType, tuple[int, ...]]]:
    return {(finding.type, finding.numbers) for finding in answer.findings}


def _one_direction(evidence: Evidence, differing: list[HalfProblem]) -> Iterator[Finding]:
    """Yield the only one of two directions that differs."""
    names = [half.view.prefix for half in differing]
    if len(names) == 1 and names[0].endswith("/") and len(halves(evidence.problem.layer)) > 1:
        direction = names[0].rstrip("/").rpartition("/")[2]
        if direction in (BACKWARD, "forward"):
            yield Finding(FindingType.ONE_DIRECTION_ONLY, direction, half=names[0])


def _of_whole(evidence: Evidence) -> Iterator[Finding]:
    """Yield initial states and changes of blocks that account for the outputs of the whole layer."""
    view, problem = view_of(evidence), evidence.problem
    last = last_layer(problem.layer)
    if isinstance(last, Bidirectional) and last.merge_mode in MERGED and problem.calls is None:
        merged = tuple(merged_findings(evidence, last))
        yield from merged
        if any_accounts(merged):
            return
    computed = _computed_otherwise(evidence)
    if computed:  # what else accounts for the outputs is a rival
        yield from computed
        return
    yield from initial_findings(problem, "", view)
    if not isinstance(problem.layer, Recurrent):  # else it is its only half
        yield from activation_findings(problem, "", view)
    blocks = block_findings(Base(problem, view, halves(problem.layer)))
    yield from blocks
    if not any_accounts(blocks):
        yield from other_input_findings(problem, view)


def _computed_otherwise(evidence: Evidence) -> tuple[Finding, ...]:
    """Return what else may have been computed; none is certain where there is a rival."""
    view, problem = view_of(evidence), evidence.problem
    found = [
        *recurrence_findings(problem, view),
        *between_findings(evidence),
        *held_candidates(problem, view, _candidates(evidence)),
    ]
    if any_accounts(found):
        found += [*variants_that_hold(problem, view), *initial_findings(problem, "", view)]
    # In which half of several it is may not be seen.
    different = {(f.type, f.name, f.numbers, f.change, f.source): f for f in found[::-1]}
    single = len(different) == 1
    return tuple(replace(f, certain=f.certain and single) for f in reversed(different.values()))


def _candidates(evidence: Evidence) -> Iterator[Candidate]:
    """Yield the other computations of a whole layer that are tried."""
    yield from problem_candidates(evidence.problem)
    yield from layout_candidates(evidence.problem)
    last = last_layer(evidence.problem.layer)
    if isinstance(last, Bidirectional):
        yield from lengths_candidates(evidence, last)
