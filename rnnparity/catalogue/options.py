"""One option at a time, where the cross product would be too large or too tame."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from rnnparity.catalogue.build import GAPS, LONGER, MASKS, SHAPE, CaseSpec
from rnnparity.catalogue.configs import (
    BOTH,
    FORMS,
    SEQUENCES,
    VARIANTS,
    directed,
    id_of,
    tags_of,
    variant,
)
from rnnparity.catalogue.numbers import spread
from rnnparity.problem.cells import CELLS
from rnnparity.problem.layers import ACTIVATIONS


def bias() -> Iterator[CaseSpec]:
    """Yield layers without a bias."""
    for name, direction, form in product(VARIANTS, ("forward", "concat"), FORMS):
        suffix, flags, complete = form
        yield CaseSpec(
            id_of("bias-off", name, direction, suffix),
            directed(name, direction, use_bias=False, **flags),
            "Without a bias get_weights() has two arrays per half; a GRU must not keep its second "
            "bias.",
            tags=tags_of(name, direction, "bias:off"),
            shape=LONGER,
            mask=GAPS if complete else None,
            initial=complete,
        )


def activations() -> Iterator[CaseSpec]:
    """Yield every activation in each argument that takes one."""
    for name, activation, form in product(VARIANTS, ACTIVATIONS, FORMS):
        suffix, flags, complete = form
        arguments = {"activation": "values"}
        if CELLS[VARIANTS[name][0]].gated:
            arguments["recurrent_activation"] = "gates"
        for argument, label in arguments.items():
            tag = f"activation:{activation}"
            yield CaseSpec(
                id_of("activation", activation, name, label, suffix),
                variant(name, **{argument: activation, **flags}),
                f"{activation} as {argument}: formulas differ between frameworks and Keras "
                "versions.",
                tags=tags_of(name, "forward", tag),
                initial=complete,
                # Larger weights overflow: the exponential of an exponential.
                weight_exponent=-1 if activation == "exponential" else 0,
            )


def zero_output() -> Iterator[CaseSpec]:
    """Yield zero_output_for_mask outside of Bidirectional, which sets it itself."""
    for name, direction, sequences, mask in product(
        VARIANTS, ("forward", "backwards"), (True, False), MASKS
    ):
        flags = "sequences" if sequences else "last"
        config = {"zero_output_for_mask": True, "return_sequences": sequences, "return_state": True}
        tags = (f"flags:{flags}", f"mask:{mask}", "zero_output")
        yield CaseSpec(
            f"zero_output-{name}-{direction}-{flags}-mask_{mask}",
            directed(name, direction, **config),
            "Masked steps give zeros while the states are kept; it counts only with "
            "return_sequences."
            if sequences
            else "zero_output_for_mask is documented to count only with return_sequences.",
            tags=tags_of(name, direction, *tags),
            mask=MASKS[mask],
            initial=True,
        )


# (B, T, D) and H with one axis of length 1.
EDGES = {
    "T1": ((2, 1, 6), 5),
    "B1": ((1, 4, 6), 5),
    "H1": ((2, 4, 6), 1),
    "D1": ((2, 4, 1), 5),
}


def edges() -> Iterator[CaseSpec]:
    """Yield axes of length 1, where squeezed or broadcast axes are not noticed elsewhere."""
    for name, direction, label, form in product(
        VARIANTS, ("forward", "backwards", "concat"), EDGES, (*FORMS, ("", BOTH, False))
    ):
        suffix, flags, initial = form
        shape, units = EDGES[label]
        yield CaseSpec(
            id_of("edge", label, name, direction, suffix, initial=initial),
            directed(name, direction, units=units, **flags),
            f"{label[0]} = 1: detects an axis that is lost or broadcast by accident.",
            tags=tags_of(name, direction, f"edge:{label}"),
            shape=shape,
            initial=initial,
            recurrent_exponent=2,  # with one unit smaller weights hide in the noise
        )


def kinks() -> Iterator[CaseSpec]:
    """Yield units that are exactly 0 in the first step, where the slope of an activation jumps."""
    inputs = spread(SHAPE, 90, 1).copy()
    inputs[:, 0] = 0
    for activation in ("relu", "selu"):
        yield CaseSpec(
            f"edge-kink-{activation}-simple_rnn",
            variant("simple_rnn", activation=activation, use_bias=False, **SEQUENCES),
            f"The first step of every row is 0, which is the kink of {activation}: its gradient "
            "has the slope of one side.",
            tags=tags_of("simple_rnn", "forward", "edge:kink", f"activation:{activation}"),
            inputs=inputs,
        )
