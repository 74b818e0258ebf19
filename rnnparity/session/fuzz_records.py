"""The verdicts of random problems, their summary, and what fixed tolerances would reject."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from rnnparity.problem.answer import Answer
from rnnparity.problem.dtypes import Array
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference.tolerance import Expected
from rnnparity.session.outcome import Outcome

# A weight array is changed by a relative amount: all of it alike, or each element up or down.
CHANGES = ("scaled", "signs")
# Fixed tolerances in use elsewhere, as (rtol, atol): NumPy's allclose, PyTorch's assert_close for
# float32, ONNX's backend test runner.
FIXED = {"np.allclose": (1e-5, 1e-8), "torch": (1.3e-6, 1e-5), "onnx": (1e-3, 1e-7)}


@dataclass(frozen=True)
class Record:
    """One verdict, by the threshold of `dtype`.

    `change` is "" for a healthy problem, else how its weights were changed. `id` is that of the
    healthy problem. `rejected_by` names the fixed tolerances that reject the outputs, `reason` is
    that of an error or of an unsupported problem, `known` names the known differences that it is due to.
    """

    id: str
    dtype: str
    verdict: Verdict
    sigma: float
    change: str = ""
    rejected_by: tuple[str, ...] = ()
    reason: str = ""
    known: tuple[str, ...] = ()

    @property
    def order(self) -> tuple[int, int]:
        """Its seed and the number of its problem."""
        _, seed, draw = self.id.split("-")
        return int(seed), int(draw)


@dataclass(frozen=True)
class SeedRecords:
    """All records of a seed, in the order of its problems."""

    seed: int
    records: tuple[Record, ...]

    @property
    def problems(self) -> int:
        return sum(not record.change for record in self.records)


@dataclass(frozen=True)
class Summary:
    """The verdicts of one dtype. `smallest_detected` is the relative change, by kind of change,
    that is still detected in 99 of 100 problems; distances are linear in the change.

    `verdicts` leaves out the `unsupported` problems. `failing` is the number that diverge or err,
    `rejected_elsewhere` that of the outputs which
    fixed tolerances reject; they are meant for float32.
    """

    verdicts: int
    failing: int
    inconclusive: int
    unsupported: int
    worst: float
    changed: Mapping[str, int]
    detected: Mapping[str, int]
    smallest_detected: Mapping[str, float]
    rejected_elsewhere: Mapping[str, int] = field(default_factory=dict)

    @property
    def compared(self) -> int:
        return self.verdicts - self.inconclusive


def rejecting(outcome: Outcome, expected: Expected) -> Iterator[str]:
    """Yield the fixed tolerances that reject the outputs, or the gradients."""
    answer = outcome.answer or Answer()
    tensors = answer.outputs if outcome.problem.cotangents is None else answer.gradients or ()
    pairs = [(a, e) for a, e in zip(tensors, expected.outputs, strict=False) if a is not None]
    if any(actual.shape != target.shape for actual, target in pairs):
        return
    for name, (rtol, atol) in FIXED.items():
        if not all(_close(actual.data, target.data, rtol, atol) for actual, target in pairs):
            yield name


def _close(actual: Array, expected: Array, rtol: float, atol: float) -> bool:
    return bool(np.allclose(actual.astype(np.float64), expected, rtol=rtol, atol=atol))
