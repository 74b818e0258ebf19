"""Other ways to pass states on that account for what is seen of a whole layer.

Every way is tried in each half, and in all of them, on the rows that are furthest off; what comes
near there is tried on all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from rnnparity.explanation.evidence import rows_of
from rnnparity.explanation.findings.other_runs.row_rules import row_rules
from rnnparity.explanation.findings.other_runs.step_rules import (
    Clips,
    ClipsPreactivations,
    step_rules,
)
from rnnparity.explanation.findings.other_runs.ways import Rule, Way, run_ways
from rnnparity.explanation.findings.seen.candidates import evidence_of
from rnnparity.explanation.findings.seen.claim import FREEDOM_OF_NUMBER, weigh
from rnnparity.explanation.findings.seen.newton import fit_numbers
from rnnparity.explanation.findings.seen.view import View
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding, FindingType
from rnnparity.problem.layers import Stack, halves
from rnnparity.problem.problem import Problem
from rnnparity.problem.recurrences import OtherRecurrence
from rnnparity.reference import trace

# Ways are tried on so many rows at first, and, where they mix rows, on all rows up to so many
# values of states; those that come so near there, in what is allowed, on all.
FIRST_ROWS, MOST_VALUES, NEARLY, MOST_NEAR = 2, 2**21, 100.0, 6
# Numbers are read off runs of so many steps in all rows.
MOST_FITTED = 100
# Clipping begins at these parts of the largest value of a state.
STARTS = (0.85, 0.6, 0.35)


def recurrence_findings(problem: Problem, view: View) -> list[Finding]:
    """Return the other ways to pass states on that account for what is seen of a problem.

    Where several do, which of them it was cannot be determined: none is certain.
    """
    rows = view.worst_rows(FIRST_ROWS)
    part, seen = rows_of(problem, rows), view.rows(rows)
    inside = halves(problem.layer)
    alone = _ways({prefix: dict(step_rules(problem, half)) for prefix, half in inside})
    mixing = _ways({prefix: dict(row_rules(problem)) for prefix, _ in inside})
    if len(mixing) * problem.inputs.data.size // problem.inputs.shape[-1] > MOST_VALUES:
        mixing = []
    if not problem.layer.return_sequences and isinstance(problem.layer, Stack):
        alone = [way for way in alone if not _is_truncation(way)]
    near = [*_near(part, seen, alone), *_near(problem, view, mixing)]
    found = _held(problem, view, near, len(alone) + len(mixing))
    if not found:
        clips = _fitted_clips(part, seen)
        near = _near(part, seen, clips)
        found = _held(problem, view, near, len(clips) * FREEDOM_OF_NUMBER)
    names = {(finding.type, finding.name, finding.numbers) for finding in found}
    return [replace(each, certain=each.certain and len(names) == 1) for each in found[:1]]


def _ways(by_half: Mapping[str, Mapping[Finding, Rule]]) -> list[Way]:
    """Return each rule in every half that has it, and in each of several halves."""
    findings = dict.fromkeys(finding for named in by_half.values() for finding in named)
    return [
        way
        for finding in findings
        for way in _in_halves(
            finding,
            {prefix: named[finding] for prefix, named in by_half.items() if finding in named},
        )
    ]


def _is_truncation(way: Way) -> bool:
    """Return whether the last output of a stack is the same as without its first steps."""
    return way.finding.name == OtherRecurrence.RESTARTS and not way.finding.half


def _in_halves(finding: Finding, rules: Mapping[str, Rule]) -> Iterator[Way]:
    if len(rules) > 1:
        yield Way(finding, rules)
    for prefix, rule in rules.items():
        yield Way(replace(finding, half=prefix), {prefix: rule})


def _near(problem: Problem, view: View, ways: Sequence[Way]) -> list[Way]:
    """Return the ways that nearly give what is seen."""
    if not ways:
        return []
    nearest = view.nearest(run_ways(problem, ways), MOST_NEAR, NEARLY)
    return [ways[index] for index in nearest]


def _held(problem: Problem, view: View, ways: Sequence[Way], hypotheses: float) -> list[Finding]:
    """Return the findings of the ways that give everything that is seen, those of every half first.

    Values that are as expected are no evidence.
    """
    claims = []
    for way in ways:
        outputs = [output[0] for output in run_ways(problem, [way])]
        claim = view.widened(outputs).claim(way.finding, outputs)
        if claim.distance <= 1:
            claims.append(evidence_of(view, claim))
    found = list(weigh(claims, view.threshold, hypotheses))
    return sorted(found, key=lambda finding: len(finding.half))


def _fitted_clips(part: Problem, seen: View) -> list[Way]:
    """Return the ways to clip each state, or what goes into activations, at the nearest number."""
    if len(seen.outputs[0].actual) * part.inputs.shape[1] > MOST_FITTED:
        return []
    starts = _largest_states(part)
    clips = [
        (clip, fraction * starts[clip])
        for clip in CLIPS
        if clip in starts
        for fraction in STARTS[: 1 if clip == OtherRecurrence.PREACTIVATIONS_CLIPPED else None]
    ]
    chosen = [way for clip, _ in clips for way in _clip(part, clip, 1.0)]
    first = np.array([start for clip, start in clips for _ in _clip(part, clip, 1.0)])

    def ways(numbers: Array) -> list[Way]:
        return [
            _clipping(way.finding, way.rules, number)
            for way, number in zip(chosen, numbers.tolist(), strict=True)
        ]

    numbers, _ = fit_numbers(lambda numbers: run_ways(part, ways(numbers)), first, seen)
    return ways(np.abs(numbers))


def _largest_states(problem: Problem) -> dict[OtherRecurrence, float]:
    """Return the largest value of what may be clipped; pre-activations are of the size of 1 or less."""
    largest: dict[OtherRecurrence, float] = {}
    if any(half.cell.gated for _, half in halves(problem.layer)):  # else it clips h as well
        largest[OtherRecurrence.PREACTIVATIONS_CLIPPED] = 0.5
    for step in trace(problem):
        for state, values in step.states.items():
            name = OtherRecurrence(f"{state}-clipped")
            largest[name] = max(largest.get(name, 0.0), float(np.abs(values).max()))
    return largest


def _clip(problem: Problem, name: OtherRecurrence, value: float) -> Iterator[Way]:
    """Yield the ways to clip something at a number: in all halves, or in one."""
    finding = Finding(FindingType.RECURRENCE, name, value=value)
    rules = {prefix: CLIPS[name](value) for prefix, half in halves(problem.layer)}
    yield from _in_halves(finding, rules)


def _clipping(finding: Finding, rules: Mapping[str, Rule], value: float) -> Way:
    """Return a way to clip at another number."""
    rule = CLIPS[OtherRecurrence(finding.name)](value)
    return Way(replace(finding, value=value), dict.fromkeys(rules, rule))


CLIPS: Mapping[OtherRecurrence, Callable[[float], Rule]] = {
    OtherRecurrence.H_CLIPPED: partial(Clips, 0),
    OtherRecurrence.C_CLIPPED: partial(Clips, 1),
    OtherRecurrence.PREACTIVATIONS_CLIPPED: ClipsPreactivations,
}
