"""The fast version of `spec`: any arithmetic, variants of the weights, a trace, hooks for faults.

Axis letters: B batch, T time, D features, H units. In plain arithmetic the weights may have a
leading axis of variants, which every result then has too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack, called_layers, halves
from rnnparity.problem.problem import Problem
from rnnparity.reference.arithmetic import Arithmetic, merge
from rnnparity.reference.cells import Cell, make_cell
from rnnparity.reference.number import N

# Steps are projected together up to this many numbers: few enough for a core's cache and for memory
# that the process already has (all at once, (32, 50, 64) x 128 took half as long again), and memory
# does not grow with T.
PROJECTED_VALUES = 2**17


@dataclass(frozen=True)
class StepRecord(Generic[N]):
    """One processed step: the states and gates after it, (B, H) each.

    `half` is the prefix of its half, `time` its index in the inputs.
    """

    half: str
    time: int
    states: Mapping[str, N]
    gates: Mapping[str, N]


class Unroller(Generic[N]):
    """A problem prepared to run any number of times in one arithmetic.

    `weights` replaces weights of the problem by name; a leading axis makes variants of everything
    that depends on it.

    A subclass may change how halves run. Halves are named by their prefix ("", "forward/",
    "0/backward/"). The hooks:

    - `cells`, by half: the cell whose `project` and `step` are called;
    - `initial_states`, by half: the states, (B, H) each, that a run starts with;
    - `states`, by half, during a run: the states that the half's next call starts with;
    - `run_half` computes one half in one call;
    - `entering_states` is called before each step of a half;
    - `masked_step` is called after each step of a half in a problem with a mask.
    """

    cells: dict[str, Cell[N]]
    initial_states: dict[str, list[N]]
    states: dict[str, list[N]]

    def __init__(
        self,
        problem: Problem,
        arithmetic: Arithmetic[N],
        weights: Mapping[str, Array] | None = None,
    ) -> None:
        self.problem = problem
        self.slots = problem.output_slots()
        self._arithmetic = arithmetic
        self._inputs = self._first_inputs()
        arrays = {tensor.name: tensor.data for tensor in problem.weights} | dict(weights or {})
        self.cells = {
            prefix: self._cell(prefix, half, arrays) for prefix, half in halves(problem.layer)
        }
        self.initial_states = self._states_at_start()
        self.states = dict(self.initial_states)
        self._record: Callable[[StepRecord[N]], None] | None = None
        self._call_start = 0

    def run(self, record: Callable[[StepRecord[N]], None] | None = None) -> list[N]:
        """Return the outputs in Keras' order (see `shapes.output_slots`), every call in turn.

        `record` is called with every step in processing order.
        """
        problem = self.problem
        self.states = dict(self.initial_states)
        self._record = record
        self._call_start = 0
        calls: list[list[N]] = []
        for steps in problem.steps:
            times = slice(self._call_start, self._call_start + steps)
            mask = None if problem.mask is None else problem.mask[:, times]
            inputs = [x[..., times, :] for x in self._inputs]
            with np.errstate(over="ignore"):  # infinity is correct here; `tolerance` looks for it
                calls.append(self._call(problem.layer, "", inputs, mask))
            self._call_start += steps
        return self._join_calls(calls)

    def run_half(
        self, layer: Recurrent, prefix: str, x: N, mask: Array | None
    ) -> tuple[N, list[N]]:
        """Return the output of one half, (B, T, H) in processing order or (B, H), and its states.

        x is (B, T, D), in the numbers of the half's dtype, the mask (B, T). Starts with
        `self.states[prefix]` and replaces them.
        """
        arithmetic = self._arithmetic.for_dtype(layer.compute_dtype)
        cell, states = self.cells[prefix], self.states[prefix]
        zeros = arithmetic.from_array(np.zeros((x.shape[-3], layer.units)))
        output, outputs = zeros, []
        for time, projected in self._project(layer, cell, x):
            states = self.entering_states(prefix, states, arithmetic)
            new, gates = cell.step(projected, *states)
            if mask is None:
                states, output = list(new), new[0]
            else:
                used = mask[:, time, None]
                states, output = self.masked_step(layer, prefix, used, (states, output), list(new))
            if layer.return_sequences:
                outputs.append(output)
            if self._record is not None:
                named = dict(zip(layer.states, states, strict=True))
                self._record(StepRecord(prefix, self._call_start + time, named, gates))
        self.states[prefix] = states if layer.stateful else [zeros] * len(states)
        return (arithmetic.stack(outputs) if layer.return_sequences else output), states

    def entering_states(self, prefix: str, states: list[N], arithmetic: Arithmetic[N]) -> list[N]:
        """Return the states as they enter a step."""
        return arithmetic.between_steps(states, self.cells[prefix].U)

    def masked_step(
        self,
        layer: Recurrent,
        prefix: str,  # noqa: ARG002 - for subclasses that change one half
        used: Array,
        before: tuple[list[N], N],
        new: list[N],
    ) -> tuple[list[N], N]:
        """Return the states and the output after a step under a mask.

        `used` (B, 1) is False where the step is masked, `before` holds the states and the output
        before it, `new` the states that the cell returned.
        """
        arithmetic = self._arithmetic.for_dtype(layer.compute_dtype)
        states, output = before
        if layer.zero_output_for_mask and layer.return_sequences:
            output = arithmetic.from_array(np.zeros(output.shape))
        states = [arithmetic.where(used, n, s) for n, s in zip(new, states, strict=True)]
        return states, arithmetic.where(used, new[0], output)

    def _first_inputs(self) -> list[N]:
        """Return the problem's inputs in the numbers of each half of the first layer."""
        layer = self.problem.layer
        first = layer.layers[0] if isinstance(layer, Stack) else layer
        x = FLOAT_TYPES[first.compute_dtype].round(self.problem.inputs.data)
        inputs = []
        for _, half in halves(first):
            arithmetic = self._arithmetic.for_dtype(half.compute_dtype)
            inputs.append(arithmetic.from_array(FLOAT_TYPES[half.compute_dtype].round(x)))
        return inputs

    def _cell(self, prefix: str, layer: Recurrent, arrays: Mapping[str, Array]) -> Cell[N]:
        arithmetic = self._arithmetic.for_dtype(layer.compute_dtype)
        dtype = FLOAT_TYPES[layer.compute_dtype]
        W = dtype.round(arrays[f"{prefix}kernel"])
        U = dtype.round(arrays[f"{prefix}recurrent_kernel"])
        rows, columns = layer.bias_rows, W.shape[-1]
        # Variants lead, then comes a row for each bias: (..., rows, G*H).
        b = np.zeros((rows, columns))
        if layer.use_bias:
            b = dtype.round(arrays[f"{prefix}bias"])
            b = b.reshape(*b.shape[: b.ndim - rows], rows, columns)
        biases = [b[..., row : row + 1, :] for row in range(rows)]
        masks = {
            tensor.name.removeprefix(prefix): list(dtype.round(tensor.data))
            for tensor in self.problem.dropout_masks or ()
            if tensor.name.startswith(prefix)
        }
        return make_cell(layer, [W, U, *biases], masks, arithmetic)

    def _states_at_start(self) -> dict[str, list[N]]:
        """Return the initial states of each half: the problem's, else zeros."""
        tensors = iter(self.problem.initial_state or ())
        states: dict[str, list[N]] = {}
        layer = self.problem.layer
        for (prefix, half), called in zip(halves(layer), called_layers(layer), strict=True):
            arithmetic = self._arithmetic.for_dtype(half.compute_dtype)
            arrays = [np.zeros((self.problem.inputs.shape[0], half.units)) for _ in half.states]
            if self.problem.initial_state is not None:
                outer, inner = (FLOAT_TYPES[part.compute_dtype] for part in (called, half))
                arrays = [inner.round(outer.round(next(tensors).data)) for _ in half.states]
            states[prefix] = [arithmetic.from_array(array) for array in arrays]
        return states

    def _join_calls(self, calls: Sequence[list[N]]) -> list[N]:
        """Join sequences along time; what a call returns once is that of the last call."""
        layer, outputs = self.problem.layer, calls[-1]
        if len(calls) == 1 or not layer.return_sequences:
            return outputs
        count = sum(slot.name.endswith("output") for slot in self.slots)
        arithmetic = self._arithmetic.for_dtype(layer.compute_dtype)
        by_output = list(zip(*calls, strict=True))
        return [*(arithmetic.join(parts, -2) for parts in by_output[:count]), *outputs[count:]]

    def _call(self, layer: Layer, prefix: str, inputs: list[N], mask: Array | None) -> list[N]:
        """Return the outputs of one call of a layer; `inputs` has an entry for each half."""
        if isinstance(layer, Stack):
            outputs: list[N] = []
            for index, inner in enumerate(layer.layers):
                if index > 0:
                    inputs = self._cast(outputs[0], inner)
                # Every layer gets the mask unreversed, also after a layer with go_backwards.
                outputs = self._call(inner, f"{index}/", inputs, mask)
            return outputs
        if isinstance(layer, Bidirectional):
            return self._bidirectional(layer, prefix, inputs, mask)
        output, states = self.run_half(layer, prefix, inputs[0], mask)
        return [output, *states] if layer.return_state else [output]

    def _bidirectional(
        self, layer: Bidirectional, prefix: str, inputs: list[N], mask: Array | None
    ) -> list[N]:
        arithmetic = self._arithmetic.for_dtype(layer.compute_dtype)
        y, states = self.run_half(layer.forward, f"{prefix}forward/", inputs[0], mask)
        y_rev, states_rev = self.run_half(layer.backward, f"{prefix}backward/", inputs[1], mask)
        y, y_rev = arithmetic.cast(y), arithmetic.cast(y_rev)
        if layer.return_sequences:
            y_rev = y_rev[..., ::-1, :]
        outputs = merge(layer.merge_mode, y, y_rev, arithmetic)
        return [*outputs, *states, *states_rev] if layer.return_state else outputs

    def _cast(self, x: N, layer: Recurrent | Bidirectional) -> list[N]:
        """Convert the output of a layer to inputs of each half of the next."""
        x = self._arithmetic.for_dtype(layer.compute_dtype).cast(x)
        return [self._arithmetic.for_dtype(half.compute_dtype).cast(x) for _, half in halves(layer)]

    def _project(self, layer: Recurrent, cell: Cell[N], x: N) -> Iterator[tuple[int, N]]:
        """Yield the time and x W + b (..., B, G*H) of each step, in processing order.

        One product serves many steps, unless dropout masks have to meet the rows of each.
        """
        *_, batch, steps, features = x.shape
        width = cell.W.shape[-1]
        count = 1 if cell.of_x.masks else max(1, PROJECTED_VALUES // (batch * width))
        direction = -1 if layer.go_backwards else 1
        for start in range(0, steps, count)[::direction]:
            block = x[..., start : start + count, :].swapaxes(-3, -2)
            rows = cell.project(block.reshape((*block.shape[:-3], -1, features)))
            rows = rows.reshape((*rows.shape[:-2], -1, batch, width))
            for index in range(rows.shape[-3])[::direction]:
                yield start + index, rows[..., index, :, :]
