"""The edits of the backward pass that a fault can be; the forward pass stays as it is.

| edit | changes | of |
| --- | --- | --- |
| `EditBetweenSteps` | what flows back through the states between two steps | a half |
| `EditBackwardCell` | what flows back inside a step | a half |
| `EditBackwardMaskedStep` | what flows back through a step under a mask | a half |
| `EditHalfGradients` | the gradients of a half | a half |
| `EditCotangents` | the cotangents before the backward pass | the whole layer |
| `EditGradients` | the gradients after the backward pass | the whole layer |
| `EditTrainingStep` | the weights after a training step | the whole layer |

A function of an edit returns None where the fault does not apply.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rnnparity.faults.training_run import TrainingRun
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent
from rnnparity.problem.problem import Problem
from rnnparity.reference.cells import Cell
from rnnparity.reference.gradients.taped_array import TapedArray

# A number that gets a gradient, and what it gets of it.
Target: TypeAlias = tuple[TapedArray, Callable[[Array], Array]]
# Which steps are used (B, 1), a state before the step and that which the cell returned.
Rewiring = Callable[[Array, TapedArray, TapedArray], Sequence[Target]]
# The gradients of a half by name, see `BackwardUnroller.half_gradients`; the last axes are those of
# the array.
Gradients = dict[str, Array]


@dataclass(frozen=True)
class EditBetweenSteps:
    """Replace the states (B, H) that enter a step, with the same values.

    The function gets the number of steps that were processed before, `first` or more.
    """

    function: Callable[[int, list[TapedArray]], list[TapedArray] | None]
    first: int = 1


@dataclass(frozen=True)
class EditBackwardCell:
    """Replace the cell of a half by one that gives the same values."""

    function: Callable[[Recurrent, Cell[TapedArray]], Cell[TapedArray] | None]


@dataclass(frozen=True)
class EditBackwardMaskedStep:
    """Let the gradients of the states, or of the output, after a step flow to other targets."""

    states: Rewiring | None = None
    output: Rewiring | None = None


@dataclass(frozen=True)
class EditHalfGradients:
    """Replace the gradients of a half."""

    function: Callable[[Recurrent, Gradients], Gradients | None]


@dataclass(frozen=True)
class EditCotangents:
    """Replace the cotangents of the outputs, in the order of these."""

    function: Callable[[Problem, list[Array]], list[Array] | None]


@dataclass(frozen=True)
class EditGradients:
    """Replace all gradients, by the names of their slots."""

    function: Callable[[Problem, Gradients], Gradients | None]


@dataclass(frozen=True)
class EditTrainingStep:
    """Replace the weights after a training step, in the order of the problem's weights."""

    function: Callable[[TrainingRun], list[Array] | None]


BackwardEdit: TypeAlias = (
    EditBetweenSteps
    | EditBackwardCell
    | EditBackwardMaskedStep
    | EditHalfGradients
    | EditCotangents
    | EditGradients
    | EditTrainingStep
)
WHOLE_BACKWARD_EDITS = (EditCotangents, EditGradients, EditTrainingStep)


def detached(x: TapedArray) -> TapedArray:
    """Return a number with the same value, through which nothing flows back."""
    return TapedArray(x.value, x.arithmetic)


def rewired(x: TapedArray, *targets: Target) -> TapedArray:
    """Return a number with the value of x, whose gradient flows to the targets instead."""

    def back(gradient: Array) -> None:
        for target, edit in targets:
            target.add_gradient(edit(gradient))

    return TapedArray(x.value, x.arithmetic, back)


def unchanged(gradient: Array) -> Array:
    """Return what flows back as it is."""
    return gradient
