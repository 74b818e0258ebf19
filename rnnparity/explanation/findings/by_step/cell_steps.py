"""The value that each gate of a cell must have had at every step, from the actual outputs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from rnnparity.explanation.findings.by_step.gate_equations import ActualSteps, Noisy, Term
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import WeightBlock
from rnnparity.problem.layers import Recurrent
from rnnparity.problem.problem import Problem
from rnnparity.reference.activations import ACTIVATIONS


def actual_steps(problem: Problem, actual: Array, sigmas: Array) -> ActualSteps:
    """Return the steps of a layer that reads forward.

    `actual` is the sequence of its outputs, `sigmas` their noise: (B, T, H).
    """
    layer = problem.layer
    assert isinstance(layer, Recurrent)  # noqa: S101 - the half of a layer is one
    return _STEPS[layer.class_name](problem, layer, actual, sigmas)


class _SimpleRNNSteps(ActualSteps):
    def output(self) -> Array:
        return self.active("h")

    def needed(self, gate: str) -> Noisy:
        return self.h.before(self.activation(gate))


class _LSTMSteps(ActualSteps):
    def output(self) -> Array:
        return self.active("o") * self._read

    def inverted(self, gate: str) -> tuple[str, ...]:
        own = super().inverted(gate)
        return own if gate == "o" else (self.layer.activation, *super().inverted("o"))

    def needed(self, gate: str) -> Noisy:
        if gate == "o":
            return self.h.times(1 / self._read).before(self.activation(gate))
        c, c_before = self._actual_c
        i, f, g = (self.active(name) for name in "ifc")
        if gate == "f":
            value = (c.value - i * g) / c_before.value
            sigma = np.hypot(c.sigma, value * c_before.sigma) / np.abs(c_before.value)
            return Noisy(value, sigma).before(self.activation(gate))
        rest = c.minus(c_before.times(f))
        return rest.times(1 / (g if gate == "i" else i)).before(self.activation(gate))

    @cached_property
    def _actual_c(self) -> tuple[Noisy, Noisy]:
        """The cell states after and before every step, from h = o act(c)."""
        c = self.h.times(1 / self.active("o")).before(self.layer.activation)
        return c, self.noisy_before(c, self.initial_states[1])

    @cached_property
    def _read(self) -> Array:
        """act(c) of the cell states that the weights compute from the actual outputs."""
        i, f, g = (self.active(name) for name in "ifc")
        c, states = self.initial_states[1], []
        for step in range(self.used.shape[1]):
            new = f[:, step] * c + i[:, step] * g[:, step]
            c = np.where(self.used[:, step, None], new, c)
            states.append(c)
        return ACTIVATIONS[self.layer.activation](np.stack(states, axis=1))


class _GRUSteps(ActualSteps):
    def output(self) -> Array:
        z = self.active("z")
        h: Array = z * self.h_before + (1 - z) * self.active("h")
        return h

    def expected(self, gate: str) -> Array:
        if gate != "h":
            return super().expected(gate)
        z: Array = self.x @ self.W["h"] + self.b[0]["h"]
        if self.layer.reset_after:
            z += self.active("r") * self._recurrent_part
        else:
            z += (self.active("r") * self.h_before) @ self.U["h"]
        return z

    @property
    def _recurrent_part(self) -> Array:
        """What the reset gate is multiplied by where it is applied after the product."""
        product: Array = self.h_before @ self.U["h"] + self.b[-1]["h"]
        return product

    def inverted(self, gate: str) -> tuple[str, ...]:
        own = super().inverted(gate)
        return own if gate == "z" else (self.layer.activation, *super().inverted("z"))

    def needed(self, gate: str) -> Noisy:
        activation = self.activation(gate)
        if gate == "z":
            g = self.active("h")
            shift = Noisy(self.h.value - g, self.h.sigma)
            return shift.times(1 / (self.h_before - g)).before(activation)
        z = self.active("z")
        candidate = Noisy(self.h.value - z * self.h_before, self.h.sigma).times(1 / (1 - z))
        before = candidate.before(self.activation("h"))
        if gate == "h":
            return before
        before = Noisy(before.value - self.x @ self.W["h"] - self.b[0]["h"], before.sigma)
        if self.layer.reset_after:
            return before.times(1 / self._recurrent_part).before(activation)
        inverse = np.linalg.pinv(self.U["h"])
        sigma = np.sqrt(before.sigma**2 @ inverse**2)
        return Noisy(before.value @ inverse, sigma).times(1 / self.h_before).before(activation)

    def terms(self, gate: str) -> Iterator[Term]:
        if gate != "h":
            yield from super().terms(gate)
            return
        r, h_before = self.active("r")[self.used], self.h_before[self.used]
        ones = np.ones((len(h_before), 1))
        after = self.layer.reset_after
        row = 0 if after else None
        yield Term(WeightBlock("kernel", gate), self.x[self.used])
        products = r.T[..., None] * h_before if after else r * h_before
        yield Term(WeightBlock("recurrent_kernel", gate), products)
        if self.layer.use_bias:
            yield Term(WeightBlock("bias", gate, row), ones)
        if self.layer.use_bias and after:
            yield Term(WeightBlock("bias", gate, 1), r.T[..., None])


_STEPS: dict[str, type[ActualSteps]] = {
    "SimpleRNN": _SimpleRNNSteps,
    "LSTM": _LSTMSteps,
    "GRU": _GRUSteps,
}
