"""Changes: what each does to a problem, to the cells that run it, and to the outputs.

A change is a value; its `finding` is what a correct finding states. Nothing here knows the list of
faults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import BlockChange, Finding, WeightBlock
from rnnparity.problem.layers import Recurrent, halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import state_slots
from validation.off_list import outputs as of_outputs
from validation.off_list.cells import AS_KERAS, Behaviour, run


class Kind(StrEnum):
    """What is changed."""

    EXCHANGED = "blocks exchanged"
    BLOCK = "block changed"
    AT_STEPS = "block changed at a step"
    INITIAL_STATE = "initial state"
    ACTIVATION = "activation"
    RETURNED = "other quantity returned"
    RESTARTS = "every step restarted"
    MASKED = "masked steps"
    ROWS = "rows permuted"
    ZERO = "rows or steps zero"
    REPEATED = "rows repeated"
    SHIFTED = "steps shifted"
    PART = "part of the steps"
    TIME_FIRST = "time axis first"
    DIRECTION = "one direction"
    GRID = "grid of outputs"
    RAW = "raw quantized outputs"
    DIGITS = "printed digits"


@dataclass(frozen=True)
class Change:
    """A change of an implementation, with the facts that a correct finding must state.

    `finding` has the fields that its type has. `seed` is that of numbers that are drawn for it.
    """

    kind: Kind
    finding: Finding
    seed: int = 0

    @property
    def half(self) -> str:
        """The prefix of the half that is changed."""
        return self.finding.half

    @property
    def description(self) -> str:
        """The change in a few words."""
        finding = self.finding
        blocks = [block for block in (finding.block, finding.source) if block is not None]
        parts = [self.kind, finding.name, finding.change, *map(_block_text, blocks)]
        parts += [
            list(finding.numbers) or "",
            "" if finding.value is None else f"{finding.value:.4g}",
        ]
        return " ".join(str(part) for part in [*parts, self.half] if part)


def _block_text(block: WeightBlock) -> str:
    row = "" if block.row is None else f"[{block.row}]"
    return f"{block.weights}{row}.{block.gate}"


@dataclass(frozen=True)
class ChangedImplementation:
    """The cells with a change, as a function of a problem. It counts nothing and keeps nothing."""

    change: Change

    def __call__(self, problem: Problem) -> list[Array]:
        """Return the outputs of a problem in the type of its numbers."""
        kind, finding = self.change.kind, self.change.finding
        if kind is Kind.AT_STEPS:
            exception = _with_changed_block(problem, self.change)
            return run(problem, {finding.half: Behaviour(steps=finding.numbers)}, exception)
        if kind in OF_PROBLEM:
            problem = OF_PROBLEM[kind](problem, self.change)
        behaviour = OF_CELLS[kind](finding) if kind in OF_CELLS else AS_KERAS
        outputs = run(problem, {finding.half: behaviour})
        return OF_OUTPUTS[kind](outputs, finding) if kind in OF_OUTPUTS else outputs


def half_of(problem: Problem, prefix: str) -> Recurrent:
    """Return the half with a prefix."""
    return dict(halves(problem.layer))[prefix]


def index_of(problem: Problem, block: WeightBlock) -> tuple[int | slice, ...]:
    """Return the index of a block in its array."""
    prefix = block.weights.rpartition("/")[0]
    half = half_of(problem, f"{prefix}/" if prefix else "")
    columns = slice(None)
    if block.gate:
        start = half.cell.gates.index(block.gate) * half.units
        columns = slice(start, start + half.units)
    return (..., columns) if block.row is None else (block.row, columns)


def block_of(problem: Problem, block: WeightBlock) -> Array:
    """Return the numbers of a block."""
    arrays = {tensor.name: tensor.data for tensor in problem.weights}
    values: Array = arrays[block.weights][index_of(problem, block)]
    return values


def with_block(problem: Problem, block: WeightBlock, values: Array) -> Problem:
    """Return the problem with other numbers in a block."""
    weights = []
    for tensor in problem.weights:
        data = tensor.data
        if tensor.name == block.weights:
            data = data.copy()
            data[index_of(problem, block)] = values
        weights.append(replace(tensor, data=data))
    return replace(problem, weights=tuple(weights))


def changed_block(problem: Problem, finding: Finding, seed: int = 0) -> Array:
    """Return the numbers of a block as a finding states that they were used."""
    assert finding.block is not None
    block = block_of(problem, finding.block)
    source = block if finding.source is None else block_of(problem, finding.source)
    value = float(np.float32(finding.value or 0))
    if finding.change is BlockChange.OTHER:
        rng = np.random.default_rng(seed)
        return rng.normal(0, block.std() + 0.2, block.shape).astype(block.dtype)
    values: Mapping[BlockChange | None, Array] = {
        BlockChange.REVERSED: block[::-1],
        BlockChange.TRANSPOSED: block.T,
        BlockChange.REPLACED: source,
        BlockChange.ADDED: block + source,
        BlockChange.SHIFTED: block + value,
        BlockChange.SCALED: block * value,
        BlockChange.MISSING: 0 * block,
        BlockChange.DOUBLED: 2 * block,
        BlockChange.NEGATED: -block,
    }
    if finding.change is BlockChange.PERMUTED:
        return block[list(finding.numbers)]
    return values[finding.change]


def _with_changed_block(problem: Problem, change: Change) -> Problem:
    finding = change.finding
    if finding.change is BlockChange.EXCHANGED:
        return _with_exchanged_blocks(problem, change)
    assert finding.block is not None
    return with_block(problem, finding.block, changed_block(problem, finding, change.seed))


def _with_exchanged_blocks(problem: Problem, change: Change) -> Problem:
    finding = change.finding
    assert finding.block is not None
    assert finding.source is not None
    first, second = block_of(problem, finding.block), block_of(problem, finding.source)
    return with_block(with_block(problem, finding.block, second), finding.source, first)


def _with_states(problem: Problem, change: Change) -> Problem:
    """Return the problem with another state at the start of a half; "" is every state of it."""
    finding, batch = change.finding, problem.inputs.shape[0]
    slots = state_slots(problem.layer, batch)
    given = problem.initial_state or tuple(
        Tensor.of(slot.name, np.zeros((batch, slot.shape[1] or 0)), problem.inputs.dtype)
        for slot in slots
    )
    data = {_full_name(tensor.name): tensor.data for tensor in given}
    changed, value = dict(data), float(np.float32(finding.value or 0))
    names = [
        f"{finding.half}{name}" for name in (finding.name or half_of(problem, change.half).states)
    ]
    for name in names:
        values = {
            BlockChange.SHIFTED: data[name] + value,
            BlockChange.SCALED: data[name] * value,
            BlockChange.MISSING: 0 * data[name],
        }
        if finding.source is None:
            changed[name] = values[finding.change]
        else:
            changed[name] = data[finding.source.weights]
    if finding.change is BlockChange.EXCHANGED:
        changed[finding.source.weights] = data[names[0]]
    states = tuple(replace(tensor, data=changed[_full_name(tensor.name)]) for tensor in given)
    return replace(problem, initial_state=states)


def _full_name(state: str) -> str:
    """Return the name of a state with the prefix of its half."""
    return state.replace("_", "/")


def _other_half(problem: Problem, change: Change) -> Problem:
    """Return the problem with other numbers in all weights of a half."""
    for offset, tensor in enumerate(problem.weights):
        if tensor.name.rpartition("/")[0] + "/" == change.half:
            block = WeightBlock(tensor.name, "")
            other = replace(change.finding, block=block, change=BlockChange.OTHER)
            problem = with_block(
                problem, block, changed_block(problem, other, change.seed + offset)
            )
    return problem


OF_PROBLEM: Mapping[Kind, Callable[[Problem, Change], Problem]] = {
    Kind.EXCHANGED: _with_exchanged_blocks,
    Kind.BLOCK: _with_changed_block,
    Kind.INITIAL_STATE: _with_states,
    Kind.DIRECTION: _other_half,
}
OF_CELLS: Mapping[Kind, Callable[[Finding], Behaviour]] = {
    Kind.ACTIVATION: lambda finding: Behaviour(
        functions={finding.block.gate if finding.block else "output": finding.name}
    ),
    Kind.RETURNED: lambda finding: Behaviour(returns=finding.name),
    Kind.RESTARTS: lambda finding: Behaviour(restarts=True),
    Kind.MASKED: lambda finding: Behaviour(masked=finding.value),
}
OF_OUTPUTS: Mapping[Kind, Callable[[list[Array], Finding], list[Array]]] = {
    Kind.ROWS: of_outputs.permuted_rows,
    Kind.REPEATED: of_outputs.permuted_rows,
    Kind.ZERO: of_outputs.zeros,
    Kind.SHIFTED: of_outputs.shifted,
    Kind.PART: of_outputs.part,
    Kind.TIME_FIRST: of_outputs.time_first,
    Kind.GRID: of_outputs.on_grid,
    Kind.RAW: of_outputs.raw,
    Kind.DIGITS: of_outputs.printed,
}
