"""Writing problems in the project's JSON format, on one line or for a diff (docs/format.md).

Data is flat and row-major. float32 is written as %.9g (which every float32 survives), float16 and
bfloat16 as their exact float32 values, float64 with 17 digits. NaN and infinity are the strings
"NaN", "Infinity", "-Infinity".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import numpy as np

from rnnparity.problem.case import Case
from rnnparity.problem.dtypes import Array
from rnnparity.problem.keras_config import JsonObject, layer_spec
from rnnparity.problem.problem import Problem, Tensor

FORMAT, FORMAT_2 = "rnnparity/1", "rnnparity/2"
# The keys that only version 2 has.
KEYS_OF_2 = ("cotangents", "dropout_masks", "training_step")
# The words of numbers that JSON has no literal for, as they are written and read.
WORDS = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}


_ORDER = (
    *("format", "id", "layer", "weights", "inputs", "mask", "initial_state", "calls"),
    *("dropout_masks", "training_step", "outputs", "cotangents", "gradients", "case"),
)


# So many numbers at most are text at once: that of a list of a large array's would fill the memory.
CHUNK = 2**14


class _Layout:
    """How a problem is written: on one line, or with a line for each last-axis row of an array."""

    def __init__(self, line: str) -> None:
        self.line, self.separator = line, f",{line}" if line else ", "

    def joined(self, parts: Iterable[Iterable[str]]) -> Iterator[str]:
        """Yield the pieces of several parts, with what stands around and between the parts."""
        yield self.line
        for position, part in enumerate(parts):
            if position:
                yield self.separator
            yield from part
        yield self.line


def dump_line(problem: Problem) -> str:
    """Return one problem on one line, as it goes through a pipe."""
    return "".join(dump_pieces(problem))


def dump_pretty(problem: Problem) -> str:
    """Return one problem with a line for every key and every row, so that a diff can be read."""
    return "".join(dump_pieces(problem, pretty=True))


def dump_pieces(problem: Problem, *, pretty: bool = False) -> Iterator[str]:
    """Yield what `dump_line` or `dump_pretty` returns in pieces, without the text of all numbers."""
    layout = _Layout("\n" if pretty else "")
    parts = dict(_parts(problem, layout))
    members = (chain((f"{_text(key)}: ",), parts[key]) for key in _ORDER if key in parts)
    yield "{"
    yield from layout.joined(members)
    yield "}"


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


def _parts(problem: Problem, layout: _Layout) -> Iterator[tuple[str, Iterable[str]]]:
    """Yield each key with the pieces of its value."""
    states, mask = problem.initial_state, problem.mask
    for key, value in plain_fields(problem).items():
        yield key, (_text(value),)
    yield "weights", _tensors(problem.weights, layout)
    yield "inputs", chain("{", _tensor(problem.inputs, layout), "}")
    yield "mask", ("null",) if mask is None else chain("{", _mask(mask, layout), "}")
    yield "initial_state", ("null",) if states is None else _tensors(states, layout)
    for key in ("dropout_masks", "outputs", "cotangents", "gradients"):
        if getattr(problem, key) is not None:
            yield key, _tensors(getattr(problem, key), layout)
    if problem.training_step is not None:
        step = problem.training_step
        targets = _tensors(step.targets, layout)
        yield "training_step", chain((f'{{"lr": {step.lr!r}, "targets": ',), targets, "}")


def _case_fields(case: Case) -> JsonObject:
    fields: JsonObject = {"tags": list(case.tags), "source": case.source, "why": case.why}
    if case.initializers is not None:
        fields["initializers"] = dict(case.initializers)
    if case.expect:
        fields["expect"] = dict(case.expect)
    return fields


def _tensors(tensors: Sequence[Tensor | None], layout: _Layout) -> Iterator[str]:
    yield "["
    yield from layout.joined(_named(tensor, layout) for tensor in tensors)
    yield "]"


def _named(tensor: Tensor | None, layout: _Layout) -> Iterable[str]:
    if tensor is None:
        return ("null",)
    return chain((f'{{"name": {_text(tensor.name)}, ',), _tensor(tensor, layout), "}")


def _tensor(tensor: Tensor, layout: _Layout) -> Iterator[str]:
    form = "%.17g" if tensor.dtype == "float64" else "%.9g"

    def texts(values: Array) -> list[str]:
        found = [form % value for value in values.tolist()]
        if "-0" in found:  # which JSON would read as the integer 0
            found = ["-0.0" if text == "-0" else text for text in found]
        if not np.isfinite(values).all():
            found = [WORDS.get(text, text) for text in found]
        return found

    return _array(tensor.data, tensor.dtype, texts, layout)


def _mask(mask: Array, layout: _Layout) -> Iterator[str]:
    def texts(values: Array) -> list[str]:
        return ["true" if value else "false" for value in values.tolist()]

    return _array(mask, "bool", texts, layout)


def _array(
    data: Array, dtype: str, texts: Callable[[Array], list[str]], layout: _Layout
) -> Iterator[str]:
    """Yield an array; `texts` makes text of some of its numbers."""
    width = max(data.shape[-1], 1) if data.shape else 1
    yield f'"shape": {_text(list(data.shape))}, "dtype": "{dtype}", "data": ['
    yield from layout.joined(_chunks(data.ravel(), width, texts, layout))
    yield "]"


def _chunks(
    values: Array, width: int, texts: Callable[[Array], list[str]], layout: _Layout
) -> Iterator[tuple[str]]:
    """Yield the text of several rows at a time."""
    length = max(CHUNK // width, 1) * width
    for begin in range(0, values.size, length):
        found = texts(values[begin : begin + length])
        rows = [", ".join(found[start : start + width]) for start in range(0, len(found), width)]
        yield (layout.separator.join(rows),)


def _text(value: object) -> str:
    """Return JSON that a terminal may be sent: no control characters, however they are spelled."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)
