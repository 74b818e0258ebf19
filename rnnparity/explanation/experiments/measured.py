"""Numbers that were identified up to noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnnparity.problem.dtypes import Array


@dataclass(frozen=True)
class Measured:
    """Numbers as they were identified, with how far each may be off."""

    values: Array
    allowed: Array

    def equals(self, values: Array | float) -> bool:
        """Return whether the numbers are these."""
        return bool((np.abs(self.values - values) <= self.allowed).all())

    def minus(self, values: Array) -> Measured:
        """Return the rest of a sum."""
        return Measured(self.values - values, self.allowed)
