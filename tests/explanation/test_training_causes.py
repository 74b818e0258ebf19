"""The cause of wrong weights after a training step, from steps in float32 with a fault in them."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import BOTH, SHAPE, random_problem, spec_of
from _support.single_precision import Float32Arithmetic

from rnnparity import check, explain
from rnnparity.catalogue import catalogue
from rnnparity.explanation.training import explain_training_step
from rnnparity.faults import TRAINING_FAULTS, training_mutants
from rnnparity.problem.answer_types import AnswerType, TrainingStep
from rnnparity.problem.explanations import FaultId
from rnnparity.problem.problem import Tensor
from rnnparity.problem.verdicts import DifferenceType, Verdict
from rnnparity.reference import compute
from rnnparity.reference.gradients.backward import BackwardUnroller
from rnnparity.reference.gradients.training import compute_training_step
from rnnparity.report.text.check import report_lines
from rnnparity.report.text.explanation import lines
from rnnparity.session.ask import explain_subject

CASE = "training_step-lstm-forward"


def with_step(problem, lr=2.0):
    rng = np.random.default_rng(1)
    targets = tuple(
        Tensor.of(s.name, rng.standard_normal(s.shape), s.dtype) for s in problem.output_slots()
    )
    return replace(problem, training_step=TrainingStep(lr, targets))


LSTM = with_step(random_problem(spec_of("lstm", 3, **BOTH), 0, SHAPE, initial=True))


def step_by(problem, slope, lr, edit=lambda name, gradient: gradient):
    """Return before - lr * gradient in float32, by the loss whose slope is that of each error."""
    cotangents = tuple(
        Tensor.of(y.name, slope(y.data - t.data), t.dtype)
        for y, t in zip(compute(problem), problem.training_step.targets, strict=True)
    )
    backward = replace(problem, outputs=None, training_step=None, cotangents=cotangents)
    _, *gradients = BackwardUnroller(backward, Float32Arithmetic()).gradients(cotangents)
    return [
        (w.data - np.float32(lr) * edit(w.name, g[0]).astype("f4")).astype("f4")
        for w, g in zip(problem.weights, gradients, strict=False)
    ]


def mean(error):
    return 2 * error / error.size


def subject(train):
    def mine(problem):
        return [tensor.data for tensor in compute(problem)]

    mine.train = train
    return mine


@subject
def squared_rate(problem):
    return step_by(problem, mean, problem.training_step.lr**2)


@subject
def summed(problem):
    return step_by(problem, lambda error: 2 * error, problem.training_step.lr)


@subject
def healthy(problem):
    return step_by(problem, mean, problem.training_step.lr)


@subject
def unrelated_step(problem):
    def edit(name, gradient):
        return np.cos(np.arange(gradient.size)).reshape(gradient.shape)

    return step_by(problem, mean, problem.training_step.lr, edit)


SUBJECTS = {"learning rate twice": squared_rate, "sum of squares": summed}


def first_fault(explanation):
    (fault,) = explanation.cause.faults
    return fault


def outputs_of(problem, arrays):
    pairs = zip(problem.weight_slots(), arrays, strict=True)
    return tuple(Tensor.of(slot.name, array, slot.dtype) for slot, array in pairs)


@pytest.mark.parametrize("variant", SUBJECTS)
def test_explain_names_the_fault_of_a_step(variant):
    explanation = explain(catalogue()[CASE], SUBJECTS[variant])
    assert explanation.verdict is Verdict.DIVERGES
    assert first_fault(explanation) == FaultId("step-scaled", variant)
    assert explanation.cause.certain
    assert explanation.explain_next is None
    assert explanation.sigma > explanation.threshold > explanation.sigma_with_cause
    text = str(explanation)
    assert f"cause: step-scaled: {variant}" in text
    assert "kernel" in text
    assert "first mismatch" not in text


@pytest.mark.parametrize("variant", SUBJECTS)
def test_check_groups_failing_steps_by_their_fault(variant):
    report = check(SUBJECTS[variant], k="training_step and not (float64 or stack)")
    for case in report.subjects[0].cases:
        assert first_fault(case.explanation) == FaultId("step-scaled", variant)
    text = "\n".join(report_lines(report))
    assert f"step-scaled: {variant}" in text
    assert "cause not searched" not in text


def test_every_fault_of_a_step_is_named_from_its_own_weights():
    for mutant in training_mutants(LSTM):
        actual = outputs_of(LSTM, [tensor.data for tensor in mutant.outputs])
        explanation = explain_training_step(LSTM, actual).explanation
        assert mutant.faults in (explanation.cause.faults, *explanation.cause.also_fits)
        assert explanation.cause.certain
        assert len(explanation.cause.also_fits) <= 1
    assert len({fault.cause for fault in TRAINING_FAULTS}) > 3


def test_a_step_by_wrong_gradients_has_a_fault_of_the_backward_pass():
    def edit(name, gradient):
        return 2 * gradient if name == "recurrent_kernel" else gradient

    actual = outputs_of(LSTM, step_by(LSTM, mean, LSTM.training_step.lr, edit))
    explanation = explain(LSTM.with_outputs(actual))
    assert first_fault(explanation) == FaultId("gradient-doubled", "recurrent kernel", "")
    assert explanation.candidates > len(TRAINING_FAULTS)


def test_a_wrong_learning_rate_is_read_off():
    actual = outputs_of(LSTM, step_by(LSTM, mean, 1.7 * LSTM.training_step.lr))
    explanation = explain(LSTM.with_outputs(actual))
    assert FaultId("gradient-scaled", "weights, by 1.7") in {
        fault for (fault,) in (explanation.cause.faults, *explanation.cause.also_fits)
    }
    assert explanation.cause.certain


def test_a_step_that_no_fault_gives_refers_to_the_gradients():
    problem = catalogue()[CASE]
    explanation = explain(problem, unrelated_step)
    assert not explanation.cause.explained
    assert explanation.explain_next is AnswerType.GRADIENTS
    assert (
        "  explain next: the gradients (--gradients): no listed fault of a training step fits"
        in [line.text for line in lines(explanation)]
    )
    report = check(unrelated_step, k=CASE)
    text = "\n".join(report_lines(report))
    assert "explain next: the gradients (--gradients)" in text


def test_a_right_step_agrees():
    explanation = explain_subject(catalogue()[CASE], "reference").explanation
    assert (explanation.verdict, explanation.cause) == (Verdict.AGREES, None)
    explanation = explain(LSTM.with_outputs(outputs_of(LSTM, healthy.train(LSTM))))
    assert (explanation.verdict, explanation.explain_next) == (Verdict.AGREES, None)


def test_weights_of_a_wrong_shape_are_unexplained():
    weights = compute_training_step(LSTM)
    explanation = explain(LSTM.with_outputs(weights[:-1]))
    assert not explanation.cause.explained
    assert [difference.type for difference in explanation.differences] == [DifferenceType.COUNT]


def test_weights_of_a_wrong_dtype_diverge_and_have_no_cause():
    weights = compute_training_step(LSTM)
    explanation = explain(LSTM.with_outputs(weights))
    assert explanation.verdict is Verdict.DIVERGES
    assert {difference.type for difference in explanation.differences} == {DifferenceType.DTYPE}
    assert explanation.cause is None
