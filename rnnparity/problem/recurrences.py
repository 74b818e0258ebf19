"""Names of other ways to pass states on, which a finding of type `recurrence` has."""

from __future__ import annotations

from enum import StrEnum


class OtherRecurrence(StrEnum):
    """How states get into a step, or are kept after it."""

    ONLY_H_KEPT = "only-h-kept"  # at masked steps
    ONLY_C_KEPT = "only-c-kept"
    ONLY_OUTPUT_MASKED = "only-output-masked"  # it is zero at masked steps; the states go on
    MASKED_LATE = "states-masked-late"  # by the mask of the step before
    H_OF_TWO_STEPS_AGO = "h-of-two-steps-ago"
    STATES_OF_TWO_STEPS_AGO = "states-of-two-steps-ago"
    IN_PLACE = "updated-in-place"  # units read what units before them have written
    BIAS_AT_FIRST_STEP_ONLY = "bias-at-first-step-only"
    BIAS_NOT_AT_FIRST_STEP = "bias-not-at-first-step"
    H_CLIPPED = "h-clipped"  # at `Finding.value`
    C_CLIPPED = "c-clipped"  # at `Finding.value`
    PREACTIVATIONS_CLIPPED = "pre-activations-clipped"  # at `Finding.value`
    OUTPUT_AS_INPUT = "output-as-input"
    RESTARTS = "restarts-every-few-steps"  # every `Finding.numbers` steps
    UNIT_LEFT_OUT = "unit-left-out"  # of the recurrent product: `Finding.numbers`, -1 is the last
    OF_ROW_BEFORE = "of-row-before"
    OF_FIRST_ROW = "of-first-row"
    ONE_FOR_ALL_ROWS = "one-state-for-all-rows"
    MEAN_OF_ROWS = "mean-of-rows"
    CALLS_ROWS_PERMUTED = "calls-rows-permuted"  # row n starts from row `Finding.numbers[n]`
    CALLS_ROW_RESET = "calls-row-reset"  # row `Finding.numbers` starts each call from zeros
    CALL_RESTARTS = "call-restarts"  # call `Finding.numbers` starts from zeros, no other
