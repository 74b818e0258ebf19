"""Findings: what the outputs show, whatever the cause, each with its evidence.

A cause is a claim about the code, a finding is a fact about the numbers. docs/explain.md has an
example of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class FindingType(StrEnum):
    """What was found. Which fields of `Finding` each type has is in brackets."""

    # Which values differ, and what is odd about them: patterns.
    OUTPUT_AGREES = "output-agrees"  # the states differ
    ROWS = "rows"  # only these rows differ [numbers]
    MASKED_ROWS = "masked-rows"  # only rows with masked steps differ
    UNITS = "units"  # only these units differ [numbers]
    HALF_AGREES = "half-agrees"  # [name: forward or backward]
    FIRST_STEP_AGREES = "first-step-agrees"  # and so does all that needs no state
    NOT_FINITE = "not-finite"  # [name: output; numbers: index]
    CONSTANT = "constant"  # every value of an output is the same [name: output; value]
    NUMBERS_OF_TYPE = "numbers-of-type"  # every value is a number of a coarser type [name]
    WITHIN_NOISE_OF = (
        "within-noise-of"  # as small as the noise of a coarser type [name; value: error]
    )
    BELOW_USUAL_NOISE = "below-usual-noise"  # too small for any hypothesis
    FITS_FINITE = "fits-finite-values"  # the cause fits all of these
    FITS_UNMASKED = (
        "fits-unmasked-steps"  # the cause fits all of these; masked steps differ otherwise
    )
    OTHER_ORDER_AGREES = "other-order-agrees"  # under other names the values agree

    # What accounts for the differences.
    STEP_FOLLOWS = "step-follows"  # all steps but these follow from the one before [half, numbers]
    ROWS_PERMUTED = "rows-permuted"  # row n is the expected row numbers[n]
    STEPS_PERMUTED = "steps-permuted"  # step n is the expected step numbers[n]
    UNITS_PERMUTED = "units-permuted"  # unit n is the expected unit numbers[n]
    TIME_SHIFTED = "time-shifted"  # [name: output; numbers: steps, positive is late]
    STEPS_MISSING = "steps-missing"  # [name: first or last; numbers: those that are there]
    ROWS_MISSING = "rows-missing"  # [numbers: those that are there; name: whether with their axis]
    AXES_EXCHANGED = "axes-exchanged"  # [numbers: their order; name: transposed (""), reshaped, or
    # which of them are joined]
    FINITE_AGREES = "finite-values-agree"  # [name: rows, steps or units; numbers: not finite]
    ZERO = "zero"  # [name: rows, steps, units or an output; numbers: which; the others agree]
    RESTARTS_EVERY_STEP = "restarts-every-step"  # every step starts from the initial state
    MASKED_STEPS_ONLY = "masked-steps-only"  # [name: what they are]
    ONE_DIRECTION_ONLY = "one-direction-only"  # only this one differs [name: direction]
    BLOCK = "block"  # a block of the weights was changed [half, block, change, source, numbers]
    QUANTIZED = "quantized"  # all values on a grid [value: its step, sigma: of its errors]
    PRINTED_DIGITS = "printed-digits"  # [name: decimals or significant digits; numbers: how many]
    COARSE_STORAGE = "coarse-storage"  # correct up to a coarser type [name: what; value: error]
    OTHER_QUANTITY = "other-quantity"  # another quantity is returned [name: which]
    EFFECTIVE_WEIGHTS = (
        "effective-weights"  # those that were used [half, block, change, source], or
    )
    # what cannot be determined of them [no change; block: the gates; numbers: usable and needed
    # steps; name: the activations because of which steps cannot be used]
    INITIAL_STATE = "initial-state"  # the states at the start [half, name: what they are]
    INPUTS = "inputs"  # those that were used [name: an `OtherInputs`; numbers: features; value]
    MASK = "mask"  # the one that was used [name: an `OtherMask`]
    AFTER_LAYER = "after-layer"  # what was done to the output [name: an `AfterLayer`]
    ACTIVATION = (
        "activation"  # the one that was used [half, name: it or a `Table`; block: its gates]
    )
    RECURRENCE = "recurrence"  # how states are passed on [name: an `OtherRecurrence`]


class OtherInputs(StrEnum):
    """Which inputs were used instead of the given ones."""

    SCALED = "scaled"  # by `Finding.value`
    SHIFTED = "shifted"  # by `Finding.value`
    STEPS_REVERSED = "steps-reversed"
    READ_AS_FEATURES_FIRST = "read-as-features-first"  # (B, D, T) in the memory of (B, T, D)
    READ_AS_TIME_FIRST = "read-as-time-first"  # (T, B, D) in the memory of (B, T, D)
    FEATURES_NORMALIZED = "features-normalized"
    SEQUENCES_NORMALIZED = "sequences-normalized"
    STEPS_NORMALIZED = "steps-normalized"  # over the features of each step
    NORMALIZED = "normalized"
    IN_FLOAT16 = "in-float16"
    IN_BFLOAT16 = "in-bfloat16"
    IN_INT8 = "in-int8"
    IN_INTEGERS = "in-integers"
    FEATURE_ZERO = "feature-zero"  # `Finding.numbers`
    FEATURES_PERMUTED = "features-permuted"  # feature n is the given feature `numbers[n]`
    OF_FIRST_STEP = "of-first-step"  # at every step
    OF_LAST_STEP = "of-last-step"  # at every step
    ZERO_STEPS_BEFORE = "zero-steps-before"  # `Finding.numbers` of them are computed as well
    ZERO_STEPS_AFTER = "zero-steps-after"
    DROPPED = "dropped"  # with a rate of `Finding.value`


# What is done to each step alone.
STEP_BY_STEP = frozenset(
    {
        OtherInputs.SCALED,
        OtherInputs.SHIFTED,
        OtherInputs.IN_FLOAT16,
        OtherInputs.IN_BFLOAT16,
        OtherInputs.IN_INTEGERS,
        OtherInputs.FEATURE_ZERO,
        OtherInputs.FEATURES_PERMUTED,
    }
)


class OtherMask(StrEnum):
    """Which mask was used instead of the given one."""

    INVERTED = "inverted"
    REVERSED = "reversed"
    LATE = "late"  # by one step, the first one is masked
    LATE_AND_FIRST = "late-and-first"  # by one step, the first one counts
    EARLY = "early"
    LONGER = "longer"  # one step after each unmasked one counts as well
    SHORTER = "shorter"  # the last step before each masked one does not count
    EVERY_ROW = "every-row"  # only steps that count in every row
    ANY_ROW = "any-row"  # all steps that count in some row
    OF_ROW = "of-row"  # that of row `Finding.numbers`, in all rows
    ZERO_INPUTS = "zero-inputs"  # none is given; steps where all inputs are zero do not count


class AfterLayer(StrEnum):
    """What was done to the output of the layer before it was returned."""

    TANH = "tanh"
    RELU = "relu"
    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"
    NORMALIZED = "layer-normalized"  # with an epsilon of 1e-5, or less where `Finding.value` is 0
    NORMALIZED_KERAS = "layer-normalized-keras"  # with an epsilon of 1e-3
    UNIT_LENGTH = "unit-length"
    INPUTS_ADDED = "inputs-added"
    CUMULATED = "cumulated"
    MEAN = "mean"
    MAXIMUM = "maximum"
    SUM = "sum"
    MEAN_OF_UNMASKED = "mean-of-unmasked"
    MAXIMUM_OF_UNMASKED = "maximum-of-unmasked"
    MEAN_OF_ROWS = "mean-of-rows"
    REVERSED_WITHIN_LENGTHS = "reversed-within-lengths"
    BATCH_NORMALIZED = "batch-normalized"  # each unit over rows and steps
    SCALED_AND_SHIFTED = "scaled-and-shifted"  # by `Finding.value` and `Finding.shift`
    UNITS_SHIFTED = "units-shifted"  # each by a number of its own
    UNITS_SCALED_AND_SHIFTED = "units-scaled-and-shifted"
    CLIPPED = "clipped"  # at `Finding.value`
    NORMALIZED_EPSILON = "layer-normalized-epsilon"  # with an epsilon of `Finding.value`
    NORMALIZED_AND_SCALED = "layer-normalized-and-scaled"  # with weights and this epsilon


class Table(StrEnum):
    """How an activation is read from a table: entries `Finding.value` apart, `numbers` is the last x."""

    NEAREST = "nearest-in-table"
    BELOW = "below-in-table"
    TOWARD_ZERO = "toward-zero-in-table"
    INTERPOLATED = "interpolated-in-table"


class BlockChange(StrEnum):
    """How a block of the weights that were used differs from the one that was given."""

    MISSING = "missing"
    DOUBLED = "doubled"
    NEGATED = "negated"
    SCALED = "scaled"  # by `Finding.value`
    TRANSPOSED = "transposed"
    REVERSED = "reversed"  # its rows or columns
    PERMUTED = "permuted"  # its rows: row n is the given row `Finding.numbers[n]`
    REPLACED = "replaced"  # by another block, `Finding.source`
    EXCHANGED = "exchanged"  # with another block, `Finding.source`
    ADDED = "added"  # another block, `Finding.source`, is added to it
    SUMMED = "summed"  # two rows, of which the given ones have only the sum
    SHIFTED = "shifted"  # every element by `Finding.value`
    ROUNDED = "rounded"  # to `Finding.numbers` decimals
    OTHER = "other"  # different numbers


@dataclass(frozen=True)
class WeightBlock:
    """The columns of one gate in a weight array ("kernel", "forward/bias").

    `gate` is "" for all of them; `row` is the row of a bias that has two, else None.
    """

    weights: str
    gate: str
    row: int | None = None


@dataclass(frozen=True)
class Finding:
    """One finding with its evidence.

    `half` is the prefix of the half that it is about ("", "forward/", "1/"), `name`, `numbers`,
    `value` and `shift` are as its type states. `sigma` is the largest distance from what the finding predicts,
    where it predicts values. Not `certain`: chance has not been ruled out.
    """

    type: FindingType
    name: str = ""
    numbers: tuple[int, ...] = ()
    value: float | None = None
    half: str = ""
    block: WeightBlock | None = None
    change: BlockChange | None = None
    source: WeightBlock | None = None
    sigma: float | None = None
    certain: bool = True
    shift: float | None = None


# Which values differ.
LOCATIONS = frozenset(
    {
        FindingType.OUTPUT_AGREES,
        FindingType.ROWS,
        FindingType.MASKED_ROWS,
        FindingType.UNITS,
        FindingType.HALF_AGREES,
        FindingType.FIRST_STEP_AGREES,
    }
)
# What only locates or describes the values that differ; all others account for the differences.
PATTERNS = LOCATIONS | {
    FindingType.NOT_FINITE,
    FindingType.CONSTANT,
    FindingType.NUMBERS_OF_TYPE,
    FindingType.WITHIN_NOISE_OF,
    FindingType.BELOW_USUAL_NOISE,
    FindingType.FITS_FINITE,
    FindingType.FITS_UNMASKED,
    FindingType.OTHER_ORDER_AGREES,
}
# What locates the step or the direction that differs, but does not account for the values.
LOCATING = frozenset({FindingType.STEP_FOLLOWS, FindingType.ONE_DIRECTION_ONLY})


def is_zero_everywhere(finding: Finding) -> bool:
    """Return whether an output is zero everywhere: it may never have been written."""
    return finding.type is FindingType.ZERO and not finding.numbers


def accounts_for_values(finding: Finding) -> bool:
    """Return whether a finding accounts for differences, more than by chance."""
    return finding.certain and finding.type not in PATTERNS | LOCATING


def undetermined(
    block: WeightBlock | None, numbers: tuple[int, ...] = (), name: str = ""
) -> Finding:
    """Return the finding that it cannot be determined whether a block differs from the given one."""
    type_ = FindingType.EFFECTIVE_WEIGHTS
    return Finding(type_, name, numbers, block=block, certain=False)


def is_undetermined(finding: Finding) -> bool:
    """Return whether a finding states only what cannot be determined."""
    return finding.type is FindingType.EFFECTIVE_WEIGHTS and finding.change is None


def undetermined_last(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings with what cannot be determined after everything that is found."""
    return tuple(sorted(findings, key=is_undetermined))
