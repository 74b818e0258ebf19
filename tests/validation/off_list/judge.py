"""Whether findings state what was changed, and nothing else with certainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import (
    LOCATIONS,
    PATTERNS,
    BlockChange,
    Finding,
    FindingType,
    WeightBlock,
)
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import Explanation
from rnnparity.reference.tolerance import expect
from rnnparity.verdict.compare import distances
from validation.off_list.cells import run
from validation.off_list.changes import Change, Kind, changed_block, with_block


class Outcome(StrEnum):
    """How an explanation compares with a change."""

    NAMED = "named"
    BESIDE = "named beside another"
    CAUSE = "a listed cause with the same outputs"
    LOCATED = "located only"
    NOTHING = "not found"
    WRONG = "wrong with certainty"
    UNDETECTED = "not detectable"


# The types of a finding that states a change of each kind.
ACCEPTED: Mapping[Kind, tuple[FindingType, ...]] = {
    Kind.EXCHANGED: (FindingType.BLOCK, FindingType.EFFECTIVE_WEIGHTS),
    Kind.BLOCK: (FindingType.BLOCK, FindingType.EFFECTIVE_WEIGHTS),
    Kind.INITIAL_STATE: (FindingType.INITIAL_STATE,),
    Kind.ACTIVATION: (FindingType.ACTIVATION,),
    Kind.RETURNED: (FindingType.OTHER_QUANTITY,),
    Kind.RESTARTS: (FindingType.RESTARTS_EVERY_STEP,),
    Kind.MASKED: (FindingType.MASKED_STEPS_ONLY,),
    Kind.ROWS: (FindingType.ROWS_PERMUTED,),
    Kind.REPEATED: (FindingType.ROWS_PERMUTED,),
    Kind.ZERO: (FindingType.ZERO,),
    Kind.SHIFTED: (FindingType.TIME_SHIFTED,),
    Kind.PART: (FindingType.STEPS_MISSING,),
    Kind.TIME_FIRST: (FindingType.OTHER_ORDER_AGREES,),
    Kind.DIRECTION: (FindingType.ONE_DIRECTION_ONLY, FindingType.HALF_AGREES),
    Kind.GRID: (FindingType.QUANTIZED,),
    Kind.RAW: (FindingType.QUANTIZED,),
    Kind.DIGITS: (FindingType.PRINTED_DIGITS,),
}
# The kinds whose finding must have the half, name, numbers or value of the change.
IN_A_HALF = {Kind.INITIAL_STATE, Kind.ACTIVATION}
WITH_NAME = {Kind.ACTIVATION, Kind.ZERO, Kind.DIRECTION, Kind.DIGITS}
WITH_NUMBERS = {Kind.ROWS, Kind.REPEATED, Kind.ZERO, Kind.SHIFTED, Kind.PART, Kind.RAW, Kind.DIGITS}
WITH_VALUE = {Kind.GRID, Kind.RAW}
# What says where, but not what.
WHERE = LOCATIONS | {
    FindingType.STEP_FOLLOWS,
    FindingType.ONE_DIRECTION_ONLY,
    FindingType.MASKED_STEPS_ONLY,
}
# A factor or a grid's step may be this far off.
RELATIVE = 0.02


def names(explanation: Explanation, change: Change) -> bool:
    """Return whether a finding states what was changed, where, and how."""
    return any(states(finding, change) for finding in explanation.findings)


def states(finding: Finding, change: Change) -> bool:
    """Return whether a finding states a change: its type, half, block, numbers and value."""
    fact, kind = change.finding, change.kind
    if finding.type not in ACCEPTED[kind]:
        return False
    if kind in (Kind.BLOCK, Kind.EXCHANGED):
        return _states_block(finding, change)
    if finding.type is FindingType.HALF_AGREES:
        return {finding.name, fact.name} == {"forward", "backward"}
    return (
        (kind not in IN_A_HALF or finding.half == fact.half)
        and (kind not in WITH_NAME or finding.name == fact.name)
        and (kind not in WITH_NUMBERS or finding.numbers == fact.numbers)
        and (kind not in WITH_VALUE or _near(finding.value, fact.value))
        and (kind is not Kind.ACTIVATION or _gate(finding) == _gate(fact))
    )


def _gate(finding: Finding) -> str:
    return finding.block.gate if finding.block else ""


def _states_block(finding: Finding, change: Change) -> bool:
    """Return whether a finding is about a changed block, with the change where it has one."""
    fact, block = change.finding, finding.block
    if block is None or finding.half != fact.half:
        return False
    pairs = [(fact.block, fact.source)]
    if change.kind is Kind.EXCHANGED:
        pairs.append((fact.source, fact.block))
    is_fit = finding.type is FindingType.EFFECTIVE_WEIGHTS
    for target, source in pairs:
        if target != block and not (is_fit and _indistinguishable(target, block)):
            continue
        if finding.change is BlockChange.OTHER:
            return is_fit or fact.change is BlockChange.OTHER
        if finding.change is not fact.change or finding.source != source:
            return False
        if fact.change is BlockChange.PERMUTED:
            return finding.numbers == fact.numbers
        return fact.value is None or _near(finding.value, fact.value)
    return False


def _indistinguishable(block: WeightBlock | None, other: WeightBlock) -> bool:
    """Return whether only the sum of two rows of a bias has an effect: in gates z and r."""
    if block is None or block.gate not in ("z", "r"):
        return False
    return replace(block, row=None) == replace(other, row=None)


def _near(value: float | None, expected: float | None) -> bool:
    if value is None or expected is None:
        return False
    return abs(value - expected) <= RELATIVE * abs(expected)


def is_true(finding: Finding, problem: Problem, actual: Sequence[Array]) -> bool:
    """Return whether a claim about a block gives the actual outputs.

    The cells are run with the block as the finding states that it was used.
    """
    computable = finding.change not in (None, BlockChange.OTHER) and finding.block is not None
    if not computable or (finding.numbers and finding.change is not BlockChange.PERMUTED):
        return False
    assert finding.block is not None
    try:
        values = changed_block(problem, finding)
        outputs = run(with_block(problem, finding.block, values))
    except (ValueError, IndexError, KeyError):  # no such block, or not of that shape
        return False
    return not differ(problem, actual, outputs)


def differ(problem: Problem, actual: Sequence[Array], outputs: Sequence[Array]) -> bool:
    """Return whether two sets of outputs differ by more than the noise of the problem."""
    expected = expect(problem)
    shapes = [array.shape for array in actual]
    if shapes != [array.shape for array in outputs]:
        return True
    if shapes != [sigma.shape for sigma in expected.sigmas]:
        return not all(map(np.array_equal, actual, outputs))
    largest = [
        float(distances(Tensor("", array), output, sigma, expected.dtype.threshold).max())
        for array, output, sigma in zip(actual, outputs, expected.sigmas, strict=True)
    ]
    return max(largest) > expected.dtype.threshold


def judge(
    explanation: Explanation, change: Change, problem: Problem, actual: Sequence[Array]
) -> Outcome:
    """Compare the findings, and the cause if there is one, with a change."""
    claims = [finding for finding in explanation.findings if finding.type not in PATTERNS]
    certain = [f for f in claims if f.certain and f.type not in WHERE]
    named = names(explanation, change)
    if any(not (states(f, change) or is_true(f, problem, actual)) for f in certain):
        return Outcome.WRONG
    if named:
        others = [f for f in claims if f.type not in WHERE and not states(f, change)]
        return Outcome.BESIDE if others else Outcome.NAMED
    if any(is_true(finding, problem, actual) for finding in claims):
        return Outcome.BESIDE
    if explanation.cause is not None and explanation.cause.explained:
        return Outcome.CAUSE
    if not differ(problem, actual, run(problem)):
        return Outcome.UNDETECTED
    located = any(finding.type in WHERE for finding in explanation.findings)
    return Outcome.LOCATED if located else Outcome.NOTHING
