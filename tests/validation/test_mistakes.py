"""Likely mistakes: each can be made, a fixed few are stated, and the judge is not kind."""

from dataclasses import replace

import pytest

from rnnparity.problem.findings import Finding, FindingType
from rnnparity.problem.recurrences import OtherRecurrence
from validation.mistakes import trials
from validation.mistakes.port import Port
from validation.mistakes.trials import Outcome, mistakes, run_trial
from validation.off_list.cells import run
from validation.off_list.draw import draw_problem
from validation.off_list.judge import differ


def mistake_of(name):
    (mistake,) = [each for each in mistakes() if each.name == name]
    return mistake


@pytest.mark.parametrize("mistake", mistakes(), ids=lambda mistake: mistake.name)
def test_mistake_changes_the_outputs_of_some_problem(mistake):
    for seed in range(6):
        problem, implementation = mistake.draw(seed)
        if differ(problem, implementation(problem), Port()(problem)):
            return
    pytest.fail("no problem shows it")


@pytest.mark.parametrize("seed", range(12))
def test_port_without_a_mistake_is_the_cells(seed):
    problem = draw_problem(trials.np.random.default_rng(seed), "any")
    assert not differ(problem, Port()(problem), run(problem))


@pytest.mark.parametrize("name", ["h of two steps ago", "fused batch normalization"])
def test_mistake_is_stated(name):
    assert run_trial(mistake_of(name), 100)[0] is Outcome.STATED


@pytest.mark.parametrize(
    ("finding", "outcome"),
    [
        (Finding(FindingType.RECURRENCE, OtherRecurrence.H_OF_TWO_STEPS_AGO), Outcome.STATED),
        (Finding(FindingType.RECURRENCE, OtherRecurrence.OF_FIRST_ROW), Outcome.WRONG),
        (
            Finding(FindingType.RECURRENCE, OtherRecurrence.OF_FIRST_ROW, certain=False),
            Outcome.UNCERTAIN,
        ),
        (Finding(FindingType.ROWS_PERMUTED, numbers=(1, 0)), Outcome.WRONG),
    ],
)
def test_judge_accepts_only_what_was_done(monkeypatch, finding, outcome):
    diagnosed = trials.diagnose

    def diagnose(problem):
        diagnosis = diagnosed(problem, thorough=False)
        explanation = replace(diagnosis.explanation, findings=(finding,), cause=None)
        return replace(diagnosis, explanation=explanation)

    monkeypatch.setattr(trials, "diagnose", diagnose)
    assert run_trial(mistake_of("h of two steps ago"), 101)[0] is outcome
