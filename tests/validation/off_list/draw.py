"""Random problems and a random change of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from rnnparity.problem.findings import BlockChange, Finding, FindingType, WeightBlock
from rnnparity.problem.keras_config import parse_layer
from rnnparity.problem.layers import Bidirectional, Stack, halves
from rnnparity.problem.problem import Problem
from rnnparity.reference.tolerance import expect
from rnnparity.session.random_problems import random_problem
from validation.off_list.cells import quantities_of, run
from validation.off_list.changes import Change, Kind, block_of, half_of

Rng: TypeAlias = np.random.Generator

FORMS = ("plain", "plain", "backwards", "two ways", "two ways", "stack")
OTHER_FUNCTIONS = ("hard_sigmoid", "hard_sigmoid_keras2", "softsign", "relu", "linear", "elu")
# Blocks are the most frequent mistakes; masked steps are in few problems.
KINDS = (
    *[Kind.EXCHANGED] * 3,
    *[Kind.BLOCK] * 8,
    *[Kind.INITIAL_STATE, Kind.ACTIVATION, Kind.RETURNED, Kind.MASKED] * 2,
    *Kind,
)
# What a block may become, and how often.
BLOCK_CHANGES = (
    BlockChange.PERMUTED,
    BlockChange.SCALED,
    BlockChange.SCALED,
    BlockChange.TRANSPOSED,
    BlockChange.NEGATED,
    BlockChange.MISSING,
    BlockChange.DOUBLED,
    BlockChange.SHIFTED,
    BlockChange.OTHER,
)


def draw_problem(rng: Rng, name: str) -> Problem:
    """Draw a conclusive problem with sequences: any layer, mask and initial state, sizes to 9."""
    while True:
        batch, steps, features = (int(rng.integers(*ends)) for ends in ((2, 6), (3, 10), (2, 7)))
        masked, with_state = (bool(rng.random() < 0.35) for _ in range(2))
        layer = parse_layer(_draw_config(rng))
        problem = random_problem(rng, layer, (batch, steps, features), masked, with_state, name)
        if not expect(problem).inconclusive:
            return problem


def _draw_config(rng: Rng) -> dict[str, Any]:
    flags = {"return_sequences": True, "return_state": bool(rng.random() < 0.5)}
    form = str(rng.choice(FORMS))
    if form == "stack":
        layers = [_draw_layer(rng, {"return_sequences": True}), _draw_layer(rng, flags)]
        return {"class_name": "Sequential", "config": {"layers": layers}}
    config = _draw_layer(rng, flags | {"go_backwards": form == "backwards"})
    if form != "two ways":
        return config
    mode = [None, "concat", "concat", "sum", "mul", "ave"][rng.integers(6)]
    return {"class_name": "Bidirectional", "config": {"layer": config, "merge_mode": mode}}


def _draw_layer(rng: Rng, flags: dict[str, bool]) -> dict[str, Any]:
    class_name = str(rng.choice(["SimpleRNN", "LSTM", "LSTM", "GRU", "GRU"]))
    config: dict[str, Any] = {"units": int(rng.integers(2, 8)), **flags}
    if class_name == "GRU":
        config["reset_after"] = bool(rng.random() < 0.5)
    return {"class_name": class_name, "config": config}


def draw_change(rng: Rng, problem: Problem) -> Change:
    """Draw a kind that is possible in a problem, and a change of it."""
    prefixes = [prefix for prefix, _ in halves(problem.layer)]
    if isinstance(problem.layer, Stack):  # what is changed below is seldom visible
        prefixes = ["0/", "1/", "1/", "1/"]
    prefix = str(rng.choice(prefixes))
    while True:
        kind = KINDS[rng.integers(len(KINDS))]
        change = _draw_of_kind(rng, problem, prefix, kind)
        if change is not None:
            return change


def _draw_of_kind(rng: Rng, problem: Problem, prefix: str, kind: Kind) -> Change | None:
    """Return a change of a kind, None where the problem or the half has none."""
    seed = int(rng.integers(1 << 31))
    if kind in OF_A_HALF:
        finding = OF_A_HALF[kind](rng, problem, prefix)
    else:
        finding, prefix = _draw_of_outputs(rng, problem, kind), ""
    return None if finding is None else Change(kind, replace(finding, half=prefix), seed)


def _draw_quantity(rng: Rng, problem: Problem, prefix: str) -> Finding:
    names = [name for name in quantities_of(half_of(problem, prefix)) if name != "h"]
    return Finding(FindingType.OTHER_QUANTITY, str(rng.choice(names)))


def _draw_restart(rng: Rng, problem: Problem, prefix: str) -> Finding:
    return Finding(FindingType.RESTARTS_EVERY_STEP)


def _draw_masked(rng: Rng, problem: Problem, prefix: str) -> Finding | None:
    """Draw a number that is returned at masked steps."""
    if problem.mask is None or problem.mask.all():
        return None
    return Finding(FindingType.MASKED_STEPS_ONLY, value=float(rng.choice([-1, 0.5, 1])))


def _draw_direction(rng: Rng, problem: Problem, prefix: str) -> Finding | None:
    if not isinstance(problem.layer, Bidirectional):
        return None
    return Finding(FindingType.ONE_DIRECTION_ONLY, prefix.rstrip("/"))


def blocks_of(problem: Problem, prefix: str) -> Iterator[WeightBlock]:
    """Yield the blocks of one gate of each array of a half, bias rows apart."""
    half = half_of(problem, prefix)
    for tensor in problem.weights:
        if tensor.name.rpartition("/")[0] != prefix.rstrip("/"):
            continue
        two_rows = tensor.name.endswith("bias") and half.bias_rows == 2
        for gate in half.cell.gates:
            for row in range(2) if two_rows else (None,):
                yield WeightBlock(tensor.name, gate, row)


def _draw_exchange(rng: Rng, problem: Problem, prefix: str) -> Finding | None:
    """Draw two blocks of the same shape that are exchanged."""
    blocks = list(blocks_of(problem, prefix))
    first = blocks[rng.integers(len(blocks))]
    shape = block_of(problem, first).shape
    rest = [b for b in blocks if b != first and block_of(problem, b).shape == shape]
    if not rest:
        return None
    second = rest[rng.integers(len(rest))]
    change = BlockChange.EXCHANGED
    return Finding(FindingType.BLOCK, block=first, source=second, change=change)


def _draw_block(rng: Rng, problem: Problem, prefix: str) -> Finding | None:
    blocks = list(blocks_of(problem, prefix))
    block = blocks[rng.integers(len(blocks))]
    change = BLOCK_CHANGES[rng.integers(len(BLOCK_CHANGES))]
    if not _applies(change, block_of(problem, block).shape):
        return None
    value, numbers = None, ()
    if change is BlockChange.PERMUTED:
        numbers = _permutation(rng, len(block_of(problem, block)))
    if change is BlockChange.SCALED:
        value = float(np.float32(rng.choice([rng.uniform(0.3, 0.8), rng.uniform(1.25, 3.0)])))
    if change is BlockChange.SHIFTED:
        value = float(np.float32(rng.uniform(0.1, 1.0)))
    return Finding(FindingType.BLOCK, numbers=numbers, value=value, block=block, change=change)


def _draw_at_step(rng: Rng, problem: Problem, prefix: str) -> Finding:
    """Draw a block that is missing or doubled at the first or the last step."""
    blocks = list(blocks_of(problem, prefix))
    step = [0, problem.inputs.shape[1] - 1][rng.integers(2)]
    change = [BlockChange.MISSING, BlockChange.DOUBLED][rng.integers(2)]
    block = blocks[rng.integers(len(blocks))]
    return Finding(FindingType.BLOCK, numbers=(step,), block=block, change=change)


def _applies(change: BlockChange, shape: tuple[int, ...]) -> bool:
    """Return whether a change is one of a block of this shape, the row of a bias or columns."""
    if len(shape) == 1:
        return change not in (BlockChange.PERMUTED, BlockChange.TRANSPOSED)
    if change is BlockChange.TRANSPOSED:
        return shape[0] == shape[1]
    return change is not BlockChange.SHIFTED


def _permutation(rng: Rng, count: int) -> tuple[int, ...]:
    """Return an order of `count` numbers that is not their own."""
    while True:
        order = tuple(rng.permutation(count).tolist())
        if order != tuple(range(count)):
            return order


def _draw_states(rng: Rng, problem: Problem, prefix: str) -> Finding:
    """Draw how the states at the start differ from those given, or from zeros."""
    states = half_of(problem, prefix).states
    changes = [BlockChange.SHIFTED]
    if problem.initial_state is not None:
        changes += [BlockChange.SCALED, BlockChange.MISSING]
        changes += [BlockChange.EXCHANGED, BlockChange.REPLACED] if len(states) == 2 else []
    change = changes[rng.integers(len(changes))]
    if change in (BlockChange.EXCHANGED, BlockChange.REPLACED):
        source = WeightBlock(f"{prefix}c", "")
        return Finding(FindingType.INITIAL_STATE, "h", change=change, source=source)
    name = str(rng.choice([*states, *(["all"] if len(states) == 2 else [])]))
    with_value = change in (BlockChange.SHIFTED, BlockChange.SCALED)
    value = float(np.float32(rng.uniform(0.1, 0.9))) if with_value else None
    name = "" if name == "all" else name
    return Finding(FindingType.INITIAL_STATE, name, value=value, change=change)


def _draw_activation(rng: Rng, problem: Problem, prefix: str) -> Finding:
    """Draw another activation of a gate, or of the output of an LSTM."""
    half = half_of(problem, prefix)
    gates = [*half.cell.gates, *(["output"] if half.class_name == "LSTM" else [])]
    gate = str(rng.choice(gates))
    block = None if gate == "output" else WeightBlock(f"{prefix}kernel", gate)
    return Finding(FindingType.ACTIVATION, str(rng.choice(OTHER_FUNCTIONS)), block=block)


def _draw_of_outputs(rng: Rng, problem: Problem, kind: Kind) -> Finding | None:
    """Draw a change that concerns the outputs only."""
    batch, steps, _ = problem.inputs.shape
    repeated = tuple(sorted(rng.integers(0, batch, batch).tolist()))
    if kind is Kind.REPEATED and len(set(repeated)) == batch:
        return None
    count = int(rng.integers(1, steps))
    last = bool(rng.random() < 0.5)
    late = int(rng.integers(1, max(2, steps // 2)))
    name, size = [("row", batch), ("step", steps)][rng.integers(2)]
    zero = np.sort(rng.permutation(size)[: rng.integers(1, size)])
    part = range(steps - count, steps) if last else range(count)
    largest = max(float(np.abs(output).max()) for output in run(problem))
    scale = float(np.float32(largest / 100)) or 1.0
    zero_point, digits = int(rng.integers(-20, 20)), int(rng.integers(3, 6))
    findings = {
        Kind.ROWS: Finding(FindingType.ROWS_PERMUTED, numbers=_permutation(rng, batch)),
        Kind.REPEATED: Finding(FindingType.ROWS_PERMUTED, numbers=repeated),
        Kind.ZERO: Finding(FindingType.ZERO, name, tuple(zero.tolist())),
        Kind.SHIFTED: Finding(FindingType.TIME_SHIFTED, "output", (-late if last else late,)),
        Kind.PART: Finding(FindingType.STEPS_MISSING, "last" if last else "first", tuple(part)),
        Kind.TIME_FIRST: Finding(FindingType.OTHER_ORDER_AGREES),
        Kind.GRID: Finding(FindingType.QUANTIZED, value=float(2.0 ** -rng.integers(6, 13))),
        Kind.RAW: Finding(FindingType.QUANTIZED, numbers=(zero_point,), value=scale),
        Kind.DIGITS: Finding(FindingType.PRINTED_DIGITS, "decimals", (digits,)),
    }
    return findings[kind]


OF_A_HALF: Mapping[Kind, Callable[[Rng, Problem, str], Finding | None]] = {
    Kind.EXCHANGED: _draw_exchange,
    Kind.BLOCK: _draw_block,
    Kind.AT_STEPS: _draw_at_step,
    Kind.INITIAL_STATE: _draw_states,
    Kind.ACTIVATION: _draw_activation,
    Kind.RETURNED: _draw_quantity,
    Kind.RESTARTS: _draw_restart,
    Kind.MASKED: _draw_masked,
    Kind.DIRECTION: _draw_direction,
}
