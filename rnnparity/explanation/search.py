"""What a search has tried, and what fits."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rnnparity.faults import Mutant
from rnnparity.problem.explanations import FaultId
from rnnparity.problem.findings import Finding, FindingType

# A fit counts where fewer than this are expected by chance among all candidates.
CHANCE = 0.01


@dataclass(frozen=True)
class Fit:
    """A hypothesis that fits, its largest distance in sigma, and the sum of the squares of all.

    `chance` is the decimal logarithm of the probability that another hypothesis comes as near.
    """

    mutant: Mutant
    sigma: float
    squares: float
    chance: float


@dataclass
class Search:
    """What was tried and what fits, nearest first.

    `precision` is the coarser dtype whose noise had to be allowed, or "". `invisible` are the
    single faults that give the expected outputs on these inputs. `within_noise_of` is the coarser
    dtype whose noise would cover every difference, where nothing else points to that dtype.
    `low_confidence`: the noise is only roughly known, or only the size of the errors points to
    `precision`. `part` states where only a part of the values was compared. `rivals` are findings that
    account for all values as the first fit does, but are not the same.
    """

    candidates: int = 0
    fits: list[Fit] = field(default_factory=list)
    precision: str = ""
    invisible: tuple[FaultId, ...] = ()
    within_noise_of: str = ""
    low_confidence: bool = False
    part: FindingType | None = None
    rivals: tuple[Finding, ...] = ()

    def certain(self, fit: Fit) -> bool:
        """Return whether a fit is more than chance.

        With low confidence it is not: another fault may have made errors of that size.
        """
        return not self.low_confidence and bool(
            np.log10(max(self.candidates, 1)) + fit.chance < np.log10(CHANCE)
        )
