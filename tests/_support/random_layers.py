"""Random layers with every option: stacks, unequal halves, masks, stateful calls, dtype policies."""

from __future__ import annotations

from typing import Any

import numpy as np
from _support.random_problems import random_problem

from rnnparity.problem.dtypes import COMPUTE_DTYPE
from rnnparity.problem.layers import ACTIVATIONS, MERGE_MODES
from rnnparity.problem.problem import Problem

Rng = np.random.Generator


def problem_with_random_options(seed: int) -> Problem:
    """Return a problem whose options are all drawn from `seed`, up to 3 layers, T to 9, H to 8."""
    rng = np.random.default_rng([7, seed])
    batch, steps, features = (int(rng.integers(1, limit)) for limit in (5, 10, 8))
    stateful = _chance(rng, 0.25)
    spec = _layer(rng, stateful=stateful, sequences=_chance(rng), state=_chance(rng))
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        lower = _layer(rng, stateful=_chance(rng) and stateful, sequences=True, state=False)
        spec = {"class_name": "Sequential", "config": {"layers": [lower, *_layers_of(spec)]}}
    mask = None
    if _chance(rng):
        mask = ["".join(rng.choice(["0", "1"], steps, p=[0.3, 0.7])) for _ in range(batch)]
    return random_problem(
        spec,
        seed,
        (batch, steps, features),
        scale=float(rng.choice([0.3, 1.0, 2.0])),
        mask=mask,
        initial=_chance(rng),
        calls=_calls(rng, steps) if stateful else None,
    )


def _layer(rng: Rng, *, stateful: bool, sequences: bool, state: bool) -> dict[str, Any]:
    flags = {"return_sequences": sequences, "return_state": state, "stateful": stateful}
    forward = _recurrent(rng, **flags)
    if _chance(rng):
        forward["config"]["go_backwards"] = _chance(rng)
        return forward
    # A layer below another one returns one sequence.
    modes = [mode for mode in MERGE_MODES if mode is not None or state or not sequences]
    mode = modes[rng.integers(len(modes))]
    config = {"layer": forward, "merge_mode": mode, "dtype": _policy(rng)}
    if _chance(rng):
        backward = _recurrent(rng, **flags)
        backward["config"]["go_backwards"] = True
        if mode not in ("concat", None):
            backward["config"]["units"] = forward["config"]["units"]
        config["backward_layer"] = backward
    return {"class_name": "Bidirectional", "config": config}


def _recurrent(rng: Rng, **flags: bool) -> dict[str, Any]:
    class_name = str(rng.choice(["SimpleRNN", "LSTM", "GRU"]))
    config: dict[str, Any] = {
        **flags,
        "units": int(rng.integers(1, 9)),
        "activation": _activation(rng, "tanh"),
        "use_bias": _chance(rng, 0.8),
        "zero_output_for_mask": _chance(rng),
        "dtype": _policy(rng),
    }
    if class_name != "SimpleRNN":
        config["recurrent_activation"] = _activation(rng, "sigmoid")
    if class_name == "GRU":
        config["reset_after"] = _chance(rng)
    return {"class_name": class_name, "config": config}


def _layers_of(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return spec["config"]["layers"] if spec["class_name"] == "Sequential" else [spec]


def _activation(rng: Rng, default: str) -> str:
    return default if _chance(rng) else str(rng.choice(ACTIVATIONS))


def _policy(rng: Rng) -> str:
    return "float32" if _chance(rng) else str(rng.choice(list(COMPUTE_DTYPE)))


def _calls(rng: Rng, steps: int) -> list[int]:
    """Return how `steps` are divided into calls."""
    inner = sorted(int(end) for end in range(1, steps) if _chance(rng, 0.4))
    return np.diff([0, *inner, steps]).tolist()


def _chance(rng: Rng, probability: float = 0.5) -> bool:
    return bool(rng.random() < probability)
