"""Faults of biases: missing, doubled, or in the wrong row, as a whole and in one gate."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from rnnparity.faults.edit import edit_arrays, edit_block
from rnnparity.faults.fault import Fault
from rnnparity.problem.cells import CELLS
from rnnparity.problem.dtypes import Array

BIAS = ("bias",)
GATED = [cell for cell in CELLS.values() if cell.gated]
# The rows of the GRU's bias with reset_after.
ROWS = ("the inputs' bias", "the state's bias")
# What PyTorch calls them.
PYTORCH_BIASES = ("bias_ih", "bias_hh")


def _drop_row(row: int, b: Array) -> Array:
    return np.where(np.arange(len(b))[:, None] == row, np.zeros_like(b), b)


def _repeat_row(row: int, b: Array) -> Array:
    return np.stack([b[row], b[row]])


def _repeat_sum(b: Array) -> Array:
    return np.stack([b.sum(axis=0), b.sum(axis=0)])


def _move_to_first_row(b: Array) -> Array:
    """Add both rows in the first: the sums of z and r stay, r no longer multiplies b'_h."""
    return np.stack([b.sum(axis=0), np.zeros_like(b[1])])


def _missing_in_one_gate() -> Iterator[Fault]:
    for cell in GATED:
        for index, gate in enumerate(cell.gates):
            drop = partial(edit_block, len(cell.gates), index)
            yield Fault("bias-missing", f"{cell.class_name}, gate {gate}",
                f"The bias of gate {gate} is not added.",
                "Add the bias to every gate.",
                seen_in="ports that cut the weights into gates",
                edit=edit_arrays(BIAS, partial(drop, np.zeros_like), cell.class_name))  # fmt: skip
            for row, name in enumerate(ROWS if cell.two_biases else ()):
                yield Fault("bias-missing", f"{cell.class_name}, row {row}, gate {gate}",
                    f"Row {row} of the bias ({name}) is not added in gate {gate}.",
                    f"Add both rows of the bias in gate {gate}.",
                    seen_in="cells without b_hn",
                    edit=edit_arrays(BIAS, partial(drop, partial(_drop_row, row)), "GRU", rows=2))  # fmt: skip


def _rows() -> Iterator[Fault]:
    for row, name in enumerate(ROWS):
        yield Fault("bias-row-dropped", f"GRU, {name}",
            f"{name.capitalize()} is not added.",
            "Add both rows of the bias.",
            edit=edit_arrays(BIAS, partial(_drop_row, row), "GRU", rows=2))  # fmt: skip
        kept, copy = PYTORCH_BIASES[row], PYTORCH_BIASES[1 - row]
        yield Fault("bias-row-repeated", f"GRU, {name}",
            f"{name.capitalize()} (row {row}) is used for both rows of the bias.",
            "Use the first row for the inputs and the second for the state.",
            seen_in=f"ports to PyTorch, where {copy} got the row of {kept}",
            edit=edit_arrays(BIAS, partial(_repeat_row, row), "GRU", rows=2))  # fmt: skip


def _forget_bias() -> Iterator[Fault]:
    for number in (1, -1):
        shift = partial(np.add, number)
        yield Fault("forget-bias", f"{number:+d}",
            f"{number:+d} is added to the bias of the forget gate.",
            "Do not add anything: the weights include unit_forget_bias already.",
            seen_in="TensorFlow 1's forget_bias, ports in the style of scikit-learn",
            in_file=f"the bias of the forget gate in this file seems to be {-number:+d} off.",
            edit=edit_arrays(BIAS, partial(edit_block, 4, 1, shift), "LSTM"))  # fmt: skip


# fmt: off
BIAS_FAULTS = (
    Fault("bias-missing", "all of it",
        "The bias is not added.",
        "Add the bias.",
        edit=edit_arrays(BIAS, np.zeros_like)),
    *_missing_in_one_gate(),
    Fault("bias-doubled", "all of it",
        "The bias is added twice.",
        "Add the bias once; where a framework has two biases for one of Keras, "
        "set one of them to zero.",
        in_file="the bias in this file seems to be half of that which was used.",
        seen_in="PyTorch's bias_ih and bias_hh", edit=edit_arrays(BIAS, partial(np.multiply, 2))),
    Fault("bias-halved", "all of it",
        "Half of the bias is added.",
        "Add the whole bias.",
        in_file="the bias in this file seems to be twice that which was used.",
        seen_in="weights read from PyTorch's bias_ih plus bias_hh, where both are the same",
        edit=edit_arrays(BIAS, partial(np.multiply, 0.5))),
    Fault("bias-rows-swapped", "GRU",
        "The two biases of the GRU are swapped.",
        "Use the first row for the inputs and the second for the state.",
        in_file="the rows of the bias in this file seem to be swapped.",
        seen_in="the GRU's second bias", edit=edit_arrays(BIAS, np.flipud, "GRU", rows=2)),
    *_rows(),
    Fault("bias-row-repeated", "GRU, the sum of both",
        "The sum of both rows of the bias is used for each row.",
        "Use the first row for the inputs and the second for the state.",
        edit=edit_arrays(BIAS, _repeat_sum, "GRU", rows=2)),
    Fault("bias-outside-reset", "GRU",
        "The candidate's second bias is added outside the reset gate.",
        "Multiply h U_h + b'_h by the reset gate, including the bias: the layer has reset_after.",
        seen_in="ports that add both biases at once",
        edit=edit_arrays(BIAS, _move_to_first_row, "GRU", rows=2)),
    *_forget_bias(),
)
# fmt: on
