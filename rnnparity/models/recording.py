"""Run a Keras model once and record every call of its recurrent layers."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from rnnparity.models.calls import Call, Note
from rnnparity.models.layers import (
    KerasLayer,
    PlacedLayer,
    inner_layers,
    is_distributed,
    is_stacked,
    kept_states,
    recurrent_layers,
    spec_of,
)
from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import FormatError, RequestError
from rnnparity.problem.layers import Layer, Stack, halves
from rnnparity.problem.problem import Problem, attached_mask
from rnnparity.problem.tensor import Tensor
from rnnparity.session.outcome import error_line
from rnnparity.subjects.functions import numbered_names
from rnnparity.subjects.keras_layers import flat

# Keras ships no types.
KerasModule: TypeAlias = Any
KerasTensor: TypeAlias = Any

KERAS_2_HARD_SIGMOID = "hard_sigmoid_keras2"


@dataclass(frozen=True, eq=False)
class Arguments:
    """What entered one call of a layer, as arrays, and what it returned."""

    inputs: Array
    mask: Array | None
    states: Sequence[Array] | None
    outputs: Sequence[Array]
    mask_ignored: bool


def record(model: KerasLayer, inputs: object) -> tuple[Call, ...]:
    """Run a model once, at inference, and return the calls of its recurrent layers in their order.

    The states of stateful layers change, as in any call of the model.

    Raises:
        RequestError: the model has no recurrent layer, or cannot be run with these inputs.
    """
    layers = recurrent_layers(model)
    if not layers:
        raise RequestError(
            f"model {model.name!r}: no recurrent layer; expected a layer derived from keras.layers.RNN"
        )
    recorder = _Recorder(sys.modules["keras"])
    with ExitStack() as stack:
        stack.enter_context(_eager(recorder.keras))
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        for placed in layers:
            stack.enter_context(_replaced(placed.layer, partial(recorder.call, placed)))
        for layer in _embeddings(model):
            stack.enter_context(_replaced(layer, partial(_checked_embedding, layer)))
        try:
            model(inputs, training=False)
        except RequestError:
            raise
        except Exception as error:  # whatever a layer may raise
            raise RequestError(
                f"model {model.name!r}: cannot be run with these inputs: {error_line(error)}"
            ) from error
    return tuple(recorder.calls)


class _Recorder:
    """The calls so far; `call` stands in for a layer's own method while the model runs."""

    def __init__(self, keras: KerasModule) -> None:
        self.keras = keras
        self.calls: list[Call] = []
        self._counts: Counter[str] = Counter()

    def call(
        self, placed: PlacedLayer, original: Callable[..., object], *args: object, **kwargs: object
    ) -> object:
        bound = inspect.signature(original).bind(*args, **kwargs).arguments
        inputs = next(iter(bound.values()))
        mask, states = bound.get("mask"), bound.get("initial_state")
        attached = attached_mask(inputs)
        if states is None:
            states = kept_states(placed.layer)
        # The variables of a stateful layer change during the call.
        initial_state = None if states is None else self._arrays(states)
        outputs = original(*args, **kwargs)
        arguments = Arguments(
            self._array(inputs),
            None if mask is None else self._array(mask),
            initial_state,
            self._arrays(outputs),
            mask_ignored=mask is None and attached is not None,
        )
        self._counts[placed.path] += 1
        self.calls.append(recorded_call(placed, self._counts[placed.path], arguments))
        return outputs

    def _array(self, tensor: KerasTensor) -> Array:
        return np.array(self.keras.ops.convert_to_numpy(tensor))

    def _arrays(self, tensors: KerasTensor) -> list[Array]:
        return [self._array(tensor) for tensor in flat(tensors)]


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
    if call.problem is None or not version.startswith("2."):
        return call
    activations = {
        name
        for _, half in halves(call.problem.layer)
        for name in (half.activation, half.recurrent_activation if half.cell.gated else "")
    }
    if "hard_sigmoid" not in activations:
        return call
    return replace(call, notes=(*call.notes, Note.HARD_SIGMOID_KERAS_2))


def _embeddings(layer: KerasLayer) -> Iterator[KerasLayer]:
    """Yield the Embedding layers at any depth."""
    for inner in inner_layers(layer):
        if type(inner).__name__ == "Embedding":
            yield inner
        else:
            yield from _embeddings(inner)


def _checked_embedding(
    layer: KerasLayer, original: Callable[..., object], *args: object, **kwargs: object
) -> object:
    """Check the ids before an Embedding looks them up: some backends return zeros for any id."""
    ids = np.asarray(
        sys.modules["keras"].ops.convert_to_numpy(args[0] if args else kwargs["inputs"])
    )
    low, high = int(ids.min(initial=0)), int(ids.max(initial=0))
    if low < 0 or high >= layer.input_dim:
        worst = low if low < 0 else high
        raise RequestError(
            f"inputs of layer {layer.name!r}: got id {worst}, expected ids from 0 to "
            f"{layer.input_dim - 1} (input_dim={layer.input_dim})"
        )
    return original(*args, **kwargs)


@contextmanager
def _replaced(layer: KerasLayer, call: Callable[..., object]) -> Iterator[None]:
    """Let `call(original, *args, **kwargs)` stand in for a layer's method `call`.

    The attribute is set past Keras, which would track it.
    """
    before = vars(layer).get("call")
    object.__setattr__(layer, "call", partial(call, layer.call))
    try:
        yield
    finally:
        object.__delattr__(layer, "call")
        if before is not None:
            object.__setattr__(layer, "call", before)


@contextmanager
def _eager(keras: KerasModule) -> Iterator[None]:
    """Run functions of TensorFlow eagerly, so that there are numbers, and keep errors as raised."""
    filtering = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()
    tf = sys.modules.get("tensorflow") if keras.backend.backend() == "tensorflow" else None
    eagerly = tf is not None and tf.config.functions_run_eagerly()
    if tf is not None:
        tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        if tf is not None:
            tf.config.run_functions_eagerly(eagerly)
        if filtering:
            keras.config.enable_traceback_filtering()
