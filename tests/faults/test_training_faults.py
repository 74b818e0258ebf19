"""Faults of a training step compute the mistakes that they name, and the cases detect them."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import BOTH, EXACT, SHAPE, random_problem, spec_of, two_ways

from rnnparity.catalogue import catalogue
from rnnparity.faults import (
    BACKWARD_FAULTS,
    FAULTS,
    TRAINING_FAULTS,
    detecting_cases,
    fault_coverage,
    mutants,
    training_mutants,
)
from rnnparity.problem.answer_types import TrainingStep
from rnnparity.problem.errors import RequestError
from rnnparity.problem.explanations import WHOLE
from rnnparity.problem.problem import Tensor
from rnnparity.reference import compute
from rnnparity.reference.gradients import compute_gradients
from rnnparity.reference.gradients.training import compute_training_step

LR = 3.0


def problem_of(spec, lr=LR):
    problem = random_problem(spec, 0, SHAPE, initial=True)
    rng = np.random.default_rng(1)
    slots = problem.output_slots()
    targets = tuple(Tensor.of(s.name, rng.standard_normal(s.shape), s.dtype) for s in slots)
    return replace(problem, training_step=TrainingStep(lr, targets))


LSTM = problem_of(spec_of("lstm", **EXACT, **BOTH))
LAST = problem_of(two_ways(spec_of("gru", **EXACT, use_bias=False)))


def slopes(problem, reduce):
    """Return the gradients of the weights for the loss sum(reduce(square errors)) by hand."""
    cotangents = tuple(
        Tensor(y.name, 2 * (y.data - t.data) * reduce(t.data))
        for y, t in zip(compute(problem), problem.training_step.targets, strict=True)
    )
    _, *gradients = compute_gradients(replace(problem, training_step=None, cotangents=cotangents))
    return [gradient.data for gradient in gradients[: len(problem.weights)]]


def mean(targets):
    return 1 / targets.size


def before(problem):
    return [tensor.data for tensor in problem.weights]


def steps(problem, factors, reduce=mean, decay=0.0):
    """Return before - LR * factor * gradient - LR * decay * before."""
    triples = zip(before(problem), slopes(problem, reduce), factors, strict=True)
    return [w - LR * factor * g - LR * decay * w for w, g, factor in triples]


def found(problem):
    return {
        f"{mutant.fault.cause}: {mutant.fault.variant}": [t.data for t in mutant.outputs]
        for mutant in training_mutants(problem)
    }


EXPECTED = {
    "step-negated: all": lambda: steps(LSTM, [-1, -1, -1]),
    "step-scaled: learning rate twice": lambda: steps(LSTM, [LR] * 3),
    "step-scaled: half of the mean square": lambda: steps(LSTM, [0.5] * 3),
    "step-scaled: mean over the outputs": lambda: steps(LSTM, [1 / 3] * 3),
    "step-scaled: sum of squares": lambda: steps(LSTM, [1] * 3, lambda targets: 1.0),
    "step-scaled: sum over rows": lambda: steps(LSTM, [1] * 3, lambda t: len(t) / t.size),
    "step-scaled: bias twice": lambda: steps(LSTM, [1, 1, 2]),
    "step-missing: kernel": lambda: steps(LSTM, [0, 1, 1]),
    "step-missing: recurrent_kernel": lambda: steps(LSTM, [1, 0, 1]),
    "step-missing: bias": lambda: steps(LSTM, [1, 1, 0]),
    "step-of-first-output: states left out": lambda: steps(
        LSTM, [1] * 3, lambda t: (t.ndim == 3) / t.size
    ),
    "step-decayed: 0.01": lambda: steps(LSTM, [1] * 3, decay=0.01),
}


def test_every_fault_has_equations_by_hand():
    assert set(EXPECTED) == {f"{fault.cause}: {fault.variant}" for fault in TRAINING_FAULTS}
    assert set(EXPECTED) == set(found(LSTM))


@pytest.mark.parametrize("name", EXPECTED)
def test_the_weights_are_those_of_the_mistake(name):
    right = compute_training_step(LSTM)
    pairs = list(zip(found(LSTM)[name], EXPECTED[name](), strict=True))
    for actual, by_hand in pairs:
        np.testing.assert_allclose(actual, by_hand, rtol=1e-12, atol=1e-13)
    assert any(not np.allclose(a, t.data) for (a, _), t in zip(pairs, right, strict=True))


def test_faults_apply_where_they_change_something():
    """One output, no bias; the learning rate 1 counts once or twice alike."""
    names = set(found(LAST))
    assert set(EXPECTED) - names == {
        "step-scaled: mean over the outputs",
        "step-scaled: bias twice",
        "step-missing: bias",
        "step-of-first-output: states left out",
    }
    step = replace(LAST.training_step, lr=1.0)
    assert "step-scaled: learning rate twice" not in found(replace(LAST, training_step=step))
    frozen = found(LAST)["step-missing: kernel"]
    assert [(a == b).all() for a, b in zip(frozen, before(LAST), strict=True)] == [
        True, False, True, False,
    ]  # fmt: skip


def test_a_problem_without_a_step_has_no_such_mutants():
    with pytest.raises(RequestError, match="training_step: got none"):
        list(training_mutants(replace(LSTM, training_step=None)))
    assert not any(mutant.fault in TRAINING_FAULTS for mutant in mutants(LSTM))


def test_names_are_unique_and_of_the_whole_layer():
    names = [(fault.cause, fault.variant) for fault in TRAINING_FAULTS]
    assert max(Counter(names).values()) == 1
    others = {fault.cause for fault in (*FAULTS, *BACKWARD_FAULTS)}
    assert not others & {fault.cause for fault in TRAINING_FAULTS}
    assert {mutant.placed[0].location for mutant in training_mutants(LSTM)} == {WHOLE}


CASES = [case for case in catalogue().values() if case.training_step is not None]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_case_of_a_step_detects_every_fault_that_applies(case):
    coverage = fault_coverage(case)
    assert coverage.undetected == ()
    assert len(coverage.detected) >= 9


def test_the_score_has_the_faults_of_steps_only_where_steps_were_compared():
    few = [case for case in CASES if case.id.endswith("-forward")]
    detecting = detecting_cases(few)
    assert set(detecting) == set(TRAINING_FAULTS)
    assert set(detecting.values()) <= {case.id for case in few}
    forward = catalogue()["simple_rnn-spread-last"]
    both = detecting_cases([*few[-1:], forward])
    assert set(both) & set(FAULTS)
    assert set(both) & set(TRAINING_FAULTS)
    assert not set(detecting_cases([forward])) & set(TRAINING_FAULTS)
