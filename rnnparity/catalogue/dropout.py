"""Dropout in training: with given masks it is as exact as everything else."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from rnnparity.catalogue.build import LONGER, CaseSpec
from rnnparity.catalogue.configs import BOTH, SEQUENCES, VARIANTS, directed, tags_of
from rnnparity.problem.keras_config import JsonObject

# Gaps inside and at the end; what backends do before the first used step is not what is tested here.
MASK = ("101100", "110010")
# What is dropped out, whether all gates have one mask, the direction, what the case returns, and
# whether it has a mask of time and an initial state.
FORMS: tuple[tuple[str, bool, str, JsonObject, bool], ...] = (
    ("both", False, "forward", BOTH, True),
    ("inputs", True, "backwards", {}, False),
    ("recurrent", False, "concat", SEQUENCES, False),
    ("both", True, "sum", SEQUENCES, False),
)


def dropout() -> Iterator[CaseSpec]:
    """Yield dropout of the inputs, of the recurrent products, and of both."""
    for name, (what, shared, direction, flags, complete) in product(VARIANTS, FORMS):
        gates = "one mask for all gates" if shared else "a mask for each gate"
        yield CaseSpec(
            f"dropout-{what}-{name}-{direction}",
            directed(name, direction, **flags),
            f"Dropout in training with {gates}: detects masks at the wrong gate or product, and at "
            "the state that a GRU keeps.",
            tags=tags_of(name, direction, f"dropout:{what}"),
            shape=LONGER,
            mask=MASK if complete else None,
            initial=complete,
            dropout=("inputs", "recurrent") if what == "both" else (what,),
            shared_dropout=shared,
        )
