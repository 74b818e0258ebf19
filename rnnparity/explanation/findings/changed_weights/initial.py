"""The states at the start: zeros, each other's, shifted or scaled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.explanation.evidence import rows_of
from rnnparity.explanation.findings.seen.claim import FREEDOM_OF_NUMBER, Claim, weigh
from rnnparity.explanation.findings.seen.newton import fit_numbers
from rnnparity.explanation.findings.seen.sequences import initial_states
from rnnparity.explanation.findings.seen.view import View
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import BlockChange, Finding, FindingType, WeightBlock
from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import state_slots
from rnnparity.reference import compute

# So near, in what is allowed, the noise of the run itself decides: it may be larger than expected.
NEARLY = 1e5
# A number is read off this many rows at first.
ROWS = 8

States = list[Array]
Edit = tuple[Finding, States]


def initial_findings(problem: Problem, half: str, view: View) -> Iterator[Finding]:
    """Yield other states at the start that account for what is seen of a problem.

    `half` is the prefix of the half that the problem is, "" for a whole layer.
    """
    states = initial_states(problem)
    edits = list(_edits(problem, half, states))
    runs = [_run(problem, edited) for _, edited in edits]
    claims = [
        view.claim(finding, outputs) for (finding, _), outputs in zip(edits, runs, strict=True)
    ]
    found = list(weigh(claims, view.threshold, len(edits)))
    if not found and _may_be_fitted(problem, half, view):
        found = list(_fitted(problem, half, states, view))
    yield from found


def _may_be_fitted(problem: Problem, half: str, view: View) -> bool:
    """Return whether a number fits the few rows that are furthest off; all rows take longer."""
    if len(problem.inputs.data) <= ROWS:
        return True
    rows = view.worst_rows(ROWS)
    part = rows_of(problem, rows)
    return any(_fitted(part, half, initial_states(part), view.rows(rows)))


def _names(problem: Problem, half: str) -> list[tuple[str, str]]:
    """Return the half and the name of each initial state."""
    return [
        (half + prefix, state) for prefix, layer in halves(problem.layer) for state in layer.states
    ]


def _edits(problem: Problem, half: str, states: States) -> Iterator[Edit]:
    """Yield zeros, ones, and states in place of each other."""
    names = _names(problem, half)
    if any(state.any() for state in states):
        yield _finding(half, "", BlockChange.MISSING), [np.zeros_like(state) for state in states]
    for index, (prefix, name) in enumerate(names):
        if states[index].any() and len(states) > 1:
            zeros = np.zeros_like(states[index])
            yield _finding(prefix, name, BlockChange.MISSING), _with(states, index, zeros)
        ones = np.ones_like(states[index])
        if not states[index].any():
            yield _finding(prefix, name, BlockChange.SHIFTED, value=1.0), _with(states, index, ones)
        for other, (other_prefix, source) in enumerate(names):
            if other == index or states[other].shape != states[index].shape:
                continue
            block = WeightBlock(f"{other_prefix}{source}", "")
            replaced = _with(states, index, states[other])
            yield _finding(prefix, name, BlockChange.REPLACED, block), replaced
            if other > index:
                exchanged = _with(replaced, other, states[index])
                yield _finding(prefix, name, BlockChange.EXCHANGED, block), exchanged


def _with(states: States, index: int, values: Array) -> States:
    return [*states[:index], values, *states[index + 1 :]]


def _finding(
    prefix: str,
    name: str,
    change: BlockChange,
    source: WeightBlock | None = None,
    value: float | None = None,
) -> Finding:
    return Finding(
        FindingType.INITIAL_STATE, name, half=prefix, change=change, source=source, value=value
    )


def _with_states(problem: Problem, states: States) -> Problem:
    slots = state_slots(problem.layer, len(problem.inputs.data))
    tensors = tuple(
        Tensor.of(slot.name, state, problem.inputs.dtype)
        for slot, state in zip(slots, states, strict=True)
    )
    return replace(problem, initial_state=tensors)


def _run(problem: Problem, states: States) -> list[Array]:
    with np.errstate(all="ignore"):
        return [tensor.data for tensor in compute(_with_states(problem, states))]


@dataclass(frozen=True)
class _Fit:
    """States of a half that are shifted in every element, or scaled, by a number."""

    finding: Finding
    indices: tuple[int, ...]

    def edited(self, states: States, number: float) -> States:
        """Return the states with these changed by a number."""
        edited = list(states)
        for index in self.indices:
            shifted = self.finding.change is BlockChange.SHIFTED
            edited[index] = states[index] + number if shifted else states[index] * number
        return edited


def _fits(problem: Problem, half: str, states: States) -> Iterator[_Fit]:
    """Yield each state, and all states of a half."""
    names = _names(problem, half)
    groups: dict[tuple[str, str], tuple[int, ...]] = {
        name: (index,) for index, name in enumerate(names)
    }
    for prefix in dict.fromkeys(prefix for prefix, _ in names):
        indices = tuple(index for index, name in enumerate(names) if name[0] == prefix)
        if len(indices) > 1:
            groups[prefix, ""] = indices
    for (prefix, name), indices in groups.items():
        yield _Fit(_finding(prefix, name, BlockChange.SHIFTED), indices)
        if any(states[index].any() for index in indices):
            yield _Fit(_finding(prefix, name, BlockChange.SCALED), indices)


def _fitted(problem: Problem, half: str, states: States, view: View) -> Iterator[Finding]:
    """Yield states that are shifted in every element, or scaled."""
    fits = list(_fits(problem, half, states))

    def run(numbers: Array) -> list[Array]:
        pairs = zip(fits, numbers.tolist(), strict=True)
        runs = [_run(problem, fit.edited(states, number)) for fit, number in pairs]
        return [np.stack(arrays) for arrays in zip(*runs, strict=True)]

    start = np.array([float(fit.finding.change is BlockChange.SCALED) for fit in fits])
    numbers, outputs = fit_numbers(run, start, view, problem.threshold_type)
    claims: list[Claim] = []
    for index, (fit, number) in enumerate(zip(fits, numbers.tolist(), strict=True)):
        predicted = [array[index] for array in outputs]
        finding = replace(fit.finding, value=number)
        claim = view.claim(finding, predicted)
        if 1 < claim.distance < NEARLY:
            edited = _with_states(problem, fit.edited(states, number))
            claim = view.with_noise_of(edited).claim(finding, predicted)
        claims.append(claim)
    found = list(weigh(claims, view.threshold, len(fits) * FREEDOM_OF_NUMBER))
    # Where one state accounts for what is seen, it is not all of them; where several do, it may be any.
    found = [finding for finding in found if finding.name] or found
    states_found = {(finding.half, finding.name) for finding in found}
    yield from (replace(f, certain=f.certain and len(states_found) == 1) for f in found)
