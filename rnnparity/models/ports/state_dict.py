"""State dicts of PyTorch: the weights of nn.RNN, nn.LSTM and nn.GRU in place of the model's.

The outputs are what the layers compute with these weights from the model's own inputs, so that the
weights of each layer are compared by themselves, also with the gates in another order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnnparity.models.calls import Call, Recording
from rnnparity.models.ports.port import Port
from rnnparity.models.worker import limit_memory
from rnnparity.problem.arrays import as_array
from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import RequestError
from rnnparity.problem.layers import Recurrent, halves
from rnnparity.problem.problem import Problem
from rnnparity.problem.tensor import Tensor
from rnnparity.reference import compute
from rnnparity.session.outcome import error_line
from rnnparity.subjects.torch import make
from rnnparity.subjects.torch_layers import packed, unpacked

# "encoder.lstm.weight_ih_l0_reverse"; a cell has no "_l0".
_KEY = re.compile(r"(?:(.*)\.)?(weight_ih|weight_hh|bias_ih|bias_hh)(?:_l(\d+)(_reverse)?)?")


@dataclass(frozen=True, eq=False)
class _Half:
    """The weights of one direction of one layer of a module by PyTorch's names, and their keys."""

    module: str
    is_reverse: bool
    keys: Mapping[str, str]
    arrays: Mapping[str, Array]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [self.arrays[name].shape for name in ("weight_ih", "weight_hh")]


def is_state_dict(mapping: Mapping[str, object]) -> bool:
    """Return whether a mapping has weights of PyTorch's recurrent modules."""
    return any(_KEY.fullmatch(str(key)) for key in mapping)


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


def state_dict_port(name: str, mapping: Mapping[str, Any], recording: Recording) -> Port:
    """Return what the layers of a model compute with the weights of a state dict.

    Layers and modules of equal shapes belong together, in their order.

    Raises:
        RequestError: no layer has the shapes of a module.
    """
    unused = list(_halves_of(mapping))
    tensors: list[Tensor] = []
    keys: dict[str, str] = {}
    weights: dict[str, tuple[Tensor, ...]] = {}
    for call in recording.calls:
        if call.problem is None:
            continue
        if call.layer not in weights:
            found = _take(call.problem, call.layer, unused)
            if found is None:
                continue
            weights[call.layer] = _converted(call.problem, found)
            keys |= _named_keys(call, found)
        tensors += _outputs(call, call.problem, weights[call.layer])
    if not tensors:
        raise RequestError(f"{name}: none of its weights have the shapes of a layer of the model")
    return Port(tuple(tensors), by_name=True, weights=keys)


def _halves_of(mapping: Mapping[str, Any]) -> Iterator[_Half]:
    """Yield the halves of all modules in the order of the state dict."""
    groups: dict[tuple[str, str, str], dict[str, str]] = {}
    for key in mapping:
        matched = _KEY.fullmatch(str(key))
        if matched:
            module, name, number, reverse = matched.groups(default="")
            groups.setdefault((module, number, reverse), {})[name] = key
    for (module, _, reverse), keys in groups.items():
        if {"weight_ih", "weight_hh"} <= set(keys):
            arrays = {name: as_array(mapping[key]) for name, key in keys.items()}
            for side in ("ih", "hh"):
                arrays.setdefault(f"bias_{side}", np.zeros(len(arrays["weight_ih"]), np.float32))
            yield _Half(module, bool(reverse), keys, arrays)


def _take(problem: Problem, layer: str, unused: list[_Half]) -> list[_Half] | None:
    """Remove and return the first halves with the shapes of a layer, those of its name before others."""
    weights = {tensor.name: tensor.data for tensor in problem.weights}
    wanted = [
        ([packed(half, weights, prefix)[name].shape for name in ("weight_ih", "weight_hh")], prefix)
        for prefix, half in halves(problem.layer)
        if _is_expressible(half)
    ]
    count = len(halves(problem.layer))
    starts = [
        start
        for start in range(len(unused) - count + 1)
        if len(wanted) == count
        and all(
            half.shapes == shapes and half.is_reverse == prefix.endswith("backward/")
            for half, (shapes, prefix) in zip(unused[start : start + count], wanted, strict=True)
        )
    ]
    if not starts:
        return None
    same_name = [start for start in starts if _same_name(unused[start].module, layer)]
    start = (same_name or starts)[0]
    found = unused[start : start + count]
    del unused[start : start + count]
    return found


def _is_expressible(half: Recurrent) -> bool:
    """Whether PyTorch has such a layer: its GRU has the bias of `reset_after`."""
    return half.class_name != "GRU" or half.reset_after


def _same_name(module: str, layer: str) -> bool:
    return module.rpartition(".")[2] == layer.rpartition("/")[2]


def _converted(problem: Problem, found: Sequence[_Half]) -> tuple[Tensor, ...]:
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


def _named_keys(call: Call, found: Sequence[_Half]) -> dict[str, str]:
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
