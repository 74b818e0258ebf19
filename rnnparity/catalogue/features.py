"""The rows of the conformance table: features of recurrent layers, each with its cases."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.core import core
from rnnparity.problem.cells import CELLS
from rnnparity.problem.dtypes import COMPUTE_DTYPE
from rnnparity.problem.layers import Bidirectional, Recurrent, Stack, halves, policies
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import OptionValue

Predicate = Callable[[Problem], bool]
# Patterns of a row of a mask, a character for each step: 1 is used, 0 is masked.
_RIGHT, _LEFT, _INSIDE, _EMPTY = ("1+0+", "0+1+", "1+(0+1+)+", "0+")
_SEVERAL = "0+1+0+1+0*|1+0+1+0+"


@dataclass(frozen=True)
class Feature:
    """A row: its group, its name, and whether a case has the feature."""

    group: str
    name: str
    matches: Predicate


# The first row of every table: the whole catalogue.
ALL = Feature("", "all cases", lambda _: True)


def _cells() -> Iterator[tuple[str, Predicate]]:
    """Yield each cell with each value of the option that changes its equations, if it has one."""
    for cell in CELLS.values():
        option = cell.two_biases
        if not option:
            yield cell.class_name, partial(_has_cell, class_name=cell.class_name)
            continue
        for value in (True, False):
            predicate = partial(_has_cell, class_name=cell.class_name, option=option, value=value)
            yield f"{cell.class_name}, {option}={value}", predicate


def _has_cell(problem: Problem, class_name: str, option: str = "", value: bool = True) -> bool:
    """Return whether a half of the layer is of this class and has this value of the option."""
    return any(
        half.class_name == class_name and (not option or getattr(half, option) == value)
        for _, half in halves(problem.layer)
    )


def _is_recurrent(problem: Problem, go_backwards: bool) -> bool:
    layer = problem.layer
    return isinstance(layer, Recurrent) and layer.go_backwards is go_backwards


def _merges(problem: Problem, mode: str | None) -> bool:
    layer = problem.layer
    return isinstance(layer, Bidirectional) and layer.merge_mode == mode


def _is_stack(problem: Problem) -> bool:
    return isinstance(problem.layer, Stack)


def _returns(problem: Problem, sequences: bool, state: bool) -> bool:
    layer = problem.layer
    return (layer.return_sequences, layer.return_state) == (sequences, state)


def _has_no_mask(problem: Problem) -> bool:
    return problem.mask is None


def _has_row(problem: Problem, pattern: str) -> bool:
    """Return whether a row of the mask matches a pattern."""
    rows = [] if problem.mask is None else problem.mask.astype(int).tolist()
    return any(re.fullmatch(pattern, "".join(map(str, row))) for row in rows)


def _has_tag(problem: Problem, tag: str) -> bool:
    """Return whether a case has a tag; a tag that ends in a colon is a prefix."""
    tags = problem.case.tags if problem.case else ()
    if tag.endswith(":"):
        return any(name.startswith(tag) for name in tags)
    return tag in tags


def _has_initial_state(problem: Problem) -> bool:
    return problem.initial_state is not None


def _has_calls(problem: Problem) -> bool:
    return problem.calls is not None


def _has_dropout(problem: Problem) -> bool:
    return problem.dropout_masks is not None


def _trains(problem: Problem) -> bool:
    return problem.training_step is not None


def _has_activation(problem: Problem) -> bool:
    return any(half.activation != "tanh" for _, half in halves(problem.layer))


def _has_recurrent_activation(problem: Problem) -> bool:
    return any(
        half.class_name != "SimpleRNN" and half.recurrent_activation != "sigmoid"
        for _, half in halves(problem.layer)
    )


def _has_no_bias(problem: Problem) -> bool:
    return any(not half.use_bias for _, half in halves(problem.layer))


def _has_policy(problem: Problem, names: frozenset[str]) -> bool:
    """Return whether a layer, a wrapper or a layer of a stack has one of these dtype policies."""
    return not policies(problem.layer).isdisjoint(names)


def _tag(name: str) -> Predicate:
    return partial(_has_tag, tag=name)


def _row(pattern: str) -> Predicate:
    return partial(_has_row, pattern=pattern)


def _merge_mode(mode: str | None) -> Predicate:
    return partial(_merges, mode=mode)


def _flags(sequences: bool, state: bool) -> Predicate:
    return partial(_returns, sequences=sequences, state=state)


def _policy(*names: str) -> Predicate:
    return partial(_has_policy, names=frozenset(names))


def _rows() -> Mapping[str, Mapping[str, Predicate]]:
    """Return the predicate of each row by group and name."""
    mixed = [name for name in COMPUTE_DTYPE if name.startswith("mixed_")]
    return {
        "Layer": dict(_cells()),
        "Direction": {
            "forward": partial(_is_recurrent, go_backwards=False),
            "go_backwards": partial(_is_recurrent, go_backwards=True),
            "Bidirectional, concat": _merge_mode("concat"),
            "Bidirectional, sum": _merge_mode("sum"),
            "Bidirectional, mul": _merge_mode("mul"),
            "Bidirectional, ave": _merge_mode("ave"),
            "Bidirectional, two outputs": _merge_mode(None),
            "two different halves": _tag("halves"),
            "stacks of layers": _is_stack,
        },
        "Returned": {
            "the last output": _flags(False, False),
            "the sequence": _flags(True, False),
            "the last output and states": _flags(False, True),
            "the sequence and states": _flags(True, True),
        },
        "Mask": {
            "none": _has_no_mask,
            "padding on the right": _row(_RIGHT),
            "padding on the left": _row(_LEFT),
            "a gap inside": _row(_INSIDE),
            "a row without any step": _row(_EMPTY),
            "several gaps in a row": _row(_SEVERAL),
            "zero_output_for_mask": _tag("zero_output"),  # Bidirectional sets it by itself
        },
        "State": {
            "initial state": _has_initial_state,
            "stateful, several calls": _has_calls,
        },
        "Training": {
            "dropout masks": _has_dropout,
            "a training step": _trains,
        },
        "Options": {
            "activation other than tanh": _has_activation,
            "recurrent_activation other than sigmoid": _has_recurrent_activation,
            "use_bias=False": _has_no_bias,
        },
        "Dtype": {
            "float64": _policy("float64"),
            "float16": _policy("float16"),
            "bfloat16": _policy("bfloat16"),
            "mixed policies": _policy(*mixed),
        },
        "Numbers": {
            "an axis of length one": _tag("edge:"),
            "saturated gates": _tag("saturation"),
            "constant weights": _tag("weights:constant"),
            "digits printed in the sources": _tag("sources"),
        },
    }


def _features() -> Iterator[Feature]:
    yield ALL
    for group, rows in _rows().items():
        for name, predicate in rows.items():
            yield Feature(group, name, predicate)


FEATURES: tuple[Feature, ...] = tuple(_features())


@cache
def cases_of(feature: Feature) -> frozenset[str]:
    """Return the ids of the cases with a feature."""
    return frozenset(case for case, problem in catalogue().items() if feature.matches(problem))


def features_of(problem: Problem) -> list[OptionValue]:
    """Return the features that a case has, "all cases" left out."""
    return [
        OptionValue(feature.group, feature.name)
        for feature in FEATURES
        if feature is not ALL and feature.matches(problem)
    ]


@cache
def every_option_value() -> tuple[OptionValue, ...]:
    """Return the option values of all cases: those of the core set, which has them all."""
    values = (value for id_ in core() for value in option_values(catalogue()[id_]))
    return tuple(dict.fromkeys(values))


def option_values(problem: Problem) -> list[OptionValue]:
    """Return the features of a case, and each activation of its halves."""
    values = dict.fromkeys(features_of(problem))
    for _, half in halves(problem.layer):
        values[OptionValue("activation", half.activation)] = None
        if half.cell.gated:
            values[OptionValue("recurrent_activation", half.recurrent_activation)] = None
    return list(values)
