"""The edits that a fault can be: a tagged union, one frozen dataclass for each part of a run.

| edit | changes | of |
| --- | --- | --- |
| `EditWeights` | the weights of a half | a half |
| `EditHalf` | its layer's options, its weights where those must follow, its dropout masks | a half |
| `EditCell` | its equations | a half |
| `EditRun` | its run through time, with another layer, inputs, mask or states | a half |
| `EditMaskedStep` | a step under a mask | a half |
| `EditProblem` | the problem before the run | the whole layer |
| `EditOutputs` | the outputs after the run | the whole layer |
| `EditArithmetic` | the arithmetic of the run | the whole layer |

A half is a layer, one direction of a Bidirectional, or a layer or direction in a stack. A function
of an edit returns None where the fault does not apply. Edits of the backward pass only are in
`backward_edit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from rnnparity.faults.backward_edit import WHOLE_BACKWARD_EDITS, BackwardEdit
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent, halves
from rnnparity.problem.problem import Problem
from rnnparity.reference.arithmetic import Arithmetic
from rnnparity.reference.cells import Cell

# kernel (D, G*H), recurrent_kernel (H, G*H) and, where the layer has one, bias.
Weights = Mapping[str, Array]
# A half's output, (B, T, H) or (B, H), and its states, (B, H) each.
Result = tuple[Array, list[Array]]
# A step's states and its output, (B, H) each.
StepResult = tuple[list[Array], Array]
ArrayEdit = Callable[[Array], Array]


@dataclass(frozen=True)
class Half:
    """A half before its run: its layer, and its weights by name without the half's prefix.

    `dropout` has its dropout masks, `inputs` (G or 1, B, D) and `recurrent` (G or 1, B, H), if any.
    """

    layer: Recurrent
    weights: Weights
    dropout: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class HalfRun:
    """The run of one half through time: `run()` performs it; use `replace` to change it first.

    `x` is (B, T, D), `mask` (B, T) or None, every state (B, H). `prefix` is the half's prefix in the
    whole `problem`. `first_states` are the states at the start of the first call, `previous_states`
    those at the end of the half that ran before this one, None for the first half.
    """

    problem: Problem
    prefix: str
    layer: Recurrent
    x: Array
    mask: Array | None
    states: list[Array]
    first_states: list[Array]
    previous_states: list[Array] | None
    compute: Callable[[Recurrent, Array, Array | None, list[Array]], Result]

    @property
    def has_initial_state(self) -> bool:
        return self.problem.initial_state is not None

    def run(self) -> Result:
        """Return the output and the last states."""
        return self.compute(self.layer, self.x, self.mask, self.states)


@dataclass(frozen=True)
class MaskedStep:
    """A step under a mask: `mask` (B, 1), the states and the output before it, its new states.

    `first_states` are the states before the first step.
    """

    layer: Recurrent
    mask: Array
    states: list[Array]
    output: Array
    new_states: list[Array]
    first_states: list[Array]


@dataclass(frozen=True)
class EditWeights:
    """Replace the weights of a half."""

    function: Callable[[Half], Weights | None]


@dataclass(frozen=True)
class EditHalf:
    """Replace the layer of a half, its weights where they must follow, or its dropout masks."""

    function: Callable[[Half], Half | None]


@dataclass(frozen=True)
class EditCell:
    """Replace the equations of a half. `activation`: only an activation (part, name) differs.

    The cell is one of `reference.cells`: its blocks are in the order of the engine, not of Keras,
    and the inputs are projected before the step.
    """

    function: Callable[[Cell[Array]], Cell[Array] | None]
    activation: tuple[str, str] | None = None


@dataclass(frozen=True)
class EditRun:
    """Replace the run of a half: change what enters or leaves `HalfRun.run`, or run it several times."""

    function: Callable[[HalfRun], Result | None]


@dataclass(frozen=True)
class EditMaskedStep:
    """Return other states and another output after a step under a mask."""

    function: Callable[[MaskedStep], StepResult]


@dataclass(frozen=True)
class EditProblem:
    """Replace the problem."""

    function: Callable[[Problem], Problem | None]


@dataclass(frozen=True)
class EditOutputs:
    """Replace the outputs of the layer."""

    function: Callable[[Problem, list[Array]], list[Array] | None]


def _always(_: Problem) -> bool:
    return True


def _unchanged(array: Array) -> Array:
    return array


@dataclass(frozen=True)
class EditArithmetic:
    """Compute everything in another arithmetic, where `applies`, and round the outputs.

    `dtype` names the policy that computes like this, "" if there is none.
    """

    arithmetic: Arithmetic[Array]
    dtype: str = ""
    applies: Callable[[Problem], bool] = _always
    round_output: Callable[[Array], Array] = _unchanged


Edit: TypeAlias = (
    EditWeights
    | EditHalf
    | EditCell
    | EditRun
    | EditMaskedStep
    | EditProblem
    | EditOutputs
    | EditArithmetic
    | BackwardEdit
)

# Edits of the whole layer: they have no half as their location.
WHOLE_EDITS = (EditProblem, EditOutputs, EditArithmetic, *WHOLE_BACKWARD_EDITS)
# Edits before the run: the faulty layer is a problem that any implementation can compute.
PROBLEM_EDITS = (EditWeights, EditHalf, EditProblem)


def half_of(problem: Problem, prefix: str) -> Half:
    """Return the half with that prefix."""
    layer = dict(halves(problem.layer))[prefix]
    weights = {tensor.name: tensor.data for tensor in problem.half_weights(prefix)}
    masks = {tensor.name: tensor.data for tensor in problem.half_dropout_masks(prefix)}
    return Half(layer, weights, masks)


def edit_arrays(
    names: Sequence[str],
    edit: ArrayEdit,
    class_name: str = "",
    rows: int = 0,
    applies: Callable[[Half], bool] | None = None,
) -> EditWeights:
    """Return the edit of these arrays of a half.

    It applies where the layer is of that class, its bias has so many rows, and `applies` holds.
    """

    def edited(half: Half) -> Weights | None:
        weights = half.weights
        if class_name not in ("", half.layer.class_name):
            return None
        if rows and ("bias" not in weights or weights["bias"].shape[0] != rows):
            return None
        if applies is not None and not applies(half):
            return None
        changed = {name: edit(weights[name]) for name in names if name in weights}
        return {**weights, **changed} if changed else None

    return EditWeights(edited)


def edit_block(gates: int, index: int, edit: ArrayEdit, w: Array) -> Array:
    """Return an array with one of the blocks of its last axis edited."""
    blocks = np.split(w, gates, axis=-1)
    blocks[index] = edit(blocks[index])
    return np.concatenate(blocks, axis=-1)
