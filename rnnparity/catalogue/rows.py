"""The rows beside the cross product: one option at a time, where the cross product would be too
large or too tame."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from rnnparity.catalogue.build import LONGER, MASKS, bidirectional, build, stack
from rnnparity.catalogue.cross import KINDS
from rnnparity.problem.cells import CELLS
from rnnparity.problem.layers import ACTIVATIONS
from rnnparity.problem.problem import Problem

ALL = {"return_sequences": True, "return_state": True}
POLICIES = ("float64", "float16", "mixed_float16", "bfloat16", "mixed_bfloat16")
# Leading, interior and trailing gaps at once, and a row with fewer of them.
GAPS = ("010110", "110010")
# Recurrent kernels twice as large as the others, or their faults would hide: in the noise of 16-bit
# types, under the layers above.
LOUD = 1


def row_cases() -> Iterator[Problem]:
    """Every row, family by family."""
    for rows in (
        bias,
        activations,
        zero_output,
        edges,
        dtypes,
        different_halves,
        stateful,
        stacks,
        saturation,
    ):
        yield from rows()


def kind(name: str, **config: Any) -> dict[str, Any]:
    """The configuration of one of the four kinds with more arguments."""
    return {"class_name": KINDS[name]["class_name"], "config": {**KINDS[name]["config"], **config}}


def turned(name: str, direction: str, **config: Any) -> dict[str, Any]:
    """A kind forward, backwards or in a Bidirectional with a merge mode."""
    if direction == "forward":
        return kind(name, **config)
    if direction == "backwards":
        return kind(name, go_backwards=True, **config)
    return bidirectional(
        kind(name, **config), merge_mode=None if direction == "none" else direction
    )


def _tags(name: str, direction: str, *more: str) -> list[str]:
    return [f"kind:{name}", f"direction:{direction}", *more]


def _pairs(chosen: bool) -> list[str]:
    """The tag of the cases that go through every path of a framework, not the plainest alone."""
    return ["pairs"] if chosen else []


def bias() -> Iterator[Problem]:
    """No bias at all."""
    for name, direction in product(KINDS, ("forward", "concat")):
        yield build(
            f"bias-off-{name}-{direction}",
            turned(name, direction, use_bias=False, **ALL),
            "Without a bias get_weights() has two arrays per half; a GRU must not keep its second bias.",
            tags=_tags(name, direction, "bias:off", "pairs"),
            shape=LONGER,
            mask=GAPS,
            initial=True,
        )


def activations() -> Iterator[Problem]:
    """Every activation in every place that takes one."""
    for name, activation in product(KINDS, ACTIVATIONS):
        gated = CELLS[KINDS[name]["class_name"]].gated
        for argument in ("activation", "recurrent_activation") if gated else ("activation",):
            place = "gates" if argument == "recurrent_activation" else "values"
            yield build(
                f"activation-{activation}-{name}-{place}",
                kind(name, **{argument: activation}, **ALL),
                f"{activation} as {argument}: formulas differ between frameworks and Keras versions.",
                tags=_tags(name, "forward", f"activation:{activation}", *_pairs(name == "lstm")),
                initial=True,
            )


def zero_output() -> Iterator[Problem]:
    """zero_output_for_mask outside of Bidirectional, which sets it by itself."""
    for name, direction, sequences, mask in product(
        KINDS, ("forward", "backwards"), (True, False), ("right", "left", "interior", "row")
    ):
        flags = "sequences" if sequences else "last"
        yield build(
            f"zero_output-{name}-{direction}-{flags}-mask_{mask}",
            turned(
                name,
                direction,
                zero_output_for_mask=True,
                return_sequences=sequences,
                return_state=True,
            ),
            "Masked steps give zeros while the states are kept; it counts only with return_sequences."
            if sequences
            else "zero_output_for_mask is documented to count only with return_sequences.",
            tags=_tags(
                name,
                direction,
                f"flags:{flags}",
                f"mask:{mask}",
                "zero_output",
                *_pairs(name == "lstm"),
            ),
            mask=MASKS[mask],
            initial=True,
        )


def edges() -> Iterator[Problem]:
    """Axes of length one, where squeezed or broadcast axes go unnoticed elsewhere."""
    shapes = {
        "T1": ((2, 1, 5), 3),
        "B1": ((1, 4, 5), 3),
        "H1": ((2, 4, 5), 1),
        "D1": ((2, 4, 1), 3),
    }
    for name, direction, (letter, (shape, units)) in product(
        KINDS, ("forward", "backwards", "concat"), shapes.items()
    ):
        for initial in (False, True):
            yield build(
                f"edge-{letter}-{name}-{direction}{'-initial' if initial else ''}",
                turned(name, direction, **{**ALL, "units": units}),
                f"{letter[0]} = 1: detects an axis that is lost or broadcast by accident.",
                tags=_tags(
                    name, direction, f"edge:{letter}", *_pairs(initial and direction == "concat")
                ),
                shape=shape,
                initial=initial,
            )


def dtypes() -> Iterator[Problem]:
    """Every dtype policy, also one inside another."""
    for policy, name, direction, masked in product(
        POLICIES, KINDS, ("forward", "backwards", "concat", "ave"), (False, True)
    ):
        spec = turned(name, direction, dtype=policy, **ALL)
        if direction not in ("forward", "backwards"):
            spec["config"]["dtype"] = policy
        yield build(
            f"dtype-{policy}-{name}-{direction}{'-mask' if masked else ''}",
            spec,
            f"{policy}: weights, inputs and states are rounded to the compute dtype; the outputs have it.",
            tags=_tags(name, direction, f"dtype:{policy}", *_pairs(name == "lstm")),
            shape=LONGER,
            mask=GAPS if masked else None,
            initial=True,
            recurrent_exponent=LOUD,
            input_exponent=2,
        )
    yield build(
        "dtype-float64-gelu",
        kind("simple_rnn", activation="gelu", dtype="float64", **ALL),
        "gelu in float64: detects a constant that was rounded to float32.",
        tags=["kind:simple_rnn", "dtype:float64", "activation:gelu", "pairs"],
        initial=True,
    )
    for outer, inner, name in product(
        ("float32", "mixed_float16"), ("float32", "mixed_float16"), KINDS
    ):
        if outer != inner:
            spec = bidirectional(kind(name, dtype=inner, **ALL), dtype=outer)
            yield build(
                f"dtype-{outer}_around_{inner}-{name}",
                spec,
                "Bidirectional's policy rounds inputs and merged output, the inner layer's the rest.",
                tags=_tags(name, "concat", f"dtype:{outer}_around_{inner}", "pairs"),
                initial=True,
                recurrent_exponent=LOUD,
            )


def different_halves() -> Iterator[Problem]:
    """A backward_layer of its own: other class, other units, other activation."""
    pairs = {
        "lstm_gru": (
            kind("lstm", **ALL),
            kind("gru", go_backwards=True, **ALL),
            ("concat", "sum", "none"),
        ),
        "gru_lstm": (
            kind("gru_before", **ALL),
            kind("lstm", go_backwards=True, **ALL),
            ("concat", "mul", "none"),
        ),
        "rnn_lstm": (
            kind("simple_rnn", **ALL),
            kind("lstm", go_backwards=True, **ALL),
            ("concat", "ave", "none"),
        ),
        "units": (
            kind("lstm", **ALL),
            kind("lstm", go_backwards=True, **{**ALL, "units": 6}),
            ("concat", "none"),
        ),
        "units_gru": (
            kind("gru", **{**ALL, "units": 6}),
            kind("gru", go_backwards=True, **ALL),
            ("concat", "none"),
        ),
        "activations": (
            kind("lstm", activation="relu", **ALL),
            kind("lstm", go_backwards=True, recurrent_activation="hard_sigmoid", **ALL),
            ("concat", "sum"),
        ),
        "resets": (
            kind("gru", **ALL),
            kind("gru_before", go_backwards=True, **ALL),
            ("concat", "sum"),
        ),
    }
    for label, (forward, backward, modes) in pairs.items():
        for mode, masked in product(modes, (False, True)):
            yield build(
                f"halves-{label}-{mode}{'-mask' if masked else ''}",
                bidirectional(
                    forward, backward_layer=backward, merge_mode=None if mode == "none" else mode
                ),
                "The halves may be different layers; weights, states and widths follow each half.",
                tags=["halves", f"direction:{mode}", "pairs"],
                shape=LONGER,
                mask=GAPS if masked else None,
                initial=masked,
            )


def stateful() -> Iterator[Problem]:
    """Three calls of one layer: the states of one start the next."""
    masks = {"none": None, "gaps": GAPS}
    for name, direction, mask, initial in product(
        KINDS, ("forward", "backwards", "concat", "ave"), masks, (False, True)
    ):
        for label, flags in (
            ("sequences-state", ALL),
            ("last-state", {"return_state": True}),
            ("sequences", {"return_sequences": True}),
        ):
            yield build(
                "-".join(
                    [
                        "stateful",
                        name,
                        direction,
                        label,
                        *(["mask"] * (mask != "none")),
                        *(["initial"] * initial),
                    ]
                ),
                turned(name, direction, stateful=True, **flags),
                "Three calls of 3, 2 and 1 steps: the states of one call start the next, in each half; direction "
                "and mask apply to each call.",
                tags=_tags(
                    name, direction, "stateful", f"mask:{mask}", *_pairs(initial and mask == "gaps")
                ),
                shape=LONGER,
                mask=masks[mask],
                initial=initial,
                calls=(3, 2, 1),
            )


def stacks() -> Iterator[Problem]:
    """Two to four layers, alike and mixed."""
    s = {"return_sequences": True}
    members = {
        "two_lstm": [kind("lstm", **s), kind("lstm", **{**ALL, "units": 6})],
        "two_rnn_last": [kind("simple_rnn", **s), kind("simple_rnn")],
        "three_mixed": [
            kind("lstm", **s),
            kind("gru", **{**s, "units": 6}),
            kind("simple_rnn", **ALL),
        ],
        "three_gru": [
            kind("gru", **s),
            kind("gru_before", **{**s, "units": 6}),
            kind("gru", **ALL),
        ],
        "backwards_between": [
            kind("lstm", **s),
            kind("gru", go_backwards=True, **s),
            kind("lstm", **ALL),
        ],
        "backwards_first": [kind("simple_rnn", go_backwards=True, **s), kind("lstm", **ALL)],
        "two_ways": [
            bidirectional(kind("lstm", **s)),
            bidirectional(kind("gru", **ALL), merge_mode="sum"),
        ],
        "two_ways_below": [
            bidirectional(kind("gru_before", **s), merge_mode="ave"),
            kind("lstm", **ALL),
        ],
        "four": [
            bidirectional(kind("lstm", **s)),
            kind("gru", **{**s, "units": 6}),
            bidirectional(kind("simple_rnn", **s), merge_mode="mul"),
            kind("lstm", return_state=True),
        ],
        "four_bidirectional": [
            *[bidirectional(kind("simple_rnn", **s))] * 3,
            bidirectional(kind("simple_rnn", **ALL)),
        ],
        # As wide as the inputs, so that any two layers' weights could be taken for each other.
        "four_alike": [
            *[kind("gru", **{**s, "units": LONGER[2]})] * 3,
            kind("gru", **{**ALL, "units": LONGER[2]}),
        ],
        "merge_none_last": [kind("lstm", **s), bidirectional(kind("lstm", **ALL), merge_mode=None)],
        "policies": [kind("lstm", dtype="mixed_float16", **s), kind("gru", **ALL)],
    }
    for label, layers in members.items():
        for masked, initial in product((False, True), (False, True)):
            yield build(
                f"stack-{label}{'-mask' if masked else ''}{'-initial' if initial else ''}",
                stack(*layers),
                "Each layer feeds the next; the mask is passed on unchanged, "
                "also by a layer that reverses the sequence.",
                tags=["stack", f"mask:{'gaps' if masked else 'none'}", *_pairs(masked and initial)],
                shape=LONGER,
                mask=GAPS if masked else None,
                initial=initial,
                recurrent_exponent=LOUD,
                input_exponent=0,
            )


def saturation() -> Iterator[Problem]:
    """Inputs so large that many gates are shut or wide open, while others still tell."""
    for name, direction, exponent in product(KINDS, ("forward", "backwards", "concat"), (3, 5, 7)):
        yield build(
            f"saturation-{name}-{direction}-{2**exponent}",
            turned(name, direction, **ALL),
            "Large inputs saturate most gates: detects clipped exponentials and overflows.",
            tags=_tags(name, direction, "saturation"),
            input_exponent=exponent,
            initial=True,
        )
