"""From a recorded call of a Keras layer to a problem with its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rnnparity.models.calls import Call, Note
from rnnparity.models.keras_2 import is_keras_2
from rnnparity.models.layers import (
    KerasLayer,
    PlacedLayer,
    is_cell,
    is_distributed,
    is_stacked,
    spec_of,
)
from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import FormatError
from rnnparity.problem.layers import Layer, Stack, halves
from rnnparity.problem.problem import Problem
from rnnparity.problem.tensor import Tensor
from rnnparity.session.outcome import error_line
from rnnparity.subjects.user_arrays import numbered_names


@dataclass(frozen=True, eq=False)
class Arguments:
    """What entered one call of a layer, as arrays, and what it returned."""

    inputs: Array
    mask: Array | None
    states: Sequence[Array] | None
    outputs: Sequence[Array]
    mask_ignored: bool


def recorded_call(placed: PlacedLayer, number: int, arguments: Arguments) -> Call:
    """Return a call as a problem with the layer's weights, or with the reason why it is none."""
    mask, layer = arguments.mask, placed.layer
    call = Call(
        placed.path,
        type(layer).__name__,
        number,
        arguments.inputs.shape,
        None if mask is None else mask.shape,
        arguments.outputs[0].shape,
        notes=(Note.MASK_IGNORED,) if arguments.mask_ignored else (),
    )
    try:
        problem, outputs = _problem(layer, arguments, call.id)
    except FormatError as error:
        return replace(call, reason=str(error))
    except Exception as error:  # whatever a custom layer's methods may raise
        return replace(call, reason=error_line(error))
    return replace(call, problem=problem, outputs=outputs)


def _problem(
    layer: KerasLayer, arguments: Arguments, id: str
) -> tuple[Problem, tuple[Tensor, ...]]:
    """Return the problem of a call, and its outputs under the names that the problem gives them."""
    if is_distributed(layer):
        return _problem(layer.layer, _with_larger_batch(layer, arguments), id)
    inputs, mask = arguments.inputs, arguments.mask
    if is_cell(layer):
        inputs = inputs[:, None]
    if is_stacked(layer) and layer.go_backwards:
        inputs, mask = inputs[:, ::-1], None if mask is None else mask[:, ::-1]
    weights, states = layer.get_weights(), arguments.states
    problem = Problem.from_arrays(
        spec_of(layer), weights, inputs, mask, None if states is None else list(states), id=id
    )
    outputs = _returned(problem.layer, arguments.outputs)
    names = numbered_names([slot.name for slot in problem.output_slots()], len(outputs))
    return problem, tuple(map(Tensor, names, outputs))


def _returned(layer: Layer, outputs: Sequence[Array]) -> Sequence[Array]:
    """Return the outputs of a layer; of a stack's states only those of its last layer."""
    if not isinstance(layer, Stack) or not layer.return_state:
        return outputs
    *_, last = layer.layers
    return [outputs[0], *outputs[len(outputs) - len(last.states) :]]


def _with_larger_batch(layer: KerasLayer, arguments: Arguments) -> Arguments:
    """Return what enters a TimeDistributed as its layer gets it: (B, S, T, D) as (B*S, T, D)."""
    if getattr(layer.layer, "stateful", False):
        raise FormatError(
            "layer.layer.config.stateful: got true, expected false in TimeDistributed"
        )
    mask = arguments.mask
    return replace(
        arguments,
        inputs=_joined(arguments.inputs),
        mask=None if mask is None else _joined(mask),
        outputs=[_joined(output) for output in arguments.outputs],
    )


def _joined(array: Array) -> Array:
    """Return an array with its first two axes as one."""
    batch, steps, *rest = array.shape
    return array.reshape(batch * steps, *rest)


def with_keras_version(call: Call, version: str) -> Call:
    """Return a call with what the version of Keras that saved the model means for it."""
    if call.problem is None or not is_keras_2(version):
        return call
    activations = {
        name
        for _, half in halves(call.problem.layer)
        for name in (half.activation, half.recurrent_activation if half.cell.gated else "")
    }
    if "hard_sigmoid" not in activations:
        return call
    return replace(call, notes=(*call.notes, Note.HARD_SIGMOID_KERAS_2))
