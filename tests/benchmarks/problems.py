"""The problems that are timed: weights at random, small enough that nothing saturates, the same in
every run."""

from __future__ import annotations

import numpy as np

from rnnparity.problem.keras_config import parse_layer
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import weight_slots

LAYERS = ("SimpleRNN", "LSTM", "GRU", "BiLSTM")
# (B, T, D, H)
SIZES = (
    (1, 4, 5, 3),
    (8, 16, 16, 32),
    (32, 50, 64, 128),
    (32, 100, 256, 512),
    (1, 500, 64, 256),
    (128, 100, 128, 256),
)


def make_problem(kind: str, size: tuple[int, int, int, int], sequences: bool = True) -> Problem:
    batch, steps, features, units = size
    spec = {
        "class_name": kind.removeprefix("Bi"),
        "config": {"units": units, "return_sequences": sequences},
    }
    if kind.startswith("Bi"):
        spec = {"class_name": "Bidirectional", "config": {"layer": spec, "merge_mode": "concat"}}
    layer = parse_layer(spec)
    rng = np.random.default_rng(1)
    weights = tuple(
        Tensor.of(
            slot.name,
            rng.normal(size=slot.shape) / np.sqrt(slot.shape[0] if len(slot.shape) > 1 else 100),
        )
        for slot in weight_slots(layer, features)
    )
    inputs = Tensor.of("inputs", rng.normal(size=(batch, steps, features)))
    return Problem(layer=layer, weights=weights, inputs=inputs, id=name_of(kind, size))


def name_of(kind: str, size: tuple[int, int, int, int]) -> str:
    return f"{kind} {'x'.join(map(str, size))}"
