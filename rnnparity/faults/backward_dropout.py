"""Faults of the backward pass of dropout, where the forward pass multiplies by the masks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from rnnparity.faults.backward_edit import EditBackwardCell, detached, rewired, unchanged
from rnnparity.faults.fault import Fault
from rnnparity.problem.layers import Recurrent
from rnnparity.reference.cells import Cell, GRUResetBefore, altered
from rnnparity.reference.gradients.taped_array import TapedArray
from rnnparity.reference.products import Product

_Product = Product[TapedArray]


class _PastMask(_Product):
    """A product from which the gradient of x flows back without the mask."""

    def dropped(self, x: TapedArray, mask: TapedArray, W: TapedArray) -> TapedArray:
        return rewired(x * mask, (x, unchanged)) @ W


class _OfAllInputs(_Product):
    """A product whose gradient of W is that of x before dropout."""

    def dropped(self, x: TapedArray, mask: TapedArray, W: TapedArray) -> TapedArray:
        product = (x * mask) @ detached(W)
        return rewired(product, (product, unchanged), (detached(x) @ W, unchanged))


def _edit_products(
    recurrent: bool, faulty: type[_Product], _: Recurrent, cell: Cell[TapedArray]
) -> Cell[TapedArray] | None:
    """Replace the product with the kernel, or those with the recurrent kernel."""
    names = ["of_x"]
    if recurrent:
        names = ["of_h", "of_rh"] if isinstance(cell, GRUResetBefore) else ["of_h"]
    products: dict[str, _Product] = {name: getattr(cell, name) for name in names}
    if not all(product.masks for product in products.values()):
        return None
    return altered(cell, None, **{n: altered(product, faulty) for n, product in products.items()})


def _faults() -> Iterator[Fault]:
    for recurrent, x, what, kernel in (
        (False, "inputs", "inputs", "kernel"),
        (True, "recurrent", "state before", "recurrent kernel"),
    ):
        yield Fault("dropout-gradient", f"{x}, past the mask",
            f"The gradient of the {what} is not multiplied by the dropout mask.",
            "Multiply what flows back from a product by the dropout mask of its inputs.",
            needs_dropout=True,
            edit=EditBackwardCell(partial(_edit_products, recurrent, _PastMask)))  # fmt: skip
        yield Fault("dropout-gradient", f"{x}, {kernel}",
            f"The gradient of the {kernel} is that of the {what} without dropout.",
            f"Use the {what} after dropout in the gradient of the {kernel}.",
            needs_dropout=True,
            edit=EditBackwardCell(partial(_edit_products, recurrent, _OfAllInputs)))  # fmt: skip


DROPOUT_BACKWARD_FAULTS = tuple(_faults())
