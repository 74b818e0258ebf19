"""The recurrent weights in a state dict, and which of them are those of a layer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnparity.problem.arrays import as_array
from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import RequestError
from rnnparity.problem.layers import Recurrent, halves
from rnnparity.problem.problem import Problem
from rnnparity.problem.text import did_you_mean, listed
from rnnparity.subjects.torch_layers import packed

# "encoder.lstm.weight_ih_l0_reverse"; a cell has no "_l0".
_KEY = re.compile(r"(?:(.*)\.)?(weight_ih|weight_hh|bias_ih|bias_hh)(?:_l(\d+)(_reverse)?)?")


@dataclass(frozen=True, eq=False)
class Half:
    """The weights of one direction of one layer of a module by PyTorch's names, and their keys."""

    module: str
    is_reverse: bool
    keys: Mapping[str, str]
    arrays: Mapping[str, Array]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [self.arrays[name].shape for name in ("weight_ih", "weight_hh")]


@dataclass(frozen=True)
class _Wanted:
    """The weights that a layer needs for one of its halves; `path` is "LAYER" or "LAYER/forward"."""

    path: str
    is_reverse: bool
    shapes: list[tuple[int, ...]]


def is_state_dict(mapping: Mapping[str, object]) -> bool:
    """Return whether a mapping has weights of PyTorch's recurrent modules."""
    return any(_KEY.fullmatch(str(key)) for key in mapping)


def halves_of(mapping: Mapping[str, Any]) -> Iterator[Half]:
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
            yield Half(module, bool(reverse), keys, arrays)


def take_halves(
    problem: Problem, layer: str, unused: list[Half], names: Mapping[str, str]
) -> list[Half] | None:
    """Remove and return the halves of a layer, None where there are none.

    They are those of the modules in `names` by "LAYER" or "LAYER/forward"; else the first with the
    layer's shapes and directions, those of its name before others.

    Raises:
        RequestError: `names` has a module that there is not, or whose weights have other shapes.
    """
    wanted = _wanted(problem, layer)
    if any(name in names for half in wanted for name in (half.path, layer)):
        found = []
        for half in wanted:
            found.append(_named(half, layer, unused, names))
            unused.remove(found[-1])
        return found
    return _first(wanted, layer, unused, names) if wanted else None


def _wanted(problem: Problem, layer: str) -> list[_Wanted]:
    """Return what a layer needs; nothing where PyTorch has no such layer."""
    weights = {tensor.name: tensor.data for tensor in problem.weights}
    parts = halves(problem.layer)
    if not all(_is_expressible(half) for _, half in parts):
        return []
    return [
        _Wanted(
            f"{layer}/{prefix}".rstrip("/"),
            prefix.endswith("backward/"),
            [packed(half, weights, prefix)[name].shape for name in ("weight_ih", "weight_hh")],
        )
        for prefix, half in parts
    ]


def _is_expressible(half: Recurrent) -> bool:
    """Whether PyTorch has such a layer: its GRU has the bias of `reset_after`."""
    return half.class_name != "GRU" or half.reset_after


def _named(wanted: _Wanted, layer: str, unused: Sequence[Half], names: Mapping[str, str]) -> Half:
    """Return the half of the module that was named, in the direction of the layer before the other."""
    module = names.get(wanted.path, names.get(layer))
    if module is None:
        raise RequestError(f"--map {wanted.path}=MODULE is missing: name the module of each half")
    of_module = [half for half in unused if half.module == module]
    fitting = [half for half in of_module if half.shapes == wanted.shapes]
    if fitting:
        return min(fitting, key=lambda half: half.is_reverse != wanted.is_reverse)
    argument = f"--map {wanted.path}={module}"
    if of_module:
        raise RequestError(f"{argument}: got {_text(of_module[0].shapes)}, {_expected(wanted)}")
    known = list(dict.fromkeys(half.module for half in unused))
    hint = did_you_mean(module, known, f"expected one of {', '.join(known) or 'none'}")
    raise RequestError(f"{argument}: no recurrent module of this name is left{hint}")


def _first(
    wanted: Sequence[_Wanted], layer: str, unused: list[Half], names: Mapping[str, str]
) -> list[Half] | None:
    free = [half for half in unused if half.module not in names.values()]
    runs = [free[start : start + len(wanted)] for start in range(len(free) - len(wanted) + 1)]
    fitting = [
        run
        for run in runs
        if all(
            half.shapes == other.shapes and half.is_reverse == other.is_reverse
            for half, other in zip(run, wanted, strict=True)
        )
    ]
    if not fitting:
        return None
    same_name = [run for run in fitting if _same_name(run[0].module, layer)]
    found = (same_name or fitting)[0]
    for half in found:
        unused.remove(half)
    return found


def _same_name(module: str, layer: str) -> bool:
    return module.rpartition(".")[2] == layer.rpartition("/")[2]


def why_missing(
    problem: Problem, layer: str, mapping: Mapping[str, Any], unused: Sequence[Half]
) -> str:
    """Return why a layer has no weights in a state dict, which keys are left, and what to do."""
    wanted = _wanted(problem, layer)
    if not wanted:
        return "PyTorch has no GRU with reset_after=False, and so the state dict no weights of it"
    reason = "no weights that are left in the state dict have its shapes and directions"
    keys = [key for half in unused for key in half.keys.values()]
    if keys:
        arguments = " ".join(f"--map {half.path}=MODULE" for half in wanted)
        needs = "; ".join(f"{half.path}: {_expected(half)}" for half in wanted)
        return f"{reason} ({needs}); keys without a layer: {listed(keys)}; name the modules: {arguments}"
    others = [str(key) for key in mapping if not _KEY.fullmatch(str(key))]
    if not others:
        return f"{reason}; all of its keys belong to other layers"
    return (
        f"{reason}; its other keys: {listed(others)}; rename those of this layer to weight_ih_l0, "
        "weight_hh_l0, bias_ih_l0 and bias_hh_l0, as in nn.LSTM, or compare its outputs (.npz)"
    )


def _expected(wanted: _Wanted) -> str:
    return f"expected {_text(wanted.shapes)}"


def _text(shapes: Sequence[tuple[int, ...]]) -> str:
    return f"weight_ih {shapes[0]} and weight_hh {shapes[1]}"
