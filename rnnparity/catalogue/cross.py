"""The cross product of variants, directions, return flags, masks, initial states and weights."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from rnnparity.catalogue.build import CONSTANTS, LENGTH_MASKS, MASKS, TRAIN_X, CaseSpec
from rnnparity.catalogue.configs import (
    BOTH,
    SEQUENCES,
    SOURCE_UNITS,
    STATE,
    UNITS,
    VARIANTS,
    directed,
    id_of,
)
from rnnparity.problem.dtypes import Array

DIRECTIONS = ("forward", "backwards", "concat", "sum", "mul", "ave", "none")
FLAGS = {"last": {}, "state": STATE, "sequences": SEQUENCES, "sequences-state": BOTH}
MASK_NAMES = ("none", *MASKS)
WEIGHTS = ("spread", "constant")

_DIRECTION_TESTS = {
    "forward": "the equations",
    "backwards": "go_backwards: processing from the end, outputs in processing order, the mask "
    "reversed with them",
    "concat": "forward outputs, then backward outputs reversed to forward time, states half by "
    "half",
    "sum": "the sum of aligned halves",
    "mul": "the product of aligned halves",
    "ave": "the mean of aligned halves",
    "none": "two outputs instead of a merged one",
}
_MASK_TESTS = {
    "none": "",
    "right": "; padding at the end repeats the last real output",
    "left": "; leading padding gives zeros before the first real step",
    "interior": "; a gap keeps every state",
    "row": "; a row without any real step keeps its initial state and gives zeros",
    "right_empty": "; padding at the end with a row of length 0",
    "right_full": "; padding at the end with a row of length T",
    "left_empty": "; leading padding with a row of length 0",
    "left_full": "; leading padding with a row of length T",
}


def cross_cases() -> Iterator[CaseSpec]:
    """Yield every combination of the options."""
    for options in product(VARIANTS, DIRECTIONS, FLAGS, MASK_NAMES, (False, True), WEIGHTS):
        yield _case(*options)


def length_cases() -> Iterator[CaseSpec]:
    """Yield padding with a row of length 0 or T: limits that engines with lengths must meet."""
    directions, all_flags = ("forward", "backwards", "concat", "ave"), ("state", "sequences-state")
    for name, direction, flags, mask, initial in product(
        VARIANTS, directions, all_flags, LENGTH_MASKS, (False, True)
    ):
        yield _case(name, direction, flags, mask, initial, "spread")


def _case(
    name: str, direction: str, flags: str, mask: str, initial: bool, weights: str
) -> CaseSpec:
    two_ways = direction not in ("forward", "backwards")
    parts = [f"bi_{name}" if two_ways else name, weights]
    parts += [] if direction == "forward" else [direction]
    parts += [flags] if mask == "none" else [flags, f"mask_{mask}"]
    tags = [f"kind:{name}", f"direction:{direction}", f"flags:{flags}", f"mask:{mask}"]
    tags += [f"initial:{'given' if initial else 'none'}", f"weights:{weights}"]
    why = f"Tests {_DIRECTION_TESTS[direction]}{_MASK_TESTS[mask]}"
    why += "; the states start from the initial state" if initial else ""
    constant = weights == "constant"
    why += "; the numbers can be checked by hand" if constant else ""
    return CaseSpec(
        id_of(*parts, initial=initial),
        directed(name, direction, units=SOURCE_UNITS if constant else UNITS, **FLAGS[flags]),
        f"{why}.",
        tags=tags,
        inputs=_constant_inputs() if constant else None,
        initializers=CONSTANTS if constant else None,
        mask={**MASKS, **LENGTH_MASKS}.get(mask),
        initial=initial,
    )


def _constant_inputs() -> Array:
    """Return the sources' sentence and the same one reversed, so that B is not 1."""
    sentence = np.array(TRAIN_X)
    return np.stack([sentence, sentence[::-1]])
