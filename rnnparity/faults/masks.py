"""Faults of masks: steps that are left out, and what is given and kept there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from rnnparity.faults.fault import Fault, Half, HalfRun, MaskedStep, Result
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent


def mask_faults() -> Iterator[Fault]:
    """Every fault of masks."""
    yield from _masks()
    yield from _masked_steps()


def _masks() -> Iterator[Fault]:
    yield Fault(
        "mask-ignored", "every step counts", "Masked steps are computed like any other.",
        "Where the mask is False every state keeps its value.",
        around=_other_mask(lambda _, mask: np.ones_like(mask)),
    )  # fmt: skip
    yield Fault(
        "mask-not-reversed", "as given", "The sequence is turned, the mask is not.", "Turn the mask with the sequence.",
        "tf.keras itself with unroll=True",
        around=_other_mask(lambda layer, mask: mask[:, ::-1] if layer.go_backwards else None),
    )  # fmt: skip

    def zeroed(half: HalfRun) -> Result | None:
        if half.mask is None:
            return None
        return half.run(
            np.where(half.mask[..., None], half.x, 0), np.ones_like(half.mask), half.states
        )

    yield Fault(
        "masked-state", "inputs zeroed", "Masked inputs are set to zero and computed like any other.",
        "A masked step changes no state, whatever its inputs.", around=zeroed,
    )  # fmt: skip


def _masked_steps() -> Iterator[Fault]:
    for zero in (True, False):
        yield Fault(
            "masked-output", "zero" if zero else "held",
            f"The output of a masked step is {'zero' if zero else 'the last one'}.",
            "Keras repeats the last output; zero_output_for_mask (which Bidirectional sets) makes it zero.",
            needs_mask=True, half=_zero_output(zero),
        )  # fmt: skip

    def state_as_output(half: HalfRun) -> Result | None:
        layer, mask = half.layer, half.mask
        if (
            mask is None
            or not half.started
            or (layer.zero_output_for_mask and layer.return_sequences)
        ):
            return None
        output, states = half.as_it_is()
        in_order = mask[:, ::-1] if layer.go_backwards else mask
        unused = np.cumsum(in_order, axis=1) == 0
        if layer.return_sequences:
            return np.where(unused[..., None], half.states[0][..., None, :], output), states
        return np.where(unused[:, -1:], half.states[0], output), states

    yield Fault(
        "masked-output", "initial", "Before the first step that counts the output is the initial state.",
        "Keras gives zeros there, also with an initial state.", around=state_as_output,
    )  # fmt: skip

    yield from _zeroed_outputs()

    def held(step: MaskedStep) -> Any:
        kept = (
            np.zeros_like(step.output)
            if step.layer.zero_output_for_mask and step.layer.return_sequences
            else None
        )
        return np.where(step.chosen, step.new[0], step.output if kept is None else kept)

    def reset(step: MaskedStep) -> tuple[list[Any], Any]:
        pairs = zip(step.new, step.start, strict=True)
        return [np.where(step.chosen, new, start) for new, start in pairs], held(step)

    def zeroed_states(step: MaskedStep) -> tuple[list[Any], Any]:
        return [np.where(step.chosen, new, 0) for new in step.new], held(step)

    yield Fault(
        "masked-state", "reset to zeros", "A masked step sets the state to zeros.",
        "A masked step changes no state, whatever its inputs.", needs_mask=True, masked=zeroed_states,
    )  # fmt: skip
    yield Fault(
        "masked-state", "leaks", "A masked step changes the state; its output alone is held.",
        "A masked step changes no state, whatever its inputs.", needs_mask=True,
        masked=lambda step: (step.new, held(step)),
    )  # fmt: skip
    yield Fault(
        "masked-state", "reset", "A masked step sets the state back to where it began.",
        "A masked step changes no state, whatever its inputs.", needs_mask=True, masked=reset,
    )  # fmt: skip


def _zeroed_outputs() -> Iterator[Fault]:
    def held_first(half: Half) -> Half | None:
        layer = half.layer
        if not (layer.go_backwards and layer.return_sequences and layer.zero_output_for_mask):
            return None
        return Half(replace(layer, zero_output_for_mask=False), half.weights)

    def by_unturned_mask(half: HalfRun) -> Result | None:
        if half.mask is None or not half.layer.go_backwards:
            return None
        output, states = half.as_it_is()
        return np.where(half.mask[..., None], output, 0), states

    yield Fault(
        "masked-output", "zero by the unturned mask",
        "The outputs are zeroed by the mask as it was before the sequence was turned.",
        "Turn the mask with the sequence, there too.", "tf.keras itself with unroll=True",
        half=held_first, around=by_unturned_mask,
    )  # fmt: skip

    def without_sequences(half: HalfRun) -> Result | None:
        layer, mask = half.layer, half.mask
        if mask is None or layer.return_sequences:
            return None
        output, states = half.as_it_is()
        return np.where(mask[:, 0 if layer.go_backwards else -1, None], output, 0), states

    yield Fault(
        "masked-output", "zero without sequences", "The one output is zero where the last step is masked.",
        "zero_output_for_mask counts only where return_sequences is True.",
        "tf.keras itself (keras-team/keras issue 17596)", around=without_sequences,
    )  # fmt: skip


def _other_mask(
    edit: Callable[[Recurrent, Array], Array | None],
) -> Callable[[HalfRun], Result | None]:
    def around(half: HalfRun) -> Result | None:
        mask = None if half.mask is None else edit(half.layer, half.mask)
        return None if mask is None else half.run(half.x, mask, half.states)

    return around


def _zero_output(zero: bool) -> Callable[[Half], Half | None]:
    def half_edit(half: Half) -> Half | None:
        if half.layer.zero_output_for_mask == zero or not half.layer.return_sequences:
            return None
        return Half(replace(half.layer, zero_output_for_mask=zero), half.weights)

    return half_edit
