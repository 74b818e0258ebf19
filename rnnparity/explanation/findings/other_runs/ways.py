"""Runs of a whole layer whose halves pass their states on in other ways, many ways at once.

Axis letters: B batch, T time, D features, H units. The rows of all ways follow each other in one
large batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding
from rnnparity.problem.layers import Recurrent, halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import Unroller
from rnnparity.reference.arithmetic import PlainArithmetic
from rnnparity.reference.cells import Cell

States = list[Array]
Weights = Mapping[str, Array]


@dataclass(frozen=True)
class Past:
    """The states before a step: those at the start, two steps ago, and one step ago."""

    first: States
    earlier: States
    last: States


class Rule:
    """How the loop over the steps of a half runs: as Keras', unless a subclass changes a method.

    `number` counts the steps of a call in processing order.
    """

    def first(self, states: States, call: int) -> States:
        """Return the states that a call starts with."""
        return states

    def inputs(self, x: Array, time: int, last: Array | None) -> Array:
        """Return the inputs (B, D) of a step; `last` is the output of the one before."""
        step: Array = x[:, time]
        return step

    def before(self, past: Past, number: int) -> States:
        """Return the states that a step starts from."""
        return past.last

    def weights(self, arrays: Weights) -> Weights | None:
        """Return other weights by their names; None where the given ones are used at every step."""
        return None

    def cell(self, cell: Cell[Array]) -> Cell[Array]:
        """Return the cell that computes the steps."""
        return cell

    def has_other_weights(self, number: int) -> bool:
        """Return whether a step is computed with the other weights."""
        return True

    def step(self, cell: Cell[Array], projected: Array, before: States) -> States:
        """Return the states after a step."""
        return list(cell.step(projected, *before)[0])

    def result(self, new: States) -> States:
        """Return what the states after a step become."""
        return new

    def used(self, mask: Array, number: int) -> Array:
        """Return where a step counts for the states, (B, 1); the mask is in processing order."""
        column: Array = mask[:, number, None]
        return column

    def output(self, used: Array, new: Array, masked: Array) -> Array:
        """Return the output of a step under a mask; `masked` is that of masked steps."""
        return np.where(used, new, masked)

    def kept(self, used: Array, new: States, old: States) -> States:
        """Return the states after a step under a mask."""
        return [np.where(used, after, before) for after, before in zip(new, old, strict=True)]


@dataclass(frozen=True)
class Way:
    """The rules of some halves, by their prefixes, and the finding that states them."""

    finding: Finding
    rules: Mapping[str, Rule]


def run_ways(problem: Problem, ways: Sequence[Way]) -> list[Array]:
    """Return the outputs of every way, each with a leading axis of ways."""
    count, batch = len(ways), len(problem.inputs.data)
    with np.errstate(all="ignore"):
        outputs = _Unroller(_repeated(problem, count), ways).run()
    return [output.reshape(count, batch, *output.shape[1:]) for output in outputs]


def _repeated(problem: Problem, count: int) -> Problem:
    """Return the problem with its rows repeated."""

    def rows(tensor: Tensor) -> Tensor:
        return Tensor.of(tensor.name, np.concatenate([tensor.data] * count), tensor.dtype)

    states, mask = problem.initial_state, problem.mask
    bare = replace(problem, outputs=None, case=None, initial_state=None, mask=None)
    bare = replace(bare, inputs=rows(problem.inputs))
    return replace(
        bare,
        mask=None if mask is None else np.concatenate([mask] * count),
        initial_state=None if states is None else tuple(map(rows, states)),
    )


class _Part:
    """The rows of one way in one half, and the cell with its other weights."""

    def __init__(self, rows: slice, rule: Rule, cell: Cell[Array] | None) -> None:
        self.rows, self.rule, self.cell = rows, rule, cell

    def of(self, arrays: States) -> States:
        return [array[self.rows] for array in arrays]

    def changes(self, method: str) -> bool:
        return getattr(type(self.rule), method) is not getattr(Rule, method)

    def write(self, arrays: States, values: States) -> None:
        for array, value in zip(arrays, values, strict=True):
            array[self.rows] = value


class _Unroller(Unroller[Array]):
    """A step of a half is computed for all rows, then once more for those whose rule changes it."""

    def __init__(self, problem: Problem, ways: Sequence[Way]) -> None:
        super().__init__(problem, PlainArithmetic())
        rows = len(problem.inputs.data) // len(ways)
        arrays = {tensor.name: tensor.data for tensor in problem.weights}
        self.parts: dict[str, list[_Part]] = {}
        for prefix, half in halves(problem.layer):
            parts = self.parts[prefix] = []
            for number, way in enumerate(ways):
                rule = way.rules.get(prefix)
                if rule is not None:
                    own = slice(number * rows, (number + 1) * rows)
                    parts.append(_Part(own, rule, self._other_cell(prefix, half, rule, arrays)))

    def _other_cell(
        self, prefix: str, half: Recurrent, rule: Rule, arrays: Weights
    ) -> Cell[Array] | None:
        """Return the cell of a rule with other weights, or another cell; None without."""
        names = {name: name.removeprefix(prefix) for name in arrays if name.startswith(prefix)}
        changed = rule.weights({short: arrays[name] for name, short in names.items()})
        if changed is not None:
            return self._cell(prefix, half, {prefix + short: a for short, a in changed.items()})
        cell = self.cells[prefix]
        other = rule.cell(cell)
        return None if other is cell else other

    def run_half(
        self, layer: Recurrent, prefix: str, x: Array, mask: Array | None
    ) -> tuple[Array, States]:
        parts, call = self.parts[prefix], self._call_number()
        first = [state.copy() for state in self.states[prefix]]
        for part in parts:
            part.write(first, part.rule.first(part.of(first), call))
        past, output, outputs = Past(first, first, first), np.zeros_like(first[0]), []
        order = list(range(x.shape[1]))[:: -1 if layer.go_backwards else 1]
        in_order = None if mask is None else mask[:, order]
        for number, time in enumerate(order):
            new = self._new(prefix, x, time, number, past, output if number else None)
            states = new
            if in_order is not None:
                states, output = self._masked(layer, parts, in_order, number, new, past, output)
            else:
                output = new[0]
            past = Past(first, past.last, states)
            if layer.return_sequences:
                outputs.append(output)
        zeros = np.zeros_like(first[0])
        self.states[prefix] = past.last if layer.stateful else [zeros] * len(first)
        return (np.stack(outputs, axis=1) if layer.return_sequences else output), past.last

    def _call_number(self) -> int:
        """Return how many calls were before this one."""
        return int(np.searchsorted(np.cumsum(self.problem.steps), self._call_start, side="right"))

    def _new(
        self, prefix: str, x: Array, time: int, number: int, past: Past, last: Array | None
    ) -> States:
        """Return the states after a step that counts."""
        parts, cell = self.parts[prefix], self.cells[prefix]
        given, before = x[:, time].copy(), [state.copy() for state in past.last]
        for part in parts:
            if part.changes("inputs"):
                own = None if last is None else last[part.rows]
                given[part.rows] = part.rule.inputs(x[part.rows], time, own)
            if part.changes("before"):
                own_past = Past(part.of(past.first), part.of(past.earlier), part.of(past.last))
                part.write(before, part.rule.before(own_past, number))
        projected = cell.project(given)
        new = list(cell.step(projected, *before)[0])
        for part in parts:
            if part.cell is not None and part.rule.has_other_weights(number):
                own_projected = part.cell.project(given[part.rows])
                part.write(new, part.rule.step(part.cell, own_projected, part.of(before)))
            elif part.changes("step"):
                part.write(new, part.rule.step(cell, projected[part.rows], part.of(before)))
            if part.changes("result"):
                part.write(new, part.rule.result(part.of(new)))
        return new

    def _masked(
        self,
        layer: Recurrent,
        parts: Sequence[_Part],
        mask: Array,
        number: int,
        new: States,
        past: Past,
        output: Array,
    ) -> tuple[States, Array]:
        """Return the states and the output after a step under a mask."""
        used = mask[:, number, None]
        states = [np.where(used, after, old) for after, old in zip(new, past.last, strict=True)]
        for part in parts:
            if part.changes("used") or part.changes("kept"):
                own_used = part.rule.used(mask[part.rows], number)
                kept = part.rule.kept(own_used, part.of(new), part.of(past.last))
                part.write(states, kept)
        if layer.zero_output_for_mask and layer.return_sequences:
            output = np.zeros_like(output)
        result = np.where(used, new[0], output)
        for part in parts:
            if part.changes("output"):
                own = (used[part.rows], new[0][part.rows], output[part.rows])
                result[part.rows] = part.rule.output(*own)
        return states, result
