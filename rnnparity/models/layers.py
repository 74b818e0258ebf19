"""Recurrent layers inside a Keras model: where they are, and what they are as one layer here.

Layers are recognized by the names of their classes, so that no framework is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from rnnparity.problem.cells import CELLS
from rnnparity.problem.errors import LayerError
from rnnparity.problem.keras_config import JsonObject
from rnnparity.subjects.keras_layers import flat

# Keras ships no types.
KerasLayer: TypeAlias = Any

# Cells, which a custom layer may call step by step.
_CELLS = {f"{name}Cell": name for name in CELLS}
# Options that an RNN layer adds to those of its cell.
_OPTIONS = ("return_sequences", "return_state", "go_backwards", "stateful", "zero_output_for_mask")


@dataclass(frozen=True)
class PlacedLayer:
    """A layer of a model and its path there ("encoder/lstm")."""

    path: str
    layer: KerasLayer


def recurrent_layers(model: KerasLayer) -> list[PlacedLayer]:
    """Return every recurrent layer at any depth, each once; a model may be one itself."""
    if is_recurrent(model):
        return [PlacedLayer(model.name, model)]
    return list(_inside(model, "", set()))


def inner_layers(layer: KerasLayer) -> list[KerasLayer]:
    """Return the layers directly inside a layer, those in its attributes and lists included."""
    return list(layer._flatten_layers(include_self=False, recursive=False))


def layers_of_class(layer: KerasLayer, class_name: str) -> Iterator[KerasLayer]:
    """Yield the layers of a class at any depth."""
    for inner in inner_layers(layer):
        if type(inner).__name__ == class_name:
            yield inner
        yield from layers_of_class(inner, class_name)


def _inside(layer: KerasLayer, path: str, seen: set[int]) -> Iterator[PlacedLayer]:
    for inner in inner_layers(layer):
        if id(inner) in seen:
            continue
        seen.add(id(inner))
        if is_recurrent(inner):
            yield PlacedLayer(f"{path}{inner.name}", inner)
        else:
            yield from _inside(inner, f"{path}{inner.name}/", seen)


def is_recurrent(layer: KerasLayer) -> bool:
    """Whether calls of a layer are listed; the layers inside it belong to it."""
    classes = class_names(layer)
    if "TimeDistributed" in classes:
        return is_recurrent(layer.layer)
    return not classes.isdisjoint({"RNN", "Bidirectional", *_CELLS})


def class_names(layer: KerasLayer) -> set[str]:
    """Return the names of a layer's class and of those it is derived from."""
    return {base.__name__ for base in type(layer).__mro__}


def is_distributed(layer: KerasLayer) -> bool:
    """Whether a layer is a TimeDistributed, which is its layer on a larger batch."""
    return type(layer).__name__ == "TimeDistributed"


def is_cell(layer: KerasLayer) -> bool:
    """Whether a layer is a cell, a call of which is one step of its layer."""
    return type(layer).__name__ in _CELLS


def is_stacked(layer: KerasLayer) -> bool:
    """Whether a layer is an RNN of StackedRNNCells."""
    return type(layer).__name__ == "RNN" and type(layer.cell).__name__ == "StackedRNNCells"


def spec_of(layer: KerasLayer) -> JsonObject:
    """Return the configuration of a recurrent layer as one that is computed here.

    An RNN of a known cell is the layer of that cell, an RNN of StackedRNNCells a Sequential.

    Raises:
        LayerError: it is a cell or a wrapper that is not computed.
    """
    name = type(layer).__name__
    if name == "Bidirectional":
        halves = {"layer": layer.forward_layer, "backward_layer": layer.backward_layer}
        specs = {key: spec_of(half) for key, half in halves.items()}
        return {"class_name": name, "config": {**layer.get_config(), **specs}}
    if is_stacked(layer):
        return _stack_spec(layer)
    if name == "RNN":
        return _cell_spec(layer.cell, layer, _options(layer))
    if is_cell(layer):
        return _cell_spec(layer, layer, {"return_state": True})
    return {"class_name": name, "config": layer.get_config()}


def _options(layer: KerasLayer) -> dict[str, object]:
    return {name: getattr(layer, name) for name in _OPTIONS if hasattr(layer, name)}


def _stack_spec(layer: KerasLayer) -> JsonObject:
    """Return the Sequential of a StackedRNNCells, for inputs that are reversed beforehand.

    Under `go_backwards` every cell gets the reversed sequence and mask.
    """
    options = {**_options(layer), "go_backwards": False}
    inner = {"return_sequences": True, "stateful": options["stateful"]}
    *cells, last = layer.cell.cells
    specs = [_cell_spec(cell, layer, inner) for cell in cells]
    specs.append(_cell_spec(last, layer, options))
    return {"class_name": "Sequential", "config": {"layers": specs}}


def _cell_spec(cell: KerasLayer, layer: KerasLayer, options: Mapping[str, object]) -> JsonObject:
    """Return the layer of a cell; `layer` is that which calls it and has the dtype of outputs."""
    name = type(cell).__name__
    if name not in _CELLS:
        expected = f"{', '.join(_CELLS)} or StackedRNNCells"
        raise LayerError("layer.cell", f"got {name!r}, expected {expected}")
    if cell.compute_dtype != layer.compute_dtype:
        message = f"got {cell.compute_dtype}, expected {layer.compute_dtype} as in its RNN layer"
        raise LayerError("layer.cell.dtype", message)
    return {"class_name": _CELLS[name], "config": {**cell.get_config(), **options}}


def kept_states(layer: KerasLayer) -> list[KerasLayer] | None:
    """Return the variables that hold the states of a stateful layer, None if there are none."""
    if not getattr(layer, "stateful", False):
        return None
    halves = [layer]
    if type(layer).__name__ == "Bidirectional":
        halves = [layer.forward_layer, layer.backward_layer]
    return flat([getattr(half, "states", None) or [] for half in halves]) or None
