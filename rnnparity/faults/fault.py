"""What a fault is: one named way to get a recurrent layer wrong, as small edits of a reference run.

A fault strikes one half (a layer, one direction of a Bidirectional, one layer of a stack), every
half alike, or the layer as a whole. It edits what it must and no more; what it does not fit it
leaves alone, and says so by giving None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent, halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import FaultId
from rnnparity.reference.arithmetic import Arithmetic
from rnnparity.reference.cells import Cell

Weights = Mapping[
    str, Array
]  # kernel (D, G*H), recurrent_kernel (H, G*H) and, where there is one, bias
Result = tuple[Any, list[Any]]  # a half's output, (B, T, H) or (B, H), and its states (B, H)

WHOLE, EVERY = "whole", "every half"


@dataclass(frozen=True)
class Half:
    """A half as it is about to run: its configuration and its weights by name, without the half's
    prefix."""

    layer: Recurrent
    weights: Weights


@dataclass(frozen=True)
class HalfRun:
    """A half's run, to be done otherwise: what it reads, x (B, T, D), mask (B, T) or None, states
    (B, H) each.

    `place` is the half's prefix, `calls` counts the calls of the whole run. `first` are the states
    of its first call; `started`: the problem gives them. `earlier` are the states that the half
    before this one has left.
    """

    place: str
    calls: int
    layer: Recurrent
    x: Any
    mask: Array | None
    states: list[Any]
    first: list[Any]
    started: bool
    earlier: list[Any] | None
    run: Callable[[Any, Array | None, list[Any]], Result]

    def as_it_is(self) -> Result:
        """The run as it should be."""
        return self.run(self.x, self.mask, self.states)


@dataclass(frozen=True)
class MaskedStep:
    """A step under a mask, to be taken otherwise: `chosen` (B, 1), the states and the output
    before, the new states.

    `start` are the states of the first step.
    """

    layer: Recurrent
    chosen: Array
    states: list[Any]
    output: Any
    new: list[Any]
    start: list[Any]


@dataclass(frozen=True, eq=False)
class Fault:
    """One fault; each edit gives None where the fault does not fit.

    `cause` is its name in every report, `variant` tells it from its siblings. The edits: `problem` of
    the problem as a whole, `half` of a half before the run, `cell` of its equations, `around` of
    its run through time, `masked` of a step under a mask, which gives the states and the output
    after it, `outputs` of what the layer gives in the end. `arithmetic` computes everything in
    another one. `needs_mask`: it is a fault where there is a mask alone. `freedom`: the decimal
    logarithm of how many siblings it was chosen from, where a number was read off the outputs.
    """

    cause: str
    variant: str
    description: str
    fix: str
    seen_in: str = ""
    needs_mask: bool = False
    problem: Callable[[Problem], Problem | None] | None = None
    half: Callable[[Half], Half | None] | None = None
    cell: Callable[[Cell], Cell | None] | None = None
    around: Callable[[HalfRun], Result | None] | None = None
    masked: Callable[[MaskedStep], tuple[list[Any], Any]] | None = None
    outputs: Callable[[Problem, list[Any]], list[Any] | None] | None = None
    arithmetic: Arithmetic | None = None
    freedom: float = 0.0

    @property
    def strikes_whole(self) -> bool:
        """Whether it has no place of its own."""
        return self.problem is not None or self.outputs is not None or self.arithmetic is not None


@dataclass(frozen=True)
class PlacedFault:
    """A fault in its place: the prefix of the half that it strikes ("", "forward/", "1/"), EVERY or
    WHOLE."""

    fault: Fault
    place: str

    @property
    def id(self) -> FaultId:
        """The fault and its location as a value for results."""
        return FaultId(self.fault.cause, self.fault.variant, self.place)

    @property
    def name(self) -> str:
        where = "" if self.place in ("", WHOLE) else f" ({self.place.rstrip('/')})"
        return f"{self.fault.cause}: {self.fault.variant}{where}"

    def prefixes(self, problem: Problem) -> list[str]:
        """The halves that it strikes."""
        every = [prefix for prefix, _ in halves(problem.layer)]
        return every if self.place == EVERY else [] if self.place == WHOLE else [self.place]


@dataclass(frozen=True)
class Mutant:
    """One fault in its place, or several at once, with the outputs (float64) that the layer gives
    under them."""

    placed: tuple[PlacedFault, ...]
    outputs: tuple[Tensor, ...] = field(repr=False)

    @property
    def fault(self) -> Fault:
        """The first of its faults."""
        return self.placed[0].fault

    @property
    def cause(self) -> str:
        return " + ".join(dict.fromkeys(placed.fault.cause for placed in self.placed))

    @property
    def name(self) -> str:
        return " + ".join(placed.name for placed in self.placed)


def half_of(problem: Problem, prefix: str) -> Half:
    """The half with that prefix."""
    layer = dict(halves(problem.layer))[prefix]
    # A half's own tensors are those under its prefix, and under none further.
    own = {
        t.name.removeprefix(prefix): t.data for t in problem.weights if t.name.startswith(prefix)
    }
    return Half(layer, {name: data for name, data in own.items() if "/" not in name})
