"""Keras' layers as PyTorch's modules nn.RNN, nn.LSTM and nn.GRU.

PyTorch's weights are (G*H, D) where Keras has (D, G*H), the GRU's gates are r, z, n where Keras has
z, r, h, and every layer has two biases:
https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html, .GRU.html, .RNN.html.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array, widened
from rnnparity.problem.layers import Bidirectional, Recurrent
from rnnparity.problem.problem import Problem
from rnnparity.subjects.calls import layers_of

# PyTorch's types are not checked: mypy must give the same answer where it is not installed.
Torch: TypeAlias = Any  # the module `torch`
TorchModule: TypeAlias = Any  # an nn.Module
TorchTensor: TypeAlias = Any

MODULES = {"SimpleRNN": "RNN", "LSTM": "LSTM", "GRU": "GRU"}
# A half's prefix under Keras' names, and the end of the names of its weights under PyTorch's.
ONE_DIRECTION = (("", ""),)
TWO_DIRECTIONS = (("forward/", ""), ("backward/", "_reverse"))


class TorchLayers:
    """Modules by the shape of their layer; their weights are those of the latest problem."""

    def __init__(self, torch: Torch, device: str) -> None:
        self.torch = torch
        self.device = device
        self.modules: dict[tuple[object, ...], TorchModule] = {}

    def of(self, problem: Problem) -> list[tuple[Recurrent | Bidirectional, TorchModule]]:
        """Return the layers of a problem, each with its module, which holds its weights."""
        weights = {tensor.name: tensor.data for tensor in problem.weights}
        return [
            (layer, self.module(layer, weights, prefix)) for prefix, layer in layers_of(problem)
        ]

    def run(
        self,
        layer: Recurrent | Bidirectional,
        module: TorchModule,
        x: TorchTensor,
        lengths: TorchTensor | None,
        states: Sequence[TorchTensor] | None,
    ) -> tuple[list[TorchTensor], list[TorchTensor]]:
        """Return a layer's outputs without states, and its last states (B, H) in Keras' order.

        `x` is (B, T, D), `lengths` (B,) the number of used steps of each row, `states` (B, H) each.
        """
        half = first_half(layer)
        x = x.to(self.dtype(half))
        if half.go_backwards:
            x = x.flip(1)
        start = None if states is None else self._start(half, states)
        y, ends = self._packed_run(module, x, lengths, start)
        directions = [[end[side] for end in ends] for side in range(ends[0].shape[0])]
        last = [state for direction in directions for state in direction]
        if isinstance(layer, Bidirectional):
            if layer.return_sequences:
                both = (y[..., : half.units], y[..., half.units :])
            else:
                both = (directions[0][0], directions[1][0])
            return self._merged(layer.merge_mode, *both), last
        return [y if layer.return_sequences else last[0]], last

    def tensor(self, array: Array) -> TorchTensor:
        """Return an array as a tensor on the device; bfloat16, which cannot be read, as float32."""
        # PyTorch takes no arrays that run backwards in memory, as a reversed view does.
        return self.torch.tensor(np.ascontiguousarray(widened(array)), device=self.device)

    def dtype(self, half: Recurrent) -> object:
        """Return PyTorch's type in which a layer computes."""
        return getattr(self.torch, half.compute_dtype)

    def _packed_run(
        self, module: TorchModule, x: TorchTensor, lengths: TorchTensor | None, start: object
    ) -> tuple[TorchTensor, list[TorchTensor]]:
        """Return a module's outputs (B, T, ...) and its last states (directions, B, H)."""
        if lengths is None:
            y, ends = module(x, start)
        else:
            packing = self.torch.nn.utils.rnn
            packed_x = packing.pack_padded_sequence(x, lengths, True, enforce_sorted=False)
            y, ends = module(packed_x, start)
            y, _ = packing.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
        return y, list(ends) if isinstance(ends, tuple) else [ends]

    def module(
        self, layer: Recurrent | Bidirectional, weights: Mapping[str, Array], prefix: str = ""
    ) -> TorchModule:
        """Return the module of a layer with these weights, whose names begin with `prefix`."""
        half = first_half(layer)
        directions = TWO_DIRECTIONS if isinstance(layer, Bidirectional) else ONE_DIRECTION
        features = weights[f"{prefix}{directions[0][0]}kernel"].shape[0]
        # Layers of different prefixes have their own modules, however alike the layers are.
        key = (
            prefix,
            half.class_name,
            features,
            half.units,
            half.use_bias,
            half.activation,
            half.compute_dtype,
            len(directions),
        )
        if key not in self.modules:
            self.modules[key] = self._new_module(half, features, len(directions) == 2)
        module = self.modules[key]
        for side, suffix in directions:
            for name, array in packed(half, weights, prefix + side).items():
                rounded = FLOAT_TYPES[half.compute_dtype].round(array)
                getattr(module, f"{name}_l0{suffix}").copy_(self.tensor(rounded))
        return module

    def _new_module(self, half: Recurrent, features: int, bidirectional: bool) -> TorchModule:
        arguments: dict[str, object] = {
            "batch_first": True,
            "bias": half.use_bias,
            "bidirectional": bidirectional,
            "device": self.device,
            "dtype": self.dtype(half),
        }
        if half.class_name == "SimpleRNN":
            arguments["nonlinearity"] = half.activation
        return getattr(self.torch.nn, MODULES[half.class_name])(features, half.units, **arguments)

    def _start(self, half: Recurrent, states: Sequence[TorchTensor]) -> object:
        """Return Keras' states, half by half, as (directions, B, H) each."""
        tensors = [state.to(self.dtype(half)) for state in states]
        count = len(half.states)
        stacked = [self.torch.stack(tensors[n::count]) for n in range(count)]
        return tuple(stacked) if count > 1 else stacked[0]

    def _merged(self, mode: str | None, y: TorchTensor, y_rev: TorchTensor) -> list[TorchTensor]:
        if mode is None:
            return [y, y_rev]
        if mode == "concat":
            return [self.torch.cat([y, y_rev], -1)]
        if mode == "mul":
            return [y * y_rev]
        total = y + y_rev
        return [total / 2 if mode == "ave" else total]


def first_half(layer: Recurrent | Bidirectional) -> Recurrent:
    """Return the layer, or the forward half of a Bidirectional."""
    return layer.forward if isinstance(layer, Bidirectional) else layer


def packed(half: Recurrent, weights: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """Return a half's weights under PyTorch's names and in its layout, (G*H, D) and (G*H,)."""
    kernel = _gates(half, weights[f"{prefix}kernel"])
    recurrent_kernel = _gates(half, weights[f"{prefix}recurrent_kernel"])
    arrays = {"weight_ih": kernel.T, "weight_hh": recurrent_kernel.T}
    if half.use_bias:
        rows = np.atleast_2d(weights[f"{prefix}bias"])
        second = rows[1] if len(rows) > 1 else np.zeros_like(rows[0])
        arrays["bias_ih"] = _gates(half, rows[0])
        arrays["bias_hh"] = _gates(half, second)
    return arrays


def unpacked(half: Recurrent, arrays: Mapping[str, Array]) -> list[Array]:
    """Return a half's weights in Keras' order and layout, from those that `packed` returns.

    Where Keras has one row of biases it is the sum of PyTorch's two.
    """
    weights = [_gates(half, arrays[name].T) for name in ("weight_ih", "weight_hh")]
    if half.use_bias:
        rows = [_gates(half, arrays[name].astype(np.float64)) for name in ("bias_ih", "bias_hh")]
        weights.append(np.stack(rows) if half.bias_rows == 2 else rows[0] + rows[1])
    return weights


def weight_gradients(
    layer: Recurrent | Bidirectional, gradients: Mapping[str, Array]
) -> list[Array]:
    """Return the gradients of a module's parameters in Keras' order and layout."""
    if not has_second_bias(first_half(layer)):  # Keras' one bias is PyTorch's first
        gradients = {
            name: np.zeros_like(array) if name.startswith("bias_hh") else array
            for name, array in gradients.items()
        }
    return module_weights(layer, gradients)


def module_weights(layer: Recurrent | Bidirectional, arrays: Mapping[str, Array]) -> list[Array]:
    """Return the parameters of a module, by name, in Keras' order and layout."""
    half = first_half(layer)
    weights = []
    for _, suffix in TWO_DIRECTIONS if isinstance(layer, Bidirectional) else ONE_DIRECTION:
        names = ["weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if half.use_bias else ())]
        weights += unpacked(half, {name: arrays[f"{name}_l0{suffix}"] for name in names})
    return weights


def trained_parameters(layer: Recurrent | Bidirectional, module: TorchModule) -> list[TorchTensor]:
    """Return the parameters of a module that Keras has too."""
    return [
        parameter
        for name, parameter in module.named_parameters()
        if has_second_bias(first_half(layer)) or not name.startswith("bias_hh")
    ]


def has_second_bias(half: Recurrent) -> bool:
    """Whether Keras too has a bias beside the recurrent kernel."""
    return half.bias_rows > 1


def _gates(half: Recurrent, array: Array) -> Array:
    """Return blocks along the last axis in PyTorch's order, or back: the GRU's are r, z, n."""
    if half.class_name != "GRU":
        return array
    z, r, h = np.split(array, 3, axis=-1)
    return np.concatenate([r, z, h], axis=-1)
