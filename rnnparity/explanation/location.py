"""Where outputs first differ, and what a wrong shape or value looks like before anything is
computed under a fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from rnnparity.explanation.evidence import Evidence
from rnnparity.faults import FAULTS, Injection, PlacedFault, inject, trace_injection
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Bidirectional, Layer, Stack
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import WHOLE
from rnnparity.reference import TraceStep


@dataclass(frozen=True)
class Reading:
    """A problem whose outputs have the shapes that were given: the layer under faults of its flags,
    merging or axes."""

    problem: Problem
    given: tuple[Tensor, ...]
    placed: tuple[PlacedFault, ...]


def readings(problem: Problem, given: Sequence[Tensor]) -> Iterator[Reading]:
    """Every way to take outputs of other shapes than the layer's, the plainest first; as they are,
    where they fit."""
    shapes = [tensor.shape for tensor in given]
    edits = [
        [PlacedFault(f, WHOLE) for f in FAULTS if f.cause == c]
        for c in ("merge-mode", "return-flags", "return-flags")
    ]
    edits[1:] = [
        [p for p in edits[1] if w in p.fault.variant] for w in ("return_sequences", "return_state")
    ]
    chosen = sorted(
        product(*([None, *some] for some in edits)),
        key=lambda some: sum(p is not None for p in some),
    )
    (time_first,) = [PlacedFault(f, WHOLE) for f in FAULTS if f.variant == "outputs time first"]
    for turned in (False, True):
        seen = [_turned(tensor) for tensor in given] if turned else list(given)
        shapes = [tensor.shape for tensor in seen]
        for some in chosen:
            placed = tuple(p for p in some if p is not None)
            other = _under(problem, placed)
            if other is None or [slot.shape for slot in other.output_slots()] != shapes:
                continue
            names = [slot.name for slot in other.output_slots()]
            named = tuple(
                replace(tensor, name=name) for name, tensor in zip(names, seen, strict=True)
            )
            yield Reading(other, named, (*placed, *([time_first] if turned else [])))


def _under(problem: Problem, placed: Sequence[PlacedFault]) -> Problem | None:
    struck = inject(problem, placed)
    return None if struck is None else struck.problem


def _turned(tensor: Tensor) -> Tensor:
    return replace(tensor, data=tensor.data.swapaxes(0, 1)) if tensor.data.ndim == 3 else tensor


def is_blank(given: Sequence[Tensor]) -> bool:
    """Whether every output is one number throughout: a buffer that nobody has filled proves no
    fault."""
    return all(
        tensor.data.size > 1 and bool((tensor.data == tensor.data.flat[0]).all())
        for tensor in given
    )


def value_hint(given: Sequence[Tensor]) -> str:
    """What is not finite, zero or constant, in a line."""
    for tensor in given:
        if not np.isfinite(tensor.data).all():
            index = ", ".join(map(str, np.argwhere(~np.isfinite(tensor.data))[0]))
            return f"{tensor.name} is not finite, first at [{index}]"
        if tensor.data.size > 1 and (tensor.data == tensor.data.flat[0]).all():
            return f"{tensor.name} is {tensor.data.flat[0]:g} everywhere: was it ever computed?"
    return ""


def first_difference(evidence: Evidence, placed: Sequence[PlacedFault] = ()) -> dict[str, Any]:
    """Output, row, step and unit of the first value that is off, in the order of processing.

    `step` indexes axis T of the output; `direction` and `layer` are there where the layer has
    several, `gate` names those that the faults `placed` change first.
    """
    problem = evidence.problem
    off = evidence.off(evidence.right, evidence.own)
    wrong = [part > evidence.own.threshold for part in off]
    place = next(n for n, part in enumerate(wrong) if part.any())
    name = evidence.given[place].name
    backwards, unit_of = _direction(problem.layer, name)
    found: dict[str, Any] = {"output": name}
    indices = np.argwhere(wrong[place]).tolist()
    if wrong[place].ndim == 3:
        last = wrong[place].shape[1] - 1
        row, step, unit = min(
            indices, key=lambda i: (last - i[1] if backwards(i[2]) else i[1], i[0], i[2])
        )
        found |= {"row": row, "step": step, "unit": unit}
    else:
        row, unit = indices[0]
        found |= {"row": row, "unit": unit}
    found |= unit_of(unit)
    gate = _first_gate(problem, placed) if placed else ""
    return found | ({"gate": gate} if gate else {})


def pattern(evidence: Evidence) -> list[str]:
    """What the places that differ say already, whatever the cause."""
    problem = evidence.problem
    wrong = [part > evidence.own.threshold for part in evidence.off(evidence.right, evidence.own)]
    output, count = wrong[0], wrong[0].shape[-1]
    said = []
    if not output.any():
        said.append("the output is right, what follows is not")
    rows = np.flatnonzero(
        np.any([part.reshape(len(part), -1).any(axis=1) for part in wrong], axis=0)
    )
    if len(rows) < len(output):
        whole: Array = (
            np.ones(len(output), bool) if problem.mask is None else np.all(problem.mask, axis=1)
        )
        only_gaps = not whole[rows].any() and np.delete(whole, rows).all()
        said.append(
            "only rows with masked steps are wrong"
            if only_gaps
            else f"only {_numbered('row', rows)} wrong"
        )
    units = np.flatnonzero(output.reshape(-1, count).any(axis=0))
    backwards, _ = _direction(problem.layer, evidence.given[0].name)
    sides = np.array([bool(backwards(unit)) for unit in range(count)])
    if 0 < len(units) < count and len(set(sides)) == 2 and len(set(sides[units])) == 1:
        said.append(f"the {'forward' if sides[units[0]] else 'backward'} half is right")
    elif 0 < len(units) < count:
        said.append(f"only {_numbered('unit', units)} wrong")
    firsts = (
        [output[:, -1 if turned else 0, unit] for unit, turned in enumerate(sides)]
        if output.ndim == 3
        else []
    )
    if firsts and output.any() and not np.any(firsts) and not _is_merged(problem.layer):
        said.append("the first processed step is right, and so is all that needs no state")
    return said


def _is_merged(layer: Layer) -> bool:
    """Whether both directions meet in each value."""
    last = layer.layers[-1] if isinstance(layer, Stack) else layer
    return isinstance(last, Bidirectional) and last.merge_mode not in ("concat", None)


def _numbered(what: str, places: Array) -> str:
    if len(places) == 1:
        return f"{what} {places[0]} is"
    more = ", ..." if len(places) > 4 else ""
    return f"{what}s {', '.join(map(str, places[:4].tolist()))}{more} are"


def _direction(layer: Layer, name: str) -> tuple[Any, Any]:
    """Whether a column of an output comes from the half that reads from the end, and what is told
    of it."""
    last = layer.layers[-1] if isinstance(layer, Stack) else layer
    if not isinstance(last, Bidirectional):
        return (lambda _: False), (lambda _: {})
    if "forward" in name or "backward" in name:
        side = "backward" if "backward" in name else "forward"
        return (lambda _: side == "backward"), (lambda _: {"direction": side})
    if last.merge_mode != "concat":
        return (lambda _: False), (lambda _: {})
    units = last.forward.units
    return (
        lambda column: column >= units,
        lambda column: {
            "unit": column % units if column < units else column - units,
            "direction": "backward" if column >= units else "forward",
        },
    )


def _first_gate(problem: Problem, placed: Sequence[PlacedFault]) -> str:
    """The gates that differ at the first processed step at which any does, in the half that the
    faults strike."""
    struck = inject(problem, placed)
    wrong = [] if struck is None else trace_injection(struck)
    right = trace_injection(Injection(problem))
    # A fault may run a half more than once: the last run is the one that counts.
    last: dict[str, list[TraceStep]] = {}
    for step in wrong:
        last.setdefault(step.half, []).append(step)
    for half, steps in last.items():
        last[half] = steps[-sum(step.half == half for step in right) :]
    for one in right:
        if not last.get(one.half):
            return ""
        other = last[one.half].pop(0)
        if any(
            array.shape[-2:] != other.states[name].shape[-2:] for name, array in one.states.items()
        ):
            return ""  # the rows were run one by one
        pairs = {gate: (values, other.gates.get(gate)) for gate, values in one.gates.items()}
        changed = [gate for gate, (a, b) in pairs.items() if b is None or not _same(a, b)]
        if changed or not all(_same(a, other.states[name]) for name, a in one.states.items()):
            return ", ".join(changed)
    return ""


def _same(one: Array, other: Array) -> bool:
    return bool(np.allclose(one, other, rtol=1e-9, atol=1e-12))


def heat(evidence: Evidence) -> tuple[str, Array]:
    """The output's name and its distances in sigma, (unit, time), the largest of all rows; (unit,
    row) without time."""
    off = evidence.off(evidence.right, evidence.own)
    place = next((n for n, part in enumerate(off) if (part > evidence.own.threshold).any()), 0)
    part = off[place]
    picture = part.max(axis=0).T if part.ndim == 3 else part.T
    return evidence.given[place].name, picture
