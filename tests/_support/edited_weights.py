"""Problems with one block of their weights edited, and what least squares finds in their outputs."""

from dataclasses import replace

import numpy as np

from rnnparity.explanation.findings.by_step.effective import effective_weights
from rnnparity.problem.findings import FindingType
from rnnparity.problem.layers import Recurrent
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import state_slots, weight_slots
from rnnparity.reference import compute
from rnnparity.reference.tolerance import expect

BATCH, STEPS, FEATURES, UNITS = 4, 30, 3, 5
RESET_BEFORE = Recurrent("GRU", UNITS, reset_after=False, return_sequences=True)
LAYERS = {
    "SimpleRNN": Recurrent("SimpleRNN", UNITS, return_sequences=True),
    "LSTM": Recurrent("LSTM", UNITS, return_sequences=True),
    "GRU": Recurrent("GRU", UNITS, return_sequences=True),
    "GRU, reset before": RESET_BEFORE,
}


def random_problem(layer, batch=BATCH, steps=STEPS, seed=0, size=1.0):
    """Return a problem with an initial state and a mask with gaps."""
    rng = np.random.default_rng(seed)

    def draw(slot, scale):
        return Tensor.of(slot.name, scale * rng.standard_normal(slot.shape), slot.dtype)

    return Problem(
        layer,
        tuple(draw(slot, size / 2) for slot in weight_slots(layer, FEATURES)),
        Tensor.of("inputs", rng.standard_normal((batch, steps, FEATURES))),
        rng.random((batch, steps)) < 0.9,
        tuple(
            Tensor.of(slot.name, rng.standard_normal(slot.shape) / 2)
            for slot in state_slots(layer, batch)
        ),
    )


def edited(problem, block, edit):
    """Return the problem with one block of its weights edited."""
    weights = []
    for tensor in problem.weights:
        data = tensor.data.copy()
        if tensor.name == block.weights:
            start = problem.layer.cell.gates.index(block.gate) * problem.layer.units
            rows = data if block.row is None else data[block.row]
            columns = rows[..., start : start + problem.layer.units]
            columns[...] = edit(columns.copy())
        weights.append(replace(tensor, data=data))
    return replace(problem, weights=tuple(weights))


def effective(problem, actual, dtype="float32"):
    """Return what is found where the outputs are those of another problem, and what is unknown."""
    output = Tensor.of("output", compute(actual)[0].data, dtype)
    answer = effective_weights(problem.with_outputs((output,)), expect(problem).sigmas[0])
    return answer.findings, answer.unknown


def changed(block, change):
    return FindingType.EFFECTIVE_WEIGHTS, block, change, True


def summary(findings):
    return [(f.type, f.block, f.change, f.certain) for f in findings]
