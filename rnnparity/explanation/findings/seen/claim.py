"""A claim predicts values; it becomes a finding where the actual ones are within their noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.explanation.search import CHANCE
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding

# A number that is read off the outputs makes one value fit whatever the cause, to seven digits.
FREEDOM_OF_NUMBER = 1e7
# By how much the differences must exceed what is left of them, rms, to rule out other changes.
CLEAR = 30.0


@dataclass(frozen=True)
class Claim:
    """A finding, and the values that it predicts.

    All arrays have one shape: the actual values, the predicted ones, how far each may be off, and
    how far from the predicted one it would be if the claim were wrong (0: no evidence).
    """

    finding: Finding
    actual: Array
    predicted: Array
    allowed: Array
    moved: Array

    def part(self, chosen: Array) -> Claim:
        """Return the claim about some of the values only."""
        arrays = (self.actual, self.predicted, self.allowed, self.moved)
        return Claim(self.finding, *(array[chosen] for array in arrays))

    @property
    def distance(self) -> float:
        """The largest error in units of what is allowed; infinite without any value."""
        if not self.actual.size:
            return np.inf
        with np.errstate(invalid="ignore"):
            error = np.abs(self.actual - self.predicted) / self.allowed
        return float(np.nan_to_num(error, nan=np.inf, posinf=np.inf).max())

    @property
    def chance(self) -> float:
        """The decimal logarithm of the probability that other values agree as well."""
        # Copies are no evidence, nor are values that noise does not tell apart, as saturated ones.
        noise = max(float(np.median(self.allowed)), np.finfo(np.float64).tiny)
        _, first = np.unique(np.round(self.predicted / noise), return_index=True)
        allowed, moved = self.allowed.ravel()[first], np.abs(self.moved.ravel()[first])
        return float(np.log10(allowed / np.maximum(moved, allowed)).sum())

    @property
    def contrast(self) -> float:
        """How large the differences are that the claim predicts, rms in units of what is allowed."""
        return float(np.sqrt(np.square(self.moved / self.allowed).mean()))

    @property
    def is_clear(self) -> bool:
        """Whether little is left of the differences: what is near to the noise fits too much."""
        with np.errstate(all="ignore"):
            left = np.square((self.actual - self.predicted) / self.allowed).mean()
        return bool(CLEAR * np.sqrt(left) <= self.contrast)


def weigh(
    claims: Iterable[Claim], threshold: float, hypotheses: float = 1, contrast: float = 0.0
) -> Iterator[Finding]:
    """Yield the findings of the claims that hold.

    `hypotheses` is the number of claims that there were to choose from; with less than `contrast`
    none is certain. A claim that moves nothing is no evidence, and is left out.
    """
    for claim in claims:
        distance = claim.distance
        if distance <= 1 and claim.chance < 0:
            by_chance = np.log10(hypotheses) + claim.chance >= np.log10(CHANCE)
            certain = not by_chance and claim.is_clear and claim.contrast >= contrast
            yield replace(claim.finding, sigma=distance * threshold, certain=certain)
