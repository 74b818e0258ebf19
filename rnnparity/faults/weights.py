"""Faults of weights: read in another order, turned, dropped or doubled on their way from one
framework to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations

import numpy as np

from rnnparity.faults.fault import Fault, Half
from rnnparity.problem.cells import CELLS
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent

GATED = [cell.class_name for cell in CELLS.values() if cell.gated]
# Orders that other frameworks use: https://onnx.ai/onnx/operators/onnx__LSTM.html, onnx__GRU.html,
# https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html, TensorFlow 1's BasicLSTMCell.
KNOWN_ORDERS = {"iofc": "ONNX", "icfo": "TensorFlow 1", "rzh": "PyTorch, cuDNN"}
SYMMETRIC = ("sigmoid", "hard_sigmoid", "hard_sigmoid_keras2")
PLACES: Mapping[str, tuple[str, ...]] = {
    "all weights": ("kernel", "recurrent_kernel", "bias"),
    "the kernel": ("kernel",),
    "the recurrent kernel": ("recurrent_kernel",),
    "the bias": ("bias",),
}

Edit = Callable[[Array], Array]


def weight_faults() -> Iterator[Fault]:
    """Every fault that edits weights alone."""
    yield from _gate_orders()
    yield from _turned()
    yield from _biases()
    yield from _gates()


def _gate_orders() -> Iterator[Fault]:
    for class_name in GATED:
        own = CELLS[class_name].gates
        for order in map("".join, permutations(own)):
            for place, names in PLACES.items() if order != own else ():
                known = f" ({KNOWN_ORDERS[order]})" if order in KNOWN_ORDERS else ""
                yield Fault(
                    "gate-order",
                    f"{class_name} {order}{known} in {place}",
                    f"The blocks of {place} are taken for {', '.join(order)}; Keras has {', '.join(own)}.",
                    f"Reorder the blocks of {place} to {', '.join(order)}, which the code expects, or change the code.",
                    "ports between Keras, ONNX (i, o, f, c) and PyTorch (GRU: r, z, n)",
                    half=_edit(names, _blocks([order.index(gate) for gate in own]), class_name),
                )


def _turned() -> Iterator[Fault]:
    def transposed(gate: int | None) -> Edit:
        def edit(U: Array) -> Array:
            units = U.shape[0]
            blocks = [U[:, n : n + units] for n in range(0, U.shape[1], units)]
            return np.hstack([b.T if gate in (None, n) else b for n, b in enumerate(blocks)])

        return edit

    recurrent = ("recurrent_kernel",)
    mend = "Keras multiplies from the left, h U: U is (H, G*H); transpose what comes as (G*H, H)."
    yield Fault(
        "recurrent-transposed", "whole", "Every block of the recurrent kernel is transposed.", mend,
        "PyTorch's weight_hh and ONNX's R are (G*H, H)", half=_edit(recurrent, transposed(None)),
    )  # fmt: skip
    for class_name in GATED:
        for place, gate in enumerate(CELLS[class_name].gates):
            yield Fault(
                "recurrent-transposed", f"{class_name} gate {gate}",
                f"The block of gate {gate} in the recurrent kernel is transposed.", mend,
                half=_edit(recurrent, transposed(place), class_name),
            )  # fmt: skip
    for name in ("kernel", "recurrent_kernel"):
        yield Fault(
            "kernel-layout", f"{name} reshaped", f"The {name} is reshaped where it should be transposed.",
            "Transpose the array; reshape keeps the order in memory and scatters its elements.",
            half=_not_square(name, _edit((name,), lambda W: W.T.reshape(W.shape))),
        )  # fmt: skip
        yield Fault(
            "kernel-layout", f"{name} interleaved", f"The {name}'s columns are taken gate by gate for every unit.",
            "Keras' columns are whole gates, one after the other: all units of i, then all of f, and so on.",
            half=_edit_half((name,), _interleaved),
        )  # fmt: skip
    yield Fault(
        "features-reversed", "kernel", "The features of the inputs are read in reverse.",
        "Feed the features in the order of the kernel's rows.", half=_edit(("kernel",), lambda W: W[::-1]),
    )  # fmt: skip
    yield Fault(
        "units-reversed", "recurrent kernel", "The units of the previous state are read in reverse.",
        "The recurrent kernel's rows are the units in the order of its columns.",
        half=_edit(recurrent, lambda U: U[::-1]),
    )  # fmt: skip
    yield Fault(
        "recurrence-missing", "recurrent kernel", "The previous state does not enter the gates.",
        "Add h U at every step.", half=_edit(recurrent, np.zeros_like),
    )  # fmt: skip


def _biases() -> Iterator[Fault]:
    bias = ("bias",)
    yield Fault(
        "bias-missing", "all of it", "The bias is not added.", "Add the bias to every gate.",
        half=_edit(bias, np.zeros_like),
    )  # fmt: skip
    yield Fault(
        "bias-doubled", "all of it", "The bias is added twice.",
        "Keras has one bias; where a framework has two, one of them is zero.",
        "PyTorch's bias_ih and bias_hh", half=_edit(bias, lambda b: 2 * b),
    )  # fmt: skip
    yield Fault(
        "bias-rows-swapped", "GRU", "The two biases of the GRU are exchanged.",
        "The first row belongs to the inputs, the second to the state.", "the GRU's second bias",
        half=_edit(bias, lambda b: b[::-1], "GRU", rows=2),
    )  # fmt: skip
    for row, name in enumerate(("the inputs' bias", "the state's bias")):
        yield Fault(
            "bias-row-dropped", f"GRU, {name}", f"{name.capitalize()} is not added.", "Add both rows of the bias.",
            half=_edit(bias, _dropped(row), "GRU", rows=2),
        )  # fmt: skip
    yield Fault(
        "bias-outside-reset", "GRU", "The candidate's second bias is added outside of the reset gate.",
        "With reset_after the reset gate multiplies h U_h + b'_h, bias and all.", "ports that add both biases at once",
        half=_edit(bias, _first_row_has_all, "GRU", rows=2),
    )  # fmt: skip
    for by in (1, -1):
        yield Fault(
            "forget-bias", f"{by:+d}", f"{by:+d} is added to the bias of the forget gate.",
            "unit_forget_bias is part of the weights already: add nothing to them.",
            "TensorFlow 1's forget_bias, scikit-learn-like ports", half=_edit(bias, _forget(by), "LSTM"),
        )  # fmt: skip


def _gates() -> Iterator[Fault]:
    yield Fault(
        "update-gate-complemented", "GRU", "z weighs the candidate, 1 - z the previous state.",
        "h = z * h' + (1 - z) * g in Keras.", "Cho et al. 2014 and PyTorch differ in what z weighs",
        half=_symmetric("GRU", lambda w: _with_block(w, 3, 0, lambda block: -block)),
    )  # fmt: skip
    yield Fault(
        "coupled-gates", "LSTM, f = 1 - i", "The forget gate is 1 - i, not a gate of its own.",
        "Compute f from its own block.", "Greff et al. 2017 (CIFG)",
        half=_symmetric("LSTM", lambda w: _with_block(w, 4, 1, lambda _: -np.split(w, 4, axis=-1)[0])),
    )  # fmt: skip


def _edit(
    names: Sequence[str], edit: Edit, class_name: str = "", rows: int = 0
) -> Callable[[Half], Half | None]:
    """An edit of some arrays of a half, where the layer is of that class (and its bias has so many
    rows)."""

    def half_edit(half: Half) -> Half | None:
        if class_name not in ("", half.layer.class_name):
            return None
        if rows and half.weights.get("bias", np.zeros(0)).shape[:1] != (rows,):
            return None
        if not any(name in half.weights for name in names):
            return None
        return Half(half.layer, {n: edit(w) if n in names else w for n, w in half.weights.items()})

    return half_edit


def _edit_half(
    names: Sequence[str], edit: Callable[[Recurrent, Array], Array]
) -> Callable[[Half], Half | None]:
    """An edit that needs to know the layer, of layers with gates."""

    def half_edit(half: Half) -> Half | None:
        if not half.layer.cell.gated:
            return None
        return Half(
            half.layer,
            {n: edit(half.layer, w) if n in names else w for n, w in half.weights.items()},
        )

    return half_edit


def _not_square(name: str, edit: Callable[[Half], Half | None]) -> Callable[[Half], Half | None]:
    """None for a square array, where reshaping what should be transposed is transposing."""
    return lambda half: None if len(set(half.weights[name].shape)) == 1 else edit(half)


def _symmetric(class_name: str, edit: Edit) -> Callable[[Half], Half | None]:
    """An edit that turns a gate into 1 - gate by the sign of its block, which a sigmoid allows."""
    every = _edit(("kernel", "recurrent_kernel", "bias"), edit, class_name)
    return lambda half: every(half) if half.layer.recurrent_activation in SYMMETRIC else None


def _blocks(order: Sequence[int]) -> Edit:
    def edit(w: Array) -> Array:
        blocks = np.split(w, len(order), axis=-1)
        return np.concatenate([blocks[place] for place in order], axis=-1)

    return edit


def _interleaved(layer: Recurrent, w: Array) -> Array:
    gates = len(layer.cell.gates)
    return w.reshape(len(w), layer.units, gates).swapaxes(1, 2).reshape(w.shape)


def _with_block(w: Array, gates: int, place: int, edit: Edit) -> Array:
    blocks = np.split(w, gates, axis=-1)
    blocks[place] = edit(blocks[place])
    return np.concatenate(blocks, axis=-1)


def _dropped(row: int) -> Edit:
    def edit(b: Array) -> Array:
        return np.where(np.arange(len(b))[:, None] == row, np.zeros_like(b), b)

    return edit


def _first_row_has_all(b: Array) -> Array:
    """Both rows added up in the first: of z and r nothing changes, of the candidate what the reset
    gate sees."""
    return np.stack([b.sum(axis=0), np.zeros_like(b[1])])


def _forget(by: int) -> Edit:
    return lambda b: _with_block(b, 4, 1, lambda block: block + by)
