"""Random layers and problems, healthy ones, for fuzzing."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from rnnparity.problem.dtypes import variable_dtype
from rnnparity.problem.keras_config import parse_layer
from rnnparity.problem.layers import Layer
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import Slot, state_slots, weight_slots

# B, T and D of the inputs.
Shape: TypeAlias = tuple[int, int, int]

MOST_ROWS, MOST_STEPS, MOST_FEATURES, MOST_UNITS = 8, 500, 128, 128
# Weights are normal; their size times the root of the fan-in goes from small to saturating.
SMALLEST_WEIGHTS, LARGEST_WEIGHTS = 0.05, 5.0
CLASS_NAMES = ("SimpleRNN", "LSTM", "GRU", "GRU")
DIRECTIONS = ("forward", "forward", "backwards", "bidirectional")
MERGE_MODES = (None, "concat", "sum", "mul", "ave")
POLICIES = (
    *["float32"] * 12,
    *["float64"] * 2,
    "float16",
    "mixed_float16",
    "bfloat16",
    "mixed_bfloat16",
)


def random_layer(rng: np.random.Generator) -> tuple[Layer, Shape]:
    """Return a layer of any class, direction and dtype, and the shape (B, T, D) of its inputs."""
    class_name = rng.choice(CLASS_NAMES)
    policy = str(rng.choice(POLICIES))
    config: dict[str, object] = {
        "units": _log_uniform(rng, MOST_UNITS),
        "dtype": policy,
        "return_state": True,
        "return_sequences": bool(rng.random() < 0.5),
    }
    if class_name == "GRU":
        config["reset_after"] = bool(rng.random() < 0.5)
    direction = rng.choice(DIRECTIONS)
    if direction == "backwards":
        config["go_backwards"] = True
    spec: dict[str, object] = {"class_name": str(class_name), "config": config}
    if direction == "bidirectional":
        merge_mode = MERGE_MODES[rng.integers(len(MERGE_MODES))]
        outer = {"layer": spec, "merge_mode": merge_mode, "dtype": policy}
        spec = {"class_name": "Bidirectional", "config": outer}
    rows = int(rng.integers(1, MOST_ROWS + 1))
    steps = _log_uniform(rng, MOST_STEPS)
    return parse_layer(spec), (rows, steps, _log_uniform(rng, MOST_FEATURES))


def random_problem(
    rng: np.random.Generator,
    layer: Layer,
    shape: Shape,
    masked: bool,
    with_state: bool,
    name: str,
) -> Problem:
    """Return a problem with normal inputs and weights, and a mask or initial state if asked for."""
    batch, steps, features = shape
    logs = np.log([SMALLEST_WEIGHTS, LARGEST_WEIGHTS])
    scale = float(np.exp(rng.uniform(*logs)))
    weights = [_random_weights(rng, slot, scale) for slot in weight_slots(layer, features)]
    dtype = "float64" if layer.compute_dtype == "float64" else "float32"
    states = [
        Tensor.of(slot.name, 0.5 * rng.standard_normal((batch, slot.shape[1] or 0)), dtype)
        for slot in state_slots(layer, batch)
    ]
    return Problem(
        layer=layer,
        weights=tuple(weights),
        inputs=Tensor.of("inputs", rng.standard_normal(shape), dtype),
        mask=rng.random((batch, steps)) < 0.8 if masked else None,
        initial_state=tuple(states) if with_state else None,
        id=name,
    )


def _random_weights(rng: np.random.Generator, slot: Slot, scale: float) -> Tensor:
    shape = tuple(size or 0 for size in slot.shape)
    deviation = 0.5 if slot.name.endswith("bias") else scale / np.sqrt(shape[0])
    values = deviation * rng.standard_normal(shape)
    return Tensor.of(slot.name, values, variable_dtype(slot.dtype))


def _log_uniform(rng: np.random.Generator, most: int) -> int:
    """Return a whole number from 1 to `most` whose logarithm is uniform."""
    return int(np.exp(rng.uniform(0.0, np.log(most + 0.999))))
