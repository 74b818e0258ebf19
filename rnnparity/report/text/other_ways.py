"""Sentences about what else was computed: after the layer, from step to step, along other axes."""

from __future__ import annotations

from collections.abc import Sequence

from rnnparity.problem.findings import AfterLayer, Finding
from rnnparity.problem.recurrences import OtherRecurrence
from rnnparity.report.text.numbered import LONGEST_ORDER, listed

# Which axes are joined to one, in their order.
JOINED_AXES = {
    "first-joined": slice(0, 2),
    "last-joined": slice(1, 3),
    "all-joined": slice(None),
}
RECURRENCES = {
    OtherRecurrence.ONLY_H_KEPT: "masked steps keep h only; c is computed as in other steps",
    OtherRecurrence.ONLY_C_KEPT: "masked steps keep c only; h is computed as in other steps",
    OtherRecurrence.ONLY_OUTPUT_MASKED: (
        "masked steps return zeros, but change the states like any other step"
    ),
    OtherRecurrence.MASKED_LATE: "the states are kept by the mask of the step before",
    OtherRecurrence.H_OF_TWO_STEPS_AGO: "each step starts from the h of two steps ago",
    OtherRecurrence.STATES_OF_TWO_STEPS_AGO: "each step starts from the states of two steps ago",
    OtherRecurrence.IN_PLACE: (
        "h is written while it is still read: each unit reads the new h of the units before it"
    ),
    OtherRecurrence.BIAS_AT_FIRST_STEP_ONLY: "the bias is added at the first step only",
    OtherRecurrence.BIAS_NOT_AT_FIRST_STEP: "the bias is added at all steps but the first",
    OtherRecurrence.OUTPUT_AS_INPUT: (
        "from the second step on the output of the step before is used as the input"
    ),
    OtherRecurrence.OF_ROW_BEFORE: "each row starts its steps from the state of the row before",
    OtherRecurrence.OF_FIRST_ROW: "every row starts its steps from the state of row 0",
    OtherRecurrence.ONE_FOR_ALL_ROWS: (
        "all rows have one state, which they change one after the other in each step"
    ),
    OtherRecurrence.MEAN_OF_ROWS: "each step starts from the mean of the states of all rows",
}

AFTER_LAYER = {
    AfterLayer.TANH: "is the tanh of the layer's",
    AfterLayer.RELU: "is the relu of the layer's",
    AfterLayer.SIGMOID: "is the sigmoid of the layer's",
    AfterLayer.SOFTMAX: "is the softmax of the layer's over the units",
    AfterLayer.NORMALIZED_KERAS: "is normalized after the layer, over the units, with epsilon 1e-3",
    AfterLayer.UNIT_LENGTH: "is divided by its length over the units",
    AfterLayer.INPUTS_ADDED: "has the inputs added to it",
    AfterLayer.CUMULATED: "is summed up over the steps",
    AfterLayer.MEAN: "is the mean over all steps, not the last step",
    AfterLayer.MAXIMUM: "is the maximum over all steps, not the last step",
    AfterLayer.SUM: "is the sum over all steps, not the last step",
    AfterLayer.MEAN_OF_UNMASKED: "is the mean over the unmasked steps, not the last of them",
    AfterLayer.MAXIMUM_OF_UNMASKED: "is the maximum over the unmasked steps, not the last of them",
    AfterLayer.REVERSED_WITHIN_LENGTHS: (
        "is put in the order of the steps within the length of each row only, not over the padding"
    ),
    AfterLayer.MEAN_OF_ROWS: "of every row is the mean of all rows",
    AfterLayer.BATCH_NORMALIZED: "is normalized after the layer, each unit over all rows and steps",
    AfterLayer.UNITS_SHIFTED: "has a number added to it, another for each unit, such as a bias",
    AfterLayer.UNITS_SCALED_AND_SHIFTED: (
        "is multiplied and shifted, each unit by numbers of its own, as by a batch normalization"
    ),
}


def after_layer_text(finding: Finding) -> str:
    """Return what was done to the output after the layer."""
    value, shift = finding.value or 0.0, finding.shift or 0.0
    texts = {
        AfterLayer.SCALED_AND_SHIFTED: f"is {value:.6g} times the layer's {shift:+.6g}",
        AfterLayer.CLIPPED: f"is clipped at {value:.6g}",
        AfterLayer.NORMALIZED: (
            "is normalized after the layer, over the units, with epsilon 1e-5"
            + ("" if value else " or less")
        ),
        AfterLayer.NORMALIZED_EPSILON: (
            f"is normalized after the layer, over the units, with epsilon {value:.3g}"
        ),
        AfterLayer.NORMALIZED_AND_SCALED: (
            f"is normalized after the layer, over the units, with epsilon {value:.3g}, then each "
            "unit is multiplied and shifted"
        ),
    }
    name = AfterLayer(finding.name)
    return f"the output {texts.get(name) or AFTER_LAYER[name]}"


def recurrence_text(finding: Finding) -> str:
    """Return how states are passed on."""
    name = OtherRecurrence(finding.name)
    first, order = (
        finding.numbers[0] if finding.numbers else 0,
        listed(finding.numbers, LONGEST_ORDER),
    )
    unit = "the last unit" if first < 0 else f"unit {first}"
    clipped = f"is clipped at {finding.value or 0:.6g} after each step"
    texts = {
        OtherRecurrence.H_CLIPPED: f"h {clipped}",
        OtherRecurrence.C_CLIPPED: f"c {clipped}",
        OtherRecurrence.PREACTIVATIONS_CLIPPED: (
            f"what goes into the activations is clipped at {finding.value or 0:.6g}"
        ),
        OtherRecurrence.RESTARTS: f"the states are those at the start again every {first} steps",
        OtherRecurrence.UNIT_LEFT_OUT: f"the recurrent product leaves out {unit} of h",
        OtherRecurrence.CALLS_ROWS_PERMUTED: (
            f"each call starts from the states of other rows: in the order {order}"
        ),
        OtherRecurrence.CALLS_ROW_RESET: f"row {first} starts every call from zeros",
        OtherRecurrence.CALL_RESTARTS: (
            f"call {first} starts from zeros, the others from the states before them"
        ),
    }
    return texts.get(name) or RECURRENCES[name]


def _halves_axes(numbers: Sequence[int]) -> str:
    """Return in which order joined halves were written."""
    names = ("batch", *(("steps",) if len(numbers) > 3 else ()), "halves", "units")
    if tuple(numbers) == (*range(len(numbers) - 2), len(numbers) - 1, len(numbers) - 2):
        return "correct, but the units of the two halves alternate"
    order = ", ".join(names[axis] for axis in numbers)
    return (
        f"correct, but the halves are joined with the axes ({order}) and reshaped, not transposed"
    )


def axes_text(finding: Finding) -> str:
    """Return which axes are in place of each other."""
    names = ("batch", "steps", "units") if len(finding.numbers) == 3 else ("batch", "units")
    if finding.name == "over-batch":
        return "correct if the first axis of the inputs is that of the steps, not of the batch"
    if finding.name == "read-as-time-first":
        return "inputs and output are reshaped to time first and back, not transposed"
    if finding.name == "halves":
        return _halves_axes(finding.numbers)
    ordered = [names[axis] for axis in finding.numbers]
    if finding.name in JOINED_AXES:
        return _joined_axes(ordered, JOINED_AXES[finding.name])
    order = ", ".join(ordered)
    if finding.name:
        return f"correct, but computed with the axes ({order}) and reshaped, not transposed"
    return f"correct, but the axes are ({order})"


def _joined_axes(names: Sequence[str], joined: slice) -> str:
    """Return which of the axes are one: "batch and steps are one axis: (batch * steps, units)"."""
    axes = list(names)
    axes[joined] = [" * ".join(names[joined])]
    *others, last = names[joined]
    return f"correct, but {', '.join(others)} and {last} are one axis: ({', '.join(axes)})"
