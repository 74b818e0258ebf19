"""Which keys a problem file has and what type each holds. Imported where a file is read: pydantic
starts slowly."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from rnnparity.problem.errors import FormatError


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class ArrayFields(_Strict):
    """Flat, row-major data with its shape and type; the elements are checked when they become an
    array."""

    shape: list[int]
    dtype: str
    data: list[Any]


class NamedArrayFields(ArrayFields):
    """A weight, a state or an output."""

    name: str


class InitializerFields(_Strict):
    """One number an array, where the layer is to be built with constants."""

    kernel: FiniteFloat
    recurrent_kernel: FiniteFloat
    bias: FiniteFloat
    unit_forget_bias: bool


Digits = Annotated[str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$")]


class ExpectFields(_Strict):
    """What a source prints: see `rnnparity.verdict.expectations`."""

    digits: dict[str, list[list[Digits]] | list[list[list[Digits]]]] = {}
    shapes: dict[str, list[int]] = {}
    relations: list[str] = []
    returned: int = 0
    batch_shape: Annotated[list[int | None], Field(min_length=3, max_length=3)] = []
    summary: list[list[str | int]] = []
    parameters: int = 0


class CaseFields(_Strict):
    """What the catalogue says of a case."""

    tags: list[str]
    source: str
    why: str
    initializers: InitializerFields | None = None
    expect: ExpectFields | None = None


class ProblemFields(_Strict):
    """The format `rnnparity/1`: a problem file, a row of a fixture, a line on the wire."""

    format: Literal["rnnparity/1"]
    id: str = Field(min_length=1, max_length=200)
    layer: dict[str, Any]
    weights: list[NamedArrayFields]
    inputs: ArrayFields
    mask: ArrayFields | None = None
    initial_state: list[NamedArrayFields] | None = None
    calls: list[int] | None = None
    outputs: list[NamedArrayFields] | None = None
    case: CaseFields | None = None


class AnswerFields(_Strict):
    """What a program answers to a problem: its id and its outputs, or why there are none."""

    id: str
    outputs: list[NamedArrayFields] | None = None
    unsupported: str = ""
    error: str = ""


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class FileFields(_Strict):
    """One fixture file in the manifest."""

    rows: int
    sha256: Sha256


class ManifestFields(_Strict):
    """`manifest.json`: where the fixtures come from, which cases have none and why, each file's
    checksum, its own."""

    format: Literal["rnnparity-fixtures/1"]
    generator: str
    versions: dict[str, str]
    left_out: dict[str, str]
    known: dict[str, list[str]]
    files: dict[str, FileFields]
    sha256: Sha256


Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], fields: Any, where: str) -> Model:
    """The model filled with `fields`; the first thing that is wrong, in one line, if it does not
    fit.

    Raises:
        FormatError: names the file, the path inside it and what should stand there.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as errors:
        first = errors.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"]) or "the whole file"
        said = re.sub(r"(a valid dictionary or )?(an )?instance of \w+", "an object", first["msg"])
        more = f" (and {errors.error_count() - 1} more)" if errors.error_count() > 1 else ""
        raise FormatError(f"{where}: {path}: {said}{more}") from None
