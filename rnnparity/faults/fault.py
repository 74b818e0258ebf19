"""What a fault is: one named way to get a recurrent layer wrong, as small edits of a reference run.

A fault strikes one half (a layer, one direction of a Bidirectional, one layer of a stack) or the layer as a whole, and
edits what it must: the half's configuration and weights before the run, its mask, inputs and initial states at the
start, its equations, its outputs at the end. What it does not fit it leaves alone, and says so by giving None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rnnparity.dtypes import Array
from rnnparity.layers import Bidirectional, Layer, Recurrent, Stack, halves
from rnnparity.problem import Problem, Tensor
from rnnparity.reference import Walk
from rnnparity.reference.arithmetic import Plain
from rnnparity.reference.cells import Cell

Weights = Mapping[str, Array]  # kernel (D, G*H), recurrent_kernel (H, G*H) and, where there is one, bias


@dataclass(frozen=True)
class Half:
    """A half as it is about to run: its configuration and its weights by name, without the half's prefix."""

    layer: Recurrent
    weights: Weights


@dataclass(frozen=True)
class Fault:
    """One fault; each edit gives None where the fault does not fit.

    `cause` is its name in every report, `which` tells it from its siblings. `half` edits a half before the run, `cell`
    its equations, `mask` (B, T) its mask and `inputs` (B, T, D) what it reads, `outputs` what it gives: the output
    (B, T, H) or (B, H) and its states. `problem` edits the problem as a whole.
    `masked`: it is a fault where there is a mask alone.
    """

    cause: str
    which: str
    says: str
    mend: str
    seen: str = ""
    masked: bool = False
    problem: Callable[[Problem], Problem | None] | None = None
    half: Callable[[Half], Half | None] | None = None
    cell: Callable[[Cell], Cell | None] | None = None
    mask: Callable[[Recurrent, Array], Array | None] | None = None
    inputs: Callable[[Recurrent, Any, Array | None], Any] | None = None
    outputs: Callable[[Recurrent, Any, list[Any]], tuple[Any, list[Any]] | None] | None = None


@dataclass(frozen=True)
class Mutant:
    """A fault in its place: the prefix of the half that it strikes ("", "forward/", "1/"), or "whole"."""

    fault: Fault
    place: str
    outputs: tuple[Tensor, ...] = field(repr=False)

    @property
    def name(self) -> str:
        where = "" if self.place in ("", "whole") else f" ({self.place.rstrip('/')})"
        return f"{self.fault.cause}: {self.fault.which}{where}"


def mutate(problem: Problem, fault: Fault) -> list[Mutant]:
    """The problem's outputs in float64 under a fault, in each place where it fits."""
    if fault.masked and problem.mask is None:
        return []
    if fault.problem is not None:
        edited = fault.problem(problem)
        return [] if edited is None else [Mutant(fault, "whole", _outputs(edited, Walk(edited, Plain())))]
    return [mutant for prefix, _ in halves(problem.layer) if (mutant := _mutant(problem, fault, prefix)) is not None]


def _mutant(problem: Problem, fault: Fault, prefix: str) -> Mutant | None:
    edited = problem
    if fault.half is not None:
        changed = fault.half(half_of(problem, prefix))
        if changed is None:
            return None
        edited = with_half(problem, prefix, changed)
    walk = _FaultyWalk(edited, fault, prefix)
    if not walk.fits:
        return None
    outputs = _outputs(edited, walk)
    return Mutant(fault, prefix, outputs) if walk.fits else None


def _outputs(problem: Problem, walk: Walk) -> tuple[Tensor, ...]:
    with np.errstate(all="ignore"):
        arrays = walk.run().outputs
    return tuple(
        Tensor(slot.name, array, "float64") for slot, array in zip(problem.output_slots(), arrays, strict=True)
    )


class _FaultyWalk(Walk):
    """A run in which one half is at fault. `fits` turns False where an edit has nothing to strike."""

    def __init__(self, problem: Problem, fault: Fault, prefix: str) -> None:
        super().__init__(problem, Plain())
        self.fault, self.prefix, self.fits = fault, prefix, True
        if fault.cell is not None:
            cell = fault.cell(self.cells[prefix])
            self.fits = cell is not None
            if cell is not None:
                self.cells[prefix] = cell

    def _recurrent(
        self, layer: Recurrent, prefix: str, x: Any, mask: Array | None, given: bool
    ) -> tuple[Any, list[Any]]:
        fault = self.fault
        if prefix != self.prefix:
            return super()._recurrent(layer, prefix, x, mask, given)
        if fault.inputs is not None:
            x = self._or_unfit(fault.inputs(layer, x, mask), x)
        if fault.mask is not None:
            changed = None if mask is None else fault.mask(layer, mask)
            mask = self._or_unfit(changed, mask)
        output, states = super()._recurrent(layer, prefix, x, mask, given)
        if fault.outputs is not None:
            output, states = self._or_unfit(fault.outputs(layer, output, states), (output, states))
        return output, states

    def _or_unfit(self, changed: Any, kept: Any) -> Any:
        if changed is None:
            self.fits = False
            return kept
        return changed


def half_of(problem: Problem, prefix: str) -> Half:
    """The half with that prefix."""
    layer = dict(halves(problem.layer))[prefix]
    named = {tensor.name.removeprefix(prefix): tensor.data for tensor in _weights_of(problem, prefix)}
    return Half(layer, named)


def with_half(problem: Problem, prefix: str, half: Half) -> Problem:
    """The problem with one half exchanged; its weights may have become more, fewer or others."""
    mine = _weights_of(problem, prefix)
    start = problem.weights.index(mine[0])
    dtype = mine[0].dtype
    new = tuple(Tensor.of(prefix + name, array, dtype) for name, array in half.weights.items())
    weights = problem.weights[:start] + new + problem.weights[start + len(mine) :]
    return replace(problem, layer=_with_layer(problem.layer, prefix, half.layer), weights=weights)


def _weights_of(problem: Problem, prefix: str) -> list[Tensor]:
    """A half's own tensors: those under its prefix, and under none further."""
    return [t for t in problem.weights if t.name.startswith(prefix) and "/" not in t.name[len(prefix) :]]


def _with_layer(layer: Layer, prefix: str, half: Recurrent) -> Layer:
    if isinstance(layer, Recurrent):
        return half
    if isinstance(layer, Bidirectional):
        return replace(layer, forward=half) if prefix == "forward/" else replace(layer, backward=half)
    place, _, rest = prefix.partition("/")
    inner = [_with_layer(one, rest, half) if n == int(place) else one for n, one in enumerate(layer.layers)]
    return Stack(tuple(one for one in inner if not isinstance(one, Stack)))  # a stack holds none
