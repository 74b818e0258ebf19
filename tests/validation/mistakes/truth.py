"""Whether a finding about how states are passed on is true: a port that does what it states."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding, FindingType
from rnnparity.problem.problem import Problem
from rnnparity.problem.recurrences import OtherRecurrence
from validation.mistakes import loops
from validation.mistakes.port import EVERY, Loop, Port

LOOPS: dict[str, Loop] = {
    OtherRecurrence.ONLY_H_KEPT: loops.KeepsOnly("h"),
    OtherRecurrence.ONLY_C_KEPT: loops.KeepsOnly("c"),
    OtherRecurrence.MASKED_LATE: loops.MaskedLate(),
    OtherRecurrence.H_OF_TWO_STEPS_AGO: loops.TwoStepsBack(),
    OtherRecurrence.STATES_OF_TWO_STEPS_AGO: loops.BothTwoStepsBack(),
    OtherRecurrence.IN_PLACE: loops.InPlace(),
    OtherRecurrence.BIAS_AT_FIRST_STEP_ONLY: loops.BiasAt(first=True),
    OtherRecurrence.BIAS_NOT_AT_FIRST_STEP: loops.BiasAt(first=False),
    OtherRecurrence.OUTPUT_AS_INPUT: loops.FeedsBack(),
    OtherRecurrence.OF_ROW_BEFORE: loops.OfRowBefore(),
    OtherRecurrence.OF_FIRST_ROW: loops.OneStateForAll(),
    OtherRecurrence.ONE_FOR_ALL_ROWS: loops.OneAfterAnother(),
    OtherRecurrence.MEAN_OF_ROWS: loops.MeanState(),
}


def loop_of(finding: Finding) -> Loop | None:
    """Return the loop that does what a finding states."""
    value = np.float32(finding.value or 0)
    if finding.name in (OtherRecurrence.H_CLIPPED, OtherRecurrence.C_CLIPPED):
        return loops.Clips(finding.name[0], value)
    if finding.name == OtherRecurrence.RESTARTS:
        return loops.Restarts(finding.numbers[0])
    if finding.name == OtherRecurrence.UNIT_LEFT_OUT:
        return loops.ForgetsUnit(finding.numbers[0])
    return LOOPS.get(finding.name)


def restart_everywhere(findings: Sequence[Finding], problem: Problem) -> list[Array]:
    """Return the outputs of a port in which every step of these halves restarts."""
    return Port(loops.Restarts(1), frozenset(finding.half for finding in findings))(problem)


def clipped(finding: Finding, problem: Problem) -> list[Array]:
    """Return the outputs of a port that clips its output as a finding states."""
    output, *others = Port()(problem)
    return [np.clip(output, -(finding.value or 0), finding.value or 0), *others]


def is_fact(finding: Finding, expected: Sequence[Array], actual: Sequence[Array]) -> bool:
    """Return whether rows are zero, or in the order that a finding states, wherever they differ."""
    for array, output in zip(actual, expected, strict=True):
        wrong = ~np.isclose(array, output, rtol=1e-4, atol=1e-5 * np.abs(output).max())
        rows = np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1)).tolist()
        if finding.type is FindingType.ROWS_PERMUTED:
            fits = len(finding.numbers) == len(output)
            moved = output[list(finding.numbers)] if fits else output
            true = not rows or np.allclose(array, moved, rtol=1e-4, atol=1e-5)
        else:
            true = finding.name == "row" and not array[rows].any()
        if not true:
            return False
    return True


def recurs(finding: Finding, problem: Problem) -> Sequence[Array]:
    """Return the outputs of a port that passes its states on as a finding states, none if it cannot."""
    loop = loop_of(finding)
    return [] if loop is None else Port(loop, finding.half or EVERY)(problem)
