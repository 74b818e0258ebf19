"""The problems that a subject is asked in an experiment.

Weights are inputs of a problem too. Those of a probe are all different, so that each number which
the subject uses shows where it was taken from; in a plain probe they are all equal, so that only the
activations and the states count.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2, prod

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array, variable_dtype
from rnnparity.problem.layers import Layer, halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import Slot, state_slots, weight_slots

# The rows of a probe: more of a coarse type, whose noise the mean of many rows reduces.
ROWS, ROWS_OF_COARSE = 96, 400
# The size of a pre-activation with weights that are all different, and of the inputs.
SIZE, INPUTS, PLAIN_INPUTS = 0.7, 1.0, 2.0


def build_probe(problem: Problem, layer: Layer, features: int, steps: int, states: bool) -> Problem:
    """Return a probe whose weights are all different, and exact in the compute dtype."""
    rng = np.random.default_rng(1)
    slots = weight_slots(layer, features)
    rows = max(_rows(problem), 2 * _weights_of_a_unit(layer, slots))
    inputs = [slots[index].shape[0] or 1 for index in (0, 1)]
    weights = [_different(rng, slot, SIZE / np.sqrt(sum(inputs))) for slot in slots]
    x = rng.normal(0, INPUTS, (rows, steps, features))
    initial = [rng.normal(0, 1, (rows, slot.shape[1] or 0)) for slot in state_slots(layer, rows)]
    return _with_numbers(problem, layer, weights, x, initial if states else None)


def _weights_of_a_unit(layer: Layer, slots: Sequence[Slot]) -> int:
    """Return how many weights a unit of any half has."""
    sizes = [
        sum(
            prod(size or 0 for size in slot.shape) for slot in slots if slot.name.startswith(prefix)
        )
        // half.units
        for prefix, half in halves(layer)
    ]
    return max(sizes)


def _rows(problem: Problem) -> int:
    dtype = FLOAT_TYPES[problem.threshold_type]
    return ROWS if dtype.bits >= FLOAT_TYPES["float32"].bits else ROWS_OF_COARSE


def _different(rng: np.random.Generator, slot: Slot, size: float) -> Array:
    """Return weights of which no two are equal, none near 0, some of them negative."""
    shape = tuple(size or 0 for size in slot.shape)
    values: Array = size * rng.uniform(0.4, 1.6, shape) * rng.choice([-1, 1], shape)
    return values


def plain_probe(
    problem: Problem, layer: Layer, size: tuple[Layer, int], steps: int, states: bool
) -> Problem:
    """Return a probe of one unit and one feature that the layer of this size (`widened`) gives."""
    rng = np.random.default_rng(2)
    rows = _rows(problem)
    weights = [
        np.full(
            [length or 0 for length in slot.shape], _equal(wide) * _inputs(wide) / _inputs(slot)
        )
        for slot, wide in zip(weight_slots(layer, 1), weight_slots(*size), strict=True)
    ]
    x = rng.normal(0, PLAIN_INPUTS, (rows, steps, 1))
    initial = [rng.normal(0, 1, (rows, 1)) for _ in state_slots(layer, rows)]
    return _with_numbers(problem, layer, weights, x, initial if states else None)


def widened(problem: Problem, layer: Layer, features: int) -> Problem:
    """Return the problem of one unit as one of many equal units, each of which has its outputs."""
    rows, steps, _ = problem.inputs.shape
    weights = [_filled(slot, _equal(slot)) for slot in weight_slots(layer, features)]
    x = np.broadcast_to(problem.inputs.data, (rows, steps, features))
    initial = None
    if problem.initial_state is not None:
        pairs = zip(problem.initial_state, state_slots(layer, rows), strict=True)
        initial = [np.broadcast_to(t.data, (rows, slot.shape[1] or 0)) for t, slot in pairs]
    return _with_numbers(problem, layer, weights, x, initial)


def _inputs(slot: Slot) -> int:
    """Return how many numbers a column of a kernel adds up; 1 of a bias."""
    return 1 if slot.name.endswith("bias") else slot.shape[0] or 1


def _equal(slot: Slot) -> float:
    """Return the weight that all columns are filled with: their sum is 1 at most, and exact."""
    return float(2.0 ** -ceil(log2(_inputs(slot)))) / (2 if slot.name.endswith("bias") else 1)


def _filled(slot: Slot, value: float) -> Array:
    return np.full([length or 0 for length in slot.shape], value)


def _with_numbers(
    problem: Problem,
    layer: Layer,
    weights: Sequence[Array],
    x: Array,
    initial: Sequence[Array] | None,
) -> Problem:
    """Return a problem with these numbers, rounded to the compute dtype."""
    rows, _, features = x.shape
    dtype = FLOAT_TYPES[problem.threshold_type]

    def tensors(slots: Sequence[Slot], arrays: Sequence[Array]) -> tuple[Tensor, ...]:
        pairs = zip(slots, arrays, strict=True)
        return tuple(
            Tensor.of(slot.name, dtype.round(array), variable_dtype(slot.dtype))
            for slot, array in pairs
        )

    return Problem(
        layer,
        tensors(weight_slots(layer, features), weights),
        Tensor.of("inputs", dtype.round(x), problem.inputs.dtype),
        initial_state=None if initial is None else tensors(state_slots(layer, rows), initial),
        id=f"{problem.id.removesuffix('-probe')}-probe",
    )
