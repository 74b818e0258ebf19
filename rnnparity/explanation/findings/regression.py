"""Weighted least squares: by which numbers the weights of one gate differ from the given ones.

Axis letters: K units that are looked at, N steps, P weights of one unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnnparity.explanation.findings.gate_equations import GateEquation
from rnnparity.problem.dtypes import Array

# A pre-activation known no better than this is left out: its error no longer propagates linearly.
LARGEST_SIGMA = 0.02
# More steps than this for each weight, and at least so many, only cost time.
STEPS_PER_WEIGHT, LEAST_STEPS = 4, 200
# Combinations of weights that move the outputs this much less than the strongest are not known:
# square of the ratio.
SMALLEST_EFFECT = 1e-10
# Solving again with what is left makes up for the digits that the squares lose.
REFINEMENTS = 2


@dataclass(frozen=True)
class WeightChange:
    """The change of some weights, (P, H), and its standard error, infinite where not identified.

    `distance` is the largest remainder in sigma, `rank` the number of weights that were fitted in
    all units, `spare` the number of remainders beyond these, and `steps` the independent steps of
    the unit that has the fewest.
    """

    change: Array
    error: Array
    distance: float
    rank: int
    spare: int
    steps: int


class Regression:
    """The equation of one gate for the units that differ most, at most `units` of them."""

    def __init__(self, equation: GateEquation, units: int | None = None) -> None:
        difference = equation.difference
        self.terms = equation.terms
        sigma = difference.sigma.T
        usable = np.isfinite(difference.value.T) & (sigma < LARGEST_SIGMA) & (sigma > 0)
        self.columns = np.cumsum([0, *(term.numbers.shape[-1] for term in self.terms)])
        self.units = len(sigma)
        weight = np.where(usable, 1 / np.where(usable, sigma, 1), 0)
        weighted = np.where(usable, difference.value.T, 0) * weight
        self.chosen = np.sort(np.argsort(-np.abs(weighted).max(axis=1), kind="stable")[:units])
        self._fill(weight[self.chosen], weighted[self.chosen])

    def _fill(self, weight: Array, weighted: Array) -> None:
        """Keep the steps (K, N) that are known best, and their numbers (K, N, P)."""
        most = max(LEAST_STEPS, STEPS_PER_WEIGHT * int(self.columns[-1]))
        order = np.argsort(-weight, axis=1, kind="stable")[:, :most]
        weight = np.take_along_axis(weight, order, axis=1)
        self.rows = (weight > 0).sum(axis=1)
        self.target = np.take_along_axis(weighted, order, axis=1)
        parts = [
            term.numbers[self.chosen[:, None], order]
            if term.numbers.ndim > 2
            else term.numbers[order]
            for term in self.terms
        ]
        self.numbers = np.concatenate(parts, axis=2) * weight[..., None]
        self.products = self.numbers.swapaxes(1, 2) @ self.numbers

    @property
    def needed(self) -> int:
        """The number of steps that determine all weights and leave one to test them."""
        return int(self.columns[-1]) + 1

    def fit(self, terms: Sequence[int]) -> WeightChange:
        """Return the change of the blocks of some terms, in this order, that fits best."""
        chosen = np.concatenate([np.arange(*self.columns[n : n + 2]) for n in terms])
        numbers = self.numbers[..., chosen]
        products = self.products[:, chosen[:, None], chosen]
        size = np.sqrt(np.einsum("kpp->kp", products))
        size[size == 0] = 1
        values, vectors = np.linalg.eigh(products / (size[:, :, None] * size[:, None]))
        known = values > SMALLEST_EFFECT * values[:, -1:]
        scale = np.where(known, 1 / np.where(known, values, 1), 0)
        change, remainder = np.zeros(size.shape), self.target
        for _ in range(1 + REFINEMENTS):
            projected = np.einsum("knp,kn->kp", numbers, remainder) / size
            step = np.einsum("kpq,kq,krq,kr->kp", vectors, scale, vectors, projected, optimize=True)
            change = change + step / size
            remainder = self.target - np.einsum("knp,kp->kn", numbers, change)
        error = np.sqrt(np.einsum("kpq,kq->kp", vectors**2, scale)) / size
        error[(np.abs(vectors) * ~known[:, None]).max(axis=2) > np.sqrt(SMALLEST_EFFECT)] = np.inf
        rank = known.sum(axis=1)
        return WeightChange(
            self._for_all_units(change, 0),
            self._for_all_units(error, np.inf),
            distance=float(np.abs(remainder).max(initial=0)),
            rank=int(rank.sum()),
            spare=int(np.maximum(self.rows - rank, 0).sum()),
            steps=int(np.where(rank < len(chosen), rank, self.rows).min()),
        )

    def _for_all_units(self, values: Array, other: float) -> Array:
        """Return values (K, P) as (P, H), with another value for units that were not looked at."""
        every = np.full((self.units, values.shape[1]), other, float)
        every[self.chosen] = values
        return every.T
