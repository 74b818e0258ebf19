"""What PyTorch's modules cannot express of Keras' layers."""

from __future__ import annotations

from rnnparity.problem.answer import Unsupported
from rnnparity.problem.layers import Bidirectional, Recurrent, Stack, halves
from rnnparity.problem.problem import Problem
from rnnparity.subjects.calls import layers_of
from rnnparity.subjects.torch_layers import (
    MODULES,
)


def check_supported(problem: Problem) -> None:
    """Refuse what PyTorch's modules cannot express.

    Raises:
        Unsupported: with the reason.
    """
    for _, half in halves(problem.layer):
        _check_half(half)
    for _, layer in layers_of(problem):
        if isinstance(layer, Bidirectional):
            _check_alike(layer)
    if problem.mask is not None:
        _check_mask(problem)


def _check_half(half: Recurrent) -> None:
    is_gated = half.cell.gated
    activations = ("tanh",) if is_gated else ("tanh", "relu")
    gates_differ = is_gated and half.recurrent_activation != "sigmoid"
    if half.activation not in activations or gates_differ:
        raise Unsupported(f"nn.{MODULES[half.class_name]} has only its own activations")
    if half.class_name == "GRU" and not half.reset_after:
        raise Unsupported("nn.GRU computes only reset_after=True")
    if half.dtype.startswith("mixed_"):
        raise Unsupported("mixed dtype policies exist only in Keras")


def _check_alike(layer: Bidirectional) -> None:
    shared = {
        (
            half.class_name,
            half.units,
            half.activation,
            half.recurrent_activation,
            half.use_bias,
            half.dtype,
        )
        for half in (layer.forward, layer.backward)
    }
    if len(shared) > 1 or layer.dtype != layer.forward.dtype:
        raise Unsupported("both directions of a PyTorch module have the same options")


def _check_mask(problem: Problem) -> None:
    """Steps beyond the length of a row are skipped in a packed sequence, their outputs are 0."""
    _, layer = layers_of(problem)[0]
    half = layer.forward if isinstance(layer, Bidirectional) else layer
    is_one_call = not isinstance(problem.layer, Stack) and problem.calls is None
    if half.go_backwards or not is_one_call:
        raise Unsupported(
            "packed sequences are computed only forward or in both directions, "
            "in one layer and one call"
        )
    if half.return_sequences and not half.zero_output_for_mask:
        raise Unsupported(
            "outputs of masked steps are 0 in a packed sequence, Keras repeats the previous output"
        )
