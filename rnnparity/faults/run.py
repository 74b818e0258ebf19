"""Running injections, many at once where they allow it.

Most faults edit only weights. All of them that leave the rest of the run unchanged are variants of
one run: a pass for each would spend a hundred times as long in calls of NumPy as in arithmetic.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from weakref import WeakKeyDictionary

import numpy as np

from rnnparity.faults.edit import Half, Result, half_of
from rnnparity.faults.fault import Mutant, PlacedFault
from rnnparity.faults.injection import Injection, edit_outputs, edits_run, inject, with_half
from rnnparity.faults.unroller import DoesNotApplyError, FaultyUnroller
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import TraceStep
from rnnparity.reference.memory import BATCH_VALUES

# Weights from which on a step takes longer than the calls of NumPy in it.
LARGE = 5_000
# The results of halves that no fault changes, by problem and prefix. Many problems are edited ones,
# which nothing else uses after their run.
Shared: TypeAlias = WeakKeyDictionary[Problem, dict[str, Result]]


@dataclass(frozen=True)
class Batch:
    """Injections that ran together: the outputs have a leading axis with one index for each."""

    injections: Sequence[Injection]
    outputs: Sequence[Array]
    names: Sequence[str]

    def mutant(self, index: int) -> Mutant:
        """Return the mutant with that index."""
        named = zip(self.names, self.outputs, strict=True)
        outputs = tuple(Tensor(name, array[index]) for name, array in named)
        return Mutant(self.injections[index].placed, outputs)


def run_all(injections: Iterable[Injection]) -> Iterator[Batch]:
    """Run all injections, together where they differ only in weights; skip what does not apply.

    A batch that is as large as it may be is run at once: the weights of all injections of a large
    layer would not fit in memory.
    """
    groups: dict[Hashable, list[Injection]] = {}
    shared: Shared = WeakKeyDictionary()
    for injection in injections:
        group = groups.setdefault(_group_key(injection), [])
        group.append(injection)
        if (len(group) + 1) * _values(injection) > BATCH_VALUES:
            yield from _batches(groups.pop(_group_key(injection)), shared)
    for key in list(groups):
        yield from _batches(groups.pop(key), shared)


def _batches(group: Sequence[Injection], shared: Shared) -> Iterator[Batch]:
    """Yield the batch of a group, none if it does not apply."""
    batch = _run(group, shared)
    if batch is not None:
        yield batch


def run_one(problem: Problem, placed: Iterable[PlacedFault]) -> Mutant | None:
    """Run several faults together; return None where they do not apply."""
    injection = inject(problem, placed)
    batch = None if injection is None else next(run_all([injection]), None)
    return None if batch is None else batch.mutant(0)


def trace_injection(injection: Injection) -> list[TraceStep]:
    """Return every gate and state at every step, each (1, B, H) or (B, H)."""
    unroller, _ = _prepare([injection])
    with np.errstate(all="ignore"):
        steps: list[TraceStep] = []
        unroller.run(steps.append)
        return steps


def _group_key(injection: Injection) -> Hashable:
    """Return what two injections must have in common to run together.

    Of a large layer the halves that are edited are the same, so that the others run once without
    variants, and so are those with another recurrent kernel: one product serves all variants of the
    other arrays.
    """
    edited: frozenset[Hashable] = frozenset()
    if sum(tensor.data.size for tensor in injection.problem.weights) >= LARGE:
        edited = frozenset(
            (prefix, _has_other_kernel(injection, prefix)) for prefix, _ in injection.halves
        )
    apart = tuple(
        (prefix, half.layer, id(half.dropout))
        for prefix, half in injection.halves
        if _changes_more_than_weights(injection.problem, prefix, half)
    )
    edits = tuple(
        (id(placed.fault), placed.location) for placed in injection.placed if edits_run(placed.edit)
    )
    return id(injection.problem), edited, apart, edits


def _has_other_kernel(injection: Injection, prefix: str) -> bool:
    """Return whether the recurrent kernel of an edited half is another one."""
    name = "recurrent_kernel"
    given = half_of(injection.problem, prefix).weights
    return dict(injection.halves)[prefix].weights[name] is not given[name]


def _changes_more_than_weights(problem: Problem, prefix: str, half: Half) -> bool:
    masks = {tensor.name: tensor.data for tensor in problem.half_dropout_masks(prefix)}
    if half.layer != dict(halves(problem.layer))[prefix] or half.dropout.keys() != masks.keys():
        return True
    return any(half.dropout[name] is not mask for name, mask in masks.items())


def _values(injection: Injection) -> int:
    """Return an estimate of the number of values in one variant."""
    problem = injection.problem
    batch, steps, _ = problem.inputs.shape
    units = sum(half.units for _, half in halves(problem.layer))
    return sum(tensor.data.size for tensor in problem.weights) + 6 * batch * steps * units


def _prepare(
    group: Sequence[Injection], shared: dict[str, Result] | None = None
) -> tuple[FaultyUnroller, Problem]:
    """Return one run for a group that has the same layers, with the weights as variants."""
    first = group[0]
    problem = first.problem
    for prefix, half in first.halves:
        if _changes_more_than_weights(first.problem, prefix, half):
            problem = with_half(problem, prefix, half)
    edited = {prefix for injection in group for prefix, _ in injection.halves}
    weights = _variants(problem, group)
    return FaultyUnroller(problem, first.placed, weights, edited, shared), problem


def _run(group: Sequence[Injection], shared: Shared) -> Batch | None:
    try:
        unroller, problem = _prepare(group, shared.setdefault(group[0].problem, {}))
        with np.errstate(all="ignore"):
            outputs = edit_outputs(group[0].placed, problem, unroller.run())
    except DoesNotApplyError:
        return None
    if outputs is None or not unroller.applies:
        return None
    slots = problem.output_slots()
    variants = [
        np.broadcast_to(array, (len(group), *array.shape[-len(slot.shape) :]))
        for array, slot in zip(outputs, slots, strict=True)
    ]
    return Batch(group, variants, [slot.name for slot in slots])


def _variants(problem: Problem, group: Sequence[Injection]) -> dict[str, Array]:
    """Return the weights of every half that was edited in the group, with a leading axis."""
    prefixes = dict.fromkeys(prefix for injection in group for prefix, _ in injection.halves)
    variants: dict[str, Array] = {}
    for prefix in prefixes:
        original = half_of(problem, prefix)
        sets = [dict(injection.halves).get(prefix, original).weights for injection in group]
        for name in sets[0]:
            arrays = [weights[name] for weights in sets]
            if any(array is not arrays[0] for array in arrays):
                variants[prefix + name] = np.stack(arrays)
            elif arrays[0] is not original.weights.get(name):
                variants[prefix + name] = arrays[0]
    return variants
