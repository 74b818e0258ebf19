"""What was done to a block of weights, read from the numbers that were used instead of it.

A block is (C, H): C weights of each unit; that of a bias has C=1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.explanation.estimate import Estimate
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import BlockChange, Finding, FindingType, WeightBlock
from rnnparity.problem.layers import Recurrent

SIMPLEST_FIRST = list(BlockChange)
Blocks = Mapping[WeightBlock, Array]


@dataclass(frozen=True, eq=False)
class ChangedBlock:
    """The numbers (C, H) that were used for a block, and how they come from the given ones."""

    block: WeightBlock
    change: BlockChange
    numbers: Array
    source: WeightBlock | None = None
    value: float | None = None
    order: tuple[int, ...] = ()

    @property
    def finding(self) -> Finding:
        """The change as a finding about the weights that were used."""
        return Finding(
            FindingType.EFFECTIVE_WEIGHTS,
            numbers=self.order,
            value=self.value,
            block=self.block,
            change=self.change,
            source=self.source,
        )


def blocks_of(layer: Recurrent, weights: Mapping[str, Array]) -> Blocks:
    """Return every block of the weights of a layer by its name, (C, H) each.

    Of a bias with two rows each is a block, and so is their sum.
    """
    blocks = {}
    for name, array in weights.items():
        by_gate = np.split(array.astype(np.float64), len(layer.cell.gates), axis=-1)
        for gate, numbers in zip(layer.cell.gates, by_gate, strict=True):
            if name != "bias":
                blocks[WeightBlock(name, gate)] = numbers
                continue
            rows = np.atleast_2d(numbers)
            blocks[WeightBlock(name, gate)] = rows.sum(axis=0, keepdims=True)
            for row in range(len(rows)) if len(rows) > 1 else ():
                blocks[WeightBlock(name, gate, row)] = rows[row : row + 1]
    return blocks


def changes_of(block: WeightBlock, blocks: Blocks, used: Estimate) -> list[ChangedBlock]:
    """Return the changes of a block that give the numbers that were used, the simplest first.

    The sum of the two rows of a bias is a block without a row: it or one of its rows was changed.
    """
    found = [
        changed
        for changed in _changes(block, blocks, used)
        if not np.array_equal(changed.numbers, blocks[block]) and used.agrees(changed.numbers)
    ]
    rows = _rows_of(block, blocks)
    for row, rest in zip(rows, reversed(rows), strict=True):
        found += changes_of(row, blocks, used.less(blocks[rest]))
    return sorted(found, key=lambda changed: SIMPLEST_FIRST.index(changed.change))


def _rows_of(block: WeightBlock, blocks: Blocks) -> list[WeightBlock]:
    """Return the rows that a block is the sum of: two or none."""
    rows = [replace(block, row=row) for row in (0, 1)]
    return [row for row in rows if block.row is None and row in blocks]


def _changes(block: WeightBlock, blocks: Blocks, used: Estimate) -> Iterator[ChangedBlock]:
    given = blocks[block]
    yield ChangedBlock(block, BlockChange.MISSING, np.zeros_like(given))
    for change, factor in ((BlockChange.DOUBLED, 2), (BlockChange.NEGATED, -1)):
        if _may_be_factor(factor, given, used):
            yield ChangedBlock(block, change, factor * given)
    if given.shape[0] == given.shape[1]:
        yield ChangedBlock(block, BlockChange.TRANSPOSED, given.T)
    for axis in (0, 1):
        yield ChangedBlock(block, BlockChange.REVERSED, np.flip(given, axis))
    rows = _rows_of(block, blocks)
    others = [
        name
        for name in blocks
        if name != block and name not in rows and blocks[name].shape == given.shape
    ]
    for source in others:
        yield ChangedBlock(block, BlockChange.REPLACED, blocks[source], source)
    yield from _fitted(block, given, used)
    for source in others:
        yield ChangedBlock(block, BlockChange.ADDED, given + blocks[source], source)


def _factor(given: Array, used: Estimate) -> tuple[float, float]:
    """Return by which factor a block was multiplied, and its error; infinite where it has no effect."""
    weight = 1 / used.error**2
    size = float((weight * given**2).sum())
    if not size > 0:
        return 1.0, np.inf
    return float((weight * given * used.numbers).sum() / size), size**-0.5


def _may_be_factor(factor: float, given: Array, used: Estimate) -> bool:
    """Return whether all numbers together leave this factor open, where each of them may."""
    fitted, error = _factor(given, used)
    return abs(fitted - factor) <= used.limit * error + 1e-14


def _fitted(block: WeightBlock, given: Array, used: Estimate) -> Iterator[ChangedBlock]:
    """Yield the changes with a number, or an order of the rows, that is read off."""
    weight = 1 / used.error**2
    factor, error = _factor(given, used)
    if np.isfinite(error):
        yield ChangedBlock(block, BlockChange.SCALED, factor * given, value=factor)
    if weight.any():
        shift = float((weight * (used.numbers - given)).sum() / weight.sum())
        yield ChangedBlock(block, BlockChange.SHIFTED, given + shift, value=shift)
    axis = 0 if len(given) > 1 else 1
    rows, numbers, errors = (np.moveaxis(a, axis, 0) for a in (given, used.numbers, used.error))
    apart = ((numbers[:, None] - rows[None]) / errors[:, None]) ** 2
    order = apart.sum(axis=2).argmin(axis=1)
    if len(np.unique(order)) == len(order):
        changed = np.take(given, order, axis)
        yield ChangedBlock(block, BlockChange.PERMUTED, changed, order=tuple(order.tolist()))


def joined_gates(layer: Recurrent, findings: Sequence[Finding]) -> list[Finding]:
    """Return findings about blocks, one for all gates of an array where they have the same change."""
    groups: dict[Finding, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(_of_all_gates(finding), []).append(finding)
    return [
        finding
        for whole, group in groups.items()
        for finding in ([whole] if _is_whole(layer, whole, group) else group)
    ]


def _of_all_gates(finding: Finding) -> Finding:
    """Return what a finding would be about all gates, and both rows of a bias."""
    block, source = finding.block, finding.source
    value = None if finding.value is None else round(finding.value, 4)
    if block is None or (source is not None and source.gate != block.gate):
        return finding
    return replace(
        finding,
        block=replace(block, gate="", row=None),
        source=source and replace(source, gate=""),
        value=value,
    )


def _is_whole(layer: Recurrent, whole: Finding, group: Sequence[Finding]) -> bool:
    """Return whether findings are about every block of an array that outputs can distinguish."""
    assert whole.block  # noqa: S101 - they are about blocks
    two_rows = whole.block.weights == "bias" and layer.bias_rows == 2
    return len(group) == len(layer.cell.gates) + two_rows and len(group) > 1
