"""Explanations of faults that are injected into random problems name them and do not mislead."""

from dataclasses import replace

import pytest
from _support.fault_tools import fault
from _support.random_problems import BOTH, SHAPE, random_problem, spec_of

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.faults import mutate
from validation.trial import (
    Outcome,
    TrialType,
    count_outcomes,
    differ,
    run_trial,
)

CORRECT = {Outcome.NAMED, Outcome.EQUIVALENT, Outcome.UNDETECTED}
HONEST = {Outcome.UNEXPLAINED, Outcome.UNCERTAIN}
ACCEPTED = {
    TrialType.SINGLE: CORRECT,
    TrialType.FLOAT16: CORRECT | HONEST,
    TrialType.PAIR: CORRECT | HONEST,
    TrialType.UNLISTED: {Outcome.UNLISTED, Outcome.UNDETECTED, Outcome.UNCERTAIN},
    TrialType.HEALTHY: {Outcome.HEALTHY},
}
# The least share of the detectable faults that must be named.
SHARES = {TrialType.SINGLE: 0.99, TrialType.FLOAT16: 0.95, TrialType.PAIR: 0.8}


@pytest.mark.parametrize("trial_type", TrialType)
def test_no_trial_misleads(trial_type):
    trials = [run_trial(trial_type, 77_000_000 + seed) for seed in range(2)]
    accepted = ACCEPTED[trial_type]
    assert [trial.description for trial in trials if trial.outcome not in accepted] == []


@pytest.mark.slow
@pytest.mark.parametrize("trial_type", TrialType)
def test_most_of_many_faults_are_named(trial_type):
    trials = [run_trial(trial_type, 78_000_000 + seed) for seed in range(120)]
    (counts,) = count_outcomes(trials).values()
    assert set(counts) <= ACCEPTED[trial_type]
    if trial_type in SHARES:
        detectable = counts.total() - counts[Outcome.UNDETECTED]
        named = counts[Outcome.NAMED] + counts[Outcome.EQUIVALENT]
        assert named >= SHARES[trial_type] * detectable


def test_trials_detect_an_explanation_that_always_names_the_same_fault(monkeypatch):
    problem = random_problem(spec_of("lstm", **BOTH), 0, SHAPE)
    (mutant,) = mutate(problem, fault("bias-missing: all of it"))
    always = replace(diagnose(problem.with_outputs(mutant.outputs)), problem=problem)
    monkeypatch.setattr("validation.trial.diagnose", lambda _: always)
    outcomes = {run_trial(TrialType.SINGLE, seed).outcome for seed in range(12)}
    assert Outcome.WRONG in outcomes
    assert run_trial(TrialType.HEALTHY, 0).outcome is Outcome.FALSE_ALARM


def test_trial_is_repeatable_and_described_by_its_fault():
    trial = run_trial(TrialType.SINGLE, 77_000_000)
    assert trial == run_trial(TrialType.SINGLE, 77_000_000)
    assert trial.description.startswith("single, random-77000000: injected ")
    assert trial.injected[0].variant in trial.description


def test_outputs_differ_by_more_than_noise():
    problem = random_problem(spec_of("lstm", **BOTH), 0, SHAPE)
    (mutant,) = mutate(problem, fault("bias-missing: all of it"))
    output, *states = mutant.outputs
    assert not differ(problem, mutant.outputs, mutant.outputs)
    noisy = replace(output, data=output.data + 1e-9)
    assert not differ(problem, mutant.outputs, [noisy, *states])
    changed = replace(output, data=output.data + 1e-4)
    assert differ(problem, mutant.outputs, [changed, *states])
    assert not differ(problem, mutant.outputs, [changed, *states], coarse=True)
    assert differ(problem, mutant.outputs, mutant.outputs[:1])
