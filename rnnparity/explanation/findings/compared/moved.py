"""Outputs that are the expected ones moved: rows, steps or parts of them in another position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from math import log

import numpy as np

from rnnparity.explanation.findings.compared.axes import axes_findings
from rnnparity.explanation.findings.compared.permuted import permuted
from rnnparity.explanation.findings.seen.claim import FREEDOM_OF_NUMBER, Claim, weigh
from rnnparity.explanation.findings.seen.view import AXES, Output, View
from rnnparity.explanation.search import CHANCE
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding, FindingType


def moved_findings(view: View, *, zeros: bool = True) -> Iterator[Finding]:
    """Yield how the outputs that differ are the expected ones in another position.

    What is zero comes first, with `zeros`: a row of zeros may be another that is masked.
    """
    for output in view.differing:
        zero = list(_zero(view, output)) if zeros else []
        yield from zero or _elsewhere(view, output)


def _elsewhere(view: View, output: Output) -> Iterator[Finding]:
    """Yield where the values of an output are.

    Other orders of steps and units come last, and not for a half: that its sequence is reversed is
    a fault of the list.
    """
    found = list(permuted(view, output, "row"))
    if output.has_time:
        found += _shifted(view, output)
        found += axes_findings(output.actual, output, view.threshold, half=view.prefix)
    if not found and not view.prefix:
        found += permuted(view, output, "step") if output.has_time else ()
        found = found or list(permuted(view, output, "unit"))
    yield from found


def _zero(view: View, output: Output) -> Iterator[Finding]:
    """Yield the rows, steps or units that are zero while all others agree."""
    differing, zero = output.differing, output.actual == 0
    if (zero | ~differing).all() and not output.actual.any():
        name = output.name
        yield Finding(FindingType.ZERO, name, half=view.prefix, sigma=0.0)
        return
    for name, axis in AXES.items():
        if name == "step" and not output.has_time:
            continue
        wrong = _along(differing, axis).any(axis=1)
        if wrong.all() or not _along(zero, axis)[wrong].all():
            continue
        numbers = tuple(np.flatnonzero(wrong).tolist())
        certain = not _zero_by_chance(output)
        yield Finding(FindingType.ZERO, name, numbers, half=view.prefix, sigma=0.0, certain=certain)
        return


def _zero_by_chance(output: Output) -> bool:
    """Return whether as many values as differ may well be zero: of relu's many are anyway."""
    share = float((output.expected == 0).mean())
    return share > 0 and int(output.differing.sum()) * log(share) > log(CHANCE)


def finite_findings(view: View) -> Iterator[Finding]:
    """Yield that all finite values agree, with the rows, steps or units of one output that are not finite.

    Nothing is yielded where no value is finite; where few are, the finding is not certain.
    """
    finite = [np.isfinite(output.actual) for output in view.outputs]
    pairs = zip(view.outputs, finite, strict=True)
    if not any(map(np.any, finite)) or any(out.differing[there].any() for out, there in pairs):
        return
    differing = list(view.differing)
    if not differing:
        return
    slices: tuple[str, tuple[int, ...]] = ("", ())
    if len(differing) == 1:  # the finding does not name the output
        slices = _whole_slices(differing[0], ~np.isfinite(differing[0].actual))
    finding = Finding(FindingType.FINITE_AGREES, *slices, half=view.prefix)
    # One value may agree whatever the cause.
    yield from weigh([_agreeing(view, finding, finite)], view.threshold, FREEDOM_OF_NUMBER)


def _agreeing(view: View, finding: Finding, where: Sequence[Array]) -> Claim:
    """Return the claim that the values there are the expected ones."""
    pairs = zip(view.outputs, where, strict=True)
    claims = [output.claim(finding, output.expected, there) for output, there in pairs]
    fields = ("actual", "predicted", "allowed", "moved")
    return Claim(
        finding, *(np.concatenate([getattr(claim, name) for claim in claims]) for name in fields)
    )


def _whole_slices(output: Output, wrong: Array) -> tuple[str, tuple[int, ...]]:
    """Return the axis and the indices at which everything is wrong; no name where others are too."""
    for name, axis in AXES.items():
        if name == "step" and not output.has_time:
            continue
        by_index = _along(wrong, axis)
        if not by_index.all() and (by_index.any(axis=1) == by_index.all(axis=1)).all():
            return name, tuple(np.flatnonzero(by_index.all(axis=1)).tolist())
    return "", ()


def _along(array: Array, axis: int) -> Array:
    """Return an array as one row for each index of an axis."""
    moved = np.moveaxis(array, axis, 0)
    return moved.reshape(len(moved), -1)


def _shifted(view: View, output: Output) -> Iterator[Finding]:
    """Yield by how many steps a sequence is late or early."""
    steps = output.actual.shape[1]
    # Fewer steps in common than half of them are no sequence.
    numbers = [sign * by for by in range(1, steps // 2 + 1) for sign in (1, -1)]
    # One at a time: a claim is as large as several outputs.
    claims = (_shift(view, output, by) for by in numbers if _may_be_shifted(output, by))
    yield from islice(weigh(claims, view.threshold, len(numbers)), 1)


def _parts(by: int) -> tuple[slice, slice]:
    """Return the steps that a shift takes values from, and those that it moves them to."""
    late, early = slice(abs(by), None), slice(None, -abs(by))
    return (early, late) if by > 0 else (late, early)


def _may_be_shifted(output: Output, by: int) -> bool:
    """Whether a shift explains the unit that varies most: every other value is compared after it.

    Steps that are all equal, such as masked ones at the end, are no sequence.
    """
    source, target = _parts(by)
    row, unit = output.most_varying
    with np.errstate(invalid="ignore"):
        error = np.abs(output.actual[row, target, unit] - output.expected[row, source, unit])
    if not (error <= output.allowed[row, source, unit]).all():
        return False
    moved = output.part((slice(None), source))
    return bool((np.abs(moved.expected - moved.expected[:, :1]) > moved.allowed).any())


def _shift(view: View, output: Output, by: int) -> Claim:
    """Return the claim that a sequence is late by so many steps, early where that is negative."""
    source, target = _parts(by)
    predicted, allowed = np.zeros_like(output.expected), output.allowed.copy()
    predicted[:, target] = output.expected[:, source]
    allowed[:, target] = output.allowed[:, source]
    there = np.zeros(output.actual.shape, bool)
    there[:, target] = True
    finding = Finding(FindingType.TIME_SHIFTED, output.name, (by,), half=view.prefix)
    return replace(output, allowed=allowed).claim(finding, predicted, there)
