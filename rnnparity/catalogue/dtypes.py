"""Every dtype policy, also one inside another, and inputs so large that gates saturate."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from rnnparity.catalogue.build import GAPS, LONGER, LOUD, SHAPE, CaseSpec
from rnnparity.catalogue.configs import (
    BOTH,
    FORMS,
    VARIANTS,
    bidirectional,
    directed,
    id_of,
    tags_of,
    variant,
)
from rnnparity.catalogue.numbers import spread

POLICIES = ("float64", "float16", "mixed_float16", "bfloat16", "mixed_bfloat16")


def dtypes() -> Iterator[CaseSpec]:
    """Yield every dtype policy."""
    for policy, name, direction, masked in product(
        POLICIES, VARIANTS, ("forward", "backwards", "concat", "ave"), (False, True)
    ):
        spec = directed(name, direction, dtype=policy, **BOTH)
        spec["config"]["dtype"] = policy
        yield CaseSpec(
            id_of("dtype", policy, name, direction, mask=masked),
            spec,
            f"{policy}: weights, inputs and states are rounded to the compute dtype; the outputs "
            "have it.",
            tags=tags_of(name, direction, f"dtype:{policy}"),
            shape=LONGER,
            mask=GAPS if masked else None,
            initial=True,
            recurrent_exponent=LOUD,
        )
    yield CaseSpec(
        "dtype-float64-gelu",
        variant("simple_rnn", activation="gelu", dtype="float64", **BOTH),
        "gelu in float64: detects a constant that was rounded to float32.",
        tags=["kind:simple_rnn", "dtype:float64", "activation:gelu"],
        initial=True,
    )
    yield from _nested_policies()


def _nested_policies() -> Iterator[CaseSpec]:
    for (outer, inner), name in product(
        (("float32", "mixed_float16"), ("mixed_float16", "float32")), VARIANTS
    ):
        label = f"{outer}_around_{inner}"
        yield CaseSpec(
            f"dtype-{label}-{name}",
            bidirectional(variant(name, dtype=inner, **BOTH), dtype=outer),
            "Bidirectional's policy rounds inputs and merged output, the inner layer's the rest.",
            tags=tags_of(name, "concat", f"dtype:{label}"),
            initial=True,
            recurrent_exponent=LOUD,
        )


def saturation() -> Iterator[CaseSpec]:
    """Yield inputs so large that many gates are closed or open, while others still count."""
    for name, direction, exponent, form in product(
        VARIANTS, ("forward", "backwards", "concat"), (3, 5, 7), FORMS
    ):
        suffix, flags, complete = form
        inputs = spread(SHAPE, 90, exponent).copy()
        # Where every gate is saturated no weight would count.
        inputs[0] /= 2**exponent
        yield CaseSpec(
            id_of("saturation", name, direction, str(2**exponent), suffix),
            directed(name, direction, **flags),
            "Large inputs in one row saturate most gates: detects clipped exponentials and "
            "overflows.",
            tags=tags_of(name, direction, "saturation"),
            inputs=inputs,
            initial=complete,
        )
