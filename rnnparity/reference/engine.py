"""The walk through time: masks, direction, halves, stacks and stateful calls around the cells.

Axis letters: B batch, T time, D features, H units. With `Plain` arithmetic the weights may carry a
leading axis of variants, which every result then has too. What is meant is Keras 3's documentation
(https://keras.io/api/layers/recurrent_layers); where it is silent, its rolled CPU path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack, halves
from rnnparity.problem.problem import Problem
from rnnparity.reference.arithmetic import Arithmetic
from rnnparity.reference.cells import Cell, Number, make_cell


@dataclass(frozen=True)
class TraceStep:
    """One processed step: its half ("", "forward/", "0/"), its index `time` in the inputs, states
    and gates (B, H)."""

    half: str
    time: int
    states: Mapping[str, Number]
    gates: Mapping[str, Number]


@dataclass
class Run:
    """What a run gave: outputs in Keras' order (see `shapes.output_slots`) and, step by step, what
    led there."""

    outputs: list[Number]
    trace: list[TraceStep] = field(default_factory=list)


# Steps are projected together until so many numbers are there: few enough to stay in a core's cache
# and in memory that the process has (with all at once (32, 50, 64) x 128 took half as long again),
# and memory does not grow with T.
PROJECTED = 2**17


class Unroller:
    """A problem made ready to run, any number of times: its cells, weights and initial states in an
    arithmetic.

    The arithmetic may also be one a type: a function of the compute dtype. `weights` replaces the
    problem's own, by name; a leading axis makes variants of all that depend on it.
    """

    def __init__(
        self, problem: Problem, arithmetic: Any, weights: Mapping[str, Array] | None = None
    ) -> None:
        self.problem = problem
        self.arithmetic_for = arithmetic if callable(arithmetic) else lambda _: arithmetic
        arrays = {tensor.name: tensor.data for tensor in problem.weights} | dict(weights or {})
        self.cells = {
            prefix: self._cell(prefix, half, arrays) for prefix, half in halves(problem.layer)
        }
        self.initial_states = self._initial_states()
        self.slots = problem.output_slots()

    def _cell(self, prefix: str, layer: Recurrent, arrays: Mapping[str, Array]) -> Cell:
        arithmetic: Arithmetic = self.arithmetic_for(layer.compute_dtype)
        kind = FLOAT_TYPES[layer.compute_dtype]
        rounded = {
            name: kind.round(array) for name, array in arrays.items() if name.startswith(prefix)
        }
        W, U = rounded[f"{prefix}kernel"], rounded[f"{prefix}recurrent_kernel"]
        rows = layer.bias_rows
        # Variants lead, then one row a bias: (..., rows, G*H).
        b = np.zeros((rows, W.shape[-1]))
        if layer.use_bias:
            b = rounded[f"{prefix}bias"]
            b = b.reshape(*b.shape[: b.ndim - rows], rows, W.shape[-1])
        biases = [b[..., n : n + 1, :] for n in range(rows)]
        act, ract = (
            arithmetic.activation(layer.activation),
            arithmetic.activation(layer.recurrent_activation),
        )
        return make_cell(layer, [W, U, *biases], arithmetic.known, act, ract)

    def _initial_states(self) -> dict[str, list[Number]]:
        """Each half's states: those given, else zeros."""
        given = list(self.problem.initial_state or ())
        states: dict[str, list[Number]] = {}
        for prefix, half in halves(self.problem.layer):
            kind = FLOAT_TYPES[half.compute_dtype]
            known = self.arithmetic_for(half.compute_dtype).known
            zeros = np.zeros((self.problem.inputs.shape[0], half.units))
            own = (
                [kind.round(given.pop(0).data) for _ in half.states]
                if given
                else [zeros for _ in half.states]
            )
            states[prefix] = [known(state) for state in own]
        return states

    def run(self, trace: bool = False) -> Run:
        """Every call in turn; `trace`: keep every step."""
        problem = self.problem
        self.states = dict(self.initial_states)
        self.trace: list[TraceStep] | None = [] if trace else None
        self.now = 0
        calls: list[list[Number]] = []
        for steps in problem.steps:
            span = slice(self.now, self.now + steps)
            mask = None if problem.mask is None else problem.mask[:, span]
            with np.errstate(
                over="ignore"
            ):  # infinity is right where it comes out, and looked for there
                calls.append(self._call(problem.layer, "", problem.inputs.data[:, span], mask))
            self.now += steps
        outputs = calls[-1]
        if problem.layer.return_sequences and len(calls) > 1:
            sequences = sum(slot.name.endswith("output") for slot in self.slots)
            join = self.arithmetic_for(problem.layer.compute_dtype).join
            outputs = [
                join(parts, -2) for parts in list(zip(*calls, strict=True))[:sequences]
            ] + outputs[sequences:]
        return Run(outputs, self.trace or [])

    def _call(
        self, layer: Layer, prefix: str, x: Any, mask: Array | None, given: bool = True
    ) -> list[Number]:
        """One call of a layer. `given`: x is the problem's own array; else what a layer before has
        computed."""
        if isinstance(layer, Stack):
            for place, inner in enumerate(layer.layers):
                # The mask travels along as it is, also past a layer that turned the sequence.
                outputs = self._call(inner, f"{place}/", x, mask, given=place == 0)
                x = outputs[0]
            return outputs
        if isinstance(layer, Bidirectional):
            return self._bidirectional(layer, prefix, x, mask, given)
        output, states = self._recurrent(layer, prefix, x, mask, given)
        return [output, *(states if layer.return_state else [])]

    def _bidirectional(
        self, layer: Bidirectional, prefix: str, x: Any, mask: Array | None, given: bool
    ) -> list[Number]:
        arithmetic = self.arithmetic_for(layer.compute_dtype)
        x = self._enter(x, layer.compute_dtype, given)
        y, forward_states = self._recurrent(layer.forward, f"{prefix}forward/", x, mask, given)
        y_rev, backward_states = self._recurrent(
            layer.backward, f"{prefix}backward/", x, mask, given
        )
        y, y_rev = (
            arithmetic.cast(y, layer.compute_dtype),
            arithmetic.cast(y_rev, layer.compute_dtype),
        )
        if layer.return_sequences:
            y_rev = y_rev[..., ::-1, :]
        states = [*forward_states, *backward_states] if layer.return_state else []
        return [*_merge(layer.merge_mode, y, y_rev, arithmetic), *states]

    def _enter(self, x: Any, dtype: str, given: bool) -> Any:
        """Given inputs are rounded to the type of the layer they enter; to computed ones that
        rounding is noise."""
        return FLOAT_TYPES[dtype].round(x) if given else self.arithmetic_for(dtype).cast(x, dtype)

    def _recurrent(
        self, layer: Recurrent, prefix: str, x: Any, mask: Array | None, given: bool
    ) -> tuple[Number, list[Number]]:
        """One half over time: its output, (B, T, H) in processing order or (B, H), and its last
        states."""
        arithmetic: Arithmetic = self.arithmetic_for(layer.compute_dtype)
        cell, states = self.cells[prefix], self.states[prefix]
        zeros = arithmetic.known(np.zeros((x.shape[-3], layer.units)))
        output, outputs = zeros, []
        for time, projected in self._project(layer, cell, x, given):
            states = arithmetic.carry(states)
            new, gates = cell.step(projected, *states)
            if mask is None:
                states, output = list(new), new[0]
            else:
                states, output = self._masked(
                    layer, prefix, mask[:, time, None], (states, output), list(new)
                )
            if layer.return_sequences:
                outputs.append(output)
            if self.trace is not None:
                named = dict(zip(layer.states, states, strict=True))
                self.trace.append(TraceStep(prefix, self.now + time, named, gates))
        self.states[prefix] = states if layer.stateful else [zeros] * len(states)
        return (arithmetic.stack(outputs) if layer.return_sequences else output), states

    def _masked(
        self,
        layer: Recurrent,
        prefix: str,  # noqa: ARG002 - for walks in which one half alone is at fault
        chosen: Array,
        before: tuple[list[Number], Number],
        new: list[Number],
    ) -> tuple[list[Number], Number]:
        """A step under a mask, `chosen` (B, 1): the states and the output after it."""
        arithmetic = self.arithmetic_for(layer.compute_dtype)
        states, output = before
        kept = output
        if layer.zero_output_for_mask and layer.return_sequences:
            kept = arithmetic.known(np.zeros(output.shape))
        states = [arithmetic.where(chosen, n, s) for n, s in zip(new, states, strict=True)]
        return states, arithmetic.where(chosen, new[0], kept)

    def _project(
        self, layer: Recurrent, cell: Cell, x: Any, given: bool
    ) -> Iterator[tuple[int, Number]]:
        """Each step's time and its x W + b (..., B, G*H), in processing order: one product for many
        steps."""
        known = self.arithmetic_for(layer.compute_dtype).known
        *_, batch, steps, features = x.shape
        width = cell.W.shape[-1]
        together = max(1, PROJECTED // (batch * width))
        for start in range(0, steps, together)[:: -1 if layer.go_backwards else 1]:
            block = self._enter(x[..., start : start + together, :], layer.compute_dtype, given)
            block = (known(block) if given else block).swapaxes(-3, -2)
            rows = cell.project(block.reshape(*block.shape[:-3], -1, features))
            rows = rows.reshape(*rows.shape[:-2], -1, batch, width)
            for n in range(rows.shape[-3])[:: -1 if layer.go_backwards else 1]:
                yield start + n, rows[..., n, :, :]


def _merge(mode: str | None, y: Number, y_rev: Number, arithmetic: Arithmetic) -> list[Number]:
    # Two runs have no error in common: what is joined keeps none that it shared with its own run's
    # states.
    y, y_rev = arithmetic.join([y], -1), arithmetic.join([y_rev], -1)
    if mode == "sum":
        return [y + y_rev]
    if mode == "mul":
        return [y * y_rev]
    if mode == "ave":
        return [(y + y_rev) / 2]
    return [y, y_rev] if mode is None else [arithmetic.join([y, y_rev], -1)]
