"""Checking stored values against their models: the first thing that is wrong, in one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rnnparity.problem.errors import FormatError, shown
from rnnparity.problem.schema import Strict
from rnnparity.problem.text import did_you_mean

Model = TypeVar("Model", bound=BaseModel)


# By pydantic's names of errors; {...} are the names of their limits.
_EXPECTED: Mapping[str, str] = {
    "literal_error": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "string_type": "a string",
    "string_unicode": "a string of valid Unicode",
    "int_type": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "dataclass_type": "an object",
}


_LENGTHS: Mapping[str, tuple[str, str, str]] = {
    "string_too_short": ("at least", "min_length", "characters"),
    "string_too_long": ("at most", "max_length", "characters"),
    "too_short": ("at least", "min_length", "items"),
    "too_long": ("at most", "max_length", "items"),
}


def validate(model: type[Model], fields: object, where: str) -> Model:
    """Return the model filled with `fields`.

    Raises:
        FormatError: one line with the first field that is wrong: got what, expected what.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise FormatError(f"{where}: {first_error(error)}") from None


def first_error(error: ValidationError) -> str:
    """Return the first error in one line, and how many more there are.

    An unknown key comes first: where it is misspelled, another one is missing.
    """
    errors = error.errors(include_url=False)
    details = min(errors, key=lambda details: details["type"] != "extra_forbidden")
    path = ".".join(str(part) for part in details["loc"]) or "the whole file"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{path}: {_message(details)}{more}"


def _known_keys(model: type[BaseModel]) -> Iterator[str]:
    """Yield the keys of a model and of all its subclasses in its own module."""
    yield from model.model_fields
    for part in model.__subclasses__():
        if part.__module__ == model.__module__:
            yield from _known_keys(part)


def _message(details: ErrorDetails) -> str:
    name, context, value = details["type"], details.get("ctx", {}), details["input"]
    if name == "missing":
        return "is missing"
    if name == "extra_forbidden":
        return f"unknown key{did_you_mean(str(details['loc'][-1]), _known_keys(Strict))}"
    if name in _LENGTHS:
        bound, key, unit = _LENGTHS[name]
        return f"got {len(value)} {unit}, expected {bound} {context[key]}"
    if name in _EXPECTED:
        return f"got {shown(value)}, expected {_EXPECTED[name].format(**context)}"
    return details["msg"]
