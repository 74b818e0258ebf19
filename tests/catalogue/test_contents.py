"""What the catalogue must contain, so that no engine passes on what it was never asked."""

from itertools import combinations

import numpy as np
import pytest

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.numbers import spread
from rnnparity.problem.layers import ACTIVATIONS, Bidirectional, halves
from rnnparity.problem.shapes import dropout_slots

VARIANTS = {
    "simple_rnn": ("SimpleRNN", True),
    "lstm": ("LSTM", True),
    "gru": ("GRU", True),
    "gru_before": ("GRU", False),
}


def has_tag(case, *names):
    """Return whether a case has one of these tags, or one that begins with such a word and a colon."""
    return any(tag.partition(":")[0] in names for tag in case.case.tags)


def variants_of(case):
    return {(half.class_name, half.reset_after) for _, half in halves(case.layer)}


def test_sizes_of_spread_cases_cannot_be_taken_for_each_other():
    """A GRU with H = 3 cannot distinguish U.reshape(3H, H) from its transpose."""
    for case in catalogue().values():
        if case.case.initializers or has_tag(case, "edge", "sources"):
            continue
        batch, steps, features = case.inputs.shape
        for units in {half.units for _, half in halves(case.layer)}:
            assert not {features, units} & {3, 4}, case.id
            sizes = (batch, steps, features, units)
            assert all(one != other for one, other in combinations(sizes, 2)), case.id


def test_dropout_masks_have_the_factors_of_a_rate_at_each_gate_or_at_all():
    """0 where a spread number of the seed 120 or more is below -1/4, else 4/3."""
    masks = {}
    for case in catalogue().values():
        gates = {len(half.cell.gates) for _, half in halves(case.layer)}
        slots = [slot.name for slot in dropout_slots(case.layer, *case.inputs.shape[::2])]
        for mask in case.dropout_masks or ():
            dropped = spread(mask.shape, 120 + slots.index(mask.name)) < -0.25
            assert (mask.data == np.where(dropped, 0, np.float32(4 / 3))).all()
            assert 0 < dropped.sum() <= dropped.size / 2
            what = mask.name.rpartition("/")[2], len(mask.data) in gates
            masks.setdefault(type(case.layer).__name__, set()).add(what)
    assert masks["Recurrent"] >= {("inputs", True), ("inputs", False), ("recurrent", True)}
    assert masks["Bidirectional"] >= {("inputs", False), ("recurrent", True), ("recurrent", False)}


def plain_cases():
    """Return the cases for engines in float32 without masks and states, written as conditions."""
    return [
        case
        for case in catalogue().values()
        if case.mask is None
        and case.initial_state is None
        and case.calls is None
        and case.dropout_masks is None
        and case.training_step is None
        and not case.layer.return_state
        and case.layer.compute_dtype == case.threshold_type == "float32"
        and all(half.compute_dtype == "float32" for _, half in halves(case.layer))
    ]


def test_plain_cases_have_the_tag():
    tagged = [case for case in catalogue().values() if "plain" in case.case.tags]
    assert plain_cases() == tagged


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_plain_cases_have_every_option(variant, sequences):
    cases = [
        case
        for case in plain_cases()
        if case.layer.return_sequences == sequences and VARIANTS[variant] in variants_of(case)
    ]
    all_halves = [half for case in cases for _, half in halves(case.layer)]
    assert {half.activation for half in all_halves} == set(ACTIVATIONS)
    if variant != "simple_rnn":
        assert {half.recurrent_activation for half in all_halves} == set(ACTIVATIONS)
    assert {half.use_bias for half in all_halves} == {False, True}
    assert any(has_tag(case, "saturation") for case in cases)
    for axis in ("T1", "B1", "H1", "D1"):
        assert any(f"edge:{axis}" in case.case.tags for case in cases), axis


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "sequences"])
def test_plain_cases_have_unequal_halves(sequences):
    pairs = [
        (case.layer.forward, case.layer.backward)
        for case in plain_cases()
        if isinstance(case.layer, Bidirectional) and case.layer.return_sequences == sequences
    ]
    for option in ("class_name", "units", "activation", "recurrent_activation", "reset_after"):
        assert any(
            getattr(forward, option) != getattr(backward, option) for forward, backward in pairs
        ), option


def lengths(case, side):
    """Return the number of used steps in each row, or None where the padding is elsewhere."""
    mask = case.mask if side == "right" else case.mask[:, ::-1]
    counts = mask.sum(axis=1)
    padded = all(mask[row, :count].all() for row, count in enumerate(counts))
    return set(counts.tolist()) if padded else None


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("initial", [False, True], ids=["zeros", "initial"])
@pytest.mark.parametrize("direction", ["forward", "backwards", "concat", "ave"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_padding_has_rows_of_length_0_and_of_length_t(variant, direction, initial, side):
    """With the sequence, and for engines that give zeros at masked steps without it."""
    cases = [
        case
        for case in catalogue().values()
        if {f"kind:{variant}", f"direction:{direction}"} <= set(case.case.tags)
        and case.mask is not None
        and case.calls is None
        and (case.initial_state is not None) == initial
        and case.layer.return_state
    ]
    for sequences in (False, True):
        met = [lengths(case, side) for case in cases if case.layer.return_sequences == sequences]
        rows = [counts for counts in met if counts is not None]
        # Apart: some engines refuse length 0, and must meet length T nevertheless.
        assert any(0 in counts and len(counts) > 1 for counts in rows)
        assert any(4 in counts and 0 not in counts and len(counts) > 1 for counts in rows)
