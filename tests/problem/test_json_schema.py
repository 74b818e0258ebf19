"""fixtures/schema.json: generated, complete, and true of every problem file."""

import json
from dataclasses import MISSING, fields

import pytest
from _support.valid_problem import VALID

from rnnparity.catalogue import catalogue
from rnnparity.golden.goldens import default_folder
from rnnparity.golden.manifest import SCHEMA
from rnnparity.problem.cells import CELLS
from rnnparity.problem.json_schema import schema_text
from rnnparity.problem.keras_config import layer_spec
from rnnparity.problem.layers import Recurrent
from rnnparity.problem.schema import ProblemFields

STORED = json.loads(schema_text())


def parts(schema):
    """Every schema inside a schema."""
    yield schema
    for value in schema.values():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                yield from parts(part)


def errors(value, schema):  # noqa: PLR0911 - one for each keyword
    """The part of JSON Schema that schema.json uses, written out: where a value does not fit."""
    if "$ref" in schema:
        schema = STORED["$defs"][schema["$ref"].removeprefix("#/$defs/")] | {}
    if "anyOf" in schema:
        found = [errors(value, option) for option in schema["anyOf"]]
        return [] if [] in found else found[0] or ["no option"]
    if "const" in schema and value != schema["const"]:
        return [f"{value!r} is not {schema['const']!r}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{value!r} is not in {schema['enum']}"]
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(is_of(value, name) for name in types):
        return [f"{value!r:.50} is not {types}"]
    if isinstance(value, list):
        return [each for item in value for each in errors(item, schema.get("items", {}))]
    if not isinstance(value, dict):
        return []
    known = schema.get("properties", {})
    wrong = [f"{key} is missing" for key in schema.get("required", []) if key not in value]
    if schema.get("additionalProperties") is False:
        wrong += [f"{key} is unknown" for key in value if key not in known]
    for key, item in value.items():
        wrong += errors(item, known.get(key, {}))
    return wrong


def is_of(value, name):
    if name in ("integer", "number"):
        types = int if name == "integer" else (int, float)
        return isinstance(value, types) and not isinstance(value, bool)
    types = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    return isinstance(value, types[name])


def test_the_stored_schema_is_the_generated_one():
    assert (default_folder() / SCHEMA).read_text(encoding="utf-8") == schema_text()


def test_every_reference_leads_to_a_definition():
    targets = {part["$ref"] for part in parts(STORED) if isinstance(part.get("$ref"), str)}
    assert targets <= {f"#/$defs/{name}" for name in STORED["$defs"]}
    assert {f"#/$defs/{name}" for name in ("Layer", "Bidirectional", *CELLS)} <= targets


def test_every_field_has_a_description():
    for name, definition in STORED["$defs"].items():
        for key, field in definition.get("properties", {}).items():
            if key not in ("class_name", "config"):
                assert field["description"], f"{name}.{key}"
    for class_name in (*CELLS, "Bidirectional", "Sequential"):
        config = STORED["$defs"][class_name]["properties"]["config"]
        assert all(field["description"] for field in config["properties"].values())


@pytest.mark.parametrize("class_name", CELLS)
def test_defaults_of_a_cell_are_those_of_the_layer(class_name):
    config = STORED["$defs"][class_name]["properties"]["config"]["properties"]
    defaults = {field.name: field.default for field in fields(Recurrent)}
    assert config.keys() == layer_spec(Recurrent(class_name, 1))["config"].keys()
    for key, schema in config.items():
        assert schema.get("default", MISSING) == defaults[key]


def test_every_layer_of_the_catalogue_fits():
    layers = {problem.layer for problem in catalogue().values()}
    wrong = [errors(layer_spec(layer), {"$ref": "#/$defs/Layer"}) for layer in layers]
    assert not any(wrong), next(each for each in wrong if each)


def test_a_valid_problem_fits_the_schema_and_an_invalid_problem_does_not():
    assert errors(VALID, STORED) == []
    assert errors({**VALID, "more": 1}, STORED) == ["more is unknown"]
    assert errors({key: VALID[key] for key in VALID if key != "id"}, STORED) == ["id is missing"]
    layer = {"class_name": "LSTM", "config": {"units": 2, "activation": "mish"}}
    assert errors({**VALID, "layer": layer}, STORED)


def test_the_fields_of_a_problem_are_those_that_are_read():
    assert (
        STORED["$defs"]["ProblemFields"]["properties"].keys() == ProblemFields.model_fields.keys()
    )
