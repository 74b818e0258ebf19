"""The cross product: every kind x direction x return flags x mask x initial state, with constant
and spread weights."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from rnnparity.catalogue.build import (
    CONSTANTS,
    MASKS,
    TRAIN_X,
    bidirectional,
    build,
    recurrent,
)
from rnnparity.problem.cells import CELLS
from rnnparity.problem.problem import Problem

KINDS: dict[str, dict[str, Any]] = {
    name: recurrent(cell.class_name, **options)
    for cell in CELLS.values()
    for name, options in cell.variants.items()
}
DIRECTIONS = ("forward", "backwards", "concat", "sum", "mul", "ave", "none")
FLAGS = {
    "last": {},
    "state": {"return_state": True},
    "sequences": {"return_sequences": True},
    "sequences-state": {"return_sequences": True, "return_state": True},
}
MASK_NAMES = ("none", *MASKS)
WEIGHTS = ("spread", "constant")

_SHOWS = {
    "forward": "the equations",
    "backwards": "go_backwards: processing from the end, outputs in processing order, the mask reversed with them",
    "concat": "forward outputs, then backward outputs reversed to forward time, states half by half",
    "sum": "the sum of aligned halves",
    "mul": "the product of aligned halves",
    "ave": "the mean of aligned halves",
    "none": "two outputs instead of a merged one",
}
_MASK_SHOWS = {
    "none": "",
    "right": "; padding at the end repeats the last real output",
    "left": "; leading padding gives zeros before the first real step",
    "interior": "; a gap keeps every state",
    "row": "; a row without any real step keeps its initial state and gives zeros",
}


def cross_cases() -> Iterator[Problem]:
    """4 kinds x 7 directions x 4 flag pairs x 5 masks x 2 initial states x 2 weights: 2240
    cases."""
    for kind, direction, flags, mask, initial, weights in product(
        KINDS, DIRECTIONS, FLAGS, MASK_NAMES, (False, True), WEIGHTS
    ):
        yield _case(kind, direction, flags, mask, initial, weights)


def in_pairs(kind: str, direction: str, flags: str, mask: str, initial: bool, weights: str) -> bool:
    """A tenth of the product in which every two options still meet (tests/catalogue prints the
    pairs)."""
    place = (
        list(KINDS).index(kind),
        DIRECTIONS.index(direction),
        list(FLAGS).index(flags),
        MASK_NAMES.index(mask),
        int(initial),
        WEIGHTS.index(weights),
    )
    return (
        sum(factor * number for factor, number in zip((1, 2, 3, 5, 4, 7), place, strict=True)) % 11
        == 0
    )


def _case(kind: str, direction: str, flags: str, mask: str, initial: bool, weights: str) -> Problem:
    inner = {
        "class_name": KINDS[kind]["class_name"],
        "config": {**KINDS[kind]["config"], **FLAGS[flags]},
    }
    two_ways = direction not in ("forward", "backwards")
    if direction == "backwards":
        inner["config"]["go_backwards"] = True
    spec = (
        bidirectional(inner, merge_mode=None if direction == "none" else direction)
        if two_ways
        else inner
    )
    parts = [
        f"bi_{kind}" if two_ways else kind,
        weights,
        *([] if direction == "forward" else [direction]),
        flags,
    ]
    parts += [] if mask == "none" else [f"mask_{mask}"]
    parts += ["initial"] if initial else []
    tags = [f"kind:{kind}", f"direction:{direction}", f"flags:{flags}", f"mask:{mask}"]
    tags += [f"initial:{'given' if initial else 'none'}", f"weights:{weights}"]
    tags += ["pairs"] if in_pairs(kind, direction, flags, mask, initial, weights) else []
    constant = weights == "constant"
    return build(
        "-".join(parts),
        spec,
        f"Tests {_SHOWS[direction]}{_MASK_SHOWS[mask]}"
        f"{'; the states start from the initial state' if initial else ''}"
        f"{'; the numbers can be checked by hand' if constant else ''}.",
        tags=tags,
        inputs=_constant_inputs() if constant else None,
        initializers=CONSTANTS if constant else None,
        mask=MASKS.get(mask),
        initial=initial,
    )


def _constant_inputs() -> Any:
    """The sources' sentence, and beside it the same one read from its end, so that B is not 1."""
    sentence = np.array(TRAIN_X)
    return np.stack([sentence, sentence[::-1]])
