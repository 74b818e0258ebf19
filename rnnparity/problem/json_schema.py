"""The JSON Schema of the file format, generated from the models and the table of cells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeAlias

from pydantic.json_schema import models_json_schema

from rnnparity.problem.cells import CELLS
from rnnparity.problem.dtypes import COMPUTE_DTYPE
from rnnparity.problem.format_writing import FORMAT_2
from rnnparity.problem.keras_config import config_fields
from rnnparity.problem.layers import ACTIVATIONS, MERGE_MODES, Recurrent
from rnnparity.problem.schema import AnswerFields, ManifestFields, ProblemFields

# A JSON Schema is an object whose values are strings, numbers, lists and further schemas.
Schema: TypeAlias = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DESCRIPTIONS: Mapping[str, str] = {
    "units": "H, the number of units.",
    "activation": "Function of the candidate and of the output. null: linear.",
    "recurrent_activation": "Function of the gates. null: linear.",
    "use_bias": "Whether there is a bias.",
    "reset_after": "GRU: whether the reset gate acts after the recurrent product.",
    "return_sequences": "Whether the output of every step is returned, or only the last.",
    "return_state": "Whether the states follow the output.",
    "go_backwards": "Whether the sequence is processed from its end.",
    "stateful": "Whether the states of one call start the next.",
    "zero_output_for_mask": "Whether masked steps give zeros; counts only with return_sequences.",
    "dtype": "Name of a dtype policy.",
}
_IGNORED = (
    "Arguments that change no number once the weights are given (name, initializers, "
    "regularizers, ...) are accepted and ignored."
)
_NUMBER: Schema = {
    "anyOf": [
        {"type": ["number", "boolean"]},
        {"enum": ["NaN", "Infinity", "-Infinity"]},
    ]
}


def schema_text() -> str:
    """Return `schema.json`: a problem at its root, and everything else under `$defs`."""
    models = [(model, "validation") for model in (ProblemFields, AnswerFields, ManifestFields)]
    _, definitions = models_json_schema(models)  # type: ignore[arg-type]  # "validation" is a mode
    named: dict[str, Schema] = {**definitions["$defs"], **_layer_schemas()}
    for name in ("ArrayFields", "NamedArrayFields"):
        named[name]["properties"]["data"]["items"] = _NUMBER
    problem = named["ProblemFields"]
    problem["properties"]["layer"] = _reference("Layer") | {
        "description": problem["properties"]["layer"]["description"]
    }
    schema = {
        "$schema": DIALECT,
        "title": FORMAT_2,
        "description": "A problem file. A fixture file is a list of problems.",
        **_reference("ProblemFields"),
        "$defs": named,
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _layer_schemas() -> dict[str, Schema]:
    cells = {name: _layer(name, _cell_config(name), ["units"]) for name in CELLS}
    halves: Schema = {"anyOf": [_reference(name) for name in cells]}
    bidirectional = {
        "layer": halves | {"description": "The forward half."},
        "backward_layer": {
            "anyOf": [*halves["anyOf"], {"type": "null"}],
            "default": None,
            "description": "The backward half. null: the forward half, reversed.",
        },
        "merge_mode": {
            "enum": list(MERGE_MODES),
            "default": "concat",
            "description": "How the outputs of the halves are merged. null: two outputs.",
        },
        "dtype": _field_schema("dtype"),
    }
    single: Schema = {"anyOf": [*halves["anyOf"], _reference("Bidirectional")]}
    layers = {"type": "array", "items": single, "minItems": 1, "description": "From the inputs on."}
    return {
        **cells,
        "Bidirectional": _layer("Bidirectional", bidirectional, ["layer"]),
        "Sequential": _layer("Sequential", {"layers": layers}, ["layers"]),
        "Layer": {"anyOf": [*single["anyOf"], _reference("Sequential")]},
    }


def _layer(class_name: str, properties: Mapping[str, Schema], required: list[str]) -> Schema:
    config: Schema = {
        "type": "object",
        "description": _IGNORED,
        "required": required,
        "properties": dict(properties),
    }
    return {
        "type": "object",
        "required": ["class_name", "config"],
        "properties": {"class_name": {"const": class_name}, "config": config},
    }


def _cell_config(class_name: str) -> dict[str, Schema]:
    return {name: _field_schema(name) for name in config_fields(class_name)}


def _field_schema(name: str) -> Schema:
    """Return the schema of one argument with its default, which is Keras'."""
    default = next(field.default for field in fields(Recurrent) if field.name == name)
    schema: Schema = {"type": "boolean"}
    if name == "units":
        schema = {"type": "integer", "minimum": 1, "exclusiveMaximum": 2**31}
    elif name.endswith("activation"):
        schema = {"enum": [*ACTIVATIONS, None]}
    elif name == "dtype":
        schema = {"enum": list(COMPUTE_DTYPE)}
    if default is not MISSING:
        schema["default"] = default
    return schema | {"description": DESCRIPTIONS[name]}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}
