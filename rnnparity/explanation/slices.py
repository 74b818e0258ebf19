"""Slices of huge problems: the rows that are furthest off, and as many steps as show the first
difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.explanation.evidence import rows_of
from rnnparity.faults import PlacedFault, run_one, with_flag
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Bidirectional, Recurrent, Stack
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import Difference
from rnnparity.reference import compute

# Multiply-adds of one pass beyond which a problem is explained on a slice: a millisecond or ten.
HUGE = 2e7
ROWS = 2
# Steps after the first that differs, and how many there are at least.
AFTER, STEPS = 4, 8


@dataclass(frozen=True)
class Slice:
    """A part of a problem, what was given there, its rows in the whole, and which part it is, in
    words."""

    problem: Problem
    given: tuple[Tensor, ...]
    rows: Array
    says: str

    def row(self, row: int) -> int:
        """A row's number in the whole problem."""
        return int(self.rows[row])

    def differences(self, found: Sequence[Difference]) -> tuple[Difference, ...]:
        """What differs, with the rows' numbers in the whole problem."""
        moved = []
        for difference in found:
            index = difference.index
            if index:
                index = (self.row(index[0]), *index[1:])
            moved.append(replace(difference, index=index))
        return tuple(moved)


def is_huge(problem: Problem) -> bool:
    """Whether a pass takes so long that hundreds take minutes."""
    batch, steps, _ = problem.inputs.shape
    return sum(tensor.data.size for tensor in problem.weights) * batch * steps > HUGE


def slice_of(problem: Problem, given: Sequence[Tensor]) -> Slice:
    """The part of a problem that says most for its size. One pass is made over the whole."""
    pairs = zip(given, compute(problem), strict=True)
    with np.errstate(invalid="ignore"):
        off = [
            np.nan_to_num(np.abs(g.data.astype(float) - right.data), nan=np.inf)
            for g, right in pairs
        ]
    by_row = np.sum([part.reshape(len(part), -1).max(axis=1) for part in off], axis=0)
    rows = np.sort(np.argsort(by_row, kind="stable")[::-1][:ROWS])
    part = rows_of(problem, rows)
    kept = tuple(replace(tensor, data=tensor.data[rows]) for tensor in given)
    says = (
        f"rows {', '.join(map(str, rows))} of {len(by_row)}" if len(by_row) > ROWS else "all rows"
    )
    total = problem.inputs.shape[1]
    steps = _steps(off[0][rows], total)
    if not _can_be_cut(problem) or steps >= total:
        return Slice(part, kept, rows, says)
    span = slice(total - steps, total) if _reads_from_the_end(problem) else slice(0, steps)
    short = replace(
        part,
        layer=with_flag(part.layer, "return_state", False),
        inputs=replace(part.inputs, data=part.inputs.data[:, span]),
        mask=None if part.mask is None else part.mask[:, span],
    )
    output = replace(kept[0], data=kept[0].data[:, :steps])
    return Slice(short, (output,), rows, f"{says}, the first {steps} of {total} processed steps")


def fits_all(
    problem: Problem, given: Sequence[Tensor], placed: Sequence[PlacedFault], allowed: float
) -> bool:
    """Whether a fault found on a slice gives all that was given, to an absolute difference."""
    whole = run_one(problem, placed)
    if whole is None or [tensor.shape for tensor in whole.outputs] != [
        tensor.shape for tensor in given
    ]:
        return False
    pairs = zip(given, whole.outputs, strict=True)
    return all(bool((np.abs(one.data - other.data) <= allowed).all()) for one, other in pairs)


def _steps(off: Array, total: int) -> int:
    """How many steps of a sequence (rows, T, H) show the first difference and a few more."""
    if off.ndim < 3:
        return total
    by_step = off.max(axis=(0, 2))
    large = np.flatnonzero(by_step > 1e-3 * by_step.max())
    return min(total, max(STEPS, int(large[0]) + 1 + AFTER if len(large) else total))


def _can_be_cut(problem: Problem) -> bool:
    """Whether the first outputs depend on the first processed inputs alone."""
    layer = problem.layer
    if problem.calls is not None or not layer.return_sequences:
        return False
    if isinstance(layer, Stack):
        return all(
            isinstance(inner, Recurrent) and not inner.go_backwards for inner in layer.layers
        )
    return not isinstance(layer, Bidirectional)


def _reads_from_the_end(problem: Problem) -> bool:
    return isinstance(problem.layer, Recurrent) and problem.layer.go_backwards
