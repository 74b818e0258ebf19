"""Faults of options: a half that computes with other options than the layer has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from rnnparity.faults.edit import EditHalf, Half
from rnnparity.faults.fault import Fault
from rnnparity.problem.layers import Recurrent

SIGMOIDS = ("sigmoid", "hard_sigmoid", "hard_sigmoid_keras2")
ACTIVATIONS = ("tanh", "relu", "linear", "sigmoid")


def _recurrent_activations() -> Iterator[Fault]:
    for name in SIGMOIDS:

        def edit(half: Half, name: str = name) -> Half | None:
            layer = half.layer
            if layer.recurrent_activation == name or not layer.cell.gated:
                return None
            return replace(half, layer=replace(layer, recurrent_activation=name))

        yield Fault("recurrent-activation", name,
            f"The gates use {name}.",
            "Use the layer's own recurrent_activation.",
            seen_in="models of Keras 1 and 2, ONNX's HardSigmoid",
            fix_at=partial(_recurrent_activation_fix, name), edit=EditHalf(edit))  # fmt: skip


def _recurrent_activation_fix(used: str, layer: Recurrent, _: str) -> str:
    expected = layer.recurrent_activation
    fix = f"Use {expected}, the layer's recurrent_activation."
    if "hard_sigmoid" not in used + expected:
        return fix
    return f"{fix} The slope of hard_sigmoid is 0.2 in Keras 2 and 1/6 in Keras 3."


def _activations() -> Iterator[Fault]:
    for name in ACTIVATIONS:

        def edit(half: Half, name: str = name) -> Half | None:
            if half.layer.activation == name:
                return None
            return replace(half, layer=replace(half.layer, activation=name))

        yield Fault("activation", name,
            f"The activation is {name}.",
            "Use the layer's own activation.",
            fix_at=lambda layer, _: f"Use {layer.activation}, the layer's activation.",
            edit=EditHalf(edit))  # fmt: skip


def _flip_reset_after(half: Half) -> Half | None:
    layer = half.layer
    if layer.class_name != "GRU":
        return None
    weights = dict(half.weights)
    if "bias" in weights:
        b = weights["bias"]
        weights["bias"] = b.sum(0) if layer.reset_after else np.stack([b, np.zeros_like(b)])
    return replace(half, layer=replace(layer, reset_after=not layer.reset_after), weights=weights)


def _reset_after_fix(layer: Recurrent, _: str) -> str:
    if layer.reset_after:
        return "Compute g = act(x W + b + r * (h U + b')): the layer has reset_after=True (cuDNN, PyTorch)."
    return "Compute g = act(x W + b + (r * h) U): the layer has reset_after=False."


# fmt: off
OPTION_FAULTS = (
    *_recurrent_activations(),
    *_activations(),
    Fault("reset-after", "flipped",
        "The reset gate is applied on the other side of the recurrent product.",
        "Apply the reset gate as the layer's reset_after states.",
        seen_in="ONNX's linear_before_reset, whose default is the opposite",
        fix_at=_reset_after_fix,
        edit=EditHalf(_flip_reset_after)),
)
# fmt: on
