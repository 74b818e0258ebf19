"""The initial states that were identified as findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from rnnparity.explanation.estimate import Estimate
from rnnparity.explanation.experiments.equation_search import ERRORS
from rnnparity.explanation.fitting.parameters import Parameters
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.findings import BlockChange, Finding, FindingType, WeightBlock
from rnnparity.problem.layers import Recurrent


def state_findings(
    about: Finding, half: Recurrent, fitted: Parameters, errors: Parameters
) -> list[Finding]:
    """Return what each state is at the start, where it is not the given one, or not zero."""
    allowed = 2 * FLOAT_TYPES[half.compute_dtype].u
    found: list[Finding] = []
    for index, name in enumerate(half.states):
        mix, shift, start = (
            Estimate(getattr(fitted, part)[index], ERRORS * getattr(errors, part)[index] + allowed)
            for part in ("mix", "shift", "start")
        )
        finding = replace(about, type=FindingType.INITIAL_STATE, name=name)
        changes = list(_of_given(finding, half.states, mix, shift))
        # With given states and without the same may be added.
        if not any(each.value is not None and start.agrees(each.value) for each in changes):
            changes += _shifted(finding, start)
        described = [each for each in changes if each.change is not BlockChange.OTHER]
        found += dict.fromkeys(described or [_other(half, change) for change in changes])
    return _joined(half, found)


def _other(half: Recurrent, finding: Finding) -> Finding:
    """Return a finding of other numbers: in a cell without gates any change of the first step is one."""
    return replace(finding, certain=finding.certain and half.cell.gated)


def _of_given(
    finding: Finding, names: Sequence[str], mix: Estimate, shift: Estimate
) -> Iterator[Finding]:
    """Yield what a given state becomes, where it is not used unchanged."""
    index = names.index(finding.name)
    usual = np.eye(len(names))[index]
    factor = float(mix.numbers[index])
    if mix.agrees(usual):
        yield from _shifted(finding, shift)
    elif mix.agrees(0):
        yield replace(finding, change=BlockChange.MISSING)
        yield from _shifted(finding, shift)
    elif mix.agrees(factor * usual):
        change = BlockChange.NEGATED if mix.agrees(-usual) else BlockChange.SCALED
        yield replace(finding, change=change, value=round(factor, 4))
    else:
        sources = [n for n, unit in enumerate(np.eye(len(names))) if mix.agrees(unit)]
        change = BlockChange.REPLACED if sources else BlockChange.OTHER
        source = WeightBlock(finding.half + names[sources[0]], "") if sources else None
        yield replace(finding, change=change, source=source)


def _shifted(finding: Finding, shift: Estimate) -> Iterator[Finding]:
    """Yield what is added to a state, where something is."""
    value = float(np.median(shift.numbers))
    if shift.agrees(0):
        return
    if shift.agrees(value):
        yield replace(finding, change=BlockChange.SHIFTED, value=float(f"{value:.4g}"))
    else:
        yield replace(finding, change=BlockChange.OTHER)


def _joined(half: Recurrent, findings: Sequence[Finding]) -> list[Finding]:
    """Return one finding where all states have the same change, or are exchanged."""
    names = half.states
    if len(names) == 1 or [finding.name for finding in findings] != list(names):
        return list(findings)
    first = findings[0]
    if all(finding.change is BlockChange.REPLACED for finding in findings):
        return [replace(first, change=BlockChange.EXCHANGED)]
    if len({replace(finding, name="") for finding in findings}) == 1:
        return [replace(first, name="")]
    return list(findings)
