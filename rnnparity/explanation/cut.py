"""Problems that are cut to some steps of their output, with the expected states around them.

In every half an output step is one step of its input: the same one, or, below or in a layer that
reverses, the one that is as far from the end. A half is processed in the order of the outputs, or
against it: it enters the steps that are kept from their start, or from their end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from rnnparity.faults import with_flag
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Layer, Stack, halves
from rnnparity.problem.problem import Problem
from rnnparity.problem.shapes import state_slots
from rnnparity.problem.tensor import Tensor
from rnnparity.reference import trace


@dataclass(frozen=True)
class HalfOrder:
    """How the steps of a half's input lie to those of the output of the whole layer.

    `mirrored`: output step s is input step T - 1 - s. `from_end`: the last output step is processed
    first.
    """

    prefix: str
    mirrored: bool
    from_end: bool


def half_orders(layer: Layer) -> list[HalfOrder]:
    """Return the order of every half of a layer with sequences."""
    layers = layer.layers if isinstance(layer, Stack) else (layer,)
    orders: list[HalfOrder] = []
    mirrored = False
    for index in reversed(range(len(layers))):
        prefix = f"{index}/" if isinstance(layer, Stack) else ""
        inside = halves(layers[index])
        # The output of a second half is reversed once more.
        flips = [half.go_backwards != (n > 0) for n, (_, half) in enumerate(inside)]
        orders = [
            HalfOrder(prefix + name, mirrored ^ flip, mirrored ^ flip ^ half.go_backwards)
            for (name, half), flip in zip(inside, flips, strict=True)
        ] + orders
        mirrored ^= flips[0]
    return orders


def can_be_cut(problem: Problem) -> bool:
    """Return whether some steps of the output belong to some steps of the inputs, and of the mask."""
    orders = half_orders(problem.layer)
    # The mask travels along unreversed.
    return problem.mask is None or len({order.mirrored for order in orders}) == 1


class Cuts:
    """A problem that is cut to some steps of its output, in any way."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._total = problem.inputs.shape[1]
        self._orders = half_orders(problem.layer)

    @cached_property
    def _traced(self) -> dict[tuple[str, int], Mapping[str, Array]]:
        """The expected states of a half after each step of its input."""
        return {(record.half, record.time): record.states for record in trace(self._problem)}

    def to(self, start: int, stop: int, forgotten: Sequence[str] = ()) -> Problem:
        """Return the problem of the output steps from `start` to `stop`.

        It starts from the expected states, but from zeros in the halves with a prefix in
        `forgotten`, and returns no states.
        """
        problem, orders = self._problem, self._orders
        kept = self._kept(orders[0], start, stop)
        part = replace(
            problem,
            layer=with_flag(problem.layer, "return_state", False),
            inputs=replace(problem.inputs, data=problem.inputs.data[:, kept]),
            mask=None if problem.mask is None else problem.mask[:, kept],
            outputs=None,
        )
        times = [self._time_before(order, start, stop) for order in orders]
        if problem.initial_state is None and not any(0 <= time < self._total for time in times):
            return part
        arrays: list[Array] = []
        for order, time in zip(orders, times, strict=True):
            states = self._states(order.prefix, time)
            zeros = order.prefix in forgotten and 0 <= time < self._total
            arrays += [np.zeros_like(state) if zeros else state for state in states]
        slots = state_slots(problem.layer, len(problem.inputs.data))
        tensors = [
            Tensor.of(slot.name, array, problem.inputs.dtype)
            for slot, array in zip(slots, arrays, strict=True)
        ]
        return replace(part, initial_state=tuple(tensors))

    def _kept(self, order: HalfOrder, start: int, stop: int) -> slice:
        """Return the input steps of a half that belong to some output steps."""
        if order.mirrored:
            return slice(self._total - stop, self._total - start)
        return slice(start, stop)

    def _time_before(self, order: HalfOrder, start: int, stop: int) -> int:
        """Return the input step that a half processes before some output steps, -1 or T if none."""
        kept = self._kept(order, start, stop)
        before: int = kept.stop if order.mirrored != order.from_end else kept.start - 1
        return before

    def _states(self, prefix: str, time: int) -> list[Array]:
        """Return the states of a half after an input step: those given, or zeros, if there is none."""
        half = dict(halves(self._problem.layer))[prefix]
        if 0 <= time < self._total:
            return [self._traced[prefix, time][name] for name in half.states]
        if self._problem.initial_state is None:
            return [np.zeros((len(self._problem.inputs.data), half.units))] * len(half.states)
        tensors = iter(self._problem.initial_state)
        given = {
            name: [next(tensors).data for _ in inner.states]
            for name, inner in halves(self._problem.layer)
        }
        return given[prefix]
