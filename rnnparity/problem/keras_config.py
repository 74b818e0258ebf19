"""Keras' configurations: what one may say, what it means, and what is refused.

A configuration is a strict subset of what Keras serializes. What changes no number is accepted and
dropped, so that a pasted `get_config()` works; what would change one and is not computed is
refused, never ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeAlias

from rnnparity.problem.cells import CELLS
from rnnparity.problem.dtypes import COMPUTE_DTYPE
from rnnparity.problem.errors import LayerError
from rnnparity.problem.layers import (
    ACTIVATIONS,
    MERGE_MODES,
    Bidirectional,
    Layer,
    Recurrent,
    Stack,
)

Config: TypeAlias = Mapping[str, Any]

# Arguments that change no number once the weights are given.
_WITHOUT_EFFECT = frozenset(
    {"name", "trainable", "seed", "unroll", "implementation", "use_cudnn", "activity_regularizer"}
    | {"batch_input_shape", "input_shape", "unit_forget_bias", "build_config"}
    | {
        f"{weight}_{thing}"
        for weight in ("kernel", "recurrent", "bias")
        for thing in ("initializer", "regularizer", "constraint")
    }
)
# Arguments that change numbers, or the order of axes, unless they have this value.
_ONLY_AS = {"dropout": 0, "recurrent_dropout": 0, "time_major": False}
# The fields of each class: the options of other cells left out.
_OPTIONS = frozenset[str]().union(*(cell.options for cell in CELLS.values()))
_COMMON = {field.name for field in fields(Recurrent)} - {"class_name"} - _OPTIONS
_FIELDS = {name: _COMMON | cell.options for name, cell in CELLS.items()}


def parse_layer(spec: Any, where: str = "layer") -> Layer:
    """The layer that a Keras configuration `{"class_name": ..., "config": {...}}` describes.

    Raises:
        LayerError: one line that names the place and what is wrong with it.
    """
    class_name, config = _parts(spec, where)
    if class_name == "Sequential":
        return _parse_stack(config, f"{where}.config")
    return _parse_single(class_name, config, where)


def _parts(spec: Any, where: str) -> tuple[str, Config]:
    if not isinstance(spec, Mapping):
        raise LayerError(
            where, f'should be an object {{"class_name": ..., "config": ...}}, but is {spec!r:.60}'
        )
    # What Keras adds when it serializes: where the class was found and how it was built.
    unknown = set(spec) - {
        "class_name",
        "config",
        "module",
        "registered_name",
        "build_config",
        "compile_config",
        "name",
    }
    if unknown:
        raise LayerError(where, f"has the unknown key {min(unknown, key=str)!r}")
    class_name, config = spec.get("class_name"), spec.get("config")
    if not isinstance(class_name, str):
        raise LayerError(f"{where}.class_name", "is missing or no string")
    if not isinstance(config, Mapping):
        raise LayerError(f"{where}.config", "is missing or no object")
    return class_name, config


def _parse_single(class_name: str, config: Config, where: str) -> Recurrent | Bidirectional:
    if class_name == "Bidirectional":
        return _parse_bidirectional(config, f"{where}.config")
    if class_name in CELLS:
        return _parse_recurrent(class_name, config, f"{where}.config")
    known = f"{', '.join(CELLS)} and Bidirectional, and around them one Sequential"
    raise LayerError(f"{where}.class_name", f"is {class_name!r}; known are {known}")


def _parse_recurrent(class_name: str, config: Config, where: str) -> Recurrent:
    values: dict[str, Any] = {}
    for key, value in config.items():
        place = f"{where}.{key}"
        if key in _WITHOUT_EFFECT:
            continue
        if key in _ONLY_AS:
            if value != _ONLY_AS[key]:
                raise LayerError(
                    place, f"is {value!r}, which would change the outputs and is not computed here"
                )
        elif key not in _FIELDS[class_name]:
            raise LayerError(place, f"is no argument of {class_name} known here")
        elif key == "units":
            values[key] = _units(value, place)
        elif key == "dtype":
            values[key] = _policy(value, place)
        elif key.endswith("activation"):
            values[key] = _activation(value, place)
        else:
            values[key] = _flag(value, place)
    if "units" not in values:
        raise LayerError(f"{where}.units", "is missing")
    return Recurrent(class_name, **values)


def _parse_bidirectional(config: Config, where: str) -> Bidirectional:
    known = {
        "layer",
        "backward_layer",
        "merge_mode",
        "dtype",
        "name",
        "trainable",
        "weights",
        "build_config",
    }
    for key in config:
        if key not in known:
            raise LayerError(f"{where}.{key}", "is no argument of Bidirectional known here")
    if config.get("weights") is not None:
        raise LayerError(f"{where}.weights", "belongs in the problem's own `weights`")
    if "layer" not in config:
        raise LayerError(f"{where}.layer", "is missing")
    forward = _half(config["layer"], f"{where}.layer")
    if forward.go_backwards:
        raise LayerError(
            f"{where}.layer.config.go_backwards", "is true; the forward half reads forwards"
        )
    backward = replace(forward, go_backwards=True)
    if config.get("backward_layer") is not None:
        backward = _half(config["backward_layer"], f"{where}.backward_layer")
    merge_mode = config.get("merge_mode", "concat")
    if merge_mode not in MERGE_MODES:
        raise LayerError(
            f"{where}.merge_mode", f"is {merge_mode!r}; known are concat, sum, mul, ave and null"
        )
    _check_halves(forward, backward, merge_mode, where)
    # Keras overrides zero_output_for_mask in both halves (Bidirectional.__init__).
    forward = replace(forward, zero_output_for_mask=forward.return_sequences)
    backward = replace(backward, zero_output_for_mask=backward.return_sequences)
    return Bidirectional(
        forward, backward, merge_mode, _policy(config.get("dtype", "float32"), f"{where}.dtype")
    )


def _half(spec: Any, where: str) -> Recurrent:
    class_name, config = _parts(spec, where)
    if class_name not in CELLS:
        raise LayerError(f"{where}.class_name", f"is {class_name!r}; a half is {_cell_names()}")
    return _parse_recurrent(class_name, config, f"{where}.config")


def _cell_names() -> str:
    *names, last = CELLS
    return f"{', '.join(names)} or {last}"


def _check_halves(
    forward: Recurrent, backward: Recurrent, merge_mode: str | None, where: str
) -> None:
    if not backward.go_backwards:
        raise LayerError(
            f"{where}.backward_layer.config.go_backwards",
            "is false; the backward half reads backwards",
        )
    for name in ("return_sequences", "return_state", "stateful"):
        if getattr(forward, name) != getattr(backward, name):
            raise LayerError(
                f"{where}.backward_layer.config.{name}", "differs from the forward half's"
            )
    if merge_mode in ("sum", "mul", "ave") and forward.units != backward.units:
        raise LayerError(
            f"{where}.backward_layer.config.units",
            f"is {backward.units}, the forward half's {forward.units}; {merge_mode!r} needs equal ones",
        )


def _parse_stack(config: Config, where: str) -> Stack:
    for key in config:
        if key not in {"layers", "name", "trainable", "dtype", "build_input_shape", "build_config"}:
            raise LayerError(f"{where}.{key}", "is no argument of Sequential known here")
    specs = config.get("layers")
    if not isinstance(specs, list | tuple):
        raise LayerError(f"{where}.layers", "is missing or no list")
    layers = []
    for place, spec in enumerate(specs):
        class_name, inner = _parts(spec, f"{where}.layers[{place}]")
        if class_name != "InputLayer":
            layers.append(_parse_single(class_name, inner, f"{where}.layers[{place}]"))
    if not layers:
        raise LayerError(f"{where}.layers", "is empty")
    for place, layer in enumerate(layers[:-1]):
        if not layer.return_sequences or layer.return_state:
            raise LayerError(
                f"{where}.layers[{place}]",
                "needs return_sequences true and return_state false: a layer follows it",
            )
        if isinstance(layer, Bidirectional) and layer.merge_mode is None:
            raise LayerError(
                f"{where}.layers[{place}]", "has merge_mode null: the next layer takes one input"
            )
    return Stack(tuple(layers))


def _units(value: Any, where: str) -> int:
    if type(value) is not int or not 1 <= value < 2**31:
        raise LayerError(where, f"is {value!r:.60}; should be a positive integer below 2**31")
    return value


def _flag(value: Any, where: str) -> bool:
    if type(value) is not bool:
        raise LayerError(where, f"is {value!r}; should be true or false")
    return value


def _activation(value: Any, where: str) -> str:
    if value is None:
        return "linear"
    if value not in ACTIVATIONS:
        raise LayerError(where, f"is {value!r:.60}; known are {', '.join(ACTIVATIONS)}")
    return str(value)


def _policy(value: Any, where: str) -> str:
    """A policy's name, or the object that `get_config()` gives for it."""
    if isinstance(value, Mapping):
        inner = value.get("config")
        value = inner.get("name") if isinstance(inner, Mapping) else value
    if value is None:
        return "float32"
    if not isinstance(value, str) or value not in COMPUTE_DTYPE:
        raise LayerError(where, f"is {value!r:.60}; known are {', '.join(COMPUTE_DTYPE)}")
    return value


def layer_spec(layer: Layer) -> dict[str, Any]:
    """Return the configuration of a layer with every key; `parse_layer` reads it back unchanged.

    As Keras does, `backward_layer` is written only where the backward half differs from the
    reversed forward half.
    """
    if isinstance(layer, Stack):
        return {
            "class_name": "Sequential",
            "config": {"layers": [layer_spec(inner) for inner in layer.layers]},
        }
    if isinstance(layer, Recurrent):
        return {"class_name": layer.class_name, "config": _recurrent_config(layer)}
    # Bidirectional sets zero_output_for_mask itself; a config holds the value before that.
    forward = replace(layer.forward, zero_output_for_mask=False)
    backward = replace(layer.backward, zero_output_for_mask=False)
    config: dict[str, Any] = {"layer": layer_spec(forward)}
    if backward != replace(forward, go_backwards=True):
        config["backward_layer"] = layer_spec(backward)
    config["merge_mode"] = layer.merge_mode
    config["dtype"] = layer.dtype
    return {"class_name": "Bidirectional", "config": config}


def _recurrent_config(layer: Recurrent) -> dict[str, Any]:
    return {
        field.name: getattr(layer, field.name)
        for field in fields(Recurrent)
        if field.name in _FIELDS[layer.class_name]
    }
