"""Build Keras' layers for a problem, and call them: what all backends and exporters share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.keras_config import layer_spec
from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack, halves
from rnnparity.problem.problem import Problem
from rnnparity.subjects.keras_backend import Backend, KerasModel, KerasTensor

# A rate between 0 and 1 switches dropout on; with masks that are given, its value does not matter.
RATE = 0.5


class LayerBuilder:
    """Builds a layer, or a Sequential for a stack, for one problem.

    Weights are set afterwards, but those of constant initializers, which the layer creates itself.
    """

    def __init__(self, backend: Backend, problem: Problem) -> None:
        self.backend = backend
        self.keras = backend.keras
        self.path = backend.path
        self.problem = problem
        self.initializers = constant_initializers(problem)

    def model(self) -> KerasModel:
        """Return a built layer, or a Sequential."""
        shape = batch_shape(self.problem)
        layer = self.problem.layer
        if not isinstance(layer, Stack):
            built = self.layer(layer)
            built.build(tuple(shape))
            return built
        layers = [self.layer(inner) for inner in layer.layers]
        if self.path == "unroll":
            # The number of steps must be known when the model is built.
            shape[1] = self.problem.inputs.shape[1]
        # A Sequential casts its inputs to the type of its Input, which is float32 by default; its
        # first layer must cast them instead. (A cast also drops the mask in Keras 2.)
        inputs = self.keras.Input(batch_shape=shape, dtype=self.problem.inputs.dtype)
        return self.keras.Sequential([inputs, *layers])

    def layer(self, layer: Recurrent | Bidirectional) -> KerasModel:
        """Return a layer that is not built yet."""
        if isinstance(layer, Recurrent):
            return self.recurrent(layer)
        arguments = {"merge_mode": layer.merge_mode, "dtype": layer.dtype}
        if "backward_layer" in layer_spec(layer)["config"]:
            arguments["backward_layer"] = self.recurrent(layer.backward)
        both = self.keras.layers.Bidirectional(self.recurrent(layer.forward), **arguments)
        if self.path == "implementation1":
            # Bidirectional copies its layer by get_config, which leaves this argument out.
            both.forward_layer.cell.implementation = 1
            both.backward_layer.cell.implementation = 1
        return both

    def recurrent(self, layer: Recurrent) -> KerasModel:
        """Return a recurrent layer that is not built yet."""
        return getattr(self.keras.layers, layer.class_name)(**self.arguments(layer))

    def arguments(self, layer: Recurrent) -> dict[str, object]:
        """Return the arguments of one recurrent layer."""
        config: dict[str, object] = dict(layer_spec(layer)["config"])
        activations = self.backend.activations
        for argument in ("activation", "recurrent_activation"):
            name = config.get(argument)
            if name in activations:
                config[argument] = activations[str(name)]
        if self.path == "unroll":
            config["unroll"] = True
        if self.path == "implementation1" and layer.cell.gated:
            config["implementation"] = 1
        return config | self._initializer_arguments(layer)

    def _initializer_arguments(self, layer: Recurrent) -> dict[str, object]:
        if self.initializers is None:
            # The default, orthogonal, does not exist in bfloat16.
            return {"recurrent_initializer": "zeros"}
        constant = self.keras.initializers.Constant
        arguments = {
            "kernel_initializer": constant(self.initializers["kernel"]),
            "recurrent_initializer": constant(self.initializers["recurrent_kernel"]),
            "bias_initializer": constant(self.initializers["bias"]),
        }
        if layer.cell.initial_ones:
            arguments["unit_forget_bias"] = self.initializers["unit_forget_bias"]
        return arguments


def constant_initializers(problem: Problem) -> Mapping[str, object] | None:
    """Return the numbers of the case's constant initializers, None if its weights are set."""
    return problem.case.initializers if problem.case else None


def batch_shape(problem: Problem) -> list[int | None]:
    """Return the shape that a layer is built for: that of the case, or else (B, None, D).

    B is None too, unless the layer is stateful and must know it.
    """
    if problem.case and "batch_shape" in problem.case.expect:
        return list(problem.case.expect["batch_shape"])
    batch, _, features = problem.inputs.shape
    return [batch if problem.layer.stateful else None, None, features]


def has_implementation(layer: Layer) -> bool:
    """Whether a gated layer is inside; SimpleRNN has no argument `implementation`."""
    if isinstance(layer, Recurrent):
        return layer.cell.gated
    parts = layer.layers if isinstance(layer, Stack) else (layer.forward, layer.backward)
    return any(has_implementation(part) for part in parts)


def apply(
    model: KerasModel,
    x: KerasTensor,
    mask: KerasTensor | None,
    states: Sequence[KerasTensor] | None,
    **training: bool,
) -> object:
    """Call a layer or a Sequential; only the layers of the latter can take initial states."""
    if not hasattr(model, "layers"):
        return model(x, mask=mask, initial_state=states, **training)
    if states is None:
        return model(x, mask=mask, **training)
    remaining = list(states)
    for layer in model.layers:
        count = _state_count(layer)
        x = layer(x, mask=mask, initial_state=remaining[:count], **training)
        remaining = remaining[count:]
    return x


def flat(outputs: object) -> list[KerasTensor]:
    """Return nested outputs as a flat list."""
    if not isinstance(outputs, list | tuple):
        return [outputs]
    return [tensor for part in outputs for tensor in flat(part)]


def kept_states(model: KerasModel) -> list[KerasTensor]:
    """Return the variables in which stateful layers keep their states, in Keras' order.

    Those of layers inside a Bidirectional are not among its variables.
    """
    layers = getattr(model, "layers", [model])
    stateful = [half for layer in layers for half in _halves(layer) if half.stateful]
    return [state for half in stateful for state in half.states]


def set_weights(model: KerasModel, arrays: Sequence[Array]) -> None:
    """Set the weights; Keras' `set_weights` leaves out the states of stateful layers."""
    for variable, array in zip(model.trainable_weights, arrays, strict=True):
        variable.assign(array)


def reset_states(model: KerasModel) -> None:
    """Set the states of stateful layers to zeros."""
    for layer in getattr(model, "layers", [model]):
        if getattr(layer, "stateful", False):
            # Keras 3 has one name for it, Keras 2 the other.
            reset = layer.reset_state if hasattr(layer, "reset_state") else layer.reset_states
            reset()


def set_dropout_masks(backend: Backend, problem: Problem, model: KerasModel) -> None:
    """Give the problem's dropout masks to the cells, in place of those that Keras would draw.

    A cell keeps the masks of a call in two attributes and draws what is not there
    (keras/src/layers/rnn/dropout_rnn_cell.py); afterwards it forgets them.
    """
    arrays = {tensor.name: tensor.data for tensor in problem.dropout_masks or ()}
    layers = getattr(model, "layers", [model])
    built = [half for layer in layers for half in _halves(layer)]
    for (prefix, half), layer in zip(halves(problem.layer), built, strict=True):
        inputs, recurrent = arrays.get(f"{prefix}inputs"), arrays.get(f"{prefix}recurrent")
        cell = layer.cell
        if half.cell.gated and (recurrent is not None or (inputs is not None and len(inputs) > 1)):
            cell.implementation = 1
        # Keras 3.15 raises for a mask a gate on the way to cuDNN.
        layer.use_cudnn = False
        cell.dropout = 0.0 if inputs is None else RATE
        cell.recurrent_dropout = 0.0 if recurrent is None else RATE
        cell._dropout_mask = _cell_masks(backend, half, cell, inputs)
        cell._recurrent_dropout_mask = _cell_masks(backend, half, cell, recurrent)


def _cell_masks(backend: Backend, half: Recurrent, cell: KerasModel, mask: Array | None) -> object:
    """Return a mask as a cell keeps it: a list with one a gate, or one for all gates."""
    if mask is None:
        return None
    mask = FLOAT_TYPES[half.compute_dtype].round(mask)
    if getattr(cell, "implementation", 2) == 2:
        return backend.tensor(mask[0])
    masks = np.broadcast_to(mask, (len(half.cell.gates), *mask.shape[1:]))
    return [backend.tensor(part) for part in masks]


def _halves(layer: KerasModel) -> Iterator[KerasModel]:
    yield getattr(layer, "forward_layer", layer)
    if hasattr(layer, "backward_layer"):
        yield layer.backward_layer


def _state_count(layer: KerasModel) -> int:
    # Keras 2 has a number instead of a list where there is one state.
    return sum(np.size(half.cell.state_size) for half in _halves(layer))
