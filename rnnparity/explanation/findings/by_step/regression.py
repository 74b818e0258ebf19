"""Weighted least squares: by which numbers the weights of one gate differ from the given ones.

Axis letters: K units that are looked at, N steps, P weights of one unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnnparity.explanation.findings.by_step.gate_equations import GateEquation
from rnnparity.problem.dtypes import Array

# A pre-activation known no better than this is left out: its error no longer propagates linearly.
LARGEST_SIGMA = 0.02
# More steps than this for each weight, and at least so many, only cost time.
STEPS_PER_WEIGHT, LEAST_STEPS = 4, 200
# Combinations of weights that move the outputs this much less than the strongest are not known:
# square of the ratio.
SMALLEST_EFFECT = 1e-13
# Solving again with what is left makes up for the digits that the squares lose.
REFINEMENTS = 3
# A unit that is no more sigma off in any step does not differ: the smallest threshold of a dtype.
DIFFERS = 5.0
# Units times the cube of their weights that are solved for at once: some 50 ms.
WORK = 2e7


@dataclass(frozen=True)
class WeightChange:
    """The change of some weights, (P, H), and its standard error, infinite where not identified.

    `distance` is the largest remainder in sigma, `rank` the number of weights that were fitted in
    the units that differ, of one unit at least, and `steps` the number of independent steps of the
    unit that has the fewest.
    """

    change: Array
    error: Array
    distance: float
    rank: int
    steps: int


class Regression:
    """The equation of one gate, ready to be solved for any of its blocks."""

    def __init__(self, equation: GateEquation) -> None:
        self.terms = equation.terms
        value, sigma = equation.difference.value.T, equation.difference.sigma.T
        usable = np.isfinite(value) & (sigma < LARGEST_SIGMA) & (sigma > 0)
        self.weight = np.where(usable, 1 / np.where(usable, sigma, 1), 0)
        self.target = np.where(usable, value, 0) * self.weight
        self.units = len(sigma)
        largest = np.abs(self.target).max(axis=1, initial=0)
        self.differs = largest > DIFFERS
        self.worst_first = np.argsort(-largest, kind="stable")

    @property
    def needed(self) -> int:
        """The number of steps that determine all weights and leave one to test them."""
        return self._size(range(len(self.terms))) + 1

    def _size(self, terms: Sequence[int]) -> int:
        """Return the number of weights of a unit in some terms."""
        return sum(int(self.terms[index].numbers.shape[-1]) for index in terms)

    def can_test(self, terms: Sequence[int]) -> bool:
        """Return whether a unit has more usable steps than weights in these terms."""
        return bool((self.weight > 0).sum(axis=1).max() > self._size(terms))

    def fit(self, terms: Sequence[int], most: int | None = None) -> WeightChange:
        """Return the change of the blocks of some terms, in this order, that fits best.

        Only the units that differ most are looked at: `most` of them, or as many as there is time
        for.
        """
        chosen = [self.terms[index].numbers for index in terms]
        size = self._size(terms)
        if most is None:
            most = max(1, int(WORK / size**3))
        units = np.sort(self.worst_first[:most])
        numbers, target, rows = self._best_steps(chosen, units, size)
        products = numbers.swapaxes(1, 2) @ numbers
        length = np.sqrt(np.einsum("kpp->kp", products))
        length[length == 0] = 1
        values, vectors = np.linalg.eigh(products / (length[:, :, None] * length[:, None]))
        known = values > SMALLEST_EFFECT * values[:, -1:]
        scale = np.where(known, 1 / np.where(known, values, 1), 0)
        change, remainder = np.zeros(length.shape), target
        for _ in range(1 + REFINEMENTS):
            projected = np.einsum("knp,kn->kp", numbers, remainder) / length
            step = np.einsum("kpq,kq,krq,kr->kp", vectors, scale, vectors, projected, optimize=True)
            change = change + step / length
            remainder = target - np.einsum("knp,kp->kn", numbers, change)
        error = np.sqrt(np.einsum("kpq,kq->kp", vectors**2, scale)) / length
        error[(np.abs(vectors) * ~known[:, None]).max(axis=2) > np.sqrt(SMALLEST_EFFECT)] = np.inf
        rank = known.sum(axis=1)
        return WeightChange(
            self._for_all_units(change, units, 0),
            self._for_all_units(error, units, np.inf),
            distance=float(np.abs(remainder).max(initial=0)),
            rank=int(max(rank[self.differs[units]].sum(), rank.max())),
            steps=int(np.where(rank < size, rank, rows).min()),
        )

    def _best_steps(
        self, chosen: Sequence[Array], units: Array, size: int
    ) -> tuple[Array, Array, Array]:
        """Return the numbers (K, N, P), the target (K, N) and the count (K,) of the best steps.

        The best are those with the largest numbers in units of the noise.
        """
        most = max(LEAST_STEPS, STEPS_PER_WEIGHT * size)
        squares = sum(
            (numbers[units] if numbers.ndim > 2 else numbers[None]) ** 2
            @ np.ones(numbers.shape[-1])
            for numbers in chosen
        )
        telling = self.weight[units] * np.sqrt(squares)
        order = np.argsort(-telling, axis=1, kind="stable")[:, :most]
        weight = np.take_along_axis(self.weight[units], order, axis=1)
        target = np.take_along_axis(self.target[units], order, axis=1)
        parts = [
            numbers[units[:, None], order] if numbers.ndim > 2 else numbers[order]
            for numbers in chosen
        ]
        weighted = np.concatenate(parts, axis=2) * weight[..., None]
        return weighted, target, (weight > 0).sum(axis=1)

    def _for_all_units(self, values: Array, units: Array, other: float) -> Array:
        """Return values (K, P) as (P, H), with another value for units that were not looked at."""
        every = np.full((self.units, values.shape[1]), other, float)
        every[units] = values
        return every.T
