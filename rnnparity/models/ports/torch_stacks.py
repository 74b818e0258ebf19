"""The layers inside of an nn.RNN, nn.LSTM or nn.GRU with `num_layers` > 1, which returns only the last.

Each layer is run by PyTorch as a module of one layer that has its weights, from what the layer before
it returned, so that a port shows every layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from rnnparity.problem.errors import RequestError

# The module `torch`, its modules and its values: their types are not checked.
Torch: TypeAlias = Any
TorchModule: TypeAlias = Any
TorchValue: TypeAlias = Any


def inner_outputs(
    torch: Torch,
    module: TorchModule,
    args: Sequence[TorchValue],
    kwargs: Mapping[str, TorchValue],
    output: TorchValue,
) -> list[TorchValue]:
    """Return what each layer but the last returns, sequence and states, in a call of a module.

    `args` and `kwargs` are those of the call, `output` is what the module returned. The list is empty
    for other modules, and where the layers do not lead to `output`: the module computes otherwise.
    """
    if not is_stack(torch, module):
        return []
    sequence, states = _arguments(*args, **kwargs)
    outputs = list(_run(torch, module, sequence, states))
    *inner, last = outputs
    return inner if _same(torch, last[0], output[0]) else []


def is_stack(torch: Torch, module: TorchModule) -> bool:
    """Return whether a module is a recurrent one with several layers."""
    return isinstance(module, torch.nn.RNNBase) and module.num_layers > 1


def check_not_projected(torch: Torch, name: str, module: TorchModule) -> None:
    """Check that no submodule projects its states.

    Raises:
        RequestError: one does, so that it is no layer of Keras.
    """
    for path, inner in module.named_modules():
        if isinstance(inner, torch.nn.RNNBase) and inner.proj_size:
            raise RequestError(
                f"{name}: {path or 'module'}: proj_size: got {inner.proj_size}, expected 0: Keras "
                "projects no states"
            )


def _arguments(input: TorchValue, hx: TorchValue = None) -> tuple[TorchValue, TorchValue]:
    """Return the arguments of a recurrent module, by PyTorch's names."""
    return input, hx


def _run(
    torch: Torch, module: TorchModule, sequence: TorchValue, states: TorchValue
) -> Iterator[TorchValue]:
    """Yield the outputs of the layers in their order."""
    directions = 1 + module.bidirectional
    for index in range(module.num_layers):
        part = slice(index * directions, (index + 1) * directions)
        if states is None:
            start = None
        elif isinstance(states, tuple):
            start = tuple(state[part] for state in states)
        else:
            start = states[part]
        output = _layer(torch, module, index)(sequence, start)
        yield output
        sequence = output[0]


def _layer(torch: Torch, module: TorchModule, index: int) -> TorchModule:
    """Return a layer of a module as a module of one layer."""
    first = module.weight_ih_l0
    arguments: dict[str, object] = {
        "bias": module.bias,
        "batch_first": module.batch_first,
        "bidirectional": module.bidirectional,
        "device": first.device,
        "dtype": first.dtype,
    }
    name, _, nonlinearity = module.mode.partition("_")
    if nonlinearity:
        arguments["nonlinearity"] = nonlinearity.lower()
    features = getattr(module, f"weight_ih_l{index}").shape[1]
    layer = getattr(torch.nn, name)(features, module.hidden_size, **arguments)
    for own, parameter in layer.named_parameters():
        parameter.copy_(getattr(module, own.replace("_l0", f"_l{index}")))
    return layer


def _same(torch: Torch, actual: TorchValue, expected: TorchValue) -> bool:
    """Return whether two sequences, packed or not, are equal but for rounding."""
    if isinstance(actual, torch.nn.utils.rnn.PackedSequence):
        actual, expected = actual.data, expected.data
    return actual.shape == expected.shape and bool(
        torch.allclose(actual, expected, rtol=1e-3, atol=1e-4, equal_nan=True)
    )
