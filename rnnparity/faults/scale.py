"""Faults of scale: inputs or outputs that are scaled, shifted or dropped around a half."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rnnparity.faults.edit import EditRun, HalfRun, Result
from rnnparity.faults.fault import Fault
from rnnparity.problem.dtypes import Array


def _edit_output(edit: Callable[[Array], Array]) -> EditRun:
    def edited(half: HalfRun) -> Result:
        output, states = half.run()
        return edit(output), states

    return EditRun(edited)


def unit_scale(factor: float) -> Fault:
    """Return the fault that multiplies the outputs."""
    return Fault("unit-scale", f"outputs times {factor:.6g}",
        f"The outputs are multiplied by {factor:.6g}.",
        "Look for a scale, a dropout's 1 / (1 - rate) or a normalization after the layer.",
        edit=_edit_output(lambda output: output * factor))  # fmt: skip


def all_scaled(factor: float) -> Fault:
    """Return the fault that multiplies the outputs and the returned states."""

    def edited(half: HalfRun) -> Result:
        output, states = half.run()
        return output * factor, [state * factor for state in states]

    return Fault("unit-scale", f"outputs and states times {factor:.6g}",
        f"The outputs and the returned states are multiplied by {factor:.6g}.",
        "Look for a scale, a dropout's 1 / (1 - rate) or a normalization after the layer.",
        edit=EditRun(edited))  # fmt: skip


def unit_shift(number: float) -> Fault:
    """Return the fault that adds a number to the outputs."""
    return Fault("unit-scale", f"outputs shifted by {number:.4g}",
        f"{number:.4g} is added to the outputs.",
        "Look for a bias or a normalization after the layer.",
        edit=_edit_output(lambda output: output + number))  # fmt: skip


def _every_other(shape: tuple[int, ...]) -> Array:
    """Return a checkerboard of True and False."""
    kept: Array = np.indices(shape).sum(axis=0) % 2 == 0
    return kept


def dropout_on_inputs(rate: float, keep: Array | None = None) -> Fault:
    """Return the fault that drops features for the whole run and scales the others: Keras' dropout.

    `keep` (B, D) is False where a feature is dropped; by default every other one is.
    """

    def edit(half: HalfRun) -> Result | None:
        batch, _, features = half.x.shape[-3:]
        kept = _every_other((batch, features)) if keep is None else keep
        if kept.shape != (batch, features):
            return None
        return replace(half, x=half.x * kept[:, None, :] / (1 - rate)).run()

    return Fault("dropout-active", f"inputs, rate {rate:g}",
        "Features of the inputs are dropped, the others scaled up.",
        "Switch dropout off: call the layer with training=False or after eval().",
        edit=EditRun(edit))  # fmt: skip


def dropout_on_outputs(rate: float, keep: Array | None = None) -> Fault:
    """Return the fault that sets outputs to zero and scales the others.

    `keep` (B, T, H) or (B, H) is False where an output is dropped; by default every other one is.
    """

    def edit(half: HalfRun) -> Result | None:
        output, states = half.run()
        shape = output.shape[-3:] if half.layer.return_sequences else output.shape[-2:]
        kept = _every_other(shape) if keep is None else keep
        if kept.shape != shape:
            return None
        return output * kept / (1 - rate), states

    return Fault("dropout-active", f"outputs, rate {rate:g}",
        "Some of the outputs are zero, the others scaled up.",
        "Switch dropout off: it belongs to training.",
        seen_in="PyTorch's dropout between the layers of a stack", edit=EditRun(edit))  # fmt: skip


# fmt: off
SCALE_FAULTS = (
    unit_scale(0.5),
    unit_scale(2.0),
    unit_shift(0.1),
    dropout_on_inputs(0.5),
    dropout_on_outputs(0.5),
)
# fmt: on
