"""The rows of the conformance table: what people ask of a recurrent layer, each with the cases that
ask it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from rnnparity.catalogue import catalogue
from rnnparity.problem.cells import CELLS
from rnnparity.problem.dtypes import COMPUTE_DTYPE
from rnnparity.problem.layers import Bidirectional, Recurrent, Stack, halves
from rnnparity.problem.problem import Problem

Holds = Callable[[Problem], bool]
# One string a row of the mask, one letter a step: 1 is used, 0 is masked.
_RIGHT, _LEFT, _INSIDE, _ROW = ("1+0+", "0+1+", "1+(0+1+)+", "0+")
_SEVERAL = "0+1+0+1+0*|1+0+1+0+"


@dataclass(frozen=True)
class Feature:
    """A row: its group, its name, and whether a case asks for it."""

    group: str
    name: str
    holds: Holds


# The first row of every table: the catalogue as a whole.
ALL = Feature("", "all cases", lambda _: True)


def _cells() -> Iterator[tuple[str, Holds]]:
    """Each cell with the value of its option that changes the equations, if it has one."""
    for cell in CELLS.values():
        if not cell.two_biases:
            yield cell.class_name, _cell(cell.class_name)
            continue
        for value in (True, False):
            label = f"{cell.class_name}, {cell.two_biases}={value}"
            yield label, _cell(cell.class_name, cell.two_biases, value)


def _cell(class_name: str, option: str = "", value: bool = True) -> Holds:
    """A layer of that class with that value of an option, itself or within another."""
    return lambda problem: any(
        half.class_name == class_name and (not option or getattr(half, option) == value)
        for _, half in halves(problem.layer)
    )


def _alone(backwards: bool) -> Holds:
    return lambda problem: (
        isinstance(problem.layer, Recurrent) and problem.layer.go_backwards is backwards
    )


def _merged(mode: str | None) -> Holds:
    return lambda problem: (
        isinstance(problem.layer, Bidirectional) and problem.layer.merge_mode == mode
    )


def _returns(sequences: bool, state: bool) -> Holds:
    return lambda problem: (
        (problem.layer.return_sequences, problem.layer.return_state) == (sequences, state)
    )


def _rows(pattern: str) -> Holds:
    """A mask with such a row."""

    def holds(problem: Problem) -> bool:
        rows = [] if problem.mask is None else problem.mask.astype(int).tolist()
        return any(re.fullmatch(pattern, "".join(map(str, row))) for row in rows)

    return holds


def _tagged(tag: str) -> Holds:
    """A case with that tag, or, where it ends in a colon, with one that begins so."""
    return lambda problem: any(
        own == tag or (tag.endswith(":") and own.startswith(tag))
        for own in (problem.case.tags if problem.case else ())
    )


def _half(test: Callable[[Recurrent], bool]) -> Holds:
    return lambda problem: any(test(half) for _, half in halves(problem.layer))


def _policies(*names: str) -> Holds:
    """A layer, a wrapper or a layer of a stack under one of those dtype policies."""

    def holds(problem: Problem) -> bool:
        outer = [] if isinstance(problem.layer, Stack) else [problem.layer.dtype]
        return not {*outer, *(half.dtype for _, half in halves(problem.layer))}.isdisjoint(names)

    return holds


def _features() -> Iterator[Feature]:
    rows: dict[str, dict[str, Holds]] = {
        "Layer": {
            **dict(_cells()),
        },
        "Direction": {
            "forward": _alone(False),
            "go_backwards": _alone(True),
            **{f"Bidirectional, {mode}": _merged(mode) for mode in ("concat", "sum", "mul", "ave")},
            "Bidirectional, two outputs": _merged(None),
            "two different halves": _tagged("halves"),
            "stacks of layers": lambda problem: isinstance(problem.layer, Stack),
        },
        "Returned": {
            "the last output": _returns(False, False),
            "the sequence": _returns(True, False),
            "the last output and states": _returns(False, True),
            "the sequence and states": _returns(True, True),
        },
        "Mask": {
            "none": lambda problem: problem.mask is None,
            "padding on the right": _rows(_RIGHT),
            "padding on the left": _rows(_LEFT),
            "a gap inside": _rows(_INSIDE),
            "a row without any step": _rows(_ROW),
            "several gaps in a row": _rows(_SEVERAL),
            "zero_output_for_mask": _tagged("zero_output"),  # Bidirectional sets it by itself
        },
        "State": {
            "initial state given": lambda problem: problem.initial_state is not None,
            "stateful, several calls": lambda problem: problem.calls is not None,
        },
        "Options": {
            "other activation": _half(lambda half: half.activation != "tanh"),
            "other recurrent_activation": _half(
                lambda half: half.cell.gated and half.recurrent_activation != "sigmoid"
            ),
            "use_bias=False": _half(lambda half: not half.use_bias),
        },
        "Type": {
            "float64": _policies("float64"),
            "float16": _policies("float16"),
            "bfloat16": _policies("bfloat16"),
            "mixed policies": _policies(
                *(name for name in COMPUTE_DTYPE if name.startswith("mixed_"))
            ),
        },
        "Numbers": {
            "an axis of length one": _tagged("edge:"),
            "saturated gates": _tagged("saturation"),
            "constant weights": _tagged("weights:constant"),
            "digits printed in the sources": _tagged("sources"),
        },
    }
    for group, features in rows.items():
        for name, holds in features.items():
            yield Feature(group, name, holds)


FEATURES: tuple[Feature, ...] = (ALL, *_features())


@cache
def cases_of(feature: Feature) -> frozenset[str]:
    """The ids of the cases of a row."""
    return frozenset(case for case, problem in catalogue().items() if feature.holds(problem))
