"""State dicts of PyTorch: the weights of nn.RNN, nn.LSTM and nn.GRU in place of the model's.

The outputs are what the layers compute with these weights from the model's own inputs, so that the
weights of each layer are compared by themselves, also with the gates in another order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rnnparity.models.calls import Call, Recording
from rnnparity.models.ports.port import Port
from rnnparity.models.ports.state_dict_halves import (
    Half,
    halves_of,
    is_state_dict,
    take_halves,
    why_missing,
)
from rnnparity.models.worker import limit_memory
from rnnparity.problem.arrays import as_array
from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import RequestError
from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem
from rnnparity.problem.tensor import Tensor
from rnnparity.reference import compute
from rnnparity.session.outcome import error_line
from rnnparity.subjects.torch import make
from rnnparity.subjects.torch_layers import unpacked


def read_state_dict(path: str) -> dict[str, Array]:
    """Read the tensors of a file that `torch.save` wrote; nothing in it is executed.

    Raises:
        RequestError: it is not a state dict.
    """
    torch = make("cpu").torch
    limit_memory()
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever PyTorch raises for a damaged or pickled file
        raise RequestError(
            f"{path}: cannot be loaded with weights_only=True: {error_line(error)}; save "
            "module.state_dict() with torch.save"
        ) from None
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not is_state_dict(content):
        raise RequestError(f"{path}: no weights of nn.RNN, nn.LSTM or nn.GRU in it")
    return {key: as_array(value) for key, value in content.items() if hasattr(value, "detach")}


def state_dict_port(
    name: str,
    mapping: Mapping[str, Any],
    recording: Recording,
    names: Mapping[str, str] | None = None,
) -> Port:
    """Return what the layers of a model compute with the weights of a state dict.

    Layers and modules of equal shapes belong together, in their order, unless `names` has the
    modules by "LAYER", or "LAYER/forward" and "LAYER/backward".

    Raises:
        RequestError: no layer has the shapes of a module, or a module in `names` does not fit.
    """
    unused = list(halves_of(mapping))
    tensors: list[Tensor] = []
    keys: dict[str, str] = {}
    weights: dict[str, tuple[Tensor, ...]] = {}
    missing: dict[str, Problem] = {}
    for call in recording.calls:
        if call.problem is None or call.layer in missing:
            continue
        if call.layer not in weights:
            found = take_halves(call.problem, call.layer, unused, names or {})
            if found is None:
                missing[call.layer] = call.problem
                continue
            weights[call.layer] = _converted(call.problem, found)
            keys |= _named_keys(call, found)
        tensors += _outputs(call, call.problem, weights[call.layer])
    reasons = {
        layer: why_missing(problem, layer, mapping, unused) for layer, problem in missing.items()
    }
    if not tensors:
        first = "; ".join(f"{layer}: {reason}" for layer, reason in [*reasons.items()][:1])
        raise RequestError(
            f"{name}: none of its weights have the shapes of a layer of the model; {first}"
        )
    return Port(tuple(tensors), by_name=True, isolated=True, weights=keys, reasons=reasons)


def _converted(problem: Problem, found: Sequence[Half]) -> tuple[Tensor, ...]:
    """Return the weights of halves under the names and in the layout of a layer of Keras."""
    arrays = [
        array
        for (_, half), side in zip(halves(problem.layer), found, strict=True)
        for array in unpacked(half, side.arrays)
    ]
    return tuple(
        Tensor.of(tensor.name, array, tensor.dtype)
        for tensor, array in zip(problem.weights, arrays, strict=True)
    )


def _named_keys(call: Call, found: Sequence[Half]) -> dict[str, str]:
    """Return the keys of a layer's weights by "LAYER/kernel"; the two biases are joined."""
    assert call.problem is not None  # noqa: S101 - the caller has checked it
    keys: dict[str, str] = {}
    for (prefix, half), side in zip(halves(call.problem.layer), found, strict=True):
        named = {"kernel": ["weight_ih"], "recurrent_kernel": ["weight_hh"]}
        if half.use_bias:
            named["bias"] = ["bias_ih", "bias_hh"]
        for name, parts in named.items():
            shown = [side.keys[part] for part in parts if part in side.keys]
            keys[f"{call.layer}/{prefix}{name}"] = " and ".join(shown) or "none (zeros)"
    return keys


def _outputs(call: Call, problem: Problem, weights: tuple[Tensor, ...]) -> list[Tensor]:
    """Return the outputs of a call with other weights, and the inputs that it was computed from."""
    computed = compute(replace(problem, weights=weights))
    states = problem.initial_state or ()
    return [
        Tensor(f"{call.id}/inputs", problem.inputs.data),
        *(Tensor(f"{call.id}/initial_state/{state.name}", state.data) for state in states),
        *(
            Tensor.of(f"{call.id}/{output.name}", output.data, slot.dtype)
            for output, slot in zip(computed, problem.output_slots(), strict=True)
        ),
    ]
