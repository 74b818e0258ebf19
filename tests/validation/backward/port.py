"""Keras' recurrent layers in PyTorch, with the backward pass of each half by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack
from rnnparity.problem.problem import Problem, Tensor
from validation.backward.cells import CELLS, Arrays, T
from validation.backward.mistakes import WHOLE, Mistake


class HalfFunction(torch.autograd.Function):
    """One half through time. `forward` returns the output, (B, T, H) or (B, H), and the states."""

    @staticmethod
    def forward(
        ctx: Any,
        layer: Recurrent,
        mask: T,
        mistake: Mistake,
        x: T,
        W: T,
        U: T,
        b: T,
        *states: T,
    ) -> tuple[T, ...]:
        ctx.cell = CELLS[layer.class_name](layer, W, U, b, mistake)
        ctx.layer, ctx.mask, ctx.mistake, ctx.shape = layer, mask, mistake, x.shape
        ctx.saved_steps = []
        times = range(x.shape[1])[:: -1 if layer.go_backwards else 1]
        output, outputs, values = torch.zeros_like(states[0]), [], list(states)
        zeros = layer.zero_output_for_mask and layer.return_sequences
        for t in times:
            new, saved = ctx.cell.forward(x[:, t], values)
            used = mask[:, t, None]
            repeated = torch.zeros_like(output) if zeros else output
            output = torch.where(used, new[0], repeated)
            values = [torch.where(used, n, s) for n, s in zip(new, values, strict=True)]
            outputs.append(output)
            ctx.saved_steps.append((t, saved))
        result = torch.stack(outputs, dim=1) if layer.return_sequences else output
        return (result, *(value.clone() for value in values))

    @staticmethod
    def backward(ctx: Any, d_output: T, *d_last: T) -> tuple[T | None, ...]:
        layer, m = ctx.layer, ctx.mistake
        d_states, carried = list(d_last), torch.zeros_like(d_last[0])
        dx = torch.zeros(ctx.shape)
        d_weights = [torch.zeros_like(w) for w in (ctx.cell.W, ctx.cell.U, ctx.cell.b)]
        for k, (t, saved) in reversed(list(enumerate(ctx.saved_steps))):
            last = k == len(ctx.saved_steps) - 1
            own = d_output[:, k] if layer.return_sequences else d_output * float(last)
            used = ctx.mask[:, t, None]
            new, kept, carried = _through_mask(layer, m, used, d_states, own + carried)
            dx[:, t], before, of_step = ctx.cell.backward(saved, new)
            d_weights = [a + b for a, b in zip(d_weights, of_step, strict=True)]
            d_states = [a + b for a, b in zip(before, kept, strict=True)]
            if k and m.kind in ("detached", "truncated") and k % m.number == 0:
                d_states = [torch.zeros_like(d) for d in d_states]
            if k and m.kind == "one state only":
                index = int(m.number)
                d_states[index] = torch.zeros_like(d_states[index])
        if m.kind == "dx not reversed":
            dx = dx.flip(1)
        if m.kind == "no initial states":
            d_states = [torch.zeros_like(d) for d in d_states]
        if m.kind == "states swapped":
            d_states.reverse()
        return (None, None, None, dx, *_edited(layer, m, d_weights), *d_states)


def _through_mask(
    layer: Recurrent, m: Mistake, used: T, d_states: Arrays, d_output: T
) -> tuple[Arrays, Arrays, T]:
    """Return what flows to the new states, past the step, and to the output before."""
    zero = torch.zeros_like(d_output)
    new = [torch.where(used, d, zero) for d in d_states]
    kept = [torch.where(used, zero, d) for d in d_states]
    of_output, carried = torch.where(used, d_output, zero), torch.where(used, zero, d_output)
    if layer.zero_output_for_mask and layer.return_sequences:
        carried = zero
    if m.kind == "mask leaks":
        new, kept = list(d_states), [zero for _ in kept]
        if not (layer.zero_output_for_mask and layer.return_sequences):
            of_output, carried = d_output, zero
    if m.kind == "mask blocks":
        kept = [zero for _ in kept]
    if m.kind == "mask ignored on the way back":
        kept = list(d_states)
    if m.kind == "repeated output lost":
        carried = zero
    new[0] = new[0] + of_output
    return new, kept, carried


def _edited(layer: Recurrent, m: Mistake, d_weights: Arrays) -> Arrays:
    """Return the gradients of the weights with a mistake in one of them."""
    named = dict(zip(("kernel", "recurrent_kernel", "bias"), d_weights, strict=True))
    gates = len(layer.cell.gates)
    if m.kind == "no array":
        named[m.array] = torch.zeros_like(named[m.array])
    if m.kind == "array twice":
        named[m.array] = 2 * named[m.array]
    if m.kind == "gates exchanged":
        blocks = list(named[m.array].chunk(gates, dim=-1))
        first, second = divmod(int(m.number), 10)
        blocks[first], blocks[second] = blocks[second], blocks[first]
        named[m.array] = torch.cat(blocks, dim=-1)
    if m.kind == "transposed":
        blocks = [block.T for block in named["recurrent_kernel"].chunk(gates, dim=-1)]
        named["recurrent_kernel"] = torch.cat(blocks, dim=-1)
    if m.kind == "bias rows":
        named["bias"] = named["bias"][[*divmod(int(m.number), 10)]]
    return list(named.values())


class Port:
    """A problem in PyTorch with a mistake in its backward pass."""

    def __init__(self, problem: Problem, mistake: Mistake) -> None:
        self.problem, self.mistake = problem, mistake
        self.x = _leaf(problem.inputs)
        self.weights = {tensor.name: _leaf(tensor) for tensor in problem.weights}
        self.states = [_leaf(tensor) for tensor in problem.initial_state or ()]
        batch, steps, _ = problem.inputs.shape
        mask = np.ones((batch, steps), bool) if problem.mask is None else problem.mask
        self.mask = torch.from_numpy(mask)

    def outputs(self) -> Arrays:
        """Return the outputs in Keras' order."""
        self._next_state = iter(self.states)
        return self._layer(self.problem.layer, "", self.x)

    def gradients(self) -> list[T]:
        """Return the gradients in the order of the problem's slots, with the mistake."""
        leaves = [self.x, *self.weights.values(), *self.states]
        outputs = self.outputs()
        cotangents = self._cotangents()
        found = torch.autograd.grad(outputs, leaves, cotangents, allow_unused=True)
        filled = [
            torch.zeros_like(leaf) if gradient is None else gradient
            for leaf, gradient in zip(leaves, found, strict=True)
        ]
        return self._edited(filled)

    def _cotangents(self) -> Arrays:
        arrays = [torch.from_numpy(t.data.copy()) for t in self.problem.cotangents or ()]
        for slot, array in zip(self.problem.output_slots(), arrays, strict=True):
            is_output = slot.name.endswith("output")
            if self.mistake.kind == "no state cotangents" and not is_output:
                array.zero_()
            if self.mistake.kind == "last cotangent only" and array.ndim == 3:
                array[:, :-1] = 0
        return arrays

    def _edited(self, gradients: Arrays) -> Arrays:
        m = self.mistake
        if m.half != WHOLE:
            return gradients
        of_weights = range(1, 1 + len(self.weights))
        for index, gradient in enumerate(gradients):
            if m.kind == "clipped":
                gradients[index] = gradient.clamp(-m.number, m.number)
            if m.kind == "negated":
                gradients[index] = -gradient
            if m.kind == "averaged" and index in of_weights:
                gradients[index] = gradient / len(self.x)
            if m.kind == "norms" and index in of_weights:
                gradients[index] = gradient / max(1.0, float(gradient.norm()))
        return gradients

    def _layer(self, layer: Layer, prefix: str, x: T) -> Arrays:
        if isinstance(layer, Stack):
            for index, inner in enumerate(layer.layers):
                outputs = self._layer(inner, f"{index}/", x)
                x = outputs[0]
            return outputs
        if isinstance(layer, Recurrent):
            output, *states = self._half(layer, prefix, x)
            return [output, *states] if layer.return_state else [output]
        y, *states = self._half(layer.forward, f"{prefix}forward/", x)
        y_rev, *states_rev = self._half(layer.backward, f"{prefix}backward/", x)
        if layer.return_sequences:
            y_rev = y_rev.flip(1)
        outputs = _merged(layer, y, y_rev)
        return [*outputs, *states, *states_rev] if layer.return_state else outputs

    def _half(self, layer: Recurrent, prefix: str, x: T) -> Sequence[T]:
        zeros = [torch.zeros(len(x), layer.units) for _ in layer.states]
        states = [next(self._next_state, zero) for zero in zeros]
        b = self.weights.get(f"{prefix}bias", torch.zeros(layer.bias_rows, 1))
        W, U = self.weights[f"{prefix}kernel"], self.weights[f"{prefix}recurrent_kernel"]
        rows = b if b.ndim == 2 else b[None]
        rows = rows.expand(layer.bias_rows, W.shape[1])
        mistake = self.mistake.of(prefix)
        result: Sequence[T] = HalfFunction.apply(layer, self.mask, mistake, x, W, U, rows, *states)
        return result


def _leaf(tensor: Tensor) -> T:
    return torch.from_numpy(tensor.data.astype(np.float32)).requires_grad_()


def _merged(layer: Bidirectional, y: T, y_rev: T) -> Arrays:
    match layer.merge_mode:
        case None:
            return [y, y_rev]
        case "concat":
            return [torch.cat([y, y_rev], dim=-1)]
        case "mul":
            return [y * y_rev]
        case "sum":
            return [y + y_rev]
        case _:
            return [(y + y_rev) / 2]
