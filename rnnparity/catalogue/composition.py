"""Layers made of layers, and layers that are called more than once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from rnnparity.catalogue.build import GAPS, LONGER, LOUD, CaseSpec
from rnnparity.catalogue.configs import (
    BOTH,
    FORMS,
    SEQUENCES,
    STATE,
    VARIANTS,
    bidirectional,
    configured,
    directed,
    id_of,
    merged,
    stack,
    tags_of,
    variant,
)
from rnnparity.problem.keras_config import JsonObject

# Another number of units than the default.
WIDE: JsonObject = {"units": 8}

# Forward half, backward half, merge modes.
HALVES: Mapping[str, tuple[JsonObject, JsonObject, Sequence[str]]] = {
    "lstm_gru": (variant("lstm"), variant("gru"), ("concat", "sum", "none")),
    "gru_lstm": (variant("gru_before"), variant("lstm"), ("concat", "mul", "none")),
    "rnn_lstm": (variant("simple_rnn"), variant("lstm"), ("concat", "ave", "none")),
    "units": (variant("lstm"), variant("lstm", **WIDE), ("concat", "none")),
    "units_gru": (variant("gru", **WIDE), variant("gru"), ("concat", "none")),
    "activations": (
        variant("lstm", activation="relu"),
        variant("lstm", recurrent_activation="hard_sigmoid"),
        ("concat", "sum"),
    ),
    "resets": (variant("gru"), variant("gru_before"), ("concat", "sum")),
}


def different_halves() -> Iterator[CaseSpec]:
    """Yield a `backward_layer` of another class, other units or another activation."""
    for label, (forward, backward, modes) in HALVES.items():
        for mode, (suffix, flags, masked) in product(modes, (*FORMS, ("", BOTH, False))):
            backwards = configured(backward, go_backwards=True, **flags)
            yield CaseSpec(
                id_of("halves", label, mode, suffix, mask=masked),
                merged(configured(forward, **flags), mode, backward_layer=backwards),
                "The halves may be different layers; weights, states and widths follow each half.",
                tags=["halves", f"direction:{mode}"],
                shape=LONGER,
                mask=GAPS if masked else None,
                initial=masked,
            )


def stateful() -> Iterator[CaseSpec]:
    """Yield three calls of one layer: the states of one call start the next."""
    flags = {"sequences-state": BOTH, "last-state": STATE, "sequences": SEQUENCES}
    for name, direction, mask, initial, label in product(
        VARIANTS, ("forward", "backwards", "concat", "ave"), ("none", "gaps"), (False, True), flags
    ):
        masked = mask == "gaps"
        tags = ("stateful", f"mask:{mask}")
        yield CaseSpec(
            id_of("stateful", name, direction, label, mask=masked, initial=initial),
            directed(name, direction, stateful=True, **flags[label]),
            "Three calls of 3, 2 and 1 steps: the states of one call start the next, in each half; "
            "direction and mask apply to each call.",
            tags=tags_of(name, direction, *tags),
            shape=LONGER,
            mask=GAPS if masked else None,
            initial=initial,
            calls=(3, 2, 1),
        )


# As wide as the inputs, so that any two layers' weights could be taken for each other.
_ALIKE: JsonObject = {"units": LONGER[2]}
STACKS: Mapping[str, Sequence[JsonObject]] = {
    "two_lstm": [variant("lstm", **SEQUENCES), variant("lstm", **BOTH, **WIDE)],
    "two_rnn_last": [variant("simple_rnn", **SEQUENCES), variant("simple_rnn")],
    "three_mixed": [
        variant("lstm", **SEQUENCES),
        variant("gru", **SEQUENCES, **WIDE),
        variant("simple_rnn", **BOTH),
    ],
    "three_gru": [
        variant("gru", **SEQUENCES),
        variant("gru_before", **SEQUENCES, **WIDE),
        variant("gru", **BOTH),
    ],
    "backwards_between": [
        variant("lstm", **SEQUENCES),
        variant("gru", go_backwards=True, **SEQUENCES),
        variant("lstm", **BOTH),
    ],
    "backwards_first": [
        variant("simple_rnn", go_backwards=True, **SEQUENCES),
        variant("lstm", **BOTH),
    ],
    "two_ways": [
        bidirectional(variant("lstm", **SEQUENCES)),
        merged(variant("gru", **BOTH), "sum"),
    ],
    "two_ways_below": [
        merged(variant("gru_before", **SEQUENCES), "ave"),
        variant("lstm", **BOTH),
    ],
    "four": [
        bidirectional(variant("lstm", **SEQUENCES)),
        variant("gru", **SEQUENCES, **WIDE),
        merged(variant("simple_rnn", **SEQUENCES), "mul"),
        variant("lstm", **STATE),
    ],
    "four_bidirectional": [
        *[bidirectional(variant("simple_rnn", **SEQUENCES))] * 3,
        bidirectional(variant("simple_rnn", **BOTH)),
    ],
    "four_alike": [
        *[variant("gru", **SEQUENCES, **_ALIKE)] * 3,
        variant("gru", **BOTH, **_ALIKE),
    ],
    "merge_none_last": [variant("lstm", **SEQUENCES), merged(variant("lstm", **BOTH), "none")],
    "float64": [
        variant("lstm", dtype="float64", **SEQUENCES),
        variant("gru", dtype="float64", **BOTH),
    ],
    "policies": [variant("lstm", dtype="mixed_float16", **SEQUENCES), variant("gru", **BOTH)],
}


def stacks() -> Iterator[CaseSpec]:
    """Yield two to four layers, alike and mixed."""
    for label, masked, initial in product(STACKS, (False, True), (False, True)):
        tags = ["stack", f"mask:{'gaps' if masked else 'none'}"]
        if label == "four_alike":
            tags.append("edge")  # D = H
        yield CaseSpec(
            id_of("stack", label, mask=masked, initial=initial),
            stack(*STACKS[label]),
            "Each layer feeds the next; the mask is passed on unchanged, also by a layer that "
            "reverses the sequence.",
            tags=tags,
            shape=LONGER,
            mask=GAPS if masked else None,
            initial=initial,
            weight_exponent=LOUD,
            input_exponent=0,
        )
