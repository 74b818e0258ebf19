"""Changed blocks of one gate that account for all differences of a sequence of outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, islice, product

import numpy as np

from rnnparity.explanation.estimate import Estimate
from rnnparity.explanation.findings.by_step.cell_steps import actual_steps
from rnnparity.explanation.findings.by_step.regression import Regression, WeightChange
from rnnparity.explanation.findings.changed_weights.block_changes import (
    Blocks,
    ChangedBlock,
    blocks_of,
    changes_of,
)
from rnnparity.explanation.findings.seen.claim import Claim
from rnnparity.explanation.findings.seen.sequences import used_steps
from rnnparity.explanation.search import CHANCE
from rnnparity.problem.dtypes import FLOAT_TYPES, Array, FloatType, variable_dtype
from rnnparity.problem.findings import BlockChange, Finding, FindingType, WeightBlock
from rnnparity.problem.layers import Recurrent
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import compute_with_noise

# The noise of the weights that were used may be larger than the expected one.
NOISIER = 5.0
# Gates, blocks of each, and what may have been done to one.
HYPOTHESES = 1000.0
# Up to this part of the largest number sums are the same.
SAME_SUM = 1e-3
# So many descriptions of what was fitted are tried.
DESCRIPTIONS = 6
# All units are solved for where that is no more than this (see `regression.WORK`): a second.
MOST_WORK = 4e8


@dataclass(frozen=True)
class Account:
    """Changed blocks of one gate that account for all differences.

    `sigma` is the largest error, `rank` the number of weights that were fitted to what differs.
    """

    changes: tuple[ChangedBlock, ...]
    sigma: float
    certain: bool
    rank: int

    @property
    def described(self) -> bool:
        """Whether every change is more than different numbers."""
        return all(changed.change is not BlockChange.OTHER for changed in self.changes)

    def sums_rows(self, given: Blocks) -> bool:
        """Whether both rows of a bias were used with other numbers, but the same sum."""
        if self.described or [changed.block.row for changed in self.changes] != [0, 1]:
            return False
        used = np.sum([changed.numbers for changed in self.changes], axis=0)
        total = np.sum([given[changed.block] for changed in self.changes], axis=0)
        size = np.abs([changed.numbers for changed in self.changes]).max()
        return bool(np.abs(used - total).max() <= SAME_SUM * size)


class ActualSequence:
    """The actual outputs of a layer, the expected ones, and how far apart they may be: (B, T, H)."""

    def __init__(self, problem: Problem, sigmas: Array) -> None:
        assert isinstance(problem.layer, Recurrent)  # noqa: S101 - a half is one
        assert problem.outputs  # noqa: S101 - its actual ones
        self.problem, self.layer = problem, problem.layer
        self.threshold = FLOAT_TYPES[problem.threshold_type].threshold
        self.dtype = FLOAT_TYPES[problem.outputs[0].dtype]
        self.actual = problem.outputs[0].data.astype(np.float64)
        batch, steps, _ = self.actual.shape
        dtype = FLOAT_TYPES[self.layer.compute_dtype]
        self.sigmas = _not_too_small(sigmas[:batch, :steps], self.actual, dtype)
        self.used = used_steps(problem)
        self.steps = actual_steps(problem, self.actual, self.sigmas)
        self.blocks = blocks_of(self.layer, {t.name: t.data for t in problem.weights})

    @cached_property
    def expected(self) -> Array:
        """What the given weights compute at every step from the actual output before it."""
        return self.steps.output()

    def differs_where(self, usable: Array) -> bool:
        """Return whether some values differ that are usable, (N, H) of the N steps that are used."""
        off = np.abs(self.actual - self.expected) > self.threshold * self.sigmas
        return bool((off[self.used] & usable).any())

    @property
    def is_telling(self) -> bool:
        """Whether there are different finite values, and some are not the expected ones."""
        values = self.actual[self.used]
        if not np.isfinite(values).all() or (values == values[:1, :1]).all():
            return False
        return self._claim(self.expected, 0).distance > 1

    def accounts(self, regression: Regression) -> list[Account]:
        """Return the fewest blocks of a gate that account for all differences, in every way."""
        terms = range(len(regression.terms))
        for count in range(1, len(terms) + 1):
            found = []
            for chosen in combinations(terms, count):
                if not regression.can_test(chosen):
                    continue
                fit = regression.fit(chosen)
                if fit.distance > NOISIER * self.threshold:
                    continue
                blocks = [regression.terms[index].block for index in chosen]
                account = self._described(blocks, fit)
                if account is None and self.layer.units * len(fit.change) ** 3 <= MOST_WORK:
                    account = self._described(blocks, regression.fit(chosen, self.layer.units))
                found += [account] if account else []
            if found:
                return found
        return []

    def _described(self, blocks: Sequence[WeightBlock], fit: WeightChange) -> Account | None:
        """Return how a change of some blocks is best described, if it gives the actual outputs."""
        used, start = [], 0
        for block in blocks:
            given = self.blocks[block]
            rows = slice(start, start + len(given))
            numbers = given + fit.change[rows]
            used.append(Estimate(numbers, fit.error[rows], self.threshold))
            start += len(given)
        other = [
            ChangedBlock(block, BlockChange.OTHER, estimate.numbers)
            for block, estimate in zip(blocks, used, strict=True)
        ]
        described = [
            changes_of(block, self.blocks, estimate) or [changed]
            for block, estimate, changed in zip(blocks, used, other, strict=True)
        ]
        for changes in (*islice(product(*described), DESCRIPTIONS), other):
            account = self.account(changes, fit.rank)
            if account is not None:
                return account
        return None

    def account(self, changes: Sequence[ChangedBlock], rank: int) -> Account | None:
        """Return the account of some changes; None where they do not give the actual outputs."""
        freedom = 0
        for changed in changes:
            if changed.change is BlockChange.OTHER:
                freedom = rank
            freedom += changed.value is not None
        weights = self._weights(changes)
        problem = replace(self.problem, weights=weights)
        predicted = actual_steps(problem, self.actual, self.sigmas).output()
        claim = self._claim(predicted, freedom)
        if 1 < claim.distance <= NOISIER:
            claim = self._claim(predicted, freedom, compute_with_noise(problem).sigmas[0])
        if not claim.distance <= 1:
            return None
        certain = claim.is_clear and np.log10(HYPOTHESES) + claim.chance < np.log10(CHANCE)
        if freedom >= rank and not certain:
            return None
        return Account(tuple(changes), claim.distance * self.threshold, bool(certain), rank)

    def _claim(self, predicted: Array, freedom: int, sigmas: Array | None = None) -> Claim:
        """Return the claim that the outputs are these; `freedom` numbers were read off them."""
        sigma = self.sigmas if sigmas is None else np.maximum(self.sigmas, sigmas)
        rounding = self.dtype.u * np.abs(predicted) + self.dtype.tiny
        allowed = np.maximum(self.threshold * sigma, rounding)[self.used].ravel()
        moved = np.abs(predicted - self.expected)[self.used].ravel()
        # Values that are equal are copies, or on a grid: only one of them is evidence.
        _, first = np.unique(self.actual[self.used], return_index=True)
        moved[~np.isin(np.arange(moved.size), first)] = 0
        moved[np.argsort(-moved / allowed)[:freedom]] = 0
        actual, predicted = (array[self.used].ravel() for array in (self.actual, predicted))
        return Claim(Finding(FindingType.EFFECTIVE_WEIGHTS), actual, predicted, allowed, moved)

    def _weights(self, changes: Sequence[ChangedBlock]) -> tuple[Tensor, ...]:
        """Return the weights of the problem with some blocks changed."""
        arrays = {tensor.name: tensor.data.astype(np.float64) for tensor in self.problem.weights}
        gates, units = self.layer.cell.gates, self.layer.units
        for changed in changes:
            block, numbers = changed.block, changed.numbers
            index = gates.index(block.gate)
            array = arrays[block.weights][..., index * units : (index + 1) * units]
            if block.weights != "bias":
                array[...] = numbers
                continue
            rows = np.atleast_2d(array)
            row = block.row or 0
            rest = rows.sum(axis=0) - rows[row] if block.row is None else 0
            rows[row] = numbers[0] - rest
        return tuple(
            Tensor.of(tensor.name, arrays[tensor.name], variable_dtype(self.layer.dtype))
            for tensor in self.problem.weights
        )


def _not_too_small(sigmas: Array, actual: Array, dtype: FloatType) -> Array:
    """Return sigmas that are at least half of what is usual, and the rounding of the actual values.

    What is exact in the expected run, as the zeros of relu are, may not be in the actual one.
    """
    rounding = dtype.u * np.abs(actual)
    inexact = sigmas[sigmas > rounding.mean() / 100]
    floor: Array = np.maximum(sigmas, rounding)
    return np.maximum(floor, np.median(inexact) / 2) if inexact.size else floor
