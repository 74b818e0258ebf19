"""Faults striking: a problem and the faults in their places made ready, and many of them run at
once.

Faults that edit weights alone are most of the list. All of them that leave the rest of the run as
it is are variants of one walk: what takes a pass each would cost a hundred times the arithmetic in
calls of NumPy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from rnnparity.faults.fault import (
    EVERY,
    WHOLE,
    Fault,
    Half,
    HalfRun,
    MaskedStep,
    Mutant,
    PlacedFault,
    Result,
    half_of,
)
from rnnparity.problem.dtypes import Array, variable_dtype
from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack, halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import TraceStep, Unroller
from rnnparity.reference.arithmetic import Plain

# So many numbers of weights and outputs are made at once: some 64 MB.
NUMBERS = 2**23


@dataclass(frozen=True)
class Injection:
    """A problem under faults, not yet run: the problem edited as a whole, and the halves that were
    edited."""

    problem: Problem
    placed: tuple[PlacedFault, ...] = ()
    halves: tuple[tuple[str, Half], ...] = ()

    def half(self, prefix: str) -> Half:
        return dict(self.halves).get(prefix) or half_of(self.problem, prefix)

    def with_fault(self, placed: PlacedFault) -> Injection | None:
        """One fault more, or None where it does not fit. Faults of the whole come first."""
        fault = placed.fault
        if fault.needs_mask and self.problem.mask is None:
            return None
        problem, edited = self.problem, dict(self.halves)
        if fault.problem is not None:
            changed = None if edited else fault.problem(problem)
            if changed is None:
                return None
            problem = changed
        if fault.half is not None:
            fits = {
                p: new
                for p in placed.prefixes(problem)
                if (new := fault.half(self.half(p))) is not None
            }
            if not fits or (placed.place == EVERY and len(fits) < 2):
                return None
            edited |= fits
        return Injection(problem, (*self.placed, placed), tuple(edited.items()))


def together(problem: Problem, placed: Iterable[PlacedFault]) -> Injection | None:
    """Several faults at once, in this order."""
    struck: Injection | None = Injection(problem)
    for one in placed:
        struck = None if struck is None else struck.with_fault(one)
    return struck


def places(problem: Problem, fault: Fault) -> list[PlacedFault]:
    """Where a fault could strike: the whole, or each half and, where there are several, every one
    alike."""
    if fault.strikes_whole:
        return [PlacedFault(fault, WHOLE)]
    prefixes = [prefix for prefix, _ in halves(problem.layer)]
    return [
        PlacedFault(fault, place) for place in (*prefixes, *([EVERY] if len(prefixes) > 1 else []))
    ]


@dataclass(frozen=True)
class Batch:
    """Hypotheses that were run together: their outputs have a leading axis with one place for
    each."""

    struck: Sequence[Injection]
    outputs: Sequence[Array]
    names: Sequence[str]

    def mutant(self, place: int) -> Mutant:
        named = zip(self.names, self.outputs, strict=True)
        return Mutant(
            self.struck[place].placed,
            tuple(Tensor(name, array[place], "float64") for name, array in named),
        )


def run_all(hypotheses: Iterable[Injection]) -> Iterator[Batch]:
    """Run every one, together where their runs differ in weights alone; those that do not fit are
    left out."""
    groups: dict[Any, list[Injection]] = {}
    for struck in hypotheses:
        groups.setdefault(_alike(struck), []).append(struck)
    for group in groups.values():
        size = max(1, NUMBERS // _numbers(group[0]))
        for start in range(0, len(group), size):
            batch = _run(group[start : start + size])
            if batch is not None:
                yield batch


def _alike(struck: Injection) -> Any:
    """What two hypotheses must share to be run together."""
    layers = tuple(
        (prefix, half.layer)
        for prefix, half in struck.halves
        if half.layer != _layer(struck, prefix)
    )
    hooks = tuple(placed for placed in struck.placed if _in_the_run(placed.fault))
    return id(struck.problem), layers, tuple((id(placed.fault), placed.place) for placed in hooks)


def _layer(struck: Injection, prefix: str) -> Recurrent:
    return dict(halves(struck.problem.layer))[prefix]


def _in_the_run(fault: Fault) -> bool:
    return any(
        edit is not None
        for edit in (fault.cell, fault.around, fault.masked, fault.outputs, fault.arithmetic)
    )


def _numbers(struck: Injection) -> int:
    batch, steps, _ = struck.problem.inputs.shape
    units = sum(half.units for _, half in halves(struck.problem.layer))
    return sum(tensor.data.size for tensor in struck.problem.weights) + 6 * batch * steps * units


def run_one(problem: Problem, placed: Iterable[PlacedFault]) -> Mutant | None:
    """What several faults at once give, or None where they do not fit."""
    struck = together(problem, placed)
    batch = None if struck is None else next(run_all([struck]), None)
    return None if batch is None else batch.mutant(0)


def as_problem(struck: Injection) -> Problem | None:
    """A problem that asks for what the faults give, or None where they are in the run itself."""
    if any(_in_the_run(placed.fault) for placed in struck.placed):
        return None
    return edited(struck)


def edited(struck: Injection) -> Problem:
    """The problem with its halves as the faults have edited them; what they do in the run itself is
    left out."""
    problem = struck.problem
    for prefix, half in struck.halves:
        problem = with_half(problem, prefix, half)
    return problem


def trace_under(struck: Injection) -> list[TraceStep]:
    """Every gate and state at every step under faults, each (1, B, H) or (B, H)."""
    unroller, _ = _walk([struck])
    with np.errstate(all="ignore"):
        return unroller.run(trace=True).trace


def _walk(group: Sequence[Injection]) -> tuple[FaultyUnroller, Problem]:
    """One walk for all. The first one's halves stand in the problem; weights that differ among them
    are variants."""
    first = group[0]
    problem = first.problem
    for prefix, half in first.halves:
        if half.layer != _layer(first, prefix):
            problem = with_half(problem, prefix, half)
    return FaultyUnroller(problem, first.placed, _variants(problem, group)), problem


def _run(group: Sequence[Injection]) -> Batch | None:
    first, (unroller, problem) = group[0], _walk(group)
    with np.errstate(all="ignore"):
        outputs: list[Any] | None = unroller.run().outputs
    for one in first.placed:
        if outputs is not None and one.fault.outputs is not None:
            outputs = one.fault.outputs(problem, outputs)
    if outputs is None or not unroller.fits:
        return None
    slots = problem.output_slots()
    variants = [
        np.broadcast_to(array, (len(group), *array.shape[-len(slot.shape) :]))
        for array, slot in zip(outputs, slots, strict=True)
    ]
    return Batch(group, variants, [slot.name for slot in slots])


def _variants(problem: Problem, group: Sequence[Injection]) -> dict[str, Array]:
    """The weights of every half that one of the group has edited, with a leading axis."""
    edited = dict.fromkeys(prefix for struck in group for prefix, _ in struck.halves)
    found: dict[str, Array] = {}
    for prefix in edited:
        own = half_of(problem, prefix)
        sets = [dict(struck.halves).get(prefix, own).weights for struck in group]
        for name in sets[0]:
            arrays = [weights[name] for weights in sets]
            if any(array is not arrays[0] for array in arrays):
                found[prefix + name] = np.stack(arrays)
            elif arrays[0] is not own.weights.get(name):
                found[prefix + name] = arrays[0]
    return found


class FaultyUnroller(Unroller):
    """A run in which faults strike; after it `fits` tells whether each had something to strike."""

    def __init__(
        self, problem: Problem, placed: Sequence[PlacedFault], weights: Mapping[str, Array]
    ) -> None:
        arithmetics = [one.fault.arithmetic for one in placed if one.fault.arithmetic is not None]
        super().__init__(problem, arithmetics[0] if arithmetics else Plain(), weights)
        self.placed = placed
        self.at = {
            prefix: [one for one in placed if prefix in one.prefixes(problem)]
            for prefix in self.cells
        }
        self.struck = {
            (one, prefix)
            for prefix in self.at
            for one in self.at[prefix]
            if not _in_the_run(one.fault)
        }
        self.left: list[Any] | None = None
        self.start: list[Any] = []
        for prefix in self.cells:
            for one in self.at[prefix]:
                if one.fault.cell is not None:
                    edited = self._hit(one, prefix, one.fault.cell(self.cells[prefix]))
                    self.cells[prefix] = edited or self.cells[prefix]

    @property
    def fits(self) -> bool:
        """A fault has struck where it should: somewhere, and in two places at least if it was to
        strike every one."""
        hits = [
            (sum(hit is one for hit, _ in self.struck), one)
            for one in self.placed
            if one.place != WHOLE
        ]
        return all(count >= (2 if one.place == EVERY else 1) for count, one in hits)

    def _hit(self, one: PlacedFault, prefix: str, done: Any) -> Any:
        if done is not None:
            self.struck.add((one, prefix))
        return done

    def _recurrent(
        self, layer: Recurrent, prefix: str, x: Any, mask: Array | None, given: bool
    ) -> Result:
        around = [one for one in self.at[prefix] if one.fault.around is not None]
        output, states = self._through(around, (layer, prefix, given), x, mask, self.states[prefix])
        self.left = states
        return output, states

    def _through(
        self,
        around: Sequence[PlacedFault],
        half: tuple[Recurrent, str, bool],
        x: Any,
        mask: Array | None,
        states: list[Any],
    ) -> Result:
        """The half's run with its faults around it, the first outermost."""
        layer, prefix, given = half
        if not around:
            self.states[prefix] = self.start = states
            return super()._recurrent(layer, prefix, x, mask, given)
        first, *others = around
        run = partial(self._through, others, half)
        started = self.problem.initial_state is not None
        edit = first.fault.around
        calls, initial = len(self.problem.steps), self.initial_states[prefix]
        done = edit and edit(
            HalfRun(prefix, calls, layer, x, mask, states, initial, started, self.left, run)
        )
        return self._hit(first, prefix, done) or run(x, mask, states)

    def _masked(
        self,
        layer: Recurrent,
        prefix: str,
        chosen: Array,
        before: tuple[list[Any], Any],
        new: list[Any],
    ) -> tuple[list[Any], Any]:
        for one in self.at[prefix]:
            if one.fault.masked is not None:
                step = MaskedStep(layer, chosen, *before, new, self.start)
                done: tuple[list[Any], Any] = self._hit(one, prefix, one.fault.masked(step))
                return done
        return super()._masked(layer, prefix, chosen, before, new)


def with_half(problem: Problem, prefix: str, half: Half) -> Problem:
    """The problem with one half exchanged; its weights may have become more, fewer or others."""
    mine = [
        t for t in problem.weights if t.name.startswith(prefix) and "/" not in t.name[len(prefix) :]
    ]
    start = problem.weights.index(mine[0])
    dtype = variable_dtype(half.layer.dtype)
    new = tuple(Tensor.of(prefix + name, array, dtype) for name, array in half.weights.items())
    weights = problem.weights[:start] + new + problem.weights[start + len(mine) :]
    return replace(problem, layer=_with_layer(problem.layer, prefix, half.layer), weights=weights)


def _with_layer(layer: Layer, prefix: str, half: Recurrent) -> Layer:
    if isinstance(layer, Recurrent):
        return half
    if isinstance(layer, Bidirectional):
        return (
            replace(layer, forward=half) if prefix == "forward/" else replace(layer, backward=half)
        )
    place, _, rest = prefix.partition("/")
    inner = [
        _with_layer(one, rest, half) if n == int(place) else one
        for n, one in enumerate(layer.layers)
    ]
    return Stack(tuple(one for one in inner if not isinstance(one, Stack)))  # a stack holds none
