"""Numbers that were read from text: how many digits were printed, and the error that leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array, FloatType
from rnnparity.problem.findings import Finding, FindingType
from rnnparity.problem.problem import Tensor
from rnnparity.reference.tolerance import Expected

MOST_DECIMALS, MOST_SIGNIFICANT = 8, 8
TRIED = MOST_DECIMALS + MOST_SIGNIFICANT - 1  # one significant digit is no format
# So many different fractions must have been printed, and this unlikely is it that all of them have
# so few digits by chance.
FEWEST, CHANCE = 4, 1e-9
# Fewer are recognized only where they are the expected ones as printed. It is so unlikely that others
# are by chance; and one of them has so many digits, because 0.1 may be a number of any layer.
CHANCE_OF_EXPECTED, FEWEST_DIGITS = 1e-5, 3
# So many numbers show that most arrays have too many digits for any format.
SAMPLE = 100
# A number that was read back has its own rounding error beside that of printing.
MARGIN = 1.01
# Before numbers were printed, another implementation's rounding had moved them by at most so many
# units of rounding of the largest of them.
ROUNDINGS = 16


@dataclass(frozen=True)
class PrintedDigits:
    """How numbers were printed: with so many decimals, or so many significant digits."""

    count: int
    significant: bool

    @property
    def finding(self) -> Finding:
        """The finding that numbers were printed like this."""
        name = "significant digits" if self.significant else "decimals"
        return Finding(FindingType.PRINTED_DIGITS, name, (self.count,))

    def rounded(self, values: Array) -> Array:
        """Return values as they would have been printed, in float64."""
        unit = self.unit(values)
        rounded: Array = np.round(values / unit) * unit
        return rounded

    def widened(self, expected: Expected, actual: Sequence[Tensor]) -> Expected:
        """Return expected outputs whose thresholds allow half a unit of the last digit more.

        It is that of the larger number: the actual one was printed, the expected one may be wrong.
        """
        sigmas = [
            sigma + MARGIN * self._largest_unit(output, tensor) / 2 / expected.dtype.threshold
            for output, sigma, tensor in zip(expected.outputs, expected.sigmas, actual, strict=True)
        ]
        return replace(expected, sigmas=tuple(sigmas))

    def is_printed_from(self, printed: Array, values: Array) -> bool:
        """Return whether numbers may be these values, up to noise, as they were printed."""
        exact = values.astype(np.float64)
        noise = ROUNDINGS * FLOAT_TYPES[values.dtype.name].u * np.max(np.abs(exact), initial=0.0)
        allowed = MARGIN * self.unit(exact) / 2 + noise
        return bool((np.abs(printed.astype(np.float64) - exact) <= allowed).all())

    def _largest_unit(self, expected: Tensor, actual: Tensor) -> Array:
        unit = self.unit(expected.data)
        if actual.shape != expected.shape:
            return unit
        return np.fmax(unit, self.unit(actual.data.astype(np.float64)))

    def unit(self, values: Array) -> Array:
        """Return the unit of the last printed digit of each value."""
        if not self.significant:
            return np.full(values.shape, 10.0**-self.count)
        magnitude = np.where(values == 0, 1.0, np.abs(values))
        unit: Array = 10.0 ** (np.floor(np.log10(magnitude)) - self.count + 1)
        return unit


def printed_digits(
    actual: Sequence[Tensor], expected: Sequence[Tensor] = ()
) -> PrintedDigits | None:
    """Return how the numbers were printed, None where they have too many digits for that.

    Where they are too few to show it, they must be the `expected` ones, once these are printed.
    """
    values = [tensor.data.astype(np.float64).ravel() for tensor in actual]
    dtype = min((FLOAT_TYPES[tensor.dtype] for tensor in actual), key=lambda type_: type_.bits)
    flat = np.concatenate(values)
    fractions = flat[np.isfinite(flat) & (flat != np.round(flat))]
    formats = [PrintedDigits(count, False) for count in range(1, MOST_DECIMALS + 1)]
    formats += [PrintedDigits(count, True) for count in range(2, MOST_SIGNIFICANT + 1)]
    formats = [printed for printed in formats if _fits(printed, fractions[:SAMPLE], dtype)]
    fractions = np.unique(fractions)
    if not formats or not fractions.size:
        return None
    chances = {printed: _log_chance(printed, fractions, dtype) for printed in formats}
    likely = min(chances, key=chances.__getitem__)
    # Multiples of 2**-n have n decimals: they are on a binary grid, nobody printed them.
    if not likely.significant and (fractions * 2.0**likely.count % 1 == 0).all():
        return None
    if len(fractions) < FEWEST:
        chance = TRIED * (2 * dtype.u) ** len(fractions)
        is_printed = bool(expected) and _is_expected(likely, fractions, actual, expected)
        return likely if is_printed and chance < CHANCE_OF_EXPECTED else None
    return likely if chances[likely] < np.log(CHANCE) else None


def _is_expected(
    printed: PrintedDigits, fractions: Array, actual: Sequence[Tensor], expected: Sequence[Tensor]
) -> bool:
    """Return whether numbers are the expected ones as printed, and one of them has enough digits."""
    digits = np.floor(np.log10(np.abs(fractions) / printed.unit(fractions)) + 1e-9) + 1
    return bool(max(digits) >= FEWEST_DIGITS) and all(
        tensor.shape == exact.shape
        and printed.is_printed_from(tensor.data, exact.data.astype(tensor.data.dtype))
        for tensor, exact in zip(actual, expected, strict=True)
    )


def _fits(printed: PrintedDigits, values: Array, dtype: FloatType) -> bool:
    """Return whether numbers have no more than these digits."""
    # What was printed and read again is the nearest number of its type, which float64 misses by up to
    # three roundings here.
    read = dtype.round(printed.rounded(values)).astype(np.float64)
    return np.allclose(read, values, rtol=dtype.u + 4 * FLOAT_TYPES["float64"].u, atol=0)


def _log_chance(printed: PrintedDigits, values: Array, dtype: FloatType) -> float:
    """Return how unlikely it is that arbitrary numbers have so few digits; 0 if these have more."""
    if not _fits(printed, values, dtype):
        return 0.0
    # The share of the type's numbers there that printing leaves as they are.
    shares = np.minimum(2 * dtype.u * np.abs(values) / printed.unit(values), 1)
    return float(np.log(shares).sum())
