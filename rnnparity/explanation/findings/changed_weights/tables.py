"""Activations that are read from a table of their values, as small engines do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.explanation.evidence import rows_of
from rnnparity.explanation.findings.seen.claim import weigh
from rnnparity.explanation.findings.seen.view import View
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding, FindingType, Table, WeightBlock
from rnnparity.problem.layers import Recurrent, halves
from rnnparity.problem.problem import Problem
from rnnparity.reference import Unroller
from rnnparity.reference.activations import ACTIVATIONS
from rnnparity.reference.arithmetic import PlainArithmetic
from rnnparity.reference.cells import altered
from rnnparity.reference.number import Function

# Entries from -end to end, this far apart, or so many of them. The usual end is tried first.
USUAL_END, ENDS = 8, (4, 5, 6, 8, 10, 16)
STEPS = (*(2.0**-k for k in range(2, 11)), 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
COUNTS = (64, 100, 128, 200, 256, 512, 1000, 1024, 2048)
# The largest error of a table is this part of a step, or of its square, where the slope is 1.
PARTS = {Table.NEAREST: 0.5, Table.BELOW: 1.0, Table.TOWARD_ZERO: 1.0, Table.INTERPOLATED: 0.1}
# A table is tried where the outputs are off by its error, within these factors, and by no more than
# so much of what they vary by.
LEAST, MOST, COARSEST = 0.06, 5.0, 0.3
# All tables are tried on so many rows and steps, and no more runs times steps times units.
FIRST_ROWS, FEW_STEPS, WORK = 2, 2, 100_000
# A value next to an entry is rounded to another one in some rows.
AGREEING = 0.5
# A number of steps is whole up to this.
SAME = 1e-9
# What is not read from a table: it is computed faster.
SIMPLE = ("linear", "relu", "hard_sigmoid", "hard_sigmoid_keras2")


@dataclass(frozen=True)
class _Tables:
    """A table for each activation of some gates: `recurrent`, those of the `cell`, or both."""

    kind: Table
    step: float
    end: int
    recurrent: bool
    cell: bool

    def of(self, name: str) -> Function[Array]:
        """Return an activation as its table gives it."""
        function = ACTIVATIONS[name].value
        if name in SIMPLE:
            return function

        def read(x: Array) -> Array:
            index = (np.clip(x, -self.end, self.end) + self.end) / self.step
            if self.kind is Table.INTERPOLATED:
                below = np.floor(index)
                entries = (function(each * self.step - self.end) for each in (below, below + 1))
                first, second = entries
                between: Array = first + (index - below) * (second - first)
                return between
            entry: Array = function(self._entry(index) * self.step - self.end)
            return entry

        return read

    def _entry(self, index: Array) -> Array:
        if self.kind is Table.NEAREST:
            return np.rint(index)
        middle = self.end / self.step if self.kind is Table.TOWARD_ZERO else 0.0
        toward_zero = self.kind is Table.TOWARD_ZERO
        return np.trunc(index - middle) + middle if toward_zero else np.floor(index)

    @property
    def with_other_ends(self) -> Iterator[_Tables]:
        """The tables with the same entries, and more or fewer of them."""
        for end in ENDS:
            steps = (end - self.end) / self.step
            if steps and abs(steps - round(steps)) < SAME:
                yield replace(self, end=end)

    def finding(self, layer: Recurrent) -> Finding:
        """Return the tables as a finding, with the gates of a layer."""
        gates = [gate for gate in layer.cell.gates if self._has(layer, gate)]
        block = WeightBlock("kernel", "".join(gates))
        return Finding(FindingType.ACTIVATION, self.kind, (self.end,), self.step, block=block)

    def _has(self, layer: Recurrent, gate: str) -> bool:
        return self.cell if gate == layer.cell.candidate else self.recurrent


def table_findings(problem: Problem, view: View) -> list[Finding]:
    """Return the tables of activations that account for what is seen.

    Where tables of different steps or gates do, none is certain; where only the ends differ, they are
    not stated.
    """
    likely, tried = _likely(problem, view)
    last = halves(problem.layer)[-1][1]
    found: dict[Finding, list[Finding]] = {}
    for tables in likely:
        finding = _weighed(problem, view, tables, tables.finding(last), tried)
        if finding is not None:
            found.setdefault(replace(finding, numbers=(), sigma=None), []).append(finding)
    return [
        replace(
            group[0],
            numbers=group[0].numbers if len(group) == 1 else (),
            certain=group[0].certain and len(found) == 1,
        )
        for group in found.values()
    ]


def _likely(problem: Problem, view: View) -> tuple[list[_Tables], int]:
    """Return the tables that hold in one of the first rows, with any end, and how many were tried."""
    short, start = _first_steps(problem, view)
    rows = start.worst_rows(FIRST_ROWS)
    part, seen = rows_of(short, rows), start.rows(rows)
    differing = seen.joined(rows=True).differing.any(axis=1)
    if not differing.any():
        return [], 0
    runs = _Runs(part)

    def held(tables: Iterable[_Tables]) -> list[_Tables]:
        return [each for each in tables if (_agreeing(seen, runs.run(each)) & differing).any()]

    tried = 0
    size = part.inputs.shape[1] * sum(layer.units for _, layer in halves(problem.layer))
    for ends in ((USUAL_END,), tuple(end for end in ENDS if end != USUAL_END)):
        candidates = list(_candidates(problem, view, ends))
        tried += len(candidates)
        if tried * size > WORK:
            break
        found = held(candidates)
        if found:
            return [*found, *held(other for each in found for other in each.with_other_ends)], tried
    return [], tried


def _first_steps(problem: Problem, view: View) -> tuple[Problem, View]:
    """Return a layer on the steps that it processes first, and what is seen there, if it has steps."""
    layer, output = problem.layer, view.outputs[0]
    if not (isinstance(layer, Recurrent) and output.has_time and problem.calls is None):
        return problem, view
    processed = slice(-FEW_STEPS, None) if layer.go_backwards else slice(FEW_STEPS)
    inputs, mask = problem.inputs, problem.mask
    short = replace(
        problem,
        layer=replace(layer, return_state=False),
        inputs=replace(inputs, data=inputs.data[:, processed]),
        mask=None if mask is None else mask[:, processed],
        outputs=None,
    )
    return short, replace(view, outputs=(output.part((slice(None), slice(FEW_STEPS))),))


def _candidates(problem: Problem, view: View, ends: Sequence[int]) -> Iterator[_Tables]:
    """Yield the tables with errors as large as those of the outputs."""
    joined = view.joined(rows=False)
    error = float(np.abs(joined.actual - joined.expected).max())
    if not joined.differing.any() or error > COARSEST * joined.spread:
        return
    gated = any(layer.cell.gated for _, layer in halves(problem.layer))
    places = [(True, True), (True, False), (False, True)] if gated else [(False, True)]
    for kind, part in PARTS.items():
        for end in ends:
            for step in (*STEPS, *(2 * end / (count - 1) for count in COUNTS)):
                usual = part * (step**2 if kind is Table.INTERPOLATED else step)
                if LEAST * usual <= error <= MOST * usual:
                    yield from (_Tables(kind, step, end, *place) for place in places)


class _Runs:
    """The outputs of a problem where activations are read from tables."""

    def __init__(self, problem: Problem) -> None:
        self.layers = halves(problem.layer)
        self.unroller = Unroller(problem, PlainArithmetic())
        self.cells = dict(self.unroller.cells)

    def run(self, tables: _Tables) -> list[Array]:
        """Return the outputs."""
        for prefix, layer in self.layers:
            cell = self.cells[prefix]
            if tables.recurrent and layer.cell.gated:
                cell = altered(cell, ract=tables.of(layer.recurrent_activation))
            if tables.cell:
                cell = altered(cell, act=tables.of(layer.activation))
            self.unroller.cells[prefix] = cell
        with np.errstate(all="ignore"):
            return self.unroller.run()


def _agreeing(view: View, predicted: list[Array]) -> Array:
    """Return which rows are the predicted ones in every output: (B,)."""
    agreeing = np.ones(len(predicted[0]), bool)
    for output, values in zip(view.outputs, predicted, strict=True):
        near = np.abs(output.actual - values) <= output.widened(values).allowed
        agreeing &= near.reshape(len(near), -1).all(axis=1)
    return agreeing


def _weighed(
    problem: Problem, view: View, tables: _Tables, finding: Finding, hypotheses: int
) -> Finding | None:
    """Return the finding where most rows are as a table gives them, with their evidence."""
    predicted = _Runs(problem).run(tables)
    rows = _agreeing(view, predicted)
    if rows.mean() < AGREEING:
        return None
    chosen = np.flatnonzero(rows)
    part = [values[chosen] for values in predicted]
    claim = view.rows(chosen).widened(part).claim(finding, part)
    return next(weigh([claim], view.threshold, hypotheses), None)
