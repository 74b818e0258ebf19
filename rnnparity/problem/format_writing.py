"""Writing problems in the project's JSON format, on one line or for a diff (docs/format.md).

Data is flat and row-major. float32 is written as %.9g (which every float32 survives), float16 and
bfloat16 as their exact float32 values, float64 with 17 digits. NaN and infinity are the strings
"NaN", "Infinity", "-Infinity".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.keras_config import JsonObject, layer_spec
from rnnparity.problem.problem import Case, Problem, Tensor

if TYPE_CHECKING:
    pass


FORMAT, FORMAT_2 = "rnnparity/1", "rnnparity/2"
# The keys that only version 2 has.
KEYS_OF_2 = ("cotangents", "dropout_masks", "training_step")
# The words of numbers that JSON has no literal for, as they are written and read.
WORDS = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}


_ORDER = (
    *("format", "id", "layer", "weights", "inputs", "mask", "initial_state", "calls"),
    *("dropout_masks", "training_step", "outputs", "cotangents", "gradients", "case"),
)


class _Layout:
    """How a problem is written: on one line, or with a line for each last-axis row of an array."""

    def __init__(self, line: str) -> None:
        self.line, self.separator = line, f",{line}" if line else ", "

    def joined(self, texts: Sequence[str]) -> str:
        return f"{self.line}{self.separator.join(texts)}{self.line}"


def dump_line(problem: Problem) -> str:
    """Return one problem on one line, as it goes through a pipe."""
    return _dump(problem, _Layout(""))


def dump_pretty(problem: Problem) -> str:
    """Return one problem with a line for every key and every row, so that a diff can be read."""
    return _dump(problem, _Layout("\n"))


def plain_fields(problem: Problem) -> JsonObject:
    """Return the fields of a problem that hold no arrays, as JSON values."""
    fields: JsonObject = {
        "format": FORMAT_2
        if any(getattr(problem, key) is not None for key in KEYS_OF_2)
        else FORMAT,
        "id": problem.id,
        "layer": layer_spec(problem.layer),
    }
    if problem.calls is not None:
        fields["calls"] = list(problem.calls)
    if problem.case is not None:
        fields["case"] = _case_fields(problem.case)
    return fields


def _dump(problem: Problem, layout: _Layout) -> str:
    states, mask = problem.initial_state, problem.mask
    texts = {key: _text(value) for key, value in plain_fields(problem).items()}
    texts["weights"] = _tensors(problem.weights, layout)
    texts["inputs"] = "{" + _tensor(problem.inputs, layout) + "}"
    texts["mask"] = "null" if mask is None else _mask(mask, layout)
    texts["initial_state"] = "null" if states is None else _tensors(states, layout)
    for key in ("dropout_masks", "outputs", "cotangents", "gradients"):
        if getattr(problem, key) is not None:
            texts[key] = _tensors(getattr(problem, key), layout)
    if problem.training_step is not None:
        step = problem.training_step
        texts["training_step"] = (
            f'{{"lr": {step.lr!r}, "targets": {_tensors(step.targets, layout)}}}'
        )
    members = [f"{_text(key)}: {texts[key]}" for key in _ORDER if key in texts]
    return "{" + layout.joined(members) + "}"


def _case_fields(case: Case) -> JsonObject:
    fields: JsonObject = {"tags": list(case.tags), "source": case.source, "why": case.why}
    if case.initializers is not None:
        fields["initializers"] = dict(case.initializers)
    if case.expect:
        fields["expect"] = dict(case.expect)
    return fields


def _tensors(tensors: Sequence[Tensor | None], layout: _Layout) -> str:
    texts = []
    for tensor in tensors:
        if tensor is None:
            texts.append("null")
        else:
            texts.append(f'{{"name": {_text(tensor.name)}, {_tensor(tensor, layout)}}}')
    return f"[{layout.joined(texts)}]"


def _tensor(tensor: Tensor, layout: _Layout) -> str:
    form = "%.17g" if tensor.dtype == "float64" else "%.9g"
    texts = [form % value for value in tensor.data.ravel().tolist()]
    if "-0" in texts:  # which JSON would read as the integer 0
        texts = ["-0.0" if text == "-0" else text for text in texts]
    if not np.isfinite(tensor.data).all():
        texts = [WORDS.get(text, text) for text in texts]
    return _array(texts, tensor.shape, tensor.dtype, layout)


def _mask(mask: Array, layout: _Layout) -> str:
    texts = ["true" if value else "false" for value in mask.ravel().tolist()]
    return "{" + _array(texts, mask.shape, "bool", layout) + "}"


def _array(texts: list[str], shape: tuple[int, ...], dtype: str, layout: _Layout) -> str:
    width = max(shape[-1], 1) if shape else 1
    rows = [", ".join(texts[start : start + width]) for start in range(0, len(texts), width)]
    data = f"[{layout.joined(rows)}]"
    return f'"shape": {_text(list(shape))}, "dtype": "{dtype}", "data": {data}'


def _text(value: object) -> str:
    """Return JSON that a terminal may be sent: no control characters, however they are spelled."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)
