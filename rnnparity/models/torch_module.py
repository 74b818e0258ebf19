"""The problem of a PyTorch module. PyTorch is not imported: only the module's attributes are read."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np

from rnnparity.problem.arrays import as_array
from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import FormatError
from rnnparity.problem.keras_config import JsonObject, parse_layer
from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem
from rnnparity.subjects.torch_layers import TorchModule, unpacked

# A tensor, an array, or a PackedSequence.
TensorLike: TypeAlias = Any

# The attribute `mode` of a module -> Keras' class and activation.
MODES = {
    "RNN_TANH": ("SimpleRNN", "tanh"),
    "RNN_RELU": ("SimpleRNN", "relu"),
    "LSTM": ("LSTM", "tanh"),
    "GRU": ("GRU", "tanh"),
}
# The number of blocks in a cell's weights -> the mode of a module with the same equations.
CELL_MODES = {1: "RNN", 3: "GRU", 4: "LSTM"}
CELL_ARRAYS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def from_torch(
    module: TorchModule,
    inputs: TensorLike,
    states: TensorLike | None = None,
    *,
    id: str = "from_torch",
) -> Problem:
    """Return the problem of an nn.RNN, nn.LSTM, nn.GRU or a cell, whose outputs are the module's.

    `inputs` are what the module takes: (B, T, D) with `batch_first`, else (T, B, D), (T, D) for one
    row, or a PackedSequence, whose padding becomes the mask. `states` is `h_0` (layers * directions,
    B, H), for an LSTM `(h_0, c_0)`. Several layers are a stack, two directions a Bidirectional. An
    nn.RNNCell, nn.LSTMCell or nn.GRUCell takes (B, D) and states (B, H): it is one step of its layer.

    The problem's outputs have the axes B, T, H: the sequence, which is 0 at padded steps, and the
    last states of the last layer (Keras returns no others), forward's, then backward's.

    Raises:
        FormatError: it is no such module, it projects its states (`proj_size`) or drops values
        between its layers, or an array has a wrong shape.

    >>> import torch
    >>> module = torch.nn.GRU(4, 3, num_layers=2, bidirectional=True, batch_first=True)
    >>> problem = from_torch(module, torch.ones(2, 5, 4))
    >>> [(slot.name, slot.shape) for slot in problem.output_slots()]
    [('output', (2, 5, 6)), ('1/forward_h', (2, 3)), ('1/backward_h', (2, 3))]
    """
    if all(hasattr(module, name) for name in CELL_ARRAYS):
        module, inputs, states = _one_step(module, inputs, states)
    _check_module(module)
    x, mask = (
        _padded(inputs) if hasattr(inputs, "batch_sizes") else (_batched(module, inputs), None)
    )
    spec = _stack_spec(module, mask is not None)
    sides = [
        f"l{index}{suffix}"
        for index in range(module.num_layers)
        for suffix in ("", "_reverse")[: 1 + module.bidirectional]
    ]
    names = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if module.bias else [])]
    weights: list[Array] = []
    for side, (_, half) in zip(sides, halves(parse_layer(spec)), strict=True):
        arrays = {name: as_array(getattr(module, f"{name}_{side}")) for name in names}
        weights += unpacked(half, arrays)
    initial = None if states is None else _states(module, states, len(x))
    return Problem.from_arrays(spec, weights, x, mask, initial, id=id)


def _one_step(
    cell: TorchModule, inputs: TensorLike, states: TensorLike | None
) -> tuple[TorchModule, Array, TensorLike | None]:
    """Return a cell as a module of one layer, and its inputs and states as such a module takes them."""
    units = int(cell.weight_hh.shape[1])
    mode = CELL_MODES.get(int(cell.weight_hh.shape[0]) // units)
    if mode == "RNN":
        mode = f"RNN_{getattr(cell, 'nonlinearity', '').upper()}"
    if mode not in MODES:
        raise _not_recurrent(cell)
    arrays = {f"{name}_l0": getattr(cell, name) for name in CELL_ARRAYS}
    module = SimpleNamespace(
        mode=mode,
        hidden_size=units,
        num_layers=1,
        bidirectional=False,
        batch_first=True,
        proj_size=0,
        training=False,
        bias=arrays["bias_ih_l0"] is not None,
        **arrays,
    )
    x = np.atleast_2d(as_array(inputs))
    if x.ndim != 2:
        raise FormatError(f"inputs: got shape {x.shape}, expected (B, D), one step of a cell")
    if states is not None:
        arrays_of_states = states if isinstance(states, list | tuple) else [states]
        states = [np.atleast_2d(as_array(state))[None] for state in arrays_of_states]
    return module, x[:, None], states


def _not_recurrent(module: TorchModule) -> FormatError:
    name = type(module).__name__
    expected = "nn.RNN, nn.LSTM, nn.GRU or one of their cells"
    return FormatError(f"module: got {name}, expected {expected}")


def _check_module(module: TorchModule) -> None:
    if getattr(module, "mode", None) not in MODES or not hasattr(module, "weight_ih_l0"):
        raise _not_recurrent(module)
    if module.proj_size:
        raise FormatError(
            f"module: proj_size: got {module.proj_size}, expected 0: Keras projects no states"
        )
    if module.training and module.dropout and module.num_layers > 1:
        raise FormatError(
            f"module: dropout: got {module.dropout} between layers in training; call module.eval()"
        )


def _stack_spec(module: TorchModule, masked: bool) -> JsonObject:
    class_name, activation = MODES[module.mode]
    layers = []
    for index in range(module.num_layers):
        config = {
            "units": module.hidden_size,
            "activation": activation,
            "use_bias": module.bias,
            "return_sequences": True,
            "return_state": index == module.num_layers - 1,
            "zero_output_for_mask": masked,
            "dtype": str(module.weight_ih_l0.dtype).removeprefix("torch."),
        }
        spec: JsonObject = {"class_name": class_name, "config": config}
        if module.bidirectional:
            both = {"layer": spec, "dtype": config["dtype"]}
            spec = {"class_name": "Bidirectional", "config": both}
        layers.append(spec)
    if len(layers) == 1:
        return layers[0]
    return {"class_name": "Sequential", "config": {"layers": layers}}


def _batched(module: TorchModule, inputs: TensorLike) -> Array:
    """Return inputs as (B, T, D)."""
    x = as_array(inputs)
    if x.ndim == 2:
        return x[None]
    return x if module.batch_first or x.ndim != 3 else x.transpose(1, 0, 2)


def _padded(packed: TensorLike) -> tuple[Array, Array]:
    """Return the inputs (B, T, D) and the mask (B, T) of a PackedSequence."""
    data, sizes = as_array(packed.data), as_array(packed.batch_sizes)
    # Rows are sorted by their length; the n rows of a step follow those of the step before it.
    mask = np.arange(sizes[0])[:, None] < sizes
    x = np.zeros((*mask.T.shape, data.shape[-1]), data.dtype)
    x[mask.T] = data
    x = x.transpose(1, 0, 2)
    if packed.unsorted_indices is None:
        return x, mask
    order = as_array(packed.unsorted_indices)
    return x[order], mask[order]


def _states(module: TorchModule, states: TensorLike, batch: int) -> list[Array]:
    """Return the states (B, H) in Keras' order: layer by layer, half by half."""
    names = ("h_0", "c_0") if module.mode == "LSTM" else ("h_0",)
    given: Sequence[TensorLike] = states if isinstance(states, list | tuple) else [states]
    if len(given) != len(names):
        raise FormatError(f"states: got {len(given)}, expected {', '.join(names)}")
    arrays = [as_array(state) for state in given]
    count = module.num_layers * (1 + module.bidirectional)
    expected = (count, batch, module.hidden_size)
    for index, (name, array) in enumerate(zip(names, arrays, strict=True)):
        if array.ndim == 2 and batch == 1:
            arrays[index] = array[:, None]
        if arrays[index].shape != expected:
            raise FormatError(f"states: {name}: got shape {array.shape}, expected {expected}")
    return [array[number] for number in range(count) for array in arrays]
