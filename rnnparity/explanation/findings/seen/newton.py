"""Numbers that are read off the outputs: one unknown for each of many candidates at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rnnparity.explanation.findings.seen.view import View
from rnnparity.problem.dtypes import FLOAT_TYPES, Array

# Steps of Newton's method, the change for a derivative, and in roundings of what is changed by it,
# the largest step.
STEPS, CHANGE, ROUNDINGS, LARGEST_STEP = 8, 1e-6, 16, 1.0
# A step that changes no candidate's error by more than this part of it is the last.
STALLED = 0.01


def fit_numbers(
    run: Callable[[Array], Sequence[Array]], start: Array, view: View, dtype: str = "float64"
) -> tuple[Array, Sequence[Array]]:
    """Return for each candidate the number that brings its outputs nearest, and these outputs.

    `run` returns the outputs for one number of each candidate, with a leading axis. Errors are
    counted in units of what is allowed; Gauss-Newton from `start`, until no error changes. `dtype`
    is the type that what a number changes is rounded to.
    """
    change = max(CHANGE, ROUNDINGS * FLOAT_TYPES[dtype].u)
    numbers = start.astype(np.float64)
    outputs = run(numbers)
    missing = _missing(view, outputs)
    for _ in range(STEPS):
        moved = run(numbers + change)
        slopes = _joined(view, [(b - a) / change for a, b in zip(outputs, moved, strict=True)])
        with np.errstate(all="ignore"):
            step = (slopes * missing).sum(axis=1) / (slopes**2).sum(axis=1)
        numbers = numbers + np.clip(np.nan_to_num(step), -LARGEST_STEP, LARGEST_STEP)
        outputs = run(numbers)
        before, missing = _largest(missing), _missing(view, outputs)
        if (np.abs(_largest(missing) - before) <= STALLED * np.maximum(before, 1)).all():
            break
    return numbers, outputs


def _missing(view: View, outputs: Sequence[Array]) -> Array:
    """Return one row of all errors for each candidate."""
    pairs = zip(view.outputs, outputs, strict=True)
    return _joined(view, [output.actual - array for output, array in pairs])


def _largest(missing: Array) -> Array:
    """Return the largest error of each candidate."""
    largest: Array = np.abs(missing).max(axis=1, initial=0.0)
    return largest


def _joined(view: View, arrays: Sequence[Array]) -> Array:
    """Return one row of all values in units of what is allowed, for each candidate."""
    with np.errstate(all="ignore"):
        parts = [
            np.nan_to_num((array / output.allowed).reshape(len(array), -1))
            for output, array in zip(view.outputs, arrays, strict=True)
        ]
    return np.concatenate(parts, axis=1)
