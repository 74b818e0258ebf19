"""Injection: faults at their locations, applied to a problem up to the point where it runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rnnparity.faults.edit import (
    PROBLEM_EDITS,
    Edit,
    EditArithmetic,
    EditHalf,
    EditOutputs,
    EditProblem,
    EditWeights,
    Half,
    half_of,
)
from rnnparity.faults.fault import Fault, PlacedFault
from rnnparity.problem.dtypes import Array, variable_dtype
from rnnparity.problem.explanations import EVERY_HALF, WHOLE
from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack, halves
from rnnparity.problem.problem import Problem, Tensor


@dataclass(frozen=True)
class Injection:
    """A problem with faults, before it runs: the edited problem and the edited halves by prefix.

    Edits of the run itself (cell, run, masked step, outputs, arithmetic) are still to be applied.
    """

    problem: Problem
    placed: tuple[PlacedFault, ...] = ()
    halves: tuple[tuple[str, Half], ...] = ()

    def half(self, prefix: str) -> Half:
        """Return the half with that prefix, as edited so far."""
        return dict(self.halves).get(prefix) or half_of(self.problem, prefix)

    def with_fault(self, placed: PlacedFault) -> Injection | None:
        """Return the injection with one more fault, or None where that does not apply.

        Edits of the problem must come before edits of its halves.
        """
        problem = self.problem
        if placed.fault.needs_mask and problem.mask is None:
            return None
        if placed.fault.needs_dropout and problem.dropout_masks is None:
            return None
        edited = dict(self.halves)
        match placed.edit:
            case EditProblem(function):
                changed = None if edited else function(problem)
                if changed is None:
                    return None
                problem = changed
            case EditArithmetic():
                if not placed.edit.applies(problem):
                    return None
            case EditWeights() | EditHalf():
                changed_halves = self._edit_halves(placed.edit, placed.prefixes(problem))
                if len(changed_halves) < (2 if placed.location == EVERY_HALF else 1):
                    return None
                edited |= changed_halves
            case _:
                pass  # applied while it runs, see `unroller.FaultyUnroller`
        return Injection(problem, (*self.placed, placed), tuple(edited.items()))

    def _edit_halves(
        self, edit: EditWeights | EditHalf, prefixes: Iterable[str]
    ) -> dict[str, Half]:
        """Return the halves to which the edit applies."""
        edited = {}
        for prefix in prefixes:
            half = self.half(prefix)
            if isinstance(edit, EditHalf):
                changed = edit.function(half)
            else:
                weights = edit.function(half)
                changed = None if weights is None else replace(half, weights=weights)
            if changed is not None:
                edited[prefix] = changed
        return edited


def placements(problem: Problem, fault: Fault) -> list[PlacedFault]:
    """Return the fault at every location: the whole layer, or each half and all of several."""
    if fault.is_whole:
        return [PlacedFault(fault, WHOLE)]
    locations = [prefix for prefix, _ in halves(problem.layer)]
    if len(locations) > 1:
        locations.append(EVERY_HALF)
    return [PlacedFault(fault, location) for location in locations]


def inject(problem: Problem, placed: Iterable[PlacedFault]) -> Injection | None:
    """Return the problem with several faults, applied in this order; None where one does not."""
    injection: Injection | None = Injection(problem)
    for fault in placed:
        injection = None if injection is None else injection.with_fault(fault)
    return injection


def edits_run(edit: Edit) -> bool:
    """Return whether the edit changes the run itself, so that no problem computes the same."""
    return not isinstance(edit, PROBLEM_EDITS)


def as_problem(injection: Injection) -> Problem | None:
    """Return the problem that computes the same, None where a fault is in the run itself."""
    if any(edits_run(placed.edit) for placed in injection.placed):
        return None
    return edited_problem(injection)


def edited_problem(injection: Injection) -> Problem:
    """Return the problem with the edited halves, without the edits of the run itself."""
    problem = injection.problem
    for prefix, half in injection.halves:
        problem = with_half(problem, prefix, half)
    return problem


def with_half(problem: Problem, prefix: str, half: Half) -> Problem:
    """Return the problem with one half replaced; it may have other weights and masks than before."""
    replaced = [
        tensor
        for tensor in problem.weights
        if tensor.name.startswith(prefix) and "/" not in tensor.name[len(prefix) :]
    ]
    start = problem.weights.index(replaced[0])
    dtype = variable_dtype(half.layer.dtype)
    new = tuple(Tensor.of(prefix + name, array, dtype) for name, array in half.weights.items())
    weights = problem.weights[:start] + new + problem.weights[start + len(replaced) :]
    return replace(
        problem,
        layer=_with_layer(problem.layer, prefix, half.layer),
        weights=weights,
        dropout_masks=_dropout_masks(problem, prefix, half),
    )


def _dropout_masks(problem: Problem, prefix: str, half: Half) -> tuple[Tensor, ...] | None:
    """Return the problem's dropout masks with those of one half, which has at most as many."""
    masks = []
    for tensor in problem.dropout_masks or ():
        name = tensor.name.removeprefix(prefix)
        if not tensor.name.startswith(prefix) or "/" in name:
            masks.append(tensor)
        elif name in half.dropout:
            masks.append(Tensor.of(tensor.name, half.dropout[name], tensor.dtype))
    return tuple(masks) or None


def _with_layer(layer: Layer, prefix: str, half: Recurrent) -> Layer:
    if isinstance(layer, Recurrent):
        return half
    if isinstance(layer, Bidirectional):
        if prefix == "forward/":
            return replace(layer, forward=half)
        return replace(layer, backward=half)
    number, _, rest = prefix.partition("/")
    layers = list(layer.layers)
    inner = _with_layer(layers[int(number)], rest, half)
    assert not isinstance(inner, Stack)  # noqa: S101 - a stack contains no stack
    layers[int(number)] = inner
    return Stack(tuple(layers))


def edit_outputs(
    placed: Iterable[PlacedFault], problem: Problem, outputs: list[Array]
) -> list[Array] | None:
    """Return the outputs as the faults edit them, None where one does not apply."""
    edited: list[Array] | None = outputs
    for fault in placed:
        match fault.edit:
            case EditOutputs(function):
                edited = None if edited is None else function(problem, edited)
            case EditArithmetic():
                rounded = fault.edit.round_output
                edited = None if edited is None else [rounded(array) for array in edited]
            case _:
                pass
    return edited
