"""Keras' configurations: which arguments they may have, what they mean, and what is refused.

A configuration is a strict subset of what Keras serializes. What changes no number is accepted and
dropped, so that a pasted `get_config()` works; what would change a number and is not computed is
refused, never ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeAlias

from rnnparity.problem.cells import CELLS
from rnnparity.problem.config_values import (
    read_activation,
    read_flag,
    read_merge_mode,
    read_policy,
    read_units,
)
from rnnparity.problem.errors import LayerClassError, LayerError, shown
from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack
from rnnparity.problem.text import did_you_mean

# A JSON object; its values are checked where they are read.
JsonObject: TypeAlias = dict[str, Any]
Config: TypeAlias = Mapping[str, object]

# Arguments that change no number once the weights are given.
_WITHOUT_EFFECT = frozenset(
    {"name", "trainable", "seed", "unroll", "implementation", "use_cudnn", "activity_regularizer"}
    | {"batch_input_shape", "input_shape", "unit_forget_bias", "build_config"}
    # At inference they do nothing; Keras' own layers check their values.
    | {"dropout", "recurrent_dropout"}
    | {
        f"{weight}_{suffix}"
        for weight in ("kernel", "recurrent", "bias")
        for suffix in ("initializer", "regularizer", "constraint")
    }
)
# Arguments that change numbers, or the order of axes, unless they have this value.
_ONLY_AS: Mapping[str, object] = {"time_major": False}
# What Keras adds when it serializes: where the class is defined and how the layer was built.
_LAYER_KEYS = frozenset(
    {"class_name", "config", "module", "registered_name", "build_config", "compile_config", "name"}
)
_BIDIRECTIONAL_KEYS = frozenset(
    {"layer", "backward_layer", "merge_mode", "dtype", "name", "trainable", "weights"}
    | {"batch_input_shape", "input_shape", "build_config"}
)
_SEQUENTIAL_KEYS = frozenset(
    {"layers", "name", "trainable", "dtype", "build_input_shape", "build_config"}
)
# The fields of each class: the options of other cells left out.
_OPTIONS = frozenset[str]().union(*(cell.options for cell in CELLS.values()))
_COMMON = {field.name for field in fields(Recurrent)} - {"class_name"} - _OPTIONS
_FIELDS = {name: _COMMON | cell.options for name, cell in CELLS.items()}


def config_fields(class_name: str) -> list[str]:
    """Return the keys of a class's config that are read and written, in the order of writing."""
    known = _FIELDS[class_name]
    return [field.name for field in fields(Recurrent) if field.name in known]


def parse_layer(spec: object, where: str = "layer") -> Layer:
    """Return the layer that a Keras configuration `{"class_name": ..., "config": {...}}` describes.

    Raises:
        LayerError: one line with the path inside the configuration and what is wrong there.
    """
    class_name, config = _parts(spec, where)
    if class_name == "Sequential":
        return _parse_stack(config, f"{where}.config")
    return _parse_single(class_name, config, where)


def _parts(spec: object, where: str) -> tuple[str, Config]:
    if not isinstance(spec, Mapping):
        expected = 'an object {"class_name": ..., "config": ...}'
        raise LayerError(where, f"got {shown(spec)}, expected {expected}")
    unknown = set(spec) - _LAYER_KEYS
    if unknown:
        key = min(unknown, key=str)
        raise LayerError(where, f"unknown key {key!r}{did_you_mean(str(key), _LAYER_KEYS)}")
    class_name, config = spec.get("class_name"), spec.get("config")
    if not isinstance(class_name, str):
        raise LayerError(f"{where}.class_name", "must be a string")
    if not isinstance(config, Mapping):
        raise LayerError(f"{where}.config", "must be an object")
    return class_name, config


def _parse_single(class_name: str, config: Config, where: str) -> Recurrent | Bidirectional:
    if class_name == "Bidirectional":
        return _parse_bidirectional(config, f"{where}.config")
    if class_name in CELLS:
        return _parse_recurrent(class_name, config, f"{where}.config")
    known = f"{', '.join(CELLS)}, Bidirectional, or a Sequential of them"
    raise LayerClassError(f"{where}.class_name", f"got {class_name!r}, expected {known}")


def _parse_recurrent(class_name: str, config: Config, where: str) -> Recurrent:
    values: JsonObject = {}
    for key, value in config.items():
        path = f"{where}.{key}"
        if key in _WITHOUT_EFFECT:
            continue
        if key in _ONLY_AS:
            _check_without_effect(value, _ONLY_AS[key], path)
        elif key not in _FIELDS[class_name]:
            raise _unsupported(path, class_name, _FIELDS[class_name])
        else:
            values[key] = _argument(key, value, path)
    if "units" not in values:
        raise LayerError(f"{where}.units", "is missing")
    return Recurrent(class_name, **values)


def _check_without_effect(value: object, neutral: object, where: str) -> None:
    if value != neutral:
        reason = "another value changes the outputs and is not computed"
        raise LayerError(where, f"got {shown(value)}, expected {shown(neutral)}: {reason}")


def _unsupported(path: str, class_name: str, known: Iterable[str]) -> LayerError:
    key = path.rpartition(".")[2]
    elsewhere = any(key in names for names in _FIELDS.values())
    hint = "" if elsewhere else did_you_mean(key, known)
    return LayerError(path, f"unsupported argument for {class_name}{hint}")


def _argument(key: str, value: object, where: str) -> int | bool | str:
    if key == "units":
        return read_units(value, where)
    if key == "dtype":
        return read_policy(value, where)
    if key.endswith("activation"):
        return read_activation(value, where)
    return read_flag(value, where)


def _parse_bidirectional(config: Config, where: str) -> Bidirectional:
    for key in config:
        if key not in _BIDIRECTIONAL_KEYS:
            raise _unsupported(f"{where}.{key}", "Bidirectional", _BIDIRECTIONAL_KEYS)
    if config.get("weights") is not None:
        raise LayerError(f"{where}.weights", "unsupported; put the arrays into `weights`")
    if "layer" not in config:
        raise LayerError(f"{where}.layer", "is missing")
    forward = _half(config["layer"], f"{where}.layer")
    if forward.go_backwards:
        path = f"{where}.layer.config.go_backwards"
        raise LayerError(path, "got true, expected false for the forward half")
    backward = replace(forward, go_backwards=True)
    if config.get("backward_layer") is not None:
        backward = _half(config["backward_layer"], f"{where}.backward_layer")
    merge_mode = read_merge_mode(config.get("merge_mode", "concat"), f"{where}.merge_mode")
    _check_halves(forward, backward, merge_mode, f"{where}.backward_layer.config")
    # Keras overrides zero_output_for_mask in both halves (Bidirectional.__init__).
    forward = replace(forward, zero_output_for_mask=forward.return_sequences)
    backward = replace(backward, zero_output_for_mask=backward.return_sequences)
    policy = read_policy(config.get("dtype", "float32"), f"{where}.dtype")
    return Bidirectional(forward, backward, merge_mode, policy)


def _half(spec: object, where: str) -> Recurrent:
    class_name, config = _parts(spec, where)
    if class_name not in CELLS:
        *names, last = CELLS
        expected = f"{', '.join(names)} or {last} as a half"
        raise LayerError(f"{where}.class_name", f"got {class_name!r}, expected {expected}")
    return _parse_recurrent(class_name, config, f"{where}.config")


def _check_halves(
    forward: Recurrent, backward: Recurrent, merge_mode: str | None, where: str
) -> None:
    """Check what the halves must have in common; `where` is the path of the backward config."""
    if not backward.go_backwards:
        path = f"{where}.go_backwards"
        raise LayerError(path, "got false, expected true for the backward half")
    common = ["return_sequences", "return_state", "stateful"]
    if merge_mode in ("sum", "mul", "ave"):
        common.append("units")
    for name in common:
        actual, expected = getattr(backward, name), getattr(forward, name)
        if actual != expected:
            message = f"got {shown(actual)}, expected {shown(expected)} as in the forward half"
            raise LayerError(f"{where}.{name}", message)


def _parse_stack(config: Config, where: str) -> Stack:
    for key in config:
        if key not in _SEQUENTIAL_KEYS:
            raise _unsupported(f"{where}.{key}", "Sequential", _SEQUENTIAL_KEYS)
    specs = config.get("layers")
    if not isinstance(specs, list | tuple):
        raise LayerError(f"{where}.layers", "must be a list")
    layers = []
    for index, spec in enumerate(specs):
        path = f"{where}.layers[{index}]"
        class_name, inner = _parts(spec, path)
        if class_name != "InputLayer":
            layers.append(_parse_single(class_name, inner, path))
    if not layers:
        raise LayerError(f"{where}.layers", "must hold at least one layer")
    for index, layer in enumerate(layers[:-1]):
        _check_feeds_a_layer(layer, f"{where}.layers[{index}].config")
    return Stack(tuple(layers))


def _check_feeds_a_layer(layer: Recurrent | Bidirectional, where: str) -> None:
    reason = "because a layer follows"
    for name, expected in (("return_sequences", True), ("return_state", False)):
        if getattr(layer, name) is not expected:
            message = f"got {shown(not expected)}, expected {shown(expected)} {reason}"
            raise LayerError(f"{where}.{name}", message)
    if isinstance(layer, Bidirectional) and layer.merge_mode is None:
        raise LayerError(f"{where}.merge_mode", f"got null, expected a single output {reason}")


def layer_spec(layer: Layer) -> JsonObject:
    """Return the configuration of a layer with every key; `parse_layer` reads it back unchanged.

    As Keras does, `backward_layer` is written only where the backward half differs from the
    reversed forward half.
    """
    if isinstance(layer, Stack):
        layers = [layer_spec(inner) for inner in layer.layers]
        return {"class_name": "Sequential", "config": {"layers": layers}}
    if isinstance(layer, Recurrent):
        config: JsonObject = {
            name: getattr(layer, name) for name in config_fields(layer.class_name)
        }
        return {"class_name": layer.class_name, "config": config}
    # Bidirectional sets zero_output_for_mask itself; a config holds the value before that.
    forward = replace(layer.forward, zero_output_for_mask=False)
    backward = replace(layer.backward, zero_output_for_mask=False)
    config = {"layer": layer_spec(forward)}
    if backward != replace(forward, go_backwards=True):
        config["backward_layer"] = layer_spec(backward)
    config |= {"merge_mode": layer.merge_mode, "dtype": layer.dtype}
    return {"class_name": "Bidirectional", "config": config}
