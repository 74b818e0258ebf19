"""The states at the start: zeros, each other's, shifted or scaled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rnnparity.explanation.findings.claim import Claim, weigh
from rnnparity.explanation.findings.fitting import fit_numbers
from rnnparity.explanation.findings.view import View
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import BlockChange, Finding, FindingType, WeightBlock
from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import state_slots
from rnnparity.reference import compute

# As for blocks: a number that is read off the outputs needs other values as evidence.
FREEDOM_OF_NUMBER = 1e7

States = list[Array]
Edit = tuple[Finding, States]


def initial_findings(problem: Problem, half: str, view: View) -> Iterator[Finding]:
    """Yield other states at the start that account for what is seen of a problem.

    `half` is the prefix of the half that the problem is, "" for a whole layer.
    """
    states = _states(problem)
    edits = list(_edits(problem, half, states))
    runs = [_run(problem, edited) for _, edited in edits]
    claims = [
        view.claim(finding, outputs) for (finding, _), outputs in zip(edits, runs, strict=True)
    ]
    found = list(weigh(claims, view.threshold, len(edits)))
    yield from found or _fitted(problem, half, states, view)


def _states(problem: Problem) -> States:
    """Return the initial states in float64, zeros without any."""
    if problem.initial_state is not None:
        return [tensor.data.astype(np.float64) for tensor in problem.initial_state]
    slots = state_slots(problem.layer, len(problem.inputs.data))
    return [np.zeros(tuple(size or 0 for size in slot.shape)) for slot in slots]


def _names(problem: Problem, half: str) -> list[tuple[str, str]]:
    """Return the half and the name of each initial state."""
    return [
        (half + prefix, state) for prefix, layer in halves(problem.layer) for state in layer.states
    ]


def _edits(problem: Problem, half: str, states: States) -> Iterator[Edit]:
    """Yield zeros, ones, and states in place of each other."""
    names = _names(problem, half)
    if any(state.any() for state in states):
        yield _finding("", "", BlockChange.MISSING), [np.zeros_like(state) for state in states]
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


def _run(problem: Problem, states: States) -> list[Array]:
    slots = state_slots(problem.layer, len(problem.inputs.data))
    tensors = tuple(
        Tensor.of(slot.name, state, problem.inputs.dtype)
        for slot, state in zip(slots, states, strict=True)
    )
    with np.errstate(all="ignore"):
        return [tensor.data for tensor in compute(replace(problem, initial_state=tensors))]


def _fitted(problem: Problem, half: str, states: States, view: View) -> Iterator[Finding]:
    """Yield one state that is shifted in every element, or scaled."""
    choices = [
        (index, change)
        for index in range(len(states))
        for change in (BlockChange.SHIFTED, BlockChange.SCALED)
        if change is BlockChange.SHIFTED or states[index].any()
    ]

    def edited(choice: tuple[int, BlockChange], number: float) -> States:
        index, change = choice
        state = states[index]
        values = state + number if change is BlockChange.SHIFTED else state * number
        return _with(states, index, values)

    def run(numbers: Array) -> list[Array]:
        runs = [
            _run(problem, edited(choice, number))
            for choice, number in zip(choices, numbers.tolist(), strict=True)
        ]
        return [np.stack(arrays) for arrays in zip(*runs, strict=True)]

    start = np.array([float(change is BlockChange.SCALED) for _, change in choices])
    numbers, outputs = fit_numbers(run, start, view)
    names = _names(problem, half)
    claims: list[Claim] = []
    for number, (index, change) in enumerate(choices):
        finding = _finding(*names[index], change, value=float(numbers[number]))
        claims.append(view.claim(finding, [array[number] for array in outputs]))
    yield from weigh(claims, view.threshold, len(choices) * FREEDOM_OF_NUMBER)
