"""The first and the last steps of a sequence, which show in which order its steps are processed.

A fault of that order needs both ends: what is read from the wrong one, or returned at the other one.
The steps between them take most of the time and are left out where the expected outputs show that
they are forgotten.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.windows import LEFT, joined
from rnnparity.faults import with_flag
from rnnparity.problem.dtypes import Array
from rnnparity.reference.tolerance import expect

# Steps of each end that are tried, and those of them that are compared: the farthest from the gap.
STEPS, COMPARED = (64, 128, 256), 8
# A sequence of fewer ends than this is short enough.
SHORT = 4


def both_ends(evidence: Evidence) -> Evidence | None:
    """Return the evidence of both ends of a sequence, None where the steps between them count."""
    problem, total = evidence.problem, evidence.problem.inputs.shape[1]
    # Where padding begins shows on all steps only.
    if not problem.layer.return_sequences or problem.calls is not None or problem.mask is not None:
        return None
    found = (_joined(evidence, count) for count in STEPS if SHORT * count <= total)
    return next((ends for ends in found if ends is not None), None)


def _joined(evidence: Evidence, count: int) -> Evidence | None:
    """Return the evidence of ends of so many steps, None if those between them are not forgotten."""
    layer = with_flag(evidence.problem.layer, "return_state", False)
    part = joined(replace(evidence.problem, layer=layer), count)
    expected = expect(part, visibility=False)
    kept = np.r_[:count, -count:0]
    actual, sigmas = [], []
    for output, tensor, whole, own, sigma in zip(
        evidence.actual, expected.outputs, evidence.expected_arrays, expected.sigmas,
        evidence.expected.sigmas, strict=False,
    ):  # fmt: skip
        compared = _compared(own.shape)
        error = np.abs(tensor.data - whole[:, kept])
        if (error > LEFT * expected.dtype.threshold * sigma[:, kept])[compared].any():
            return None
        actual.append(replace(output, data=output.data[:, kept]))
        sigmas.append(np.where(compared, np.maximum(own, sigma[:, kept]), np.inf))
    return Evidence(part, tuple(actual), replace(expected, sigmas=tuple(sigmas)))


def _compared(shape: tuple[int, ...]) -> Array:
    """Return which values (B, T, H) are farthest from the gap."""
    steps = np.zeros(shape[1], bool)
    steps[:COMPARED] = steps[-COMPARED:] = True
    compared: Array = np.broadcast_to(steps[:, None], shape)
    return compared
