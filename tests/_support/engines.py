"""Engines in plain NumPy for the tests of experiments, each of which can be changed in one place.

They share nothing with the reference but the problem. An engine computes a single layer.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from validation.off_list.cells import FUNCTIONS

from rnnparity.problem.answer import Answer, Unsupported
from rnnparity.problem.layers import Recurrent
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import weight_slots


def unchanged(value):
    return value


@dataclass
class Engine:
    """An LSTM, GRU or SimpleRNN that counts its calls.

    `arrays` changes the weights (a list), `states` the list of states at the start (given or
    zeros), `functions` activations by gate ("output": that of an LSTM's output), `returned` chooses
    the output from a step's quantities. `accepts` raises Unsupported for what is refused.
    """

    arrays: Callable = unchanged
    states: Callable = unchanged
    functions: dict = field(default_factory=dict)
    returned: str = "h"
    accepts: Callable = unchanged
    dtype: type = np.float32
    calls: int = 0

    def __call__(self, problem):
        self.calls += 1
        self.accepts(problem)
        layer, x = problem.layer, problem.inputs.data.astype(self.dtype)
        if not isinstance(layer, Recurrent):
            raise Unsupported("a single layer only")
        weights = self.arrays([tensor.data for tensor in problem.weights])
        W, U, b = (np.asarray(array).astype(self.dtype) for array in weights)
        given = [tensor.data.astype(self.dtype) for tensor in problem.initial_state or ()]
        zeros = [np.zeros((len(x), layer.units), self.dtype) for _ in layer.states]
        states = [state.astype(self.dtype) for state in self.states(given or zeros)]
        sequence = []
        for t in range(x.shape[1])[:: -1 if layer.go_backwards else 1]:
            before = states
            states, quantities = self.step(layer, x[:, t], states, W, U, b)
            sequence.append({"h before the step": before[0], **quantities}[self.returned])
        output = np.stack(sequence, axis=1) if layer.return_sequences else sequence[-1]
        return Answer((Tensor("output", output.astype(self.dtype)),))

    def activate(self, layer, gate, values):
        is_cell = gate in ("c", "h", "output")
        usual = layer.activation if is_cell else layer.recurrent_activation
        return FUNCTIONS[self.functions.get(gate, usual)](values)

    def step(self, layer, x, states, W, U, b):
        gates, H, h = layer.cell.gates, layer.units, states[0]
        rows = b.reshape(-1, len(gates) * H)

        def part(array, gate):
            start = gates.index(gate) * H
            return array[..., start : start + H]

        def from_input(gate):
            return x @ part(W, gate) + part(rows[0], gate)

        def from_state(gate, h=h):
            second = part(rows[1], gate) if len(rows) == 2 else 0
            return h @ part(U, gate) + second

        if layer.class_name == "SimpleRNN":
            h = self.activate(layer, "h", from_input("h") + from_state("h"))
            return [h], {"h": h}
        z = {gate: from_input(gate) + from_state(gate) for gate in gates}
        if layer.class_name == "LSTM":
            i, f, g, o = (self.activate(layer, gate, z[gate]) for gate in "ifco")
            c = f * states[1] + i * g
            h = o * self.activate(layer, "output", c)
            return [h, c], {"h": h, "c": c, "the candidate": g}
        update, r = (self.activate(layer, gate, z[gate]) for gate in "zr")
        reset = r * from_state("h") if layer.reset_after else from_state("h", r * h)
        g = self.activate(layer, "h", from_input("h") + reset)
        h = update * h + (1 - update) * g
        return [h], {"h": h, "the candidate": g}


def problem_of(class_name, features=4, units=5, steps=3, seed=0, **options):
    """A problem of a single layer with random numbers."""
    layer = Recurrent(class_name, units, **options)
    rng = np.random.default_rng(seed)
    dtype = layer.compute_dtype
    weights = tuple(
        Tensor.of(slot.name, rng.normal(0, 0.4, slot.shape), slot.dtype)
        for slot in weight_slots(layer, features)
    )
    inputs = Tensor.of("inputs", rng.normal(0, 1, (2, steps, features)), dtype)
    return Problem(layer, weights, inputs)
