"""What to do about a finding that accounts for the outputs, in one sentence each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rnnparity.problem.findings import BlockChange, Finding, FindingType
from rnnparity.report.text.findings import block_name
from rnnparity.report.text.numbered import numbered
from rnnparity.report.text.other_ways import JOINED_AXES


def fix_of(finding: Finding) -> str:
    """Return what to do about a finding, "" where it does not show that."""
    fix = FIXES.get(finding.type, "")
    return fix if isinstance(fix, str) else fix(finding)


def _order_of_rows(finding: Finding) -> str:
    if len(set(finding.numbers)) == 1:
        return "Use each row of the inputs and of the states for the same row of the outputs."
    return "Put the rows back into the order of the inputs, in which they are where the batch was not sorted."


def _shift(finding: Finding) -> str:
    direction = "before" if finding.numbers[0] < 0 else "after"
    return f"Return what each step computes at that step, not at one {direction} it."


def _zero(finding: Finding) -> str:
    if not finding.numbers:
        return ""
    return f"Compute {numbered(finding.name, finding.numbers)} too, or copy all of the result."


def _axes(finding: Finding) -> str:
    in_order = tuple(finding.numbers) == tuple(range(len(finding.numbers)))
    if finding.name in JOINED_AXES and in_order:
        return "Reshape the output to the axes of Keras."
    return "Transpose the axes into the order of Keras; to reshape moves values."


def _weights(finding: Finding) -> str:
    if finding.block is None or finding.change is None:
        return ""
    source = "" if finding.source is None else block_name(finding.source)
    fix = WEIGHTS.get(
        finding.change, "Compare {block}, as it is when it is used, with the given one."
    )
    return fix.format(block=block_name(finding.block), source=source)


# Of the weights that were used, `block` differs from the given one.
WEIGHTS = {
    BlockChange.MISSING: "Load {block}, and use it.",
    BlockChange.DOUBLED: "Use {block} once.",
    BlockChange.TRANSPOSED: "Transpose {block} when it is loaded.",
    BlockChange.REPLACED: "Use {block}, not {source}.",
    BlockChange.EXCHANGED: "Exchange {block} and {source}.",
    BlockChange.ADDED: "Do not add {source} to {block}.",
    BlockChange.SUMMED: (
        "Give both rows of {block}, not their sum: only one of them is multiplied by gate r."
    ),
}
FIXES: Mapping[FindingType, str | Callable[[Finding], str]] = {
    FindingType.ROWS_PERMUTED: _order_of_rows,
    FindingType.STEPS_PERMUTED: "Return the steps in the order of Keras.",
    FindingType.UNITS_PERMUTED: "Keep the units in the order of the columns of each block.",
    FindingType.TIME_SHIFTED: _shift,
    FindingType.STEPS_MISSING: (
        "Run over all T steps; an export may have a fixed number of them, that of its example."
    ),
    FindingType.ROWS_MISSING: "Return every row of the batch, also of a last batch that is smaller.",
    FindingType.AXES_EXCHANGED: _axes,
    FindingType.ZERO: _zero,
    FindingType.RESTARTS_EVERY_STEP: "Start each step from the states after the one before.",
    FindingType.MASKED_STEPS_ONLY: (
        "Return at masked steps the output of the step before (zeros if there is none), "
        "or zeros with zero_output_for_mask."
    ),
    FindingType.BLOCK: _weights,
    FindingType.EFFECTIVE_WEIGHTS: _weights,
    FindingType.QUANTIZED: (
        "Convert integers back with scale and zero point; "
        "where fixed point is meant, state it with --precision."
    ),
    FindingType.COARSE_STORAGE: (
        "Store weights and states in the type of the layer; "
        "where a coarser one is meant, state it with --precision."
    ),
    FindingType.OTHER_QUANTITY: "Return the output h after each step, and the states after the last one.",
    FindingType.INITIAL_STATE: "Start from the given initial state, or from zeros where there is none.",
    FindingType.INPUTS: "Give both sides the same inputs: compare them where they enter the layer.",
    FindingType.MASK: "Give both sides the same mask: compare it where it enters the layer.",
    FindingType.AFTER_LAYER: "Compare the output of the layer itself, without what follows it.",
    FindingType.RECURRENCE: "Pass the states of each step on to the next one unchanged.",
    FindingType.ACTIVATION: "Use the activation that the config of the layer names.",
}
