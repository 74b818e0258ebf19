"""Run a Keras model once and record every call of its recurrent layers."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from rnnparity.models.calls import Call, Recording
from rnnparity.models.conversion import Arguments, recorded_call
from rnnparity.models.inputs import input_names
from rnnparity.models.layers import (
    KerasLayer,
    PlacedLayer,
    kept_states,
    layers_of_class,
    recurrent_layers,
)
from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import RequestError
from rnnparity.problem.live_layer import attached_mask
from rnnparity.problem.tensor import Tensor
from rnnparity.session.outcome import error_line, is_out_of_memory
from rnnparity.subjects.keras_layers import flat

# Keras ships no types.
KerasModule: TypeAlias = Any
KerasTensor: TypeAlias = Any

# Why a call cannot be recorded, where a backend cannot convert its tensors.
NO_NUMBERS = "called inside a compiled or vectorized function, where there are no numbers"


def record(model: KerasLayer, inputs: object) -> Recording:
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
        for layer in layers_of_class(model, "Embedding"):
            stack.enter_context(_replaced(layer, partial(_checked_embedding, layer)))
        try:
            outputs = _run(model, inputs)
        except RequestError:
            raise
        except Exception as error:  # whatever a layer may raise
            reason = _failure(model, inputs, error)
            raise RequestError(
                f"model {model.name!r}: cannot be run with these inputs: {reason}"
            ) from error
    return Recording(
        tuple(recorder.calls),
        _named(input_names(model), _leaves(inputs)),
        _named((), recorder.arrays(recorder.keras.tree.flatten(outputs))),
    )


def _failure(model: KerasLayer, inputs: object, error: Exception) -> str:
    """Return why a model cannot be run with inputs, and what to do."""
    if is_out_of_memory(error):
        return "out of memory; use fewer rows or steps"
    tensors = _named(input_names(model), _leaves(inputs))
    rows = {tensor.name: tensor.shape[0] for tensor in tensors if tensor.shape}
    if len(set(rows.values())) > 1:
        counts = ", ".join(f"{name}: {count}" for name, count in rows.items())
        return f"they have unequal numbers of rows ({counts}); use as many rows of each"
    return error_line(error)


def _named(names: Sequence[str], arrays: Sequence[object]) -> tuple[Tensor, ...]:
    surplus = [str(index) for index in range(len(names), len(arrays))]
    return tuple(map(Tensor, [*names, *surplus], map(np.asarray, arrays)))


def _leaves(inputs: object) -> list[object]:
    """Return the arrays in inputs: one, a list of them or a mapping."""
    if isinstance(inputs, Mapping):
        return list(inputs.values())
    return list(inputs) if isinstance(inputs, list | tuple) else [inputs]


def _run(model: KerasLayer, inputs: object) -> KerasTensor:
    """Call a model; a mapping by the names of its arguments fills them."""
    if isinstance(inputs, Mapping) and set(inputs) <= set(inspect.signature(model.call).parameters):
        return model(**inputs, training=False)
    return model(inputs, training=False)


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
        # Cells have `states` in its place.
        states = bound.get("initial_state", bound.get("states"))
        if states is None:  # the variables of a stateful layer, which change during the call
            kept = kept_states(placed.layer)
            states = None if kept is None else self.arrays(kept)
        outputs = original(*args, **kwargs)
        self._counts[placed.path] += 1
        number = self._counts[placed.path]
        inputs, mask = next(iter(bound.values())), bound.get("mask")
        try:
            arguments = self._arguments(inputs, mask, states, outputs)
        except Exception:  # whatever a backend raises for a tensor without numbers
            name = type(placed.layer).__name__
            call = Call(placed.path, name, number, (), None, (), reason=NO_NUMBERS)
        else:
            call = recorded_call(placed, number, arguments)
        self.calls.append(call)
        return outputs

    def _arguments(
        self,
        inputs: KerasTensor,
        mask: KerasTensor | None,
        states: KerasTensor | None,
        outputs: KerasTensor,
    ) -> Arguments:
        return Arguments(
            self._array(inputs),
            None if mask is None else self._array(mask),
            None if states is None else self.arrays(states),
            self.arrays(outputs),
            mask_ignored=mask is None and states is not None and attached_mask(inputs) is not None,
        )

    def _array(self, tensor: KerasTensor) -> Array:
        return np.array(self.keras.ops.convert_to_numpy(tensor))

    def arrays(self, tensors: KerasTensor) -> list[Array]:
        return [self._array(tensor) for tensor in flat(tensors)]


def _checked_embedding(
    layer: KerasLayer, original: Callable[..., object], *args: object, **kwargs: object
) -> object:
    """Check the ids before an Embedding looks them up: some backends return zeros for any id."""
    ids = np.asarray(
        sys.modules["keras"].ops.convert_to_numpy(args[0] if args else kwargs["inputs"])
    )
    if ids.dtype.kind == "f" and not np.array_equal(ids, np.trunc(ids)):  # nor does NaN
        other = ids[ids != np.trunc(ids)].flat[0]
        raise RequestError(f"inputs of layer {layer.name!r}: got id {other:g}, expected whole ids")
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
