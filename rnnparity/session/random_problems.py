"""Random layers and problems, healthy ones, for fuzzing: a seed stands for a layer and DRAWS of it.

What Keras 3.15 is known to compute differently, by docs/findings.md, is not drawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from rnnparity.problem.cells import CELLS
from rnnparity.problem.dtypes import FLOAT_TYPES, Array, variable_dtype
from rnnparity.problem.keras_config import JsonObject, parse_layer
from rnnparity.problem.layers import ACTIVATIONS, Bidirectional, Layer, called_layers, halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import Slot, dropout_slots, state_slots, weight_slots

# B, T and D of the inputs.
Shape: TypeAlias = tuple[int, int, int]
Rng: TypeAlias = np.random.Generator

# Problems per layer and shape: what is traced and compiled for them is used more than once.
DRAWS = 8
MOST_ROWS, MOST_STEPS, MOST_FEATURES, MOST_UNITS = 8, 500, 128, 128
# The typical size of weights times the root of the fan-in goes from small to saturating.
SMALLEST_WEIGHTS, LARGEST_WEIGHTS = 0.05, 5.0
# How weights and inputs are distributed; of sparse ones a tenth is not zero.
NUMBERS = ("normal", "normal", "heavy-tailed", "sparse")
DENSITY = 0.1
MASKS = ("right padding", "left padding", "gaps")
# The share of layers in training, what is dropped out there, and the smallest and largest rate.
DROPOUT = 0.1
DROPPED = (("inputs",), ("recurrent",), ("inputs", "recurrent"))
RATES = (0.1, 0.6)
DEPTHS = (1, 1, 1, 2, 3)
CLASS_NAMES = ("SimpleRNN", "LSTM", "GRU", "GRU")
DIRECTIONS = ("forward", "forward", "backwards", "bidirectional")
MERGE_MODES = ("concat", "sum", "mul", "ave")
POLICIES = (
    *["float32"] * 12,
    *["float64"] * 3,
    "float16",
    "mixed_float16",
    "bfloat16",
    "mixed_bfloat16",
)
_ID = re.compile(r"fuzz-(\d{1,18})-(\d{1,3})")


def problems_of_seed(seed: int) -> Iterator[Problem]:
    """Yield the problems "fuzz-SEED-0", "fuzz-SEED-1", ..., all of one layer and shape."""
    rng = np.random.default_rng(seed)
    layer, shape = random_layer(rng)
    # One choice per layer: with and without a mask or states are different traces.
    masked = _chance(rng, 0.4)
    with_state = _chance(rng) and _takes_states(layer)
    training = np.random.default_rng([seed, DRAWS])
    dropped = random_dropped(training)
    for draw in range(DRAWS):
        numbers = np.random.default_rng([seed, draw])
        name = f"fuzz-{seed}-{draw}"
        problem = random_problem(numbers, layer, shape, masked, with_state, name)
        yield with_random_dropout(training, problem, dropped)


def problem_of_id(id_: str) -> Problem | None:
    """Return the random problem with an id like "fuzz-17-3"; None where there is none."""
    match = _ID.fullmatch(id_)
    if match is None or int(match[2]) >= DRAWS:
        return None
    return next(problem for problem in problems_of_seed(int(match[1])) if problem.id == id_)


def random_layer(rng: Rng) -> tuple[Layer, Shape]:
    """Return a layer or a stack of any class, direction and dtype, and the shape of its inputs."""
    policy = _policy(rng)
    depth = int(rng.choice(DEPTHS))
    specs = [_layer(rng, policy, last=index == depth - 1) for index in range(depth)]
    spec = specs[0]
    if depth > 1:
        _equalize_states(specs[-1])
        spec = {"class_name": "Sequential", "config": {"layers": specs}}
    layer = parse_layer(spec)
    rows = int(rng.integers(1, MOST_ROWS + 1))
    # Halves and layers make a step expensive, in eager Keras and in the visibility of changes.
    steps = _log_uniform(rng, max(12, MOST_STEPS // len(halves(layer)) ** 2))
    return layer, (rows, steps, _log_uniform(rng, MOST_FEATURES))


def random_problem(
    rng: Rng, layer: Layer, shape: Shape, masked: bool, with_state: bool, name: str
) -> Problem:
    """Return a problem with random numbers, and a mask or initial states if asked for."""
    batch, steps, features = shape
    logs = np.log([SMALLEST_WEIGHTS, LARGEST_WEIGHTS])
    scale = float(np.exp(rng.uniform(*logs)))
    kind = str(rng.choice(NUMBERS))
    weights = [_random_weights(rng, slot, kind, scale) for slot in weight_slots(layer, features)]
    is_wide = any(half.compute_dtype == "float64" for _, half in halves(layer))
    # In float64 they are not numbers of float32.
    dtype = "float64" if is_wide else "float32"
    # TensorFlow casts float64 to float16 through float32, which rounds twice.
    narrow = any(FLOAT_TYPES[each.compute_dtype].bits < 24 for each in called_layers(layer))
    drawn = np.float32 if narrow else np.float64
    states = [
        Tensor.of(slot.name, _state(rng, slot, batch).astype(drawn), dtype)
        for slot in state_slots(layer, batch)
    ]
    inputs = _numbers(rng, shape, kind if _chance(rng) else "normal")
    return Problem(
        layer=layer,
        weights=tuple(weights),
        inputs=Tensor.of("inputs", inputs.astype(drawn), dtype),
        mask=random_mask(rng, batch, steps) if masked else None,
        initial_state=tuple(states) if with_state else None,
        id=name,
    )


def random_dropped(rng: Rng) -> tuple[str, ...]:
    """Return what is dropped out: mostly nothing, else `inputs`, `recurrent` or both."""
    return DROPPED[rng.integers(len(DROPPED))] if _chance(rng, DROPOUT) else ()


def with_random_dropout(rng: Rng, problem: Problem, dropped: Sequence[str]) -> Problem:
    """Return a problem with dropout masks of any rate: one for all gates, or one for each."""
    masks = []
    batch, _, features = problem.inputs.shape
    for slot in dropout_slots(problem.layer, batch, features):
        if slot.name.rpartition("/")[2] in dropped:
            gates, *rest = (size or 0 for size in slot.shape)
            rate = rng.uniform(*RATES)
            kept = rng.random((1 if _chance(rng) else gates, *rest)) >= rate
            # As inputs: what is stored in float32 is rounded once.
            scale = np.float32(1 / (1 - rate))
            masks.append(Tensor.of(slot.name, kept * scale, problem.inputs.dtype))
    return replace(problem, dropout_masks=tuple(masks)) if masks else problem


def _state(rng: Rng, slot: Slot, batch: int) -> Array:
    return 0.5 * rng.standard_normal((batch, slot.shape[1] or 0))


def random_mask(rng: Rng, batch: int, steps: int) -> Array:
    """Return a mask (B, T): padding of any length from 0 to T or gaps, often with a uniform row."""
    kind = rng.choice(MASKS)
    lengths = rng.integers(0, steps + 1, (batch, 1))
    time = np.arange(steps)
    mask: Array = rng.random((batch, steps)) < rng.uniform(0.2, 1.0)
    if kind == "right padding":
        mask = time < lengths
    if kind == "left padding":
        mask = time >= steps - lengths
    if _chance(rng):
        mask[rng.integers(batch)] = _chance(rng)
    return mask


def _layer(rng: Rng, policy: str, *, last: bool) -> JsonObject:
    """Return the config of a layer; only the last of a stack may return no sequences or states."""
    flags = {"return_sequences": _chance(rng) or not last, "return_state": last}
    # The policy of a part may be its own: of a layer, of the halves in a Bidirectional.
    policy = _policy(rng) if _chance(rng, 0.1) else policy
    direction = rng.choice(DIRECTIONS)
    if direction != "bidirectional":
        zeros = flags["return_sequences"] and _chance(rng, 0.2)
        backwards = bool(direction == "backwards")
        return _cell(rng, policy, go_backwards=backwards, zero_output_for_mask=zeros, **flags)
    mode = None if last and _chance(rng, 0.2) else str(rng.choice(MERGE_MODES))
    inner = _policy(rng) if _chance(rng, 0.1) else policy
    forward = _cell(rng, inner, **flags)
    config = {"layer": forward, "merge_mode": mode, "dtype": policy}
    if _chance(rng, 0.4):
        backward = _cell(rng, inner, go_backwards=True, **flags)
        # Keras takes the width of a concatenation from the forward half when the next is built.
        if not last or mode not in ("concat", None):
            backward["config"]["units"] = forward["config"]["units"]
        config["backward_layer"] = backward
    return {"class_name": "Bidirectional", "config": config}


def _equalize_states(spec: JsonObject) -> None:
    """Let the halves of the last layer of a stack be alike where one has more states.

    A model takes the number of states of both from the forward half, and loses one.
    """
    config = spec["config"]
    if "backward_layer" in config:
        names = [config[half]["class_name"] for half in ("layer", "backward_layer")]
        if len({len(CELLS[name].states) for name in names}) > 1:
            del config["backward_layer"]


def _cell(rng: Rng, policy: str, **flags: bool) -> JsonObject:
    class_name = str(rng.choice(CLASS_NAMES))
    config: JsonObject = {"units": _log_uniform(rng, MOST_UNITS), "dtype": policy, **flags}
    config["use_bias"] = _chance(rng, 0.9)
    if class_name == "GRU":
        config["reset_after"] = _chance(rng)
    names = ("activation", "recurrent_activation")
    for name in names[: 1 if class_name == "SimpleRNN" else 2]:
        if _chance(rng, 0.15):
            config[name] = _activation(rng, policy)
    return {"class_name": class_name, "config": config}


def _activation(rng: Rng, policy: str) -> str:
    # The constants of tf.nn.gelu, both forms, are those of float32.
    names = [name for name in ACTIVATIONS if "gelu" not in name or policy != "float64"]
    return str(rng.choice(names))


def _takes_states(layer: Layer) -> bool:
    """Whether Keras takes initial states: it splits those of two halves in the middle."""
    pairs = [called for called in called_layers(layer) if isinstance(called, Bidirectional)]
    return all(len(pair.forward.states) <= len(pair.backward.states) for pair in pairs)


def _random_weights(rng: Rng, slot: Slot, kind: str, scale: float) -> Tensor:
    shape = tuple(size or 0 for size in slot.shape)
    size = 0.5 if slot.name.endswith("bias") else scale / np.sqrt(shape[0])
    return Tensor.of(slot.name, size * _numbers(rng, shape, kind), variable_dtype(slot.dtype))


def _numbers(rng: Rng, shape: tuple[int, ...], kind: str) -> Array:
    """Return numbers of size 1: normal, of a distribution without a variance, or mostly zeros."""
    if kind == "heavy-tailed":
        return rng.standard_t(2, shape)
    values = rng.standard_normal(shape)
    if kind == "sparse":
        return np.where(rng.random(shape) < DENSITY, values / np.sqrt(DENSITY), 0.0)
    return values


def _policy(rng: Rng) -> str:
    return str(rng.choice(POLICIES))


def _chance(rng: Rng, probability: float = 0.5) -> bool:
    return bool(rng.random() < probability)


def _log_uniform(rng: Rng, most: int) -> int:
    """Return a whole number from 1 to `most` whose logarithm is uniform."""
    return int(np.exp(rng.uniform(0.0, np.log(most + 0.999))))
