"""Slices of huge problems: the rows that are furthest off, and the first steps that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from rnnparity.explanation.evidence import rows_of
from rnnparity.explanation.findings.moved import moved_findings
from rnnparity.explanation.findings.view import Output, View
from rnnparity.faults import PlacedFault, run_one, with_flag
from rnnparity.problem.dtypes import Array
from rnnparity.problem.explanations import Slice
from rnnparity.problem.findings import Finding, FindingType, accounts_for_values
from rnnparity.problem.layers import Bidirectional, Recurrent, Stack
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.verdicts import Difference
from rnnparity.reference import compute

# Multiply-adds of one pass beyond which a problem is explained on a slice: 1 to 10 ms.
HUGE = 2e7
ROWS = 2
# Steps after the first that differs, and the least number of steps.
AFTER, STEPS = 4, 8
# By how many sigma of the slice the rest of a huge problem may be off: ten, and more, for noise
# grows along the way.
REST = 1000.0
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
        FindingType.TIME_SHIFTED,
        FindingType.MASKED_STEPS_ONLY,
        FindingType.OTHER_QUANTITY,
        FindingType.INITIAL_STATE,
        FindingType.EFFECTIVE_WEIGHTS,
        FindingType.BLOCK,
        FindingType.QUANTIZED,
    }
)


@dataclass(frozen=True)
class ProblemSlice:
    """A part of a problem, its actual outputs, and which part it is.

    `whole` are the actual and the expected outputs of the whole problem.
    """

    problem: Problem
    actual: tuple[Tensor, ...]
    whole: tuple[tuple[Tensor, Tensor], ...] = field(repr=False)
    rows: tuple[int, ...]
    batch: int
    steps: int
    total_steps: int

    def whole_row(self, row: int) -> int:
        """Return the index of a row in the whole problem."""
        return self.rows[row]

    def whole_differences(self, differences: Sequence[Difference]) -> tuple[Difference, ...]:
        """Return differences with the row indices of the whole problem."""
        return tuple(
            replace(difference, index=self._whole_index(difference.index))
            for difference in differences
        )

    def whole_findings(self, findings: Sequence[Finding]) -> tuple[Finding, ...]:
        """Return the findings that hold for the whole problem, with its row indices."""
        return tuple(
            replace(finding, numbers=self._whole_index(finding.numbers))
            if finding.type is FindingType.NOT_FINITE
            else finding
            for finding in findings
            # What a slice cannot tell may show on all rows and steps.
            if finding.type in _OF_THE_WHOLE and finding.certain and self._holds(finding)
        )

    def _holds(self, finding: Finding) -> bool:
        """Return whether a constant is that of the whole output."""
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

    def _whole_index(self, index: tuple[int, ...]) -> tuple[int, ...]:
        return (self.whole_row(index[0]), *index[1:]) if index else ()

    def description(self, rest_fits: bool | None) -> Slice:
        """Return the slice as a value for results."""
        return Slice(self.rows, self.batch, self.steps, self.total_steps, rest_fits)


def is_huge(problem: Problem) -> bool:
    """Return whether hundreds of passes would take minutes."""
    batch, steps, _ = problem.inputs.shape
    return sum(tensor.data.size for tensor in problem.weights) * batch * steps > HUGE


def _moved(view: View, output: Output) -> tuple[Finding, ...]:
    found = moved_findings(replace(view, outputs=(output,)))
    return tuple(finding for finding in found if accounts_for_values(finding))


def slice_of(problem: Problem, actual: Sequence[Tensor]) -> ProblemSlice:
    """Return a small part of a problem that differs most. One pass runs over the whole."""
    whole = tuple(zip(actual, compute(problem), strict=True))
    errors = [_errors(tensor, expected) for tensor, expected in whole]
    by_row = np.sum([part.reshape(len(part), -1).max(axis=1) for part in errors], axis=0)
    rows = np.sort(np.argsort(by_row, kind="stable")[::-1][:ROWS])
    part = rows_of(problem, rows)
    outputs = tuple(replace(tensor, data=tensor.data[rows]) for tensor in actual)
    total = problem.inputs.shape[1]
    steps = _steps(errors[0][rows], total) if _can_be_cut(problem) else total
    if steps < total:
        part = _first_steps(part, steps)
        outputs = (replace(outputs[0], data=outputs[0].data[:, :steps]),)
    return ProblemSlice(part, outputs, whole, tuple(rows.tolist()), len(by_row), steps, total)


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


def _steps(errors: Array, total: int) -> int:
    """Return how many steps of a sequence (rows, T, H) show the first difference and a few more."""
    if errors.ndim < 3:
        return total
    by_step = errors.max(axis=(0, 2))
    large = np.flatnonzero(by_step > 1e-3 * by_step.max())
    shown = int(large[0]) + 1 + AFTER if len(large) else total
    return min(total, max(STEPS, shown))


def _first_steps(problem: Problem, steps: int) -> Problem:
    """Return the problem with only the steps that are processed first, without returned states."""
    total = problem.inputs.shape[1]
    layer = problem.layer
    from_end = isinstance(layer, Recurrent) and layer.go_backwards
    span = slice(total - steps, total) if from_end else slice(0, steps)
    return replace(
        problem,
        layer=with_flag(layer, "return_state", False),
        inputs=replace(problem.inputs, data=problem.inputs.data[:, span]),
        mask=None if problem.mask is None else problem.mask[:, span],
    )


def _can_be_cut(problem: Problem) -> bool:
    """Return whether the first outputs depend only on the inputs that are processed first."""
    layer = problem.layer
    if problem.calls is not None or not layer.return_sequences:
        return False
    if isinstance(layer, Stack):
        return all(
            isinstance(inner, Recurrent) and not inner.go_backwards for inner in layer.layers
        )
    return not isinstance(layer, Bidirectional)
