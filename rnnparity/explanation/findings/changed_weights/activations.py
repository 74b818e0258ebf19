"""Another activation of one gate, or of the output of an LSTM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.explanation.evidence import rows_of
from rnnparity.explanation.findings.seen.claim import weigh
from rnnparity.explanation.findings.seen.view import View
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding, FindingType, WeightBlock
from rnnparity.problem.layers import Recurrent, halves
from rnnparity.problem.problem import Problem
from rnnparity.reference import Unroller
from rnnparity.reference.activations import ACTIVATIONS
from rnnparity.reference.arithmetic import PlainArithmetic
from rnnparity.reference.cells import LSTM, Cell, OtherActivations, altered
from rnnparity.reference.number import Function

# Every activation is tried on so many rows, those that fit there on all.
FIRST_ROWS = 2
# What is not a gate.
OUTPUT = ""


@dataclass(frozen=True)
class Place:
    """A gate, or the output, of a half; `others` are the gates activated with it, in order."""

    prefix: str
    gate: str
    others: str
    usual: str


def activation_findings(problem: Problem, half: str, view: View) -> Iterator[Finding]:
    """Yield the other activations that account for what is seen of a problem.

    `half` is the prefix of the half that the problem is, "" for a whole layer. Where several do
    none of them is certain.
    """
    pairs = [
        (place, name)
        for prefix, layer in halves(problem.layer)
        for place in _places(prefix, layer)
        for name in ACTIVATIONS
        if name != place.usual
    ]
    rows = view.worst_rows(FIRST_ROWS)
    hypotheses = len(pairs)
    pairs = _that_hold(rows_of(problem, rows), view.rows(rows), pairs)
    claims = [
        view.widened(outputs).claim(_finding(half, place, name), outputs)
        for (place, name), outputs in _runs(problem, pairs)
    ]
    found = list(weigh(claims, view.threshold, hypotheses))
    yield from (replace(each, certain=each.certain and len(found) == 1) for each in found)


def _places(prefix: str, layer: Recurrent) -> Iterator[Place]:
    """Yield the gates of a half, the candidate, and the output of an LSTM."""
    gates = "".join(gate for gate in layer.cell.gates if gate != layer.cell.candidate)
    for gate in layer.cell.gates:
        if gate == layer.cell.candidate:
            yield Place(prefix, gate, "", layer.activation)
        else:
            yield Place(prefix, gate, gates, layer.recurrent_activation)
    if layer.class_name == "LSTM":
        yield Place(prefix, OUTPUT, "", layer.activation)


def _finding(half: str, place: Place, name: str) -> Finding:
    block = WeightBlock("kernel", place.gate) if place.gate else None
    return Finding(FindingType.ACTIVATION, name, half=half + place.prefix, block=block)


def _that_hold(
    problem: Problem, view: View, pairs: Sequence[tuple[Place, str]]
) -> list[tuple[Place, str]]:
    """Return the activations that give what is seen."""
    return [
        pair
        for pair, outputs in _runs(problem, pairs)
        if view.widened(outputs).claim(Finding(FindingType.ACTIVATION), outputs).distance <= 1
    ]


def _runs(
    problem: Problem, pairs: Sequence[tuple[Place, str]]
) -> Iterator[tuple[tuple[Place, str], list[Array]]]:
    """Yield each activation at its place with the outputs that it gives, if they are finite."""
    unroller = Unroller(problem, PlainArithmetic())
    cells = dict(unroller.cells)
    for place, name in pairs:
        unroller.cells[place.prefix] = _with_activation(cells[place.prefix], place, name)
        with np.errstate(all="ignore"):
            outputs = unroller.run()
        unroller.cells[place.prefix] = cells[place.prefix]
        if all(bool(np.isfinite(output).all()) for output in outputs):
            yield (place, name), outputs


def _with_activation(cell: Cell[Array], place: Place, name: str) -> Cell[Array]:
    """Return the cell with another activation at a place."""
    function = ACTIVATIONS[name].value
    if place.others:
        usual = ACTIVATIONS[place.usual].value
        by_gate = [function if gate == place.gate else usual for gate in place.others]
        return altered(cell, ract=_by_column(by_gate))
    if not isinstance(cell, LSTM):
        return altered(cell, act=function)
    part = "act_g" if place.gate else "act_h"
    return altered(cell, OtherActivations, **{part: function})


def _by_column(functions: Sequence[Function[Array]]) -> Function[Array]:
    """Return the function that applies each of `functions` to its part of the last axis."""

    def apply(z: Array) -> Array:
        parts = np.split(z, len(functions), axis=-1)
        applied = [function(part) for function, part in zip(functions, parts, strict=True)]
        return np.concatenate(applied, axis=-1)

    return apply
