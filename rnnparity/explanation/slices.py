"""Slices of huge problems: the rows that are furthest off, and some of the steps that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from rnnparity.explanation.evidence import Evidence, rows_of
from rnnparity.explanation.findings.compared.moved import moved_findings
from rnnparity.explanation.findings.finding_search import find_by_step, find_in_halves
from rnnparity.explanation.findings.half_questions import Findings
from rnnparity.explanation.findings.seen.view import Output, View
from rnnparity.explanation.windows import Steps, chosen_steps
from rnnparity.faults import PlacedFault, run_one
from rnnparity.problem.dtypes import Array
from rnnparity.problem.explanations import Mismatch, Slice
from rnnparity.problem.findings import (
    STEP_BY_STEP,
    Finding,
    FindingType,
    accounts_for_values,
    is_undetermined,
)
from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.verdicts import Difference
from rnnparity.reference import compute
from rnnparity.reference.tolerance import expect

# Multiply-adds of one pass beyond which a problem is explained on a slice: hundreds of passes take
# some seconds. A step of a half takes as long as so many of them, however small it is.
HUGE, STEP = 2.5e6, 1.25e4
ROWS = 2
# By how many sigma of the slice the rest of a huge problem may be off: ten, and more, for noise
# grows along the way.
REST = 1000.0
# What decides which step is processed when shows on all steps only.
CAUSES_OF_ORDER = frozenset(
    {
        "reverse-ignored",
        "reverse-output-order",
        "reverse-over-padding",
        "inputs-shifted",
        "axis-swapped",
    }
)
# What holds for the whole problem where it holds for a slice.
_OF_THE_WHOLE = frozenset(
    {
        FindingType.NOT_FINITE,
        FindingType.CONSTANT,
        FindingType.NUMBERS_OF_TYPE,
        FindingType.WITHIN_NOISE_OF,
        FindingType.BELOW_USUAL_NOISE,
        FindingType.RESTARTS_EVERY_STEP,
        FindingType.ONE_DIRECTION_ONLY,
        FindingType.UNITS_PERMUTED,
        FindingType.TIME_SHIFTED,
        FindingType.MASKED_STEPS_ONLY,
        FindingType.AFTER_LAYER,
        FindingType.INPUTS,
        FindingType.OTHER_QUANTITY,
        FindingType.INITIAL_STATE,
        FindingType.EFFECTIVE_WEIGHTS,
        FindingType.BLOCK,
        FindingType.QUANTIZED,
        FindingType.RECURRENCE,
    }
)


@dataclass(frozen=True)
class ProblemSlice:
    """The evidence of a part of a problem, and which part it is.

    `every_step` is that of all steps of its rows, `whole` are the actual and the expected outputs of
    the whole problem.
    """

    evidence: Evidence = field(repr=False)
    every_step: Evidence = field(repr=False)
    whole: tuple[tuple[Tensor, Tensor], ...] = field(repr=False)
    rows: tuple[int, ...]
    batch: int
    steps: Steps

    def with_every_step(self) -> ProblemSlice:
        """Return the slice with all steps of its rows."""
        steps = Steps(0, self.steps.total, self.steps.total)
        return replace(self, evidence=self.every_step, steps=steps)

    def whole_mismatch(self, first: Mismatch) -> Mismatch:
        """Return the first mismatch with its row and step in the whole problem."""
        return replace(first, row=self.rows[first.row], step=self._whole_step(first.step))

    def whole_differences(self, differences: Sequence[Difference]) -> tuple[Difference, ...]:
        """Return differences with the indices of the whole problem."""
        return tuple(
            replace(
                difference,
                index=self._whole_index(difference.index),
                first_step=self._whole_step(difference.first_step),
            )
            for difference in differences
        )

    def whole_findings(self, findings: Sequence[Finding]) -> tuple[Finding, ...]:
        """Return the findings that hold for the whole problem, with its indices."""
        return tuple(
            replace(finding, numbers=self._whole_index(finding.numbers))
            if finding.type is FindingType.NOT_FINITE
            else finding
            for finding in findings
            # What a slice cannot show may be seen on all rows and steps.
            if finding.type in _OF_THE_WHOLE and finding.certain and self._holds(finding)
        )

    def _holds(self, finding: Finding) -> bool:
        """Return whether a constant is that of the whole output, and inputs differ step by step."""
        if finding.type is FindingType.INPUTS:
            return finding.name in STEP_BY_STEP or not self.steps.cut
        if finding.type is not FindingType.CONSTANT:
            return True
        outputs = {actual.name: actual.data for actual, _ in self.whole}
        return bool((outputs[finding.name] == finding.value).all())

    def moved(self, sigma: float, threshold: float) -> tuple[Finding, ...]:
        """Return how the whole outputs are the expected ones in another position; `sigma` is the slice's.

        Nothing is returned unless that accounts for each output that differs.
        """
        outputs = [
            Output(
                actual.name,
                actual.data.astype(np.float64),
                expected.data,
                np.full(expected.shape, REST * sigma),
            )
            for actual, expected in self.whole
        ]
        view = View("", tuple(outputs), threshold)
        found = {output.name: _moved(view, output) for output in view.differing}
        return tuple(dict.fromkeys(chain(*found.values()))) if all(found.values()) else ()

    def by_half(self) -> Findings:
        """Return what steps of each half show by themselves, where the slice does not compare all.

        The steps that are processed first are those of the whole problem in a half that is seen.
        """
        return find_in_halves(self.every_step) if self.evidence.compared_in_part else Findings()

    def by_step(self) -> Findings:
        """Return what the single steps of these rows show, where only some steps were explained."""
        if not self.steps.cut:
            return Findings()
        found = find_by_step(self.every_step)
        # What these rows are too few for may show on all of them.
        kept = [each for each in found.findings if each.certain or is_undetermined(each)]
        return replace(found, findings=tuple(kept))

    def _whole_step(self, step: int | None) -> int | None:
        return None if step is None else step + self.steps.start

    def _whole_index(self, index: tuple[int, ...]) -> tuple[int, ...]:
        if not index:
            return ()
        row, *rest = index
        if len(rest) > 1:
            rest[0] += self.steps.start
        return (self.rows[row], *rest)

    def description(self, rest_fits: bool | None) -> Slice:
        """Return the slice as a value for results."""
        steps = self.steps
        return Slice(
            self.rows, self.batch, steps.count, steps.total, rest_fits, steps.start, steps.joined
        )


def is_huge(problem: Problem) -> bool:
    """Return whether thousands of passes would take many seconds."""
    batch, steps, _ = problem.inputs.shape
    weights = sum(tensor.data.size for tensor in problem.weights)
    return steps * (STEP * len(halves(problem.layer)) + weights * batch) > HUGE


def _moved(view: View, output: Output) -> tuple[Finding, ...]:
    found = moved_findings(replace(view, outputs=(output,)))
    return tuple(finding for finding in found if accounts_for_values(finding))


def slice_of(problem: Problem, actual: Sequence[Tensor]) -> ProblemSlice:
    """Return a small part of a problem that differs most. One pass runs over the whole."""
    whole = tuple(zip(actual, compute(problem), strict=True))
    errors = [_errors(tensor, expected) for tensor, expected in whole]
    by_row = np.sum([part.reshape(len(part), -1).max(axis=1) for part in errors], axis=0)
    rows = np.sort(np.argsort(by_row, kind="stable")[::-1][:ROWS])
    outputs = tuple(replace(tensor, data=tensor.data[rows]) for tensor in actual)
    part = rows_of(problem, rows)
    every_step = Evidence(part, outputs, expect(part, visibility=False))
    steps = chosen_steps(every_step, [part[rows] for part in errors])
    if not steps.cut:
        every_step = Evidence(part, outputs, expect(part))
    evidence = steps.part_of(every_step)
    return ProblemSlice(evidence, every_step, whole, tuple(rows.tolist()), len(by_row), steps)


def fits_whole(
    problem: Problem, actual: Sequence[Tensor], placed: Sequence[PlacedFault], sigma: float
) -> bool:
    """Return whether a fault found on a slice gives all actual outputs; `sigma` is the slice's."""
    mutant = run_one(problem, placed)
    if mutant is None:
        return False
    if [tensor.shape for tensor in mutant.outputs] != [tensor.shape for tensor in actual]:
        return False
    pairs = zip(actual, mutant.outputs, strict=True)
    errors = [np.abs(tensor.data - output.data) for tensor, output in pairs]
    return all(bool((error <= REST * sigma).all()) for error in errors)


def _errors(actual: Tensor, expected: Tensor) -> Array:
    with np.errstate(invalid="ignore"):
        error = np.abs(actual.data.astype(float) - expected.data)
    finite: Array = np.nan_to_num(error, nan=np.inf)
    return finite
