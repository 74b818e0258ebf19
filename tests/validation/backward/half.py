"""One half through time, forward and backward by hand, in any framework."""

from __future__ import annotations

from rnnparity.problem.layers import Recurrent
from validation.backward.cells import CELLS
from validation.backward.mistakes import Mistake
from validation.backward.ops import Arrays, Ops, T


class Half:
    """One half of a layer with a mistake in its backward pass. The mask is (B, T)."""

    def __init__(self, ops: Ops, layer: Recurrent, mask: T, mistake: Mistake) -> None:
        self.ops, self.layer, self.mask, self.mistake = ops, layer, mask, mistake

    def forward(self, x: T, W: T, U: T, b: T, states: Arrays) -> Arrays:
        """Return the output, (B, T, H) or (B, H), and the states."""
        layer = self.layer
        self.cell = CELLS[layer.class_name](self.ops, layer, W, U, b, self.mistake)
        self.saved = []
        times = range(x.shape[1])[:: -1 if layer.go_backwards else 1]
        output, outputs, values = 0 * states[0], [], list(states)
        zeros = layer.zero_output_for_mask and layer.return_sequences
        for t in times:
            new, saved = self.cell.forward(x[:, t], values)
            used = self.mask[:, t, None]
            output = self.ops.where(used, new[0], 0 * output if zeros else output)
            values = [self.ops.where(used, n, s) for n, s in zip(new, values, strict=True)]
            outputs.append(output)
            self.saved.append((t, saved))
        result = self.ops.stack(outputs, 1) if layer.return_sequences else output
        return [result, *values]

    def backward(self, d_output: T, d_last: Arrays) -> Arrays:
        """Return the gradients of x, W, U and b, and of the initial states."""
        m, cell = self.mistake, self.cell
        d_states, carried = list(d_last), 0 * d_last[0]
        dx: dict[int, T] = {}
        d_weights = [0 * weights for weights in (cell.W, cell.U, cell.b)]
        for k, (t, saved) in reversed(list(enumerate(self.saved))):
            last = k == len(self.saved) - 1
            own = d_output[:, k] if self.layer.return_sequences else d_output * float(last)
            new, kept, carried = self._through_mask(t, d_states, own + carried)
            dx[t], before, of_step = cell.backward(saved, new)
            d_weights = [a + b for a, b in zip(d_weights, of_step, strict=True)]
            d_states = [a + b for a, b in zip(before, kept, strict=True)]
            if k and m.kind in ("detached", "truncated") and k % m.number == 0:
                d_states = [0 * d for d in d_states]
            if k and m.kind == "one state only":
                index = int(m.number)
                d_states[index] = 0 * d_states[index]
        if m.kind == "no initial states":
            d_states = [0 * d for d in d_states]
        if m.kind == "states swapped":
            d_states.reverse()
        inputs = self.ops.stack([dx[t] for t in sorted(dx)], 1)
        if m.kind == "dx not reversed":
            inputs = self.ops.reverse(inputs)
        return [inputs, *self._edited(d_weights), *d_states]

    def _through_mask(self, t: int, d_states: Arrays, d_output: T) -> tuple[Arrays, Arrays, T]:
        """Return what flows to the new states, past the step, and to the output before."""
        m, where, used = self.mistake, self.ops.where, self.mask[:, t, None]
        zero = 0 * d_output
        new = [where(used, d, zero) for d in d_states]
        kept = [where(used, zero, d) for d in d_states]
        of_output, carried = where(used, d_output, zero), where(used, zero, d_output)
        repeats = not (self.layer.zero_output_for_mask and self.layer.return_sequences)
        if not repeats:
            carried = zero
        if m.kind == "mask leaks":
            new, kept = list(d_states), [zero for _ in kept]
            if repeats:
                of_output, carried = d_output, zero
        if m.kind == "mask blocks":
            kept = [zero for _ in kept]
        if m.kind == "mask ignored on the way back":
            kept = list(d_states)
        if m.kind == "repeated output lost":
            carried = zero
        new[0] = new[0] + of_output
        return new, kept, carried

    def _edited(self, d_weights: Arrays) -> Arrays:
        """Return the gradients of the weights with a mistake in one of them."""
        m, gates = self.mistake, len(self.layer.cell.gates)
        named = dict(zip(("kernel", "recurrent_kernel", "bias"), d_weights, strict=True))
        if m.kind == "no array":
            named[m.array] = 0 * named[m.array]
        if m.kind == "array twice":
            named[m.array] = 2 * named[m.array]
        if m.kind == "gates exchanged":
            blocks = list(self.ops.split(named[m.array], gates))
            first, second = divmod(int(m.number), 10)
            blocks[first], blocks[second] = blocks[second], blocks[first]
            named[m.array] = self.ops.join(blocks)
        if m.kind == "transposed":
            blocks = self.ops.split(named["recurrent_kernel"], gates)
            named["recurrent_kernel"] = self.ops.join([self.ops.transpose(b) for b in blocks])
        if m.kind == "bias rows":
            rows = [named["bias"][index] for index in divmod(int(m.number), 10)]
            named["bias"] = self.ops.stack(rows, 0)
        return list(named.values())
