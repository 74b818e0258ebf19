"""Faults of options: a half that computes with other words than it was given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from rnnparity.faults.fault import Fault, Half

SIGMOIDS = ("sigmoid", "hard_sigmoid", "hard_sigmoid_keras2")
OTHERS = ("tanh", "relu", "linear", "sigmoid")


def option_faults() -> Iterator[Fault]:
    """Every fault of a half's own options."""
    for name in SIGMOIDS:
        yield Fault(
            "recurrent-activation", name, f"The gates use {name}.",
            "Keras' default is sigmoid; hard_sigmoid was Keras 2's, with a slope of 0.2 where Keras 3 has 1/6.",
            "Keras 1 and 2 models, ONNX's HardSigmoid", half=_option("recurrent_activation", name, gated=True),
        )  # fmt: skip
    for name in OTHERS:
        yield Fault(
            "activation", name, f"The candidate and the output use {name}.",
            "Use the layer's own activation, both times.", half=_option("activation", name),
        )  # fmt: skip

    def flipped(half: Half) -> Half | None:
        if half.layer.class_name != "GRU":
            return None
        weights = dict(half.weights)
        if "bias" in weights:
            b = weights["bias"]
            weights["bias"] = (
                b.sum(0) if half.layer.reset_after else np.stack([b, np.zeros_like(b)])
            )
        return Half(replace(half.layer, reset_after=not half.layer.reset_after), weights)

    yield Fault(
        "reset-after", "flipped", "The reset gate acts on the other side of the recurrent product.",
        "reset_after=True (Keras' default, cuDNN, PyTorch): g = act(x W + b + r * (h U + b')); "
        "False: g = act(x W + b + (r * h) U).",
        "ONNX's linear_before_reset, whose default is the other one", half=flipped,
    )  # fmt: skip


def _option(name: str, value: str, gated: bool = False) -> Callable[[Half], Half | None]:
    def half_edit(half: Half) -> Half | None:
        if getattr(half.layer, name) == value or (gated and not half.layer.cell.gated):
            return None
        return Half(replace(half.layer, **{name: value}), half.weights)  # type: ignore[arg-type]  # names of activations

    return half_edit
