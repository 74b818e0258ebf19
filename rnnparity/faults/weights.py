"""Faults of weights: reordered, transposed, or replaced on their way between frameworks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import permutations

import numpy as np

from rnnparity.faults.biases import BIAS, BIAS_FAULTS, GATED
from rnnparity.faults.edit import EditWeights, Half, Weights, edit_arrays, edit_block
from rnnparity.faults.fault import Fault
from rnnparity.problem.cells import CELLS
from rnnparity.problem.dtypes import Array

# Orders that other frameworks use: https://onnx.ai/onnx/operators/onnx__LSTM.html, onnx__GRU.html,
# https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html, TensorFlow 1's BasicLSTMCell.
KNOWN_ORDERS = {"iofc": "ONNX", "icfo": "TensorFlow 1", "rzh": "PyTorch, cuDNN"}
ORDERS_SEEN = {
    "LSTM": "ports between Keras, PyTorch and cuDNN (i, f, c, o), ONNX (i, o, f, c) and "
    "TensorFlow 1 (i, c, f, o)",
    "GRU": "ports between Keras and ONNX (z, r, h), PyTorch and cuDNN (r, z, n)",
}
# Sigmoids: sigmoid(-x) = 1 - sigmoid(x).
SYMMETRIC = ("sigmoid", "hard_sigmoid", "hard_sigmoid_keras2")

KERNEL, RECURRENT = ("kernel",), ("recurrent_kernel",)
ALL = (*KERNEL, *RECURRENT, *BIAS)
ARRAYS: Mapping[str, tuple[str, ...]] = {
    "all weights": ALL,
    "the kernel": KERNEL,
    "the recurrent kernel": RECURRENT,
    "the bias": BIAS,
}


# Orders of gates.


def _gate_orders() -> Iterator[Fault]:
    for cell in GATED:
        for order in map("".join, permutations(cell.gates)):
            if order != cell.gates:
                yield from _gate_order(cell.class_name, order)


def _gate_order(class_name: str, order: str) -> Iterator[Fault]:
    keras_order = CELLS[class_name].gates
    blocks = [order.index(gate) for gate in keras_order]
    # Code for Keras' order computes the same with blocks that arrive in this order.
    arriving = "".join(keras_order[index] for index in blocks)
    framework = f" ({KNOWN_ORDERS[order]})" if order in KNOWN_ORDERS else ""
    if not framework and arriving in KNOWN_ORDERS:
        framework = f" (from {KNOWN_ORDERS[arriving]})"
    for arrays, names in ARRAYS.items():
        yield Fault("gate-order", f"{class_name} {order}{framework} in {arrays}",
            f"The blocks of {arrays} are read in the order {_listed(order)}; "
            f"the order of Keras is {_listed(keras_order)}.",
            f"Reorder the blocks of {arrays} to {_listed(order)} before they are loaded, or make the "
            f"code read {_listed(keras_order)}. If it does already, the blocks that it gets are "
            f"{_listed(arriving)}: load them in Keras' order.",
            seen_in=ORDERS_SEEN[class_name],
            in_file=f"the blocks of {arrays} in this file seem to be in the order {_listed(order)}.",
            edit=edit_arrays(names, partial(_reorder_blocks, blocks), class_name))  # fmt: skip


def _listed(order: str) -> str:
    """Return "i, o, f, c (ONNX)"."""
    framework = f" ({KNOWN_ORDERS[order]})" if order in KNOWN_ORDERS else ""
    return f"{', '.join(order)}{framework}"


def _reorder_blocks(order: Sequence[int], w: Array) -> Array:
    blocks = w.reshape(*w.shape[:-1], len(order), -1)
    reordered: Array = blocks[..., order, :].reshape(w.shape)
    return reordered


# Layouts of kernels.


def _transpose_blocks(gate: int | None, U: Array) -> Array:
    """Transpose one (H, H) block of the recurrent kernel, or all of them."""
    units = U.shape[0]
    blocks = np.split(U, U.shape[1] // units, axis=1)
    for index, block in enumerate(blocks):
        if gate in (None, index):
            blocks[index] = block.T
    return np.hstack(blocks)


def _transposed() -> Iterator[Fault]:
    fix = "Transpose an array that comes as (G*H, H): Keras computes h U with U (H, G*H)."
    yield Fault("recurrent-transposed", "whole",
        "Every block of the recurrent kernel is transposed.",
        fix,
        seen_in="PyTorch's weight_hh and ONNX's R are (G*H, H)",
        in_file="the blocks of the recurrent kernel in this file seem to be transposed.",
        edit=edit_arrays(RECURRENT, partial(_transpose_blocks, None)))  # fmt: skip
    for cell in GATED:
        for index, gate in enumerate(cell.gates):
            yield Fault("recurrent-transposed", f"{cell.class_name} gate {gate}",
                f"The block of gate {gate} in the recurrent kernel is transposed.",
                fix,
                in_file=f"the block of gate {gate} in this file seems to be transposed.",
                edit=edit_arrays(RECURRENT, partial(_transpose_blocks, index), cell.class_name))  # fmt: skip


def _reshape(W: Array) -> Array:
    """Return Keras' array as it is read where the code reshapes (G*H, D) to (D, G*H)."""
    return W.T.reshape(W.shape)


def _reshape_to_transposed(W: Array) -> Array:
    """Return Keras' array as it is read where the code reshapes (D, G*H) to (G*H, D)."""
    return W.reshape(W.T.shape).T


def _interleave(names: Sequence[str], reverse: bool, half: Half) -> Weights | None:
    """Read the columns as all gates of unit 0, then all gates of unit 1, and so on.

    In reverse, columns that are in this order are read as whole gates.
    """
    gates, units = len(half.layer.cell.gates), half.layer.units
    if gates == 1 or not set(names) & set(half.weights):
        return None
    shape = (gates, units) if reverse else (units, gates)
    changed = {}
    for name in set(names) & set(half.weights):
        w = half.weights[name]
        changed[name] = w.reshape(*w.shape[:-1], *shape).swapaxes(-1, -2).reshape(w.shape)
    return {**half.weights, **changed}


def _layouts() -> Iterator[Fault]:
    for name, rows in (("kernel", "D"), ("recurrent_kernel", "H")):

        def is_oblong(half: Half, name: str = name) -> bool:
            """To reshape a square array is to transpose it."""
            shape = half.weights[name].shape
            return len(set(shape)) > 1

        keras, transposed = f"({rows}, G*H)", f"(G*H, {rows})"
        for source, target, reshape in (
            (transposed, keras, _reshape),
            (keras, transposed, _reshape_to_transposed),
        ):
            yield Fault("kernel-layout", f"{name} reshaped to {target}",
                f"The {name} is reshaped from {source} to {target}, where it should be transposed.",
                "Transpose the array; reshape keeps the order in memory and scatters its elements.",
                in_file=f"the {name} in this file seems to have been reshaped from {target} "
                f"to {source}, where it should be transposed.",
                edit=edit_arrays((name,), reshape, applies=is_oblong))  # fmt: skip


def _interleaved() -> Iterator[Fault]:
    by_units = "all gates of one unit, then all gates of the next"
    fix = "Order the columns as whole gates, one after the other, each of them with all units."
    for variant, names in {
        "all weights": ALL,
        "kernel": KERNEL,
        "recurrent_kernel": RECURRENT,
    }.items():
        columns = "all columns" if names == ALL else f"the columns of the {variant}"
        yield Fault("kernel-layout", f"{variant} interleaved",
            f"{columns.capitalize()} are read as {by_units}.",
            fix,
            in_file=f"{columns} in this file seem to be {by_units}.",
            edit=EditWeights(partial(_interleave, names, False)))  # fmt: skip
        yield Fault("kernel-layout", f"{variant} interleaved, read as whole gates",
            f"{columns.capitalize()} arrive as {by_units}.",
            fix,
            in_file=f"{columns} in this file seem to have been reordered by mistake: "
            f"they were read as {by_units}.",
            edit=EditWeights(partial(_interleave, names, True)))  # fmt: skip


# Gates.


def _gates_are_symmetric(half: Half) -> bool:
    """Return whether negating the weights of a gate makes it 1 - gate."""
    return half.layer.recurrent_activation in SYMMETRIC


def _couple_forget_gate(w: Array) -> Array:
    """Replace the block of f by the negated block of i: f = 1 - i."""
    i, _, c, o = np.split(w, 4, axis=-1)
    return np.concatenate([i, -i, c, o], axis=-1)


def _couple_input_gate(w: Array) -> Array:
    """Replace the block of i by the negated block of f: i = 1 - f."""
    _, f, c, o = np.split(w, 4, axis=-1)
    return np.concatenate([-f, f, c, o], axis=-1)


# fmt: off
WEIGHT_FAULTS = (
    *_gate_orders(),
    *_transposed(),
    *_layouts(),
    *_interleaved(),
    Fault("features-reversed", "kernel",
        "The features of the inputs are read in reverse order.",
        "Feed the features in the order of the kernel's rows.",
        in_file="the rows of the kernel in this file seem to be in reverse order.",
        edit=edit_arrays(KERNEL, np.flipud)),
    Fault("units-reversed", "recurrent kernel",
        "The units of the previous state are read in reverse order.",
        "Order the rows of the recurrent kernel like the units in the columns of each gate.",
        in_file="the rows of the recurrent kernel in this file seem to be in reverse order.",
        edit=edit_arrays(RECURRENT, np.flipud)),
    Fault("recurrence-missing", "recurrent kernel",
        "The previous state is not used.",
        "Add h U at every step.",
        edit=edit_arrays(RECURRENT, np.zeros_like)),
    *BIAS_FAULTS,
    Fault("update-gate-complemented", "GRU",
        "z weighs the candidate, 1 - z the previous state.",
        "Compute h = z * h' + (1 - z) * g, as Keras does.",
        in_file="the blocks of z in this file seem to have the opposite sign.",
        seen_in="Cho et al. 2014 and PyTorch differ in what z weighs",
        edit=edit_arrays(ALL, partial(edit_block, 3, 0, np.negative), "GRU", applies=_gates_are_symmetric)),
    Fault("coupled-gates", "LSTM, f = 1 - i",
        "The forget gate is 1 - i instead of a gate with its own weights.",
        "Compute f from its own block.",
        seen_in="Greff et al. 2017 (CIFG)",
        edit=edit_arrays(ALL, _couple_forget_gate, "LSTM", applies=_gates_are_symmetric)),
    Fault("coupled-gates", "LSTM, i = 1 - f",
        "The input gate is 1 - f instead of a gate with its own weights.",
        "Compute i from its own block.",
        seen_in="cells of the form c = f * c + (1 - f) * g, as in minimal and quasi-recurrent units",
        edit=edit_arrays(ALL, _couple_input_gate, "LSTM", applies=_gates_are_symmetric)),
)
# fmt: on
