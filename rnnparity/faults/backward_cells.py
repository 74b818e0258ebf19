"""Faults of what flows back inside a step: through activations, gates and the state before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from rnnparity.faults.backward_edit import EditBackwardCell, detached, rewired, unchanged
from rnnparity.faults.fault import Fault
from rnnparity.problem.cells import CELLS
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent
from rnnparity.reference.activations import ACTIVATIONS
from rnnparity.reference.cells import (
    GRU,
    LSTM,
    Cell,
    GRUResetBefore,
    OtherActivations,
    Step,
    altered,
)
from rnnparity.reference.gradients.taped_array import TapedArray
from rnnparity.reference.number import Function

CHAIN_RULE = (
    "Multiply by the derivative of the activation where it was evaluated in the forward pass."
)
# Activations that are two names or forms of one, with other derivatives.
OTHER_FORMS = {
    "hard_sigmoid": "hard_sigmoid_keras2",
    "hard_sigmoid_keras2": "hard_sigmoid",
    "gelu": "gelu_tanh",
    "gelu_tanh": "gelu",
}

_Slope = Callable[[Array, Array], Array]
_CellEdit = Callable[[Recurrent, Cell[TapedArray]], Cell[TapedArray] | None]


def _with_slope(function: Function[TapedArray], slope: _Slope) -> Function[TapedArray]:
    """Return an activation with another derivative, which is computed from x and y."""

    def apply(x: TapedArray) -> TapedArray:
        y = function(x)
        return rewired(y, (x, lambda gradient: gradient * slope(x.value, y.value)))

    return apply


def _edit_slope(part: str, make: Callable[[str, str], _Slope | None]) -> _CellEdit:
    """Return the edit of the derivative of act or ract.

    `make` gets the name of that activation and of the other, and returns None for no change.
    """

    def edit(layer: Recurrent, cell: Cell[TapedArray]) -> Cell[TapedArray] | None:
        if not layer.cell.gated and part == "ract":
            return None
        names = layer.activation, layer.recurrent_activation or ""
        slope = make(*(names if part == "act" else names[::-1]))
        if slope is None:
            return None
        return altered(cell, None, **{part: _with_slope(getattr(cell, part), slope)})

    return edit


def _no_slope(name: str, _: str) -> _Slope | None:
    return None if name == "linear" else lambda x, _: np.ones_like(x)


def _slope_at_output(name: str, _: str) -> _Slope:
    function = ACTIVATIONS[name]
    return lambda _, y: function.slope(y, function.value(y))


def _slope_of_other(name: str, other: str) -> _Slope | None:
    function = ACTIVATIONS.get(other)
    return None if function is None or name == other else function.slope


def _slope_of_other_form(name: str, _: str) -> _Slope | None:
    form = ACTIVATIONS.get(OTHER_FORMS.get(name, ""))
    return None if form is None else lambda x, _: form.slope(x, form.value(x))


def _edit_kink(layer: Recurrent, cell: Cell[TapedArray]) -> Cell[TapedArray] | None:
    """Let selu, wherever the layer has it, have the slope of its negative side at 0."""
    selu = ACTIVATIONS["selu"]
    names = {"act": layer.activation}
    if layer.cell.gated:
        names["ract"] = layer.recurrent_activation or ""
    parts = {
        part: _with_slope(
            getattr(cell, part), lambda x, y: np.where(x == 0, selu.steepest, selu.slope(x, y))
        )
        for part, name in names.items()
        if name == selu.name
    }
    return altered(cell, None, **parts) if parts else None


def _no_slope_in(part: str, layer: Recurrent, cell: Cell[TapedArray]) -> Cell[TapedArray] | None:
    """Omit the derivative in one of the two places where an LSTM has its activation."""
    if not isinstance(cell, LSTM) or layer.activation == "linear":
        return None
    function = _with_slope(cell.act, lambda x, _: np.ones_like(x))
    return altered(cell, OtherActivations, **{part: function})


def _detach_gate(
    class_name: str, index: int, layer: Recurrent, cell: Cell[TapedArray]
) -> Cell[TapedArray] | None:
    """Let nothing flow back through a block of what the recurrent activation returns."""
    if layer.class_name != class_name or not isinstance(cell, LSTM | GRU | GRUResetBefore):
        return None
    ract = cell.ract
    columns = slice(index * layer.units, (index + 1) * layer.units)

    def without_block(gradient: Array) -> Array:
        gradient = gradient.copy()
        gradient[..., columns] = 0
        return gradient

    def apply(x: TapedArray) -> TapedArray:
        y = ract(x)
        return rewired(y, (y, without_block))

    return altered(cell, ract=apply)


def _edit_gru_path(
    direct: bool, layer: Recurrent, cell: Cell[TapedArray]
) -> Cell[TapedArray] | None:
    """Leave out one of the two ways back to the state before: z*h' itself, or all others."""
    if layer.class_name != "GRU":
        return None
    step_of_cell = cell.step

    def step(x: TapedArray, *states: TapedArray) -> Step[TapedArray]:
        (h,) = states
        (new,), gates = step_of_cell(x, h if direct else detached(h))
        z = -gates["z"].value if direct else gates["z"].value
        return (rewired(new, (new, unchanged), (h, lambda gradient: gradient * z)),), gates

    return altered(cell, step=step)


def _slopes() -> Iterator[Fault]:
    for part, what in (("act", "activation"), ("ract", "recurrent activation")):
        yield Fault("derivative-missing", what,
            f"The derivative of the {what} is not multiplied in.",
            CHAIN_RULE,
            edit=EditBackwardCell(_edit_slope(part, _no_slope)))  # fmt: skip
        yield Fault("derivative-at-output", what,
            f"The derivative of the {what} is evaluated at its result.",
            CHAIN_RULE,
            seen_in="formulas for the derivative in terms of y and of x mixed up",
            edit=EditBackwardCell(_edit_slope(part, _slope_at_output)))  # fmt: skip
        yield Fault("derivative-of-other-activation", what,
            f"The derivative of the {what} is that of the other activation of the layer.",
            CHAIN_RULE,
            edit=EditBackwardCell(_edit_slope(part, _slope_of_other)))  # fmt: skip
        yield Fault("derivative-of-other-form", what,
            f"The derivative of the {what} is that of its other form.",
            "Use the derivative of the layer's own form: hard_sigmoid has the slope 1/6, in Keras 2 0.2; "
            "gelu is exact, gelu_tanh approximate.",
            seen_in="gelu with the derivative of the other form",
            edit=EditBackwardCell(_edit_slope(part, _slope_of_other_form)))  # fmt: skip
    for part, where in (("act_g", "candidate"), ("act_h", "output")):
        yield Fault("derivative-missing", f"LSTM, {where}",
            f"The derivative of the activation of the {where} is not multiplied in.",
            CHAIN_RULE,
            edit=EditBackwardCell(partial(_no_slope_in, part)))  # fmt: skip


def _gates() -> Iterator[Fault]:
    for cell in CELLS.values():
        gates = [gate for gate in cell.gates if gate != cell.candidate and cell.gated]
        for index, gate in enumerate(gates):
            yield Fault("gradient-through-gate-missing", f"{cell.class_name}, gate {gate}",
                f"Nothing flows back through gate {gate}.",
                "Differentiate every product with respect to both factors.",
                edit=EditBackwardCell(partial(_detach_gate, cell.class_name, index)))  # fmt: skip


# fmt: off
CELL_BACKWARD_FAULTS = (
    *_slopes(),
    *_gates(),
    Fault("derivative-at-kink", "selu",
        "The derivative of selu at 0 is that of its negative side.",
        "Take the derivative of the positive side at 0, as Keras on TensorFlow does.",
        seen_in="Keras on JAX and PyTorch, TensorFlow compiled by XLA",
        edit=EditBackwardCell(_edit_kink)),
    Fault("gradient-path-missing", "GRU, z*h'",
        "Nothing flows back through the product of the update gate with the state before.",
        "Add both gradients of the state before: it enters the new state directly and by its projection.",
        edit=EditBackwardCell(partial(_edit_gru_path, True))),
    Fault("gradient-path-missing", "GRU, projection",
        "Nothing flows back through the projection of the state before.",
        "Add both gradients of the state before: it enters the new state directly and by its projection.",
        edit=EditBackwardCell(partial(_edit_gru_path, False))),
)
# fmt: on
