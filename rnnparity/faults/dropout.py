"""Faults of dropout in training: a mask that is missing, of another gate or half, or misplaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np

from rnnparity.faults.edit import ArrayEdit, EditCell, EditHalf, EditProblem, Half
from rnnparity.faults.fault import Fault
from rnnparity.problem.cells import CELLS
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Bidirectional
from rnnparity.problem.problem import Problem
from rnnparity.reference.cells import GRU, LSTM, Cell, GRUResetBefore, SimpleRNN, Step, altered
from rnnparity.reference.products import Product

# What is dropped out, by the name of its masks.
DROPPED = {"inputs": "the inputs", "recurrent": "the state in the recurrent product"}
ALL_GATES = "Multiply by the mask of each gate before the product with its block of the kernel."
GIVEN = "Multiply by the dropout masks as they are: they include the factor 1 / (1 - rate)."


def _edit_masks(names: tuple[str, ...], edit: Callable[[Array], Array | None]) -> EditHalf:
    """Return the edit of these masks (G or 1, B, ...) of a half; it applies where they all change."""

    def edited(half: Half) -> Half | None:
        if not all(name in half.dropout for name in names):
            return None
        changed = {name: edit(half.dropout[name]) for name in names}
        masks = {name: mask for name, mask in changed.items() if mask is not None}
        return (
            replace(half, dropout={**half.dropout, **masks}) if len(masks) == len(names) else None
        )

    return EditHalf(edited)


def _without(names: tuple[str, ...], half: Half) -> Half | None:
    if not all(name in half.dropout for name in names):
        return None
    kept = {name: mask for name, mask in half.dropout.items() if name not in names}
    return replace(half, dropout=kept)


def _repeat_gate(index: int, mask: Array) -> Array | None:
    return None if len(mask) == 1 else mask[index][None]


def _swap_gates(class_name: str, name: str, pair: tuple[int, int], half: Half) -> Half | None:
    mask = half.dropout.get(name)
    if half.layer.class_name != class_name or mask is None or len(mask) == 1:
        return None
    order = list(range(len(mask)))
    first, second = pair
    order[first], order[second] = second, first
    return replace(half, dropout={**half.dropout, name: mask[order]})


def _only_first_gate(name: str, half: Half) -> Half | None:
    """Apply a mask that is for all gates in the first gate only."""
    mask, gates = half.dropout.get(name), len(half.layer.cell.gates)
    if mask is None or len(mask) > 1 or gates == 1:
        return None
    masks = np.concatenate([mask, *[np.ones_like(mask)] * (gates - 1)])
    return replace(half, dropout={**half.dropout, name: masks})


def _inverted(mask: Array) -> Array:
    return np.where(mask == 0, mask.max(), np.zeros_like(mask))


def _of_halves(name: str, order: Mapping[str, str], problem: Problem) -> Problem | None:
    """Give the halves of a Bidirectional each other's masks, by the prefixes of both."""
    masks = {tensor.name: tensor.data for tensor in problem.dropout_masks or ()}
    if not isinstance(problem.layer, Bidirectional):
        return None
    pairs = {f"{to}{name}": f"{source}{name}" for to, source in order.items()}
    if not {*pairs, *pairs.values()} <= masks.keys():
        return None
    if any(masks[to].shape != masks[source].shape for to, source in pairs.items()):
        return None
    new = tuple(
        replace(tensor, data=masks[pairs.get(tensor.name, tensor.name)])
        for tensor in problem.dropout_masks or ()
    )
    return replace(problem, dropout_masks=new)


class AfterProduct(Product[Array]):
    """A product of which the result is dropped out, by masks of its own width."""

    def __call__(self, x: Array) -> Array:
        columns = self.W.shape[-1] // self.masks[0].shape[-1]
        masks = self.masks if len(self.masks) > 1 else [self.masks[0]] * columns
        return x @ self.W * self.join(masks)


def _after_product(cell: Cell[Array]) -> Cell[Array] | None:
    if isinstance(cell, GRUResetBefore):
        if not cell.of_h.masks:
            return None
        of_h, of_rh = (AfterProduct(p.W, p.masks, p.join) for p in (cell.of_h, cell.of_rh))
        return altered(cell, of_h=of_h, of_rh=of_rh)
    if not isinstance(cell, SimpleRNN | LSTM | GRU) or not cell.of_h.masks:
        return None
    return altered(cell, of_h=AfterProduct(cell.of_h.W, cell.of_h.masks, cell.of_h.join))


def _drop_kept_state(index: int, cell: Cell[Array]) -> Cell[Array] | None:
    """Drop out the state that the update gate of a GRU keeps, z*h', with the mask of a gate."""
    if not isinstance(cell, GRU | GRUResetBefore) or not cell.of_h.masks:
        return None
    masks = [*cell.of_h.masks, *(cell.of_rh.masks if isinstance(cell, GRUResetBefore) else ())]
    if index and len(cell.of_h.masks) == 1:
        return None  # one mask for all gates
    mask, step_of_cell = masks[index], cell.step

    def step(x: Array, *states: Array) -> Step[Array]:
        (h,) = states
        (new,), gates = step_of_cell(x, h)
        return (new + gates["z"] * (h * mask - h),), gates

    return altered(cell, step=step)


def _drop_state(cell: Cell[Array]) -> Cell[Array] | None:
    """Drop out the new state itself, which is also the output."""
    if not isinstance(cell, SimpleRNN | LSTM | GRU | GRUResetBefore) or not cell.of_h.masks:
        return None
    mask, step_of_cell = cell.of_h.masks[0], cell.step

    def step(x: Array, *states: Array) -> Step[Array]:
        (h, *others), gates = step_of_cell(x, *states)
        return (h * mask, *others), gates

    return altered(cell, step=step)


def _missing() -> Iterator[Fault]:
    for names in (("inputs",), ("recurrent",), ("inputs", "recurrent")):
        what = " and ".join(DROPPED[name] for name in names)
        yield Fault("dropout-missing", " and ".join(names),
            f"Dropout is not applied to {what}.",
            f"Multiply {what} by the dropout masks.",
            seen_in="layers in inference mode",
            needs_dropout=True, edit=EditHalf(partial(_without, names)))  # fmt: skip


def _masks() -> Iterator[Fault]:
    squared: ArrayEdit = np.square
    for name, what in DROPPED.items():
        for index, which in ((0, "first"), (-1, "last")):
            yield Fault("dropout-one-mask", f"{name}, the {which} gate's",
                f"The dropout mask of the {which} gate is used for {what} in all gates.",
                ALL_GATES,
                seen_in="implementations that multiply before one product for all gates",
                needs_dropout=True,
                edit=_edit_masks((name,), partial(_repeat_gate, index)))  # fmt: skip
        yield Fault("dropout-one-gate", name,
            f"The dropout mask of {what}, which is one for all gates, is used in the first gate only.",
            "Use a mask that is one for all gates in every gate.",
            needs_dropout=True, edit=EditHalf(partial(_only_first_gate, name)))  # fmt: skip
        yield Fault("dropout-scale", f"{name}, missing",
            f"What dropout keeps of {what} is not multiplied by 1 / (1 - rate).",
            GIVEN,
            seen_in="dropout that scales at inference instead",
            needs_dropout=True, edit=_edit_masks((name,), np.sign))  # fmt: skip
        yield Fault("dropout-scale", f"{name}, twice",
            f"What dropout keeps of {what} is multiplied by 1 / (1 - rate) twice.",
            GIVEN,
            needs_dropout=True, edit=_edit_masks((name,), squared))  # fmt: skip
        yield Fault("dropout-inverted", name,
            f"Dropout keeps what it must drop of {what}, and drops the rest.",
            "Keep what has a factor in the dropout mask, drop what has 0.",
            seen_in="rate and probability to keep mixed up, as in TensorFlow 1's keep_prob",
            needs_dropout=True, edit=_edit_masks((name,), _inverted))  # fmt: skip


def _exchanged() -> Iterator[Fault]:
    for name, what in DROPPED.items():
        for cell in CELLS.values():
            for pair in combinations(range(len(cell.gates)), 2):
                gates = " and ".join(cell.gates[index] for index in pair)
                yield Fault("dropout-gates-swapped", f"{cell.class_name}, {gates}, {name}",
                    f"The dropout masks of gates {gates} for {what} are exchanged.",
                    f"Use the masks in Keras' order of the gates: {', '.join(cell.gates)}.",
                    needs_dropout=True,
                    edit=EditHalf(partial(_swap_gates, cell.class_name, name, pair)))  # fmt: skip
        swapped = {"forward/": "backward/", "backward/": "forward/"}
        for variant, order, how in (
            ("exchanged", swapped, "The halves use each other's dropout masks"),
            ("one for both", {"backward/": "forward/"}, "Both halves use the forward half's masks"),
        ):
            yield Fault("dropout-halves-swapped", f"{name}, {variant}",
                f"{how} for {what}.",
                "Use the dropout masks of each half of the Bidirectional in that half.",
                needs_dropout=True, edit=EditProblem(partial(_of_halves, name, order)))  # fmt: skip


# fmt: off
DROPOUT_FAULTS = (
    *_missing(),
    *_masks(),
    *_exchanged(),
    Fault("dropout-misplaced", "recurrent, after the product",
        "Dropout is applied to the result of the recurrent product.",
        "Multiply the state by the dropout mask before the product with the recurrent kernel.",
        needs_dropout=True, edit=EditCell(_after_product)),
    Fault("dropout-misplaced", "recurrent, the state itself",
        "Dropout is applied to the new state, which is the output, too.",
        "Multiply the state by the dropout mask only where it enters the recurrent product.",
        needs_dropout=True, edit=EditCell(_drop_state)),
    Fault("dropout-misplaced", "GRU, z*h', mask of z",
        "Dropout is applied to the state that the update gate keeps, by the mask of gate z.",
        "Leave the state before in z*h' as it is: only what enters a product is dropped out.",
        seen_in="a GRU that multiplies the state by the mask first",
        needs_dropout=True, edit=EditCell(partial(_drop_kept_state, 0))),
    Fault("dropout-misplaced", "GRU, z*h', mask of h",
        "Dropout is applied to the state that the update gate keeps, by the mask of gate h.",
        "Leave the state before in z*h' as it is: only what enters a product is dropped out.",
        needs_dropout=True, edit=EditCell(partial(_drop_kept_state, 2))),
)
# fmt: on
