"""Faults, faults at their locations, and mutants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rnnparity.faults.edit import WHOLE_EDITS, Edit
from rnnparity.problem.explanations import EVERY_HALF, WHOLE, FaultId
from rnnparity.problem.layers import Recurrent, halves
from rnnparity.problem.problem import Problem, Tensor


@dataclass(frozen=True, eq=False)
class Fault:
    """One named way to compute a recurrent layer incorrectly.

    `cause` is its name in every report, `variant` distinguishes it from the faults with the same
    cause; both together are unique. `description`, `fix` and `seen_in` (the frameworks where it was
    seen) are sentences for the user. `in_file` is another reading: what the weights that were given
    seem to be where the other side is right. `fix_at` returns the fix for a half with a prefix, where
    it depends on them. `needs_mask`: it applies only to problems with a mask, `needs_dropout`: only
    to those with dropout masks.
    `freedom` is the decimal logarithm of the number of values that a number in it was chosen from,
    where that number was read off the outputs.
    """

    cause: str
    variant: str
    description: str
    fix: str
    edit: Edit
    seen_in: str = ""
    in_file: str = ""
    fix_at: Callable[[Recurrent, str], str] | None = None
    needs_mask: bool = False
    needs_dropout: bool = False
    freedom: float = 0.0

    @property
    def is_whole(self) -> bool:
        """Whether it applies to the whole layer, not to its halves."""
        return isinstance(self.edit, WHOLE_EDITS)


@dataclass(frozen=True)
class PlacedFault:
    """A fault at a location: the prefix of a half ("", "forward/", "1/"), EVERY_HALF or WHOLE."""

    fault: Fault
    location: str

    @property
    def edit(self) -> Edit:
        return self.fault.edit

    @property
    def id(self) -> FaultId:
        """The fault and its location as a value for results."""
        return FaultId(self.fault.cause, self.fault.variant, self.location)

    def fix(self, problem: Problem) -> str:
        """Return the sentence that fixes it in the problem: of the first half that it is in."""
        prefixes = self.prefixes(problem)
        if self.fault.fix_at is None or not prefixes:
            return self.fault.fix
        return self.fault.fix_at(dict(halves(problem.layer))[prefixes[0]], prefixes[0])

    def prefixes(self, problem: Problem) -> list[str]:
        """Return the prefixes of the halves in which it is injected."""
        if self.location == EVERY_HALF:
            return [prefix for prefix, _ in halves(problem.layer)]
        return [] if self.location == WHOLE else [self.location]


@dataclass(frozen=True)
class Mutant:
    """Faults that are injected together, and the outputs (float64) of the layer with them."""

    placed: tuple[PlacedFault, ...]
    outputs: tuple[Tensor, ...] = field(repr=False)

    @property
    def faults(self) -> tuple[FaultId, ...]:
        """Its faults as values for results."""
        return tuple(placed.id for placed in self.placed)

    @property
    def fault(self) -> Fault:
        """The first of its faults."""
        return self.placed[0].fault
