"""Blocks of the weights in their arrays: the columns of one gate, and whole arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import EllipsisType

from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import WeightBlock
from rnnparity.problem.layers import Recurrent


@dataclass(frozen=True)
class Block:
    """A block in its array: `index` selects it."""

    half: str
    name: WeightBlock
    index: tuple[EllipsisType | slice | int, ...]
    values: Array = field(repr=False)

    @property
    def array(self) -> str:
        """The name of the array in the problem."""
        return f"{self.half}{self.name.weights}"

    def edited(self, array: Array, values: Array) -> Array:
        """Return the array with other values in this block."""
        changed = array.copy()
        changed[self.index] = values
        return changed


def blocks_of(weights: Mapping[str, Array], prefix: str, layer: Recurrent) -> list[Block]:
    """Return every block of one gate in the arrays of a half."""
    blocks = []
    names = ("kernel", "recurrent_kernel", *(("bias",) if layer.use_bias else ()))
    for name in names:
        array = weights[prefix + name]
        rows = range(len(array)) if name == "bias" and array.ndim == 2 else [None]
        for row in rows:
            for number, gate in enumerate(layer.cell.gates):
                columns = slice(number * layer.units, (number + 1) * layer.units)
                index = (... if row is None else row, columns)
                block = WeightBlock(name, gate, row)
                blocks.append(Block(prefix, block, index, array[index]))
    return blocks


def arrays_of(
    weights: Mapping[str, Array], prefix: str, layer: Recurrent, half: str
) -> list[Block]:
    """Return the whole arrays of a half as blocks.

    The kernel counts only where another half reads the same inputs: scaled, it cannot be
    distinguished from scaled inputs.
    """
    if not layer.cell.gated:
        return []  # the block of the only gate is the array
    names = ["recurrent_kernel", *(["bias"] if layer.use_bias else [])]
    if half.endswith(("forward/", "backward/")):
        names.append("kernel")
    return [Block(prefix, WeightBlock(name, ""), (...,), weights[prefix + name]) for name in names]
