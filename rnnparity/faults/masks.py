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

KEEP_STATES = "A masked step must not change any state, whatever its inputs."


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
    return Half(replace(half.layer, zero_output_for_mask=True), half.weights)


def _repeat_output(half: Half) -> Half | None:
    if not _zeros_outputs(half.layer):
        return None
    return Half(replace(half.layer, zero_output_for_mask=False), half.weights)


def _initial_state_as_output(half: HalfRun) -> Result | None:
    layer, mask = half.layer, half.mask
    if mask is None or not half.has_initial_state or _zeros_outputs(layer):
        return None
    output, states = half.run()
    processed = mask[:, ::-1] if layer.go_backwards else mask
    before_first = np.cumsum(processed, axis=1) == 0
    h = half.states[0]
    if layer.return_sequences:
        return np.where(before_first[..., None], h[..., None, :], output), states
    return np.where(before_first[:, -1:], h, output), states


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


def _zero_states(step: MaskedStep) -> StepResult:
    return [np.where(step.mask, new, 0) for new in step.new_states], _output(step)


def _leak(step: MaskedStep) -> StepResult:
    return step.new_states, _output(step)


def _reset_states(step: MaskedStep) -> StepResult:
    pairs = zip(step.new_states, step.first_states, strict=True)
    return [np.where(step.mask, new, first) for new, first in pairs], _output(step)


MASK_FAULTS = (
    Fault(
        cause="mask-ignored",
        variant="every step counts",
        description="Masked steps are computed like any other.",
        fix="Where the mask is False every state keeps its value.",
        edit=EditRun(_ignore_mask),
    ),
    Fault(
        cause="mask-not-reversed",
        variant="as given",
        description="The sequence is reversed, the mask is not.",
        fix="Reverse the mask with the sequence.",
        seen_in="tf.keras itself with unroll=True",
        edit=EditRun(_leave_mask_unreversed),
    ),
    Fault(
        cause="masked-state",
        variant="inputs zeroed",
        description="Masked inputs are set to zero and computed like any other step.",
        fix=KEEP_STATES,
        edit=EditRun(_zero_masked_inputs),
    ),
    Fault(
        cause="masked-output",
        variant="zero",
        description="The output of a masked step is zero.",
        fix="Keras repeats the previous output unless zero_output_for_mask is set "
        "(as Bidirectional does).",
        needs_mask=True,
        edit=EditHalf(_zero_output),
    ),
    Fault(
        cause="masked-output",
        variant="held",
        description="The output of a masked step is the previous output.",
        fix="Return zeros there: zero_output_for_mask is set (Bidirectional sets it).",
        needs_mask=True,
        edit=EditHalf(_repeat_output),
    ),
    Fault(
        cause="masked-output",
        variant="initial",
        description="Before the first unmasked step the output is the initial state.",
        fix="Keras returns zeros there, also with an initial state.",
        edit=EditRun(_initial_state_as_output),
    ),
    Fault(
        cause="masked-output",
        variant="zeroed by the unreversed mask",
        description="The outputs of a reversed sequence are set to zero by the unreversed mask.",
        fix="Reverse the mask with the sequence for the outputs too.",
        seen_in="tf.keras itself with unroll=True",
        edit=EditRun(_zero_by_unreversed_mask),
    ),
    Fault(
        cause="masked-output",
        variant="zero without sequences",
        description="The output of a layer without sequences is zero if its last step is masked.",
        fix="zero_output_for_mask counts only if return_sequences is True.",
        seen_in="tf.keras itself (keras-team/keras issue 17596)",
        edit=EditRun(_zero_last_output),
    ),
    Fault(
        cause="masked-state",
        variant="reset to zeros",
        description="A masked step sets the state to zeros.",
        fix=KEEP_STATES,
        needs_mask=True,
        edit=EditMaskedStep(_zero_states),
    ),
    Fault(
        cause="masked-state",
        variant="leaks",
        description="A masked step changes the state; only its output is repeated.",
        fix=KEEP_STATES,
        needs_mask=True,
        edit=EditMaskedStep(_leak),
    ),
    Fault(
        cause="masked-state",
        variant="reset",
        description="A masked step resets the state to the initial state.",
        fix=KEEP_STATES,
        needs_mask=True,
        edit=EditMaskedStep(_reset_states),
    ),
)
