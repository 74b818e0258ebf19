"""Faults of the backward pass with a number that is read off actual gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from rnnparity.faults.backward_edit import EditGradients, Gradients
from rnnparity.faults.backward_flow import PARTS, truncated_every
from rnnparity.faults.backward_whole import clipped_values
from rnnparity.faults.fault import Fault
from rnnparity.faults.fitted import FREEDOM_OF_NUMBER
from rnnparity.problem.dtypes import Array
from rnnparity.problem.problem import Problem


def fitted(problem: Problem, actual: Sequence[Array], expected: Sequence[Array]) -> Iterator[Fault]:
    """Yield faults whose numbers fit the actual gradients, which are in the order of their slots."""
    for count in range(2, problem.inputs.shape[1]):
        if count not in PARTS:
            yield truncated_every(count)
    limit = max(float(np.abs(array).max()) for array in actual)
    if limit:
        yield replace(clipped_values(limit), freedom=FREEDOM_OF_NUMBER)
    names = [slot.name for slot in problem.gradient_slots()]
    weights = {tensor.name for tensor in problem.weights}
    groups = [("all", names), ("weights", [name for name in names if name in weights])]
    groups += [(name, [name]) for name in names]
    for what, group in groups:
        factor = _factor(
            [array for name, array in zip(names, actual, strict=True) if name in group],
            [array for name, array in zip(names, expected, strict=True) if name in group],
        )
        if factor is not None:
            yield _scaled(what, group, factor)


def _factor(actual: Sequence[Array], expected: Sequence[Array]) -> float | None:
    """Return the factor by the larger values, which noise affects least."""
    x, y = (np.concatenate([array.ravel() for array in arrays]) for arrays in (actual, expected))
    large = np.abs(y) >= np.median(np.abs(y))
    if not y[large].all():
        return None
    factor = float(np.median(x[large] / y[large]))
    return None if factor in (0.0, 1.0) else factor


def _scaled(what: str, names: Sequence[str], factor: float) -> Fault:
    def times(_: Problem, gradients: Gradients) -> Gradients:
        return {n: factor * array if n in names else array for n, array in gradients.items()}

    return Fault("gradient-scaled", f"{what}, by {factor:.6g}",
        f"The gradient of {what} is {factor:.6g} times what it should be.",
        "Sum over rows and steps, undo the scale of the loss, and start from zero gradients.",
        edit=EditGradients(times),
        freedom=FREEDOM_OF_NUMBER)  # fmt: skip
