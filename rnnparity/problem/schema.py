"""The keys of a problem file and the type of each: the models behind `fixtures/schema.json`.

Imported where a file is read, because pydantic starts slowly.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

# An element of `data` before it becomes part of an array: pydantic would take long for each.
Element = Any


class Strict(BaseModel):
    """A value of a stored file: nothing is converted, no unknown key is accepted."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ArrayFields(Strict):
    """An array. The elements are checked when they become one."""

    shape: list[int] = Field(description="At most three sizes; axes in the order B, T, D or H.")
    dtype: str = Field(description="float16, bfloat16, float32, float64, or bool for the mask.")
    data: list[Element] = Field(
        description="The elements, row-major. NaN and infinity are strings, in outputs only."
    )


class NamedArrayFields(ArrayFields):
    """A weight, a state or an output."""

    name: str = Field(description="Keras' name with a prefix: kernel, forward/bias, 0/backward_h.")


class ExpectedArrayFields(NamedArrayFields):
    """An output or a gradient that is expected."""

    tolerance: list[FiniteFloat] | None = Field(
        default=None,
        description="The allowed difference from each element of data, in its units; not read.",
    )


class InitializerFields(Strict):
    """The number that fills each array, where the layer is built with constant initializers."""

    kernel: FiniteFloat = Field(description="Value of every element of the kernel.")
    recurrent_kernel: FiniteFloat = Field(description="Value of every element of the kernel.")
    bias: FiniteFloat = Field(description="Value of every element of the bias.")
    unit_forget_bias: bool = Field(description="Whether the forget block of the bias is 1.")


Digits = Annotated[str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$")]
BatchShape = Annotated[list[int | None], Field(min_length=3, max_length=3)]


class ExpectFields(Strict):
    """What the source of a case prints (`rnnparity.verdict.expectations`)."""

    digits: dict[str, list[list[Digits]] | list[list[list[Digits]]]] = Field(
        default={}, description="Printed digits of an output, (B, H) or (B, T, H)."
    )
    shapes: dict[str, list[int]] = Field(default={}, description="Shapes of outputs, by name.")
    relations: list[str] = Field(
        default=[], description="Equations between outputs: output[:, -1] == h."
    )
    returned: int = Field(default=0, description="The number of outputs; 0: not printed.")
    batch_shape: BatchShape = Field(
        default=[], description="Shape of the symbolic inputs; null: unknown."
    )
    summary: list[list[str | int]] = Field(
        default=[], description="Rows of model.summary(): output shape, parameters."
    )
    parameters: int = Field(default=0, description="The total in model.summary().")


class CaseFields(Strict):
    """What the catalogue records of a case."""

    tags: list[str] = Field(description="Words to select cases by: mask:interior, pairs.")
    source: str = Field(description="The document that prints the numbers, or an empty string.")
    why: str = Field(description="The reason why the case exists.")
    initializers: InitializerFields | None = Field(
        default=None, description="Constant initializers that give the same weights."
    )
    expect: ExpectFields | None = Field(default=None, description="What the source prints.")


class TrainingStepFields(Strict):
    """One step of gradient descent on the mean squared error (docs/format.md)."""

    lr: FiniteFloat = Field(description="The learning rate, a number of float32.")
    targets: list[NamedArrayFields] = Field(description="One for each output.")


GRADIENTS = (
    "Of sum(cotangent * output): inputs, the weights by their names, initial_state/h, ... "
    "null in the list: there is no gradient, which is not zeros."
)


class ProblemFields(Strict):
    """The format: a problem file, a row of a fixture, a line to a program."""

    format: Literal["rnnparity/1", "rnnparity/2"] = Field(
        description="Version 2 with cotangents, dropout_masks, training_step or tolerances, else 1."
    )
    id: str = Field(min_length=1, max_length=200, description="Name of the problem.")
    layer: dict[str, Any] = Field(description="The layer in Keras' own configuration.")
    weights: list[NamedArrayFields] = Field(description="In the order of Keras' get_weights().")
    inputs: ArrayFields = Field(description="The input sequences, (B, T, D).")
    mask: ArrayFields | None = Field(
        default=None, description="(B, T) of bool, false at a padded step. null: no mask."
    )
    initial_state: list[NamedArrayFields] | None = Field(
        default=None, description="Each (B, H), half by half, layer by layer. null: zeros."
    )
    calls: list[int] | None = Field(
        default=None, description="Time steps of each call of a stateful layer; their sum is T."
    )
    dropout_masks: list[NamedArrayFields] | None = Field(
        default=None,
        description="Factors in training: inputs (G or 1, B, D) and recurrent (G or 1, B, H). "
        "null: no dropout.",
    )
    training_step: TrainingStepFields | None = Field(
        default=None, description="With it the weights after one step are asked for."
    )
    outputs: list[ExpectedArrayFields] | None = Field(
        default=None,
        description="In Keras' order: the output, then the states if returned. "
        "With training_step the weights after it.",
    )
    cotangents: list[NamedArrayFields] | None = Field(
        default=None, description="One for each output; with them gradients are asked for."
    )
    gradients: list[ExpectedArrayFields | None] | None = Field(default=None, description=GRADIENTS)
    case: CaseFields | None = Field(default=None, description="The entry of the catalogue.")


class AnswerFields(Strict):
    """The answer of a program to a problem: its outputs, or why there are none."""

    id: str = Field(description="The id of the problem.")
    outputs: list[NamedArrayFields] | None = Field(default=None, description="In Keras' order.")
    gradients: list[NamedArrayFields | None] | None = Field(default=None, description=GRADIENTS)
    unsupported: str = Field(default="", description="Why the program cannot run the problem.")
    error: str = Field(default="", description="How it failed.")
    versions: dict[str, str] = Field(
        default={}, description="Name and version of what computes, for reports."
    )


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class FileFields(Strict):
    """One fixture file in the manifest."""

    rows: int = Field(description="The number of problems in the file.")
    sha256: Sha256 = Field(description="SHA-256 of the file.")


class ManifestFields(Strict):
    """`manifest.json`: where the fixtures come from, and checksums of all files."""

    format: Literal["rnnparity-fixtures/1"] = Field(description="Name and version of the format.")
    generator: str = Field(description="The version of rnnparity that wrote the fixtures.")
    versions: dict[str, str] = Field(description="Packages and versions of the second key.")
    left_out: dict[str, str] = Field(description="Cases without a golden, each with the reason.")
    known: dict[str, list[str]] = Field(description="Known differences and their cases.")
    files: dict[str, FileFields] = Field(description="The fixture files by name.")
    sha256: Sha256 = Field(description="SHA-256 of the manifest without this key.")


Text = Annotated[str, Field(min_length=1)]
DifferenceName = Literal[
    "count", "names", "shape", "dtype", "finiteness", "values", "fact", "error"
]


class KnownFields(Strict):
    """An entry of `known_differences.toml`."""

    name: str = Field(description="Name of the entry.")
    subject: str = Field(description="Patterns of subject names, joined by ' | '.")
    cases: list[str] = Field(description="Patterns of case ids.")
    kinds: list[DifferenceName] = Field(description="Types of difference, or error.")
    versions: dict[str, str] = Field(description="Packages and ranges of their versions.")
    cause: Text = Field(description="The fault that explains it, or where it is in the code.")
    standing: Literal["mistake", "undocumented"] = Field(
        description="Whether the framework's own documentation decides, or only Keras'."
    )
    reason: str = Field(description="What differs and why.")
    link: str = Field(description="Where it is documented or reported.")
    gradients: bool = Field(
        default=False, description="Whether only gradients differ, not the outputs."
    )
    faults: list[Text] = Field(
        default=[], description="Patterns of faults that explain it in random problems."
    )
    messages: list[Text] = Field(default=[], description="Parts of the messages of its errors.")
    precision: str = Field(
        default="", description="A coarser arithmetic in which values agree: a type or 2**-N."
    )


class KnownFile(Strict):
    """`known_differences.toml`."""

    difference: list[KnownFields] = Field(default=[], description="The entries.")
