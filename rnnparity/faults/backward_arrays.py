"""Faults of the gradients that a half returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations

import numpy as np

from rnnparity.faults.backward_edit import EditHalfGradients, Gradients
from rnnparity.faults.edit import ArrayEdit
from rnnparity.faults.fault import Fault
from rnnparity.problem.cells import CELLS
from rnnparity.problem.layers import Recurrent
from rnnparity.reference.gradients.backward import STATES, WEIGHTS

ONCE = "Add each contribution once; start every backward pass from zero gradients."


def _edit_arrays(names: Sequence[str], edit: ArrayEdit, rows: int = 0) -> EditHalfGradients:
    """Return the edit of these gradients of a half, where its bias has so many rows (0: any)."""

    def edited(layer: Recurrent, gradients: Gradients) -> Gradients | None:
        if rows and layer.bias_rows != rows:
            return None
        changed = {name: edit(gradients[name]) for name in names if name in gradients}
        return {**gradients, **changed} if changed else None

    return EditHalfGradients(edited)


def _swap_gates(
    class_name: str, name: str, pair: tuple[int, int], layer: Recurrent, gradients: Gradients
) -> Gradients | None:
    if layer.class_name != class_name or name not in gradients:
        return None
    blocks = np.split(gradients[name], len(layer.cell.gates), axis=-1)
    first, second = pair
    blocks[first], blocks[second] = blocks[second], blocks[first]
    return {**gradients, name: np.concatenate(blocks, axis=-1)}


def _transposed_blocks(layer: Recurrent, gradients: Gradients) -> Gradients:
    blocks = np.split(gradients["recurrent_kernel"], len(layer.cell.gates), axis=-1)
    transposed = np.concatenate([block.swapaxes(-1, -2) for block in blocks], axis=-1)
    return {**gradients, "recurrent_kernel": transposed}


def _unreversed_inputs(layer: Recurrent, gradients: Gradients) -> Gradients | None:
    if not layer.go_backwards or "inputs" not in gradients:
        return None
    return {**gradients, "inputs": gradients["inputs"][..., ::-1, :]}


def _swapped_states(_: Recurrent, gradients: Gradients) -> Gradients | None:
    if "h" not in gradients or "c" not in gradients:
        return None
    return {**gradients, "h": gradients["c"], "c": gradients["h"]}


def _rows(order: Sequence[int]) -> ArrayEdit:
    """Return the edit that puts these rows in the places of the two rows of a GRU's bias."""
    return lambda bias: bias[..., list(order), :]


def _exchanged_gates() -> Iterator[Fault]:
    for cell in CELLS.values():
        for pair in combinations(range(len(cell.gates)), 2):
            gates = " and ".join(cell.gates[index] for index in pair)
            for name in WEIGHTS:
                yield Fault("gradient-gates-swapped", f"{cell.class_name}, {gates}, {name}",
                    f"Gates {gates} are exchanged in the gradient of {name}.",
                    f"Order the blocks of a gradient like those of its array: {', '.join(cell.gates)}.",
                    edit=EditHalfGradients(partial(_swap_gates, cell.class_name, name, pair)))  # fmt: skip


def _single_arrays() -> Iterator[Fault]:
    for name, what in (
        ("bias", "bias"),
        ("recurrent_kernel", "recurrent kernel"),
        ("kernel", "kernel"),
    ):
        yield Fault("gradient-missing", what,
            f"The gradient of the {what} is zero.",
            f"Differentiate with respect to the {what}.",
            edit=_edit_arrays([name], np.zeros_like))  # fmt: skip
        yield Fault("gradient-doubled", what,
            f"The gradient of the {what} is counted twice.",
            ONCE,
            edit=_edit_arrays([name], partial(np.multiply, 2)))  # fmt: skip


# fmt: off
ARRAY_FAULTS = (
    *_single_arrays(),
    Fault("gradient-missing", "initial states",
        "The gradients of the initial states are zero.",
        "Let gradients flow back to the initial states.",
        edit=_edit_arrays(STATES, np.zeros_like)),
    Fault("gradient-missing", "inputs",
        "The gradient of the inputs is zero in this half.",
        "Let gradients flow back to the inputs.",
        edit=_edit_arrays(["inputs"], np.zeros_like)),
    Fault("gradient-missing", "half",
        "All gradients of this half are zero.",
        "Let gradients flow back through both halves and every layer.",
        edit=_edit_arrays(["inputs", *WEIGHTS, *STATES], np.zeros_like)),
    Fault("gradient-bias-rows", "GRU, swapped",
        "The rows of the bias' gradient are swapped.",
        "Return the gradient of the inputs' bias in the first row, that of the state's in the second.",
        edit=_edit_arrays(["bias"], _rows([1, 0]), rows=2)),
    Fault("gradient-bias-rows", "GRU, first in both",
        "The gradient of the second bias is that of the first: the reset gate is missing in it.",
        "Multiply the gradient of the candidate's second bias by r: the layer has reset_after.",
        edit=_edit_arrays(["bias"], _rows([0, 0]), rows=2)),
    Fault("gradient-bias-rows", "GRU, second in both",
        "The gradient of the first bias is that of the second: the reset gate is in both.",
        "Multiply only the gradient of the candidate's second bias by r, not that of the first.",
        edit=_edit_arrays(["bias"], _rows([1, 1]), rows=2)),
    *_exchanged_gates(),
    Fault("gradient-transposed", "recurrent kernel",
        "Each gate's block of the recurrent kernel's gradient is transposed.",
        "Transpose each block of the gradient: row j belongs to unit j of the state before.",
        edit=EditHalfGradients(_transposed_blocks)),
    Fault("gradient-not-reversed", "inputs",
        "The gradient of the inputs is in processing order.",
        "Reverse the gradient of the inputs in time: the inputs were read from their end.",
        edit=EditHalfGradients(_unreversed_inputs)),
    Fault("gradient-states-swapped", "LSTM",
        "The gradients of the initial h and c are swapped.",
        "Return the gradients of the initial states in Keras' order: h, then c.",
        edit=EditHalfGradients(_swapped_states)),
)
# fmt: on
