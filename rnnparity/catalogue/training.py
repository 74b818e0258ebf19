"""Training steps: one of gradient descent from given weights, judged by the weights after it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from rnnparity.catalogue.build import LONGER, CaseSpec
from rnnparity.catalogue.configs import (
    BOTH,
    SEQUENCES,
    VARIANTS,
    directed,
    merged,
    stack,
    tags_of,
    variant,
)
from rnnparity.problem.keras_config import JsonObject

# Large enough to be seen beside the rounding of the weights, and a number of every float type.
LR = 4.0
# Keras leaves masked steps out of the loss of a sequence: only the last output has a mask.
MASK = ("101100", "110010")
# The direction, what the case returns, and whether it has a mask and an initial state.
FORMS: tuple[tuple[str, JsonObject, bool, bool], ...] = (
    ("forward", BOTH, False, True),
    ("backwards", {}, True, False),
    ("concat", SEQUENCES, False, False),
)


def training_steps() -> Iterator[CaseSpec]:
    """Yield training steps of every cell and direction, of a stack, and in float64."""
    for name, (direction, flags, masked, initial) in product(VARIANTS, FORMS):
        yield CaseSpec(
            f"training_step-{name}-{direction}",
            directed(name, direction, **flags),
            "One step of gradient descent on the mean squared error, through every output: detects "
            "wrong gradients, losses and learning rates.",
            tags=tags_of(name, direction, "training"),
            shape=LONGER,
            mask=MASK if masked else None,
            initial=initial,
            lr=LR,
        )
    yield CaseSpec(
        "training_step-stack",
        stack(variant("lstm", return_sequences=True), merged(variant("gru"), "concat")),
        "One step of gradient descent through the layers of a stack.",
        tags=["stack", "training"],
        shape=LONGER,
        lr=LR,
    )
    yield CaseSpec(
        "training_step-lstm-float64",
        variant("lstm", dtype="float64", **BOTH),
        "One step of gradient descent, to the last digit of float64.",
        tags=tags_of("lstm", "forward", "training", "dtype:float64"),
        shape=LONGER,
        lr=LR,
    )
