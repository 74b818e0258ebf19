"""Faults of masks: masked steps that count, and what is returned and kept there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rnnparity.faults.edit import (
    EditHalf,
    EditMaskedStep,
    EditRun,
    Half,
    HalfRun,
    MaskedStep,
    Result,
    StepResult,
)
from rnnparity.faults.fault import Fault
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent

KEEP_STATES = "Leave every state unchanged at a masked step, whatever its inputs."


def _zeros_outputs(layer: Recurrent) -> bool:
    """Return whether the outputs of masked steps are zero."""
    return layer.zero_output_for_mask and layer.return_sequences


# The mask of a run.


def _ignore_mask(half: HalfRun) -> Result | None:
    if half.mask is None:
        return None
    return replace(half, mask=np.ones_like(half.mask)).run()


def _leave_mask_unreversed(half: HalfRun) -> Result | None:
    if half.mask is None or not half.layer.go_backwards:
        return None
    return replace(half, mask=half.mask[:, ::-1]).run()


def _zero_masked_inputs(half: HalfRun) -> Result | None:
    if half.mask is None:
        return None
    x = np.where(half.mask[..., None], half.x, 0)
    return replace(half, x=x, mask=np.ones_like(half.mask)).run()


# The outputs of masked steps.


def _zero_output(half: Half) -> Half | None:
    if half.layer.zero_output_for_mask or not half.layer.return_sequences:
        return None
    return replace(half, layer=replace(half.layer, zero_output_for_mask=True))


def _repeat_output(half: Half) -> Half | None:
    if not _zeros_outputs(half.layer):
        return None
    return replace(half, layer=replace(half.layer, zero_output_for_mask=False))


def _frozen_state_as_output(half: HalfRun) -> Result | None:
    """Repeat the previous output, which the kept state is, except before the first unmasked step."""
    layer, mask = half.layer, half.mask
    if mask is None or not _shows_the_frozen_state(half):
        return None
    output, states = replace(half, layer=replace(layer, zero_output_for_mask=False)).run()
    processed = mask[:, ::-1] if layer.go_backwards else mask
    before_first = np.cumsum(processed, axis=1) == 0
    h = half.states[0]
    if layer.return_sequences:
        return np.where(before_first[..., None], h[..., None, :], output), states
    return np.where(before_first[:, -1:], h, output), states


def _shows_the_frozen_state(half: HalfRun) -> bool:
    """Return whether the kept state differs from the previous output somewhere.

    Of a half that has zeros there also where it does in the other half only: of the two together
    neither this half's zeros nor the other half's previous outputs are right.
    """
    directions = {half.layer.go_backwards}
    if _zeros_outputs(half.layer) and half.prefix.endswith(("forward/", "backward/")):
        directions = {False, True}
    return any(_starts_masked_from_states(half, direction) for direction in directions)


def _starts_masked_from_states(half: HalfRun, backwards: bool) -> bool:
    """Return whether a call that does not start from zeros has a masked first step in any row."""
    steps = np.array(half.problem.steps)
    ends = np.cumsum(steps)
    first = ends - 1 if backwards else ends - steps
    if not half.has_initial_state:
        first = first[1:] if half.layer.stateful else first[:0]
    mask = half.problem.mask
    return mask is not None and not mask[:, first].all()


def _zero_by_unreversed_mask(half: HalfRun) -> Result | None:
    layer, mask = half.layer, half.mask
    if mask is None or not layer.go_backwards or not _zeros_outputs(layer):
        return None
    output, states = replace(half, layer=replace(layer, zero_output_for_mask=False)).run()
    return np.where(mask[..., None], output, 0), states


def _zero_last_output(half: HalfRun) -> Result | None:
    if half.mask is None or half.layer.return_sequences:
        return None
    output, states = half.run()
    last = 0 if half.layer.go_backwards else -1
    return np.where(half.mask[:, last, None], output, 0), states


# The states after masked steps.


def _output(step: MaskedStep) -> Array:
    """Return the correct output of a masked step."""
    kept = np.zeros_like(step.output) if _zeros_outputs(step.layer) else step.output
    return np.where(step.mask, step.new_states[0], kept)


def _computed_output(step: MaskedStep) -> StepResult:
    pairs = zip(step.new_states, step.states, strict=True)
    return [np.where(step.mask, new, kept) for new, kept in pairs], step.new_states[0]


def _zero_states(step: MaskedStep) -> StepResult:
    return [np.where(step.mask, new, 0) for new in step.new_states], _output(step)


def _leak(step: MaskedStep) -> StepResult:
    return step.new_states, _output(step)


def _reset_states(step: MaskedStep) -> StepResult:
    pairs = zip(step.new_states, step.first_states, strict=True)
    return [np.where(step.mask, new, first) for new, first in pairs], _output(step)


# Fixes.


def _zeros_fix(_: Recurrent, prefix: str) -> str:
    if prefix.endswith(("forward/", "backward/")):
        return (
            "Return zeros at masked steps: Bidirectional sets zero_output_for_mask in its layers."
        )
    return "Return zeros at masked steps: zero_output_for_mask is set."


def _frozen_state_fix(layer: Recurrent, prefix: str) -> str:
    if _zeros_outputs(layer):
        return _zeros_fix(layer, prefix)
    return (
        "Repeat the previous output; before the first unmasked step return zeros, also with an "
        "initial state."
    )


# fmt: off
MASK_FAULTS = (
    Fault("mask-ignored", "every step counts",
        "Masked steps are computed like any other.",
        "Keep the value of every state where the mask is False.",
        edit=EditRun(_ignore_mask)),
    Fault("mask-not-reversed", "as given",
        "The sequence is reversed, the mask is not.",
        "Reverse the mask with the sequence.",
        seen_in="tf.keras itself with unroll=True", edit=EditRun(_leave_mask_unreversed)),
    Fault("masked-state", "inputs zeroed",
        "Masked inputs are set to zero and computed like any other step.",
        KEEP_STATES,
        edit=EditRun(_zero_masked_inputs)),
    Fault("masked-output", "zero",
        "The output of a masked step is zero.",
        "Repeat the previous output: zero_output_for_mask is not set.",
        needs_mask=True, edit=EditHalf(_zero_output)),
    Fault("masked-output", "held",
        "The output of a masked step is the previous output.",
        "Return zeros at masked steps: zero_output_for_mask is set.",
        fix_at=_zeros_fix, needs_mask=True, edit=EditHalf(_repeat_output)),
    Fault("masked-output", "the frozen state",
        "The output of a masked step is the state that is kept there.",
        "Repeat the previous output; before the first unmasked step return zeros, also with an "
        "initial state.",
        fix_at=_frozen_state_fix,
        seen_in="Keras on JAX and NumPy, loops that return h at every step",
        edit=EditRun(_frozen_state_as_output)),
    Fault("masked-output", "computed",
        "A masked step keeps the states; its output is that of the step that is not taken.",
        "Choose the output of a masked step by the mask, like the states.",
        seen_in="loops that apply the mask to the states only",
        needs_mask=True, edit=EditMaskedStep(_computed_output)),
    Fault("masked-output", "zeroed by the unreversed mask",
        "The outputs of a reversed sequence are set to zero by the unreversed mask.",
        "Reverse the mask with the sequence for the outputs too.",
        seen_in="tf.keras itself with unroll=True", edit=EditRun(_zero_by_unreversed_mask)),
    Fault("masked-output", "zero without sequences",
        "The output of a layer without sequences is zero if its last step is masked.",
        "Repeat the previous output: zero_output_for_mask counts only if return_sequences is True.",
        seen_in="tf.keras itself (keras-team/keras issue 17596)", edit=EditRun(_zero_last_output)),
    Fault("masked-state", "reset to zeros",
        "A masked step sets the state to zeros.",
        KEEP_STATES,
        needs_mask=True, edit=EditMaskedStep(_zero_states)),
    Fault("masked-state", "leaks",
        "A masked step changes the state, though not its own output.",
        KEEP_STATES,
        needs_mask=True, edit=EditMaskedStep(_leak)),
    Fault("masked-state", "reset",
        "A masked step resets the state to the initial state.",
        KEEP_STATES,
        needs_mask=True, edit=EditMaskedStep(_reset_states)),
)
# fmt: on
