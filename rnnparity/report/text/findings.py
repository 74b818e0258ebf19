"""Findings as sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import isclose, log10

from rnnparity.problem.findings import (
    BlockChange,
    Finding,
    FindingType,
    OtherInputs,
    OtherMask,
    Table,
    WeightBlock,
)
from rnnparity.report.text.numbered import LONGEST_ORDER, counted, listed, numbered
from rnnparity.report.text.other_ways import after_layer_text, axes_text, recurrence_text

FIXED = {
    FindingType.OUTPUT_AGREES: "the output agrees; the states differ",
    FindingType.MASKED_ROWS: "only rows with masked steps differ",
    FindingType.FIRST_STEP_AGREES: (
        "the first processed step agrees, and so does all that it computes without a state"
    ),
    FindingType.BELOW_USUAL_NOISE: (
        "the differences are below the usual noise of that output, too small to explain; "
        "check whether an activation is exact to only a few digits"
    ),
    FindingType.FITS_FINITE: "the cause fits all values that are finite",
    FindingType.FITS_UNMASKED: (
        "the cause fits all unmasked steps; the masked ones differ otherwise"
    ),
    FindingType.OTHER_ORDER_AGREES: "the values agree in this order",
    FindingType.RESTARTS_EVERY_STEP: (
        "every step starts from the initial state: no state is passed on"
    ),
}
CHANGES = {
    BlockChange.MISSING: "is missing",
    BlockChange.DOUBLED: "counts twice",
    BlockChange.NEGATED: "has the opposite sign",
    BlockChange.TRANSPOSED: "is transposed",
    BlockChange.REVERSED: "is in reverse order",
    BlockChange.SUMMED: "has two different rows, of which only the sum is given",
    BlockChange.OTHER: "has different numbers",
}


MASKED_STEPS = {
    "kept-state": ": the state that is kept is returned there",
    "zero": ": they are zero",
    "previous-output": ": they repeat the previous output",
    "new-state": ": the states stop, but the outputs go on",
}


OTHER_INPUTS = {
    OtherInputs.STEPS_REVERSED: "in reverse order of the steps",
    OtherInputs.READ_AS_FEATURES_FIRST: "read as (batch, features, steps), not transposed",
    OtherInputs.READ_AS_TIME_FIRST: "read as (steps, batch, features), not transposed",
    OtherInputs.FEATURES_NORMALIZED: "normalized, each feature to mean 0 and deviation 1",
    OtherInputs.SEQUENCES_NORMALIZED: (
        "normalized, each feature of each sequence to mean 0 and deviation 1"
    ),
    OtherInputs.STEPS_NORMALIZED: "normalized, the features of each step to mean 0 and deviation 1",
    OtherInputs.NORMALIZED: "normalized, all together to mean 0 and deviation 1",
    OtherInputs.IN_FLOAT16: "stored in float16",
    OtherInputs.IN_BFLOAT16: "stored in bfloat16",
    OtherInputs.IN_INT8: "stored in int8, 127 for the largest",
    OtherInputs.IN_INTEGERS: "cut off to integers",
    OtherInputs.OF_FIRST_STEP: "those of the first step, at every step",
    OtherInputs.OF_LAST_STEP: "those of the last step, at every step",
}
OTHER_MASKS = {
    OtherMask.INVERTED: "inverted: masked steps count, the others do not",
    OtherMask.REVERSED: "in reverse order of the steps: padding is at the other end",
    OtherMask.LATE: "one step late",
    OtherMask.LATE_AND_FIRST: "one step late; the first step counts",
    OtherMask.EARLY: "one step early",
    OtherMask.LONGER: "longer: one step after each that counts does as well",
    OtherMask.SHORTER: "shorter: the last step before each masked one does not count",
    OtherMask.EVERY_ROW: "that of all rows together: a step counts where it does in every row",
    OtherMask.ANY_ROW: "that of all rows together: a step counts where it does in some row",
    OtherMask.ZERO_INPUTS: "one that masks the steps where all inputs are zero",
}


TABLES = {
    Table.NEAREST: "the nearest entry is used",
    Table.BELOW: "the entry below is used",
    Table.TOWARD_ZERO: "the entry next to zero is used",
    Table.INTERPOLATED: "it is interpolated",
}


def finding_text(finding: Finding) -> str:
    """Return a finding in one sentence."""
    text = FIXED.get(finding.type) or TEXTS.get(finding.type, _block_text)(finding)
    half = finding.half.rstrip("/")
    return f"{half}: {text}" if half else text


def _only(noun: str, finding: Finding) -> str:
    verb = "differs" if len(finding.numbers) == 1 else "differ"
    return f"only {numbered(noun, finding.numbers)} {verb}"


def _follows(finding: Finding) -> str:
    if finding.numbers == (0,):
        return "step 0 does not follow from the initial state; all other steps follow from the one before"
    verb = "does" if len(finding.numbers) == 1 else "do"
    steps = numbered("step", finding.numbers)
    others = "all others do"
    if 0 not in finding.numbers:
        others += ", step 0 from the initial state"
    return f"{steps} {verb} not follow from the step before; {others}"


def _permuted(noun: str, finding: Finding) -> str:
    order = finding.numbers
    if len(order) > 2 and order == tuple(reversed(range(len(order)))):
        return f"correct, but the {noun}s are in reverse order"
    if len(set(order)) == 1:
        return f"every {noun} is what {noun} {order[0]} should be"
    return f"correct, but the {noun}s are in the order {listed(order, LONGEST_ORDER)}"


def _finite_agrees(finding: Finding) -> str:
    if not finding.numbers:
        return "all finite values agree"
    verb = "are" if len(finding.numbers) > 1 else "is"
    return f"{numbered(finding.name, finding.numbers)} {verb} not finite; all other values agree"


def _shifted(finding: Finding) -> str:
    (steps,) = finding.numbers
    direction = "late" if steps > 0 else "early"
    return f"{finding.name} is correct, but {counted(abs(steps), 'step')} {direction}"


def _part(noun: str, finding: Finding) -> str:
    verb = "is" if len(finding.numbers) == 1 else "are"
    axes = {"without-axis": ", without the axis of the batch", "": ""}
    shape = axes.get(finding.name, f" ({finding.name})")
    return f"only {numbered(noun, finding.numbers)} {verb} returned{shape}; correct"


def _zero(finding: Finding) -> str:
    if not finding.numbers:
        return f"{finding.name} is 0 everywhere; check whether it was computed"
    verb = "are" if len(finding.numbers) > 1 else "is"
    return f"{numbered(finding.name, finding.numbers)} {verb} zero; all other values agree"


def _masked_steps(finding: Finding) -> str:
    return f"only masked steps differ{MASKED_STEPS.get(finding.name, '')}"


def printed_agreement(finding: Finding) -> str:
    """Return that numbers agree to the digits that were printed."""
    return f"agrees to the {finding.numbers[0]} printed {finding.name}"


def _printed(finding: Finding) -> str:
    (count,) = finding.numbers
    name = finding.name.removesuffix("s") if count == 1 else finding.name
    return f"the numbers were printed with {count} {name}, and are compared to these"


def _initial_state(finding: Finding) -> str:
    state = f"the initial {finding.name}" if finding.name else "the initial state"
    if finding.change is BlockChange.TRANSPOSED:
        axes = "rows, layers, units" if finding.source else "units, rows"
        return f"{state} is read in the memory of ({axes}), not transposed"
    return f"{state} {_change_text(finding)}"


def _activation(finding: Finding) -> str:
    if finding.name in TABLES:
        return _table(finding)
    where = f"gate {finding.block.gate}" if finding.block else "the output"
    return f"the activation of {where} is {finding.name}"


def _table(finding: Finding) -> str:
    """Return the gates whose activations are read from a table, and the table."""
    gates, step = finding.block.gate if finding.block else "", finding.value or 1.0
    where = f"gate{'s' if len(gates) > 1 else ''} {', '.join(gates)}"
    fraction = isclose(1 / step, round(1 / step), rel_tol=1e-9)
    steps = f"1/{round(1 / step)}" if fraction else f"{step:.6g}"
    ends = "".join(f" between {-end} and {end}" for end in finding.numbers)
    how = TABLES[Table(finding.name)]
    return f"the activation of {where} is a table of {steps} steps{ends}: {how}"


def _inputs(finding: Finding) -> str:
    match finding.name:
        case OtherInputs.SCALED:
            how = f"multiplied by {finding.value:.6g}, or the kernel was"
        case OtherInputs.SHIFTED:
            how = f"{finding.value:+.4g} off in every element"
        case OtherInputs.ZERO_STEPS_BEFORE | OtherInputs.ZERO_STEPS_AFTER:
            where = "before" if finding.name == OtherInputs.ZERO_STEPS_BEFORE else "after"
            steps = counted(finding.numbers[0], "step")
            how = f"with {steps} of zeros {where} them, computed like any other"
        case OtherInputs.DROPPED:
            how = f"with dropout of rate {finding.value:.3g}, which belongs to training"
        case OtherInputs.FEATURE_ZERO:
            how = f"zero in {numbered('feature', finding.numbers)}"
        case OtherInputs.FEATURES_PERMUTED:
            how = f"in another order of the features: {listed(finding.numbers, LONGEST_ORDER)}"
        case name:
            how = OTHER_INPUTS[OtherInputs(name)]
    return f"the inputs that were used: {how}"


def _mask(finding: Finding) -> str:
    if finding.name == OtherMask.OF_ROW:
        how = f"that of {numbered('row', finding.numbers)}, in all rows"
    else:
        how = OTHER_MASKS[OtherMask(finding.name)]
    return f"the mask that was used: {how}"


def _quantized(finding: Finding) -> str:
    step = finding.value or 0.0
    values = f"all values of {finding.name}" if finding.name else "all values"
    grid = f"{values} lie on a grid, scale {step:.3g}"
    if len(finding.numbers) == 1:
        return f"{grid}, zero point {finding.numbers[0]}: raw quantized numbers, otherwise correct"
    decimals = -round(log10(step)) if step else 0
    if decimals > 0 and isclose(step, 10.0**-decimals, rel_tol=1e-5):
        grid = f"{values} have {decimals} decimal{'s' if decimals > 1 else ''}"
        return f"{grid}; correct up to the last one" if finding.certain else grid
    return f"{grid}; correct up to its step" if finding.certain else grid


def _block_text(finding: Finding) -> str:
    """Return how a block of the weights that were used differs from that which was given."""
    block = "every weight" if finding.block is None else block_name(finding.block)
    if finding.block is None and finding.source is not None:
        return f"{block} is replaced by that of {finding.source.weights}"
    if finding.type is FindingType.EFFECTIVE_WEIGHTS and finding.change is None:
        return _not_identifiable(finding)
    change = _change_text(finding)
    if finding.type is FindingType.EFFECTIVE_WEIGHTS:
        return f"the weights that were used: {block} {change}"
    steps = f" at {numbered('step', finding.numbers)}" if _is_at_steps(finding) else ""
    return f"{block} {change}{steps}"


def _not_identifiable(finding: Finding) -> str:
    """Return which weights cannot be determined, the steps that it takes, and why some cannot be used."""
    block = finding.block
    if not finding.numbers:
        name = block_name(block) if block else "the weights"
        return f"whether {name} differs cannot be determined: no output depends on all of it"
    usable, needed = finding.numbers
    steps = f"{usable} usable steps of {needed} needed"
    if finding.name:
        steps += f", because {finding.name} has no inverse at some values"
    enough = usable >= needed
    more = "" if enough else "; more steps, or rows with different inputs, would do"
    if block is None:
        text = "no other weights of one gate give these outputs"
        return text if enough else f"{text}; for several gates: {steps}{more}"
    plural = "s" if len(block.gate) > 1 else ""
    gates = f"gate{plural} {', '.join(block.gate)}"
    why = (
        f"weights fitted to {usable} steps do not give all outputs for certain" if enough else steps
    )
    return f"whether the weights of {gates} differ cannot be determined: {why}{more}"


def _change_text(finding: Finding) -> str:
    """Return what was done to a block or a state, beginning with a verb."""
    source = "" if finding.source is None else block_name(finding.source)
    changes = {
        BlockChange.SCALED: f"is multiplied by {finding.value or 0:.4g}",
        BlockChange.SHIFTED: f"is {finding.value or 0:+.4g} off in every element",
        BlockChange.ROUNDED: f"is rounded to {listed(finding.numbers)} decimals",
        BlockChange.PERMUTED: f"has its rows in the order {listed(finding.numbers, 99)}",
        BlockChange.REPLACED: f"is replaced by {source}",
        BlockChange.EXCHANGED: f"is exchanged with {source}",
        BlockChange.ADDED: f"has {source} added to it",
    }
    change = finding.change or BlockChange.OTHER
    return CHANGES.get(change) or changes[change]


def _is_at_steps(finding: Finding) -> bool:
    """Whether the numbers of a finding are steps, not an order or decimals."""
    return bool(finding.numbers) and finding.change not in (
        BlockChange.PERMUTED,
        BlockChange.ROUNDED,
    )


def block_name(block: WeightBlock) -> str:
    """Return the name of a block: "bias, row 1, gate h"."""
    row = "" if block.row is None else f", row {block.row}"
    gate = f", gate {block.gate}" if block.gate else ""
    return f"{block.weights}{row}{gate}"


TEXTS: Mapping[FindingType, Callable[[Finding], str]] = {
    FindingType.ROWS: partial(_only, "row"),
    FindingType.UNITS: partial(_only, "unit"),
    FindingType.HALF_AGREES: lambda finding: f"the {finding.name} half agrees",
    FindingType.NOT_FINITE: lambda finding: (
        f"{finding.name} is not finite, first at [{', '.join(map(str, finding.numbers))}]"
    ),
    FindingType.CONSTANT: lambda finding: (
        f"{finding.name} is {finding.value:g} everywhere; check whether it was computed"
    ),
    FindingType.NUMBERS_OF_TYPE: lambda finding: (
        f"every value is a {finding.name} number; check whether it was computed in {finding.name}"
    ),
    FindingType.WITHIN_NOISE_OF: lambda finding: (
        f"correct up to {finding.value or 0:.2g}, which is within the noise of {finding.name}; check "
        "whether TF32, another coarse dtype or an approximation of an activation is in use"
    ),
    FindingType.STEP_FOLLOWS: _follows,
    FindingType.ROWS_PERMUTED: partial(_permuted, "row"),
    FindingType.STEPS_PERMUTED: partial(_permuted, "step"),
    FindingType.UNITS_PERMUTED: partial(_permuted, "unit"),
    FindingType.TIME_SHIFTED: _shifted,
    FindingType.STEPS_MISSING: partial(_part, "step"),
    FindingType.ROWS_MISSING: partial(_part, "row"),
    FindingType.AXES_EXCHANGED: axes_text,
    FindingType.FINITE_AGREES: _finite_agrees,
    FindingType.ZERO: _zero,
    FindingType.MASKED_STEPS_ONLY: _masked_steps,
    FindingType.ONE_DIRECTION_ONLY: lambda finding: f"only the {finding.name} direction differs",
    FindingType.QUANTIZED: _quantized,
    FindingType.PRINTED_DIGITS: _printed,
    FindingType.COARSE_STORAGE: lambda finding: f"correct up to the precision of {finding.name}",
    FindingType.OTHER_QUANTITY: lambda finding: f"{finding.name} is returned instead",
    FindingType.INITIAL_STATE: _initial_state,
    FindingType.ACTIVATION: _activation,
    FindingType.INPUTS: _inputs,
    FindingType.MASK: _mask,
    FindingType.AFTER_LAYER: after_layer_text,
    FindingType.RECURRENCE: recurrence_text,
}
