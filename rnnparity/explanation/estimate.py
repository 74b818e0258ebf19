"""Numbers that were read off outputs, with how far each may be off."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rnnparity.problem.dtypes import Array


@dataclass(frozen=True)
class Estimate:
    """Numbers with their errors; `limit` is the largest error of a correct one, in these."""

    numbers: Array
    error: Array
    limit: float = 1.0

    def agrees(self, numbers: Array | float) -> bool:
        """Return whether these may be the numbers."""
        rounding = 1e-14 * np.abs(numbers).max()
        return bool((np.abs(self.numbers - numbers) <= self.limit * self.error + rounding).all())

    def less(self, numbers: Array) -> Estimate:
        """Return the estimate of what is added to these numbers."""
        return replace(self, numbers=self.numbers - numbers)
