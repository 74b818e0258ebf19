"""The matrix products of the cells, with dropout of what enters them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Generic, cast

import numpy as np

from rnnparity.reference.number import Index, N


class Product(Generic[N]):
    """The product x W, where x may be dropped out: multiplied before by one mask for all gates, or
    by one for each.

    The masks are those of x, `join` joins the products of the gates.
    """

    def __init__(self, W: N, masks: Sequence[N], join: Callable[[Sequence[N]], N]) -> None:
        self.W, self.masks, self.join = W, masks, join
        self.blocks = split(W, *(1 for _ in masks)) if len(masks) > 1 else [W]

    def __call__(self, x: N) -> N:
        if not self.masks:
            return product(x, self.W)
        pairs = zip(self.masks, self.blocks, strict=True)
        products = [self.dropped(x, mask, block) for mask, block in pairs]
        return products[0] if len(products) == 1 else self.join(products)

    def dropped(self, x: N, mask: N, W: N) -> N:
        """Return the product of x, dropped out by one mask, with all of the kernel or a block."""
        return product(x * mask, W)


def product(x: N, W: N) -> N:
    """Return x W. One call of BLAS serves all variants of x: NumPy would call it for each."""
    if not isinstance(x, np.ndarray) or x.ndim < 3 or len(W.shape) > 2:
        return x @ W
    rows = x.reshape(-1, x.shape[-1]) @ W
    return cast(N, rows.reshape(*x.shape[:-1], W.shape[-1]))


@dataclass(frozen=True)
class Dropout(Generic[N]):
    """The dropout masks of a cell, (B, D) and (B, H) each: none, one, or one a gate in the order
    of the cell's blocks. `join` joins the products of the gates.
    """

    inputs: Sequence[N]
    recurrent: Sequence[N]
    join: Callable[[Sequence[N]], N]

    def of_inputs(self, W: N) -> Product[N]:
        """Return the product with the kernel W."""
        return Product(W, self.inputs, self.join)

    def of_states(self, U: N, gates: slice = slice(None)) -> Product[N]:
        """Return the product with the recurrent kernel U, or with its blocks of some gates."""
        return Product(U, self.recurrent[gates], self.join)


def split(z: N, *blocks: int) -> list[N]:
    """Split the last axis into blocks of H columns: split(z, 3, 1) gives (B, 3H) and (B, H)."""
    return [z[index] for index in _indices(z.shape[-1], blocks)]


@lru_cache
def _indices(columns: int, blocks: tuple[int, ...]) -> list[Index]:
    """Return the index of each block, kept since every step has the same."""
    units = columns // sum(blocks)
    ends = [units * end for end in accumulate(blocks, initial=0)]
    return [(..., slice(start, end)) for start, end in pairwise(ends)]
