"""Other ways to pass states on that mix the rows, or concern the start of a run or of a call.

Axis letters: B batch, H units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnnparity.explanation.findings.other_runs.step_rules import MOST_IN_TURN, Named, recurrence
from rnnparity.explanation.findings.other_runs.ways import Past, Rule, States
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import BlockChange, Finding, FindingType
from rnnparity.problem.problem import Problem
from rnnparity.problem.recurrences import OtherRecurrence
from rnnparity.reference.cells import Cell

# So many rows are tried as that of all rows.
MOST_ROWS = 4


@dataclass(frozen=True)
class OfRows(Rule):
    """Each row has the states of another row, `order` (B,).

    They are those at every step or, with `call`, only at the start of the first call (0), or of all
    others.
    """

    order: tuple[int, ...]
    call: int | None = None

    def before(self, past: Past, number: int) -> States:
        return past.last if self.call is not None else _rows(past.last, self.order)

    def first(self, states: States, call: int) -> States:
        if self.call is None or (call > 0) is not (self.call > 0):
            return states
        return _rows(states, self.order)


def _rows(states: States, order: tuple[int, ...]) -> States:
    return [state[list(order)] for state in states]


class OfMemory(Rule):
    """The initial states (H, B) are read in the memory of (B, H)."""

    def first(self, states: States, call: int) -> States:
        return states if call else [state.T.reshape(state.shape) for state in states]


class MeanOfRows(Rule):
    """A step starts from the mean of the states of all rows."""

    def before(self, past: Past, number: int) -> States:
        means = (state.mean(axis=0, keepdims=True) for state in past.last)
        return [np.repeat(mean, len(past.last[0]), axis=0) for mean in means]


class OneForAllRows(Rule):
    """There is one state: all rows change it, one after the other, in each step."""

    def step(self, cell: Cell[Array], projected: Array, before: States) -> States:
        state, rows = [each[-1:] for each in before], []
        for row in range(len(projected)):
            state = super().step(cell, projected[row : row + 1], state)
            rows.append(state)
        return [np.concatenate(parts) for parts in zip(*rows, strict=True)]


@dataclass(frozen=True)
class Resets(Rule):
    """Some rows start a call, or every call but the first, from zeros."""

    row: int | None = None
    call: int | None = None

    def first(self, states: States, call: int) -> States:
        if not call or self.call not in (None, call):
            return states
        rows = slice(None) if self.row is None else slice(self.row, self.row + 1)
        reset = [state.copy() for state in states]
        for state in reset:
            state[rows] = 0
        return reset


def row_rules(problem: Problem) -> Named:
    """Yield what may be otherwise between the rows, and at the start of calls."""
    rows = len(problem.inputs.data)
    for call in range(1, len(problem.steps)):
        yield recurrence(OtherRecurrence.CALL_RESTARTS, call), Resets(call=call)
    if rows == 1:
        return
    before = (rows - 1, *range(rows - 1))
    yield recurrence(OtherRecurrence.OF_ROW_BEFORE), OfRows(before)
    yield recurrence(OtherRecurrence.OF_FIRST_ROW), OfRows((0,) * rows)
    yield recurrence(OtherRecurrence.MEAN_OF_ROWS), MeanOfRows()
    if rows * problem.inputs.shape[1] <= MOST_IN_TURN:
        yield recurrence(OtherRecurrence.ONE_FOR_ALL_ROWS), OneForAllRows()
    orders = [before, (*range(1, rows), 0), tuple(reversed(range(rows)))]
    orders += [(row,) * rows for row in range(min(rows, MOST_ROWS))]
    orders = list(dict.fromkeys(orders))
    if problem.initial_state is not None:
        for order in orders:
            yield _initial(BlockChange.PERMUTED, *order), OfRows(order, call=0)
        yield _initial(BlockChange.TRANSPOSED), OfMemory()
    if len(problem.steps) > 1:
        for order in orders:
            finding = recurrence(OtherRecurrence.CALLS_ROWS_PERMUTED, *order)
            yield finding, OfRows(order, call=1)
        for row in range(min(rows, MOST_ROWS)):
            yield recurrence(OtherRecurrence.CALLS_ROW_RESET, row), Resets(row)


def _initial(change: BlockChange, *rows: int) -> Finding:
    return Finding(FindingType.INITIAL_STATE, numbers=rows, change=change)
