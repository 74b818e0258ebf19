"""Problems with random-looking numbers for the tests: seeded, so that every run sees the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnnparity.problem.cells import CELLS
from rnnparity.problem.dtypes import Array, variable_dtype
from rnnparity.problem.keras_config import parse_layer
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import dropout_slots, state_slots, weight_slots
from rnnparity.reference import compute

# The four kinds of cell: class name and what its configuration has besides the units.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    name: (cell.class_name, dict(options))
    for cell in CELLS.values()
    for name, options in cell.variants.items()
}
# In this policy numbers computed by one problem can be given to another without being rounded on
# the way.
EXACT = {"dtype": "float64"}
SEQUENCES = {"return_sequences": True}
STATE = {"return_state": True}
BOTH = {**SEQUENCES, **STATE}
# For a batch of five: leading, interior and trailing gaps, a full row, and a row of which nothing
# is used.
MASK = ("011011", "110100", "001110", "111111", "000000")
SHAPE = (5, 6, 3)


def spec_of(kind: str, units: int = 4, **config: Any) -> dict[str, Any]:
    """The configuration of one of the KINDS."""
    class_name, own = KINDS[kind]
    return {"class_name": class_name, "config": {"units": units, **own, **config}}


def two_ways(layer: Mapping[str, Any], **config: Any) -> dict[str, Any]:
    """A Bidirectional around a configuration, in the inner layer's policy."""
    dtype = layer["config"].get("dtype", "float32")
    return {"class_name": "Bidirectional", "config": {"layer": layer, "dtype": dtype, **config}}


def stack_of(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """A Sequential of configurations."""
    return {"class_name": "Sequential", "config": {"layers": list(layers)}}


def random_problem(
    spec: Mapping[str, Any],
    seed: int = 0,
    shape: tuple[int, int, int] = (3, 6, 5),
    *,
    scale: float = 1.0,
    mask: Sequence[str] | None = None,
    initial: bool = False,
    calls: Sequence[int] | None = None,
) -> Problem:
    """Normal numbers; kernels of `scale` over the root of their fan-in. A mask has one string a
    row: 1 used, 0 not."""
    rng = np.random.default_rng(seed)
    layer = parse_layer(spec)
    weights = []
    for slot in weight_slots(layer, shape[2]):
        size = 0.5 if slot.name.endswith("bias") else scale / np.sqrt(slot.shape[0])
        weights.append(
            Tensor.of(slot.name, size * rng.standard_normal(slot.shape), variable_dtype(slot.dtype))
        )
    wide = "float64" if layer.compute_dtype == "float64" else "float32"
    inputs = Tensor.of("inputs", rng.standard_normal(shape), wide)
    states = [
        Tensor.of(slot.name, rng.standard_normal(slot.shape), wide)
        for slot in state_slots(layer, shape[0])
    ]
    return Problem(
        layer,
        tuple(weights),
        inputs,
        None if mask is None else np.array([[letter == "1" for letter in row] for row in mask]),
        tuple(states) if initial else None,
        None if calls is None else tuple(calls),
    )


def with_dropout(problem: Problem, *names: str, seed: int = 0, shared: bool = False) -> Problem:
    """Add dropout masks of zeros and 1 / (1 - rate), different in every gate unless `shared`.

    `names` are "inputs" and "recurrent"; without any, both.
    """
    rng = np.random.default_rng(seed)
    batch, _, features = problem.inputs.shape
    masks = []
    for slot in dropout_slots(problem.layer, batch, features):
        name = slot.name.rpartition("/")[2]
        if name in (names or ("inputs", "recurrent")):
            rate = 0.3 if name == "inputs" else 0.4
            shape = (1, *slot.shape[1:]) if shared else slot.shape
            mask = (rng.random(shape) >= rate) / (1 - rate)
            masks.append(Tensor.of(slot.name, mask, problem.inputs.dtype))
    return replace(problem, dropout_masks=tuple(masks))


def problem_of(
    spec: Mapping[str, Any],
    weights: Sequence[Array | Tensor],
    inputs: Any,
    *,
    mask: Any = None,
    initial: Sequence[Any] | None = None,
) -> Problem:
    """A problem with given numbers, in the order of `get_weights()`, kept in float64."""
    layer = parse_layer(spec)
    inputs = np.asarray(inputs, np.float64)
    named = _named(weights, weight_slots(layer, inputs.shape[2]))
    states = None if initial is None else _named(initial, state_slots(layer, inputs.shape[0]))
    return Problem(layer, named, Tensor("inputs", inputs), mask, states)


def _named(values: Sequence[Any], slots: Sequence[Any]) -> tuple[Tensor, ...]:
    arrays = [
        np.asarray(value.data if isinstance(value, Tensor) else value, np.float64)
        for value in values
    ]
    return tuple(Tensor(slot.name, array) for slot, array in zip(slots, arrays, strict=True))


def only_row(problem: Problem, row: int, steps: Any = slice(None)) -> Problem:
    """One row of the batch without a mask, some of its steps."""
    states = tuple(replace(state, data=state.data[[row]]) for state in problem.initial_state or ())
    inputs = replace(problem.inputs, data=problem.inputs.data[[row]][:, steps])
    return replace(problem, inputs=inputs, mask=None, initial_state=states or None)


def outputs_of(problem: Problem) -> dict[str, Array]:
    """The reference's outputs by name."""
    return {tensor.name: tensor.data for tensor in compute(problem)}


def assert_same(given: Any, right: Any, tolerance: float = 1e-14) -> None:
    """Equal but for the order of summation."""
    np.testing.assert_allclose(given, right, rtol=0, atol=tolerance, strict=True)


def assert_all_same(
    given: Mapping[str, Array], right: Mapping[str, Array], tolerance: float = 1e-14
) -> None:
    """The same names in the same order, and the same numbers."""
    assert list(given) == list(right)
    for name, array in right.items():
        assert_same(given[name], array, tolerance)
