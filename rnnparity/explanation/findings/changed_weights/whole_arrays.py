"""Changes of whole weight arrays: the kernels in place of each other, all weights rounded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import BlockChange, Finding, FindingType, WeightBlock
from rnnparity.problem.layers import Recurrent

# So many decimals weights may have been printed with.
DECIMALS = range(1, 7)

# A finding, and the arrays that differ.
Edit = tuple[Finding, dict[str, Array]]


def whole_array_edits(
    weights: Mapping[str, Array], prefix: str, layer: Recurrent
) -> Iterator[Edit]:
    """Yield every change of the whole arrays of a half."""
    yield from _kernels(weights, prefix, layer)
    yield from _rounded(weights, prefix)


def _kernels(weights: Mapping[str, Array], prefix: str, layer: Recurrent) -> Iterator[Edit]:
    """Yield the kernels in place of each other, where there are as many features as units."""
    names = "kernel", "recurrent_kernel"
    first, second = (f"{prefix}{name}" for name in names)
    if weights[first].shape != weights[second].shape:
        return
    kernel, recurrent = (WeightBlock(name, "") for name in names)
    exchanged = {first: weights[second], second: weights[first]}
    edits = [(kernel, BlockChange.EXCHANGED, recurrent, exchanged)]
    if len(layer.cell.gates) > 1:  # else the block of the only gate is the array
        edits += [
            (kernel, BlockChange.REPLACED, recurrent, {first: weights[second]}),
            (recurrent, BlockChange.REPLACED, kernel, {second: weights[first]}),
        ]
    for block, change, source, edited in edits:
        finding = Finding(FindingType.BLOCK, half=prefix, block=block, change=change, source=source)
        yield finding, edited


def _rounded(weights: Mapping[str, Array], prefix: str) -> Iterator[Edit]:
    """Yield all weights of a half as they would have been printed with few decimals."""
    arrays = {name: array for name, array in weights.items() if name.startswith(prefix)}
    for decimals in DECIMALS:
        finding = Finding(
            FindingType.BLOCK, numbers=(decimals,), half=prefix, change=BlockChange.ROUNDED
        )
        yield finding, {name: np.round(array, decimals) for name, array in arrays.items()}
