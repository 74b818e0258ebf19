"""Both ends of a sequence show in which order its steps are processed."""

from dataclasses import replace

import numpy as np
import pytest
from _support.explanations import explanation_of, placed, with_faults, with_output, with_reference
from _support.random_problems import SEQUENCES, random_problem, spec_of, stack_of, two_ways

from rnnparity.explanation import reading_diagnosis
from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.ends import both_ends
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.fault_search import find_cause_among
from rnnparity.problem.explanations import Cause
from rnnparity.reference.tolerance import expect

LONG = {
    "concat": two_ways(spec_of("lstm", 6, **SEQUENCES)),
    "sum": two_ways(spec_of("simple_rnn", 6, **SEQUENCES), merge_mode="sum"),
    "stack": stack_of(
        spec_of("lstm", 6, **SEQUENCES), spec_of("gru", 5, **SEQUENCES, go_backwards=True)
    ),
}


def evidence_of(problem):
    return Evidence(problem, with_reference(problem).outputs, expect(problem))


@pytest.mark.parametrize("name", LONG)
def test_first_and_last_steps_are_those_of_the_whole(name):
    evidence = evidence_of(random_problem(LONG[name], 2, (2, 300, 5)))
    part = both_ends(evidence)
    assert part.problem.inputs.shape == (2, 128, 5)
    ((sigmas,), (actual,)) = part.expected.sigmas, part.actual
    assert np.isfinite(sigmas).all(axis=(0, 2)).nonzero()[0].tolist() == [
        *range(8),
        *range(120, 128),
    ]
    np.testing.assert_array_equal(actual.data[:, :64], evidence.actual[0].data[:, :64])
    np.testing.assert_array_equal(actual.data[:, 64:], evidence.actual[0].data[:, -64:])
    assert not any(differing.any() for differing in part.differing)


def test_ends_are_longer_where_more_is_remembered():
    """The gap after 64 steps shows, that after 128 does not."""
    part = both_ends(evidence_of(random_problem(LONG["concat"], 0, (2, 600, 5))))
    assert part.problem.inputs.shape == (2, 256, 5)


def test_steps_that_are_remembered_are_not_left_out():
    problem = random_problem(
        spec_of("simple_rnn", 5, activation="linear", **SEQUENCES), 0, (2, 300, 6)
    )
    weights = list(problem.weights)
    weights[1] = replace(weights[1], data=np.roll(np.eye(5, dtype=np.float32), 1, axis=0))
    assert both_ends(evidence_of(replace(problem, weights=tuple(weights)))) is None


@pytest.mark.parametrize("steps", [255, 256])
def test_short_sequences_are_not_cut(steps):
    evidence = evidence_of(random_problem(LONG["concat"], 2, (2, steps, 5)))
    assert (both_ends(evidence) is None) == (steps == 255)


def test_sequences_with_a_mask_or_only_the_last_output_are_not_cut():
    masked = random_problem(LONG["concat"], 2, (2, 300, 5), mask=["1" * 300] * 2)
    last = random_problem(spec_of("gru", 5), 0, (2, 300, 5))
    assert both_ends(evidence_of(masked)) is None
    assert both_ends(evidence_of(last)) is None


@pytest.mark.parametrize(
    ("name", "fault", "location"),
    [
        ("concat", "reverse-output-order: reversed", "backward/"),
        ("sum", "reverse-ignored: read and returned forward", "backward/"),
        ("sum", "inputs-shifted: one step late, from the last", "every half"),
        ("stack", "reverse-ignored: read and returned forward", "1/"),
    ],
)
def test_fault_of_the_order_of_many_steps_is_named(name, fault, location):
    injected = placed(fault, location)
    problem = random_problem(LONG[name], 2, (4, 300, 5))
    assert explanation_of(with_faults(problem, injected)).cause == Cause((injected.id,))


def test_order_of_all_steps_is_not_tried_where_both_ends_rule_it_out(monkeypatch):
    """One step of one row in the middle is wrong; the search for an order would run over all steps."""
    problem = with_reference(random_problem(LONG["concat"], 2, (4, 300, 5)))
    data = problem.outputs[0].data.copy()
    data[1, 150] *= 1.5
    lengths = []

    def tried(evidence, causes):
        lengths.append(evidence.problem.inputs.shape[1])
        return find_cause_among(evidence, causes)

    monkeypatch.setattr(reading_diagnosis, "find_cause_among", tried)
    assert not diagnose(with_output(problem, data), thorough=False).fits
    assert not lengths  # both ends agree
    data[0, 0] *= 1.5
    assert not diagnose(with_output(problem, data), thorough=False).fits
    assert lengths == [128]
