"""Faults of direction: sequences that are reversed otherwise, or whose outputs are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rnnparity.faults.edit import EditHalf, EditRun, Half, HalfRun, Result
from rnnparity.faults.fault import Fault
from rnnparity.problem.layers import Recurrent


def _read_forward(half: Half) -> Half | None:
    if not half.layer.go_backwards:
        return None
    return replace(half, layer=replace(half.layer, go_backwards=False))


def _reverse_output(half: HalfRun) -> Result | None:
    if not (half.layer.go_backwards and half.layer.return_sequences):
        return None
    output, states = half.run()
    return output[..., ::-1, :], states


def _read_and_return_forward(half: HalfRun) -> Result | None:
    layer = half.layer
    if not (layer.go_backwards and layer.return_sequences):
        return None
    output, states = replace(half, layer=replace(layer, go_backwards=False)).run()
    return output[..., ::-1, :], states  # in the order of a half that reads from the end


def _last_time_step(half: HalfRun) -> Result | None:
    if not half.prefix.endswith("backward/") or half.layer.return_sequences:
        return None
    last_mask = None if half.mask is None else half.mask[:, -1:]
    output, _ = replace(half, x=half.x[..., -1:, :], mask=last_mask).run()
    _, states = half.run()
    return output, states


def _reverse_by_length(half: HalfRun) -> Result | None:
    """Reverse only the unmasked steps of each row, as packed sequences and lengths do."""
    if half.mask is None or not half.layer.go_backwards:
        return None
    steps = half.mask.shape[1]
    order = np.tile(np.arange(steps), (len(half.mask), 1))
    for row, kept in enumerate(half.mask):
        length = int(kept.sum())
        order[row, steps - length :] = np.arange(length)
        order[row, : steps - length] = np.arange(length, steps)
    indices = np.broadcast_to(order[..., None], (*half.x.shape[:-1], 1))
    return replace(half, x=np.take_along_axis(half.x, indices, axis=-2)).run()


def _output_order_fix(_: Recurrent, prefix: str) -> str:
    if prefix.endswith("backward/"):
        return (
            "Reverse the outputs of the backward layer in time before they are merged with those of "
            "the forward layer."
        )
    return "Return the outputs in processing order, the last time step first: the layer has go_backwards."


def _read_from_the_end_fix(_: Recurrent, prefix: str) -> str:
    if prefix.endswith("backward/"):
        return "Reverse the sequence before the first step, and the outputs after the last."
    return "Reverse the sequence before the first step."


# fmt: off
DIRECTION_FAULTS = (
    Fault("reverse-ignored", "read forward",
        "The sequence is read from the start; it should be read from the end.",
        "Reverse the sequence before the first step.",
        edit=EditHalf(_read_forward)),
    Fault("reverse-output-order", "reversed",
        "The outputs of a sequence that is read from the end are in reverse order.",
        "Return the outputs in the order that the layer has in Keras.",
        fix_at=_output_order_fix,
        seen_in="ports in which a second forward layer gets the flipped input and its outputs are not "
        "flipped back; PyTorch and ONNX, which have time order where Keras' go_backwards has not",
        edit=EditRun(_reverse_output)),
    Fault("reverse-ignored", "read and returned forward",
        "The sequence is read from its start; the outputs are put into order as if it had been read "
        "from its end.",
        "Reverse the sequence before the first step.",
        fix_at=_read_from_the_end_fix,
        seen_in="tract, which ignores ONNX's direction=\"reverse\"",
        edit=EditRun(_read_and_return_forward)),
    Fault("reverse-output-order", "last time step",
        "The output of the backward half is that of its first step.",
        "Take the output of the backward half at the first time step, where it ends.",
        seen_in="PyTorch's output[:, -1] of a bidirectional layer", edit=EditRun(_last_time_step)),
    Fault("reverse-over-padding", "row by row",
        "Each row is reversed within its own length; Keras reverses the padding too.",
        "Reverse the whole sequence and its mask; other frameworks reverse by lengths.",
        seen_in="PyTorch's packed sequences, ONNX's sequence_lens",
        edit=EditRun(_reverse_by_length)),
)
# fmt: on
