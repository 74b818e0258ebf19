"""Every step by itself, on outputs of the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import random_problem, spec_of
from validation.off_list.changes import ChangedImplementation
from validation.off_list.draw import draw_change, draw_problem
from validation.off_list.trials import with_arrays

from rnnparity.catalogue import catalogue
from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.findings.by_step.one_step import one_step
from rnnparity.explanation.findings.seen.half_problem import visible_halves
from rnnparity.problem.findings import FindingType
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference import compute
from rnnparity.reference.tolerance import expect
from rnnparity.verdict.judge import rounded_outputs


def evidence_of(problem: Problem, outputs=None) -> Evidence:
    """Return the evidence of outputs, of the reference's own without any."""
    actual = rounded_outputs(problem, outputs or compute(problem))
    return Evidence(problem, tuple(actual), expect(problem))


SEQUENCES = [
    problem
    for name, problem in catalogue().items()
    if "-spread-" in name and problem.layer.return_sequences and "float32" in problem.threshold_type
]


@pytest.mark.parametrize("problem", SEQUENCES[::40], ids=lambda problem: problem.id)
def test_every_step_of_correct_outputs_follows(problem):
    evidence = evidence_of(problem)
    for half in visible_halves(evidence):
        step = one_step(half)
        if step is not None:
            assert step.follows.all()


@pytest.mark.parametrize("class_name", ["simple_rnn", "lstm", "gru"])
def test_a_step_from_another_state_does_not_follow(class_name):
    problem = catalogue()[f"{class_name}-spread-sequences"]
    outputs = list(compute(problem))
    sequence = outputs[0].data.copy()
    sequence[0, 2] += 1e-3
    outputs[0] = replace(outputs[0], data=sequence)
    (half,) = visible_halves(evidence_of(problem, outputs))
    step = one_step(half)
    wrong = {(int(row), int(time)) for row, time in zip(step.rows, step.steps, strict=True)}
    wrong -= set(zip(step.rows[step.follows], step.steps[step.follows], strict=True))
    # The step itself and the one after it, which starts from the wrong state.
    assert wrong == {(0, 2), (0, 3)}


def test_outputs_without_a_sequence_have_no_steps():
    (half,) = visible_halves(evidence_of(catalogue()["lstm-spread-last"]))
    assert one_step(half) is None


def test_backward_half_is_seen_in_processing_order():
    problem = catalogue()["bi_lstm-spread-concat-sequences"]
    forward, backward = visible_halves(evidence_of(problem))
    units = problem.layer.forward.units
    whole = compute(problem)[0].data
    np.testing.assert_array_equal(backward.sequence.expected, whole[:, ::-1, units:])
    np.testing.assert_array_equal(forward.sequence.expected, whole[..., :units])
    np.testing.assert_array_equal(
        backward.problem.inputs.data, problem.inputs.data[:, ::-1].astype(np.float32)
    )
    assert backward.step_indices([0]) == (problem.inputs.shape[1] - 1,)


def test_cell_state_that_is_hardly_seen_is_unknown():
    # Where act(c) is flat, the error of the recovered c leaves the range of float32.
    rng = np.random.default_rng(7000047)
    problem = draw_problem(rng, "problem")
    outputs = ChangedImplementation(draw_change(rng, problem))(problem)
    assert diagnose(with_arrays(problem, outputs)).explanation.verdict is Verdict.DIVERGES


@pytest.mark.parametrize("weights", ["bias", "recurrent_kernel"])
@pytest.mark.parametrize("steps", [(2,), (1, 4)])
def test_gate_o_that_is_wrong_at_some_steps_is_found_there(weights, steps):
    """The c that is recovered from such a step is wrong, so that the next one seems not to follow."""
    problem = random_problem(spec_of("lstm", 5, return_sequences=True), 3, (4, 6, 3))
    without = [
        replace(t, data=np.where(np.arange(20) < 15, t.data, 0)) if t.name == weights else t
        for t in problem.weights
    ]
    right = replace(problem, layer=replace(problem.layer, return_state=True))
    wrong = replace(right, weights=tuple(without))
    states, outputs = (Tensor("h", np.zeros((4, 5))), Tensor("c", np.zeros((4, 5)))), []
    for step in range(6):
        inputs = replace(problem.inputs, data=problem.inputs.data[:, step : step + 1])
        cell = wrong if step in steps else right
        output, *states = compute(replace(cell, inputs=inputs, initial_state=tuple(states)))
        outputs.append(output.data)
    explanation = diagnose(with_arrays(problem, [np.concatenate(outputs, axis=1)])).explanation
    findings = {finding.type: finding for finding in explanation.findings}
    assert findings[FindingType.STEP_FOLLOWS].numbers == steps
    block = findings[FindingType.BLOCK]
    assert (block.block.weights, block.block.gate, block.numbers) == (weights, "o", steps)
    assert explanation.accounted
