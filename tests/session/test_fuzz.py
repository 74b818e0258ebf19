"""Fuzzing without a framework: what is counted, and what a subject that fails costs."""

import numpy as np
import pytest
from _support.command_line import own_package

from rnnparity.problem.answer import Unsupported
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference import compute
from rnnparity.reference.gradients import compute_gradients
from rnnparity.session import fuzz as fuzzing
from rnnparity.session import fuzz_answers
from rnnparity.session.fuzz import DRAWS, Log, fuzz
from rnnparity.session.fuzz_questions import questions_of
from rnnparity.session.fuzz_records import CHANGES
from rnnparity.session.random_problems import problems_of_seed

SEEDS = range(12)


def rounded(problem, error=0.0):
    """The reference rounded to the layer's dtypes, with a relative error."""
    return {
        slot.name: FLOAT_TYPES[slot.dtype].round(tensor.data * (1 + error))
        for slot, tensor in zip(problem.output_slots(), compute(problem), strict=True)
    }


def off(problem):
    return rounded(problem, 1e-3)


def rounded_gradients(problem):
    return {
        slot.name: FLOAT_TYPES[slot.dtype].round(tensor.data)
        for slot, tensor in zip(problem.gradient_slots(), compute_gradients(problem), strict=True)
    }


def doubled_kernel(problem):
    gradients = rounded_gradients(problem)
    name = next(name for name in gradients if name.endswith("kernel"))
    return {**gradients, name: 2 * gradients[name]}


def right(problem):
    return rounded(problem)


def wrong(problem):
    return rounded(problem)


right.gradients, wrong.gradients = rounded_gradients, doubled_kernel


class Kept(Log):
    """A log that has what was passed to it."""

    def __init__(self):
        super().__init__()
        self.seeds = []

    def add(self, seed):
        super().add(seed)
        self.seeds.append(seed)

    @property
    def records(self):
        return [record for seed in self.seeds for record in seed.records]


@pytest.fixture
def few_draws(monkeypatch):
    """Two problems of a seed, each of which is also asked with changed weights."""
    monkeypatch.setattr("rnnparity.session.random_problems.DRAWS", 2)
    monkeypatch.setattr(fuzzing, "DRAWS", 2)


@pytest.mark.usefixtures("few_draws")
def test_a_healthy_subject_raises_no_alarm_and_changes_are_detected():
    run = fuzz(rounded, SEEDS)
    assert run.subject.endswith("test_fuzz:rounded")
    assert run.seeds == (0, 11)
    parts = run.tally.summaries()
    assert sum(part.verdicts + part.unsupported for part in parts.values()) == 24
    assert run.tally.failures == 0
    single = parts["float32"]
    assert single.changed["scaled"] > 3
    assert single.detected["scaled"] == single.changed["scaled"]
    assert 0 < single.smallest_detected["scaled"] < 1e-3


@pytest.mark.usefixtures("few_draws")
def test_a_small_error_is_counted_as_a_failure():
    run = fuzz(off, SEEDS)
    single = run.tally.summaries()["float32"]
    assert single.failing == single.compared > 0
    assert single.rejected_elsewhere["torch"] > 0
    assert {record.verdict for record in run.tally.failing} == {Verdict.DIVERGES}


@pytest.mark.usefixtures("few_draws")
def test_gradients_raise_no_alarm_and_changes_of_them_are_detected():
    run = fuzz(right, SEEDS[:6], gradients=True)
    assert run.compared == "gradients"
    parts = run.tally.summaries()
    assert sum(part.verdicts + part.unsupported for part in parts.values()) == 12
    assert run.tally.failures == 0
    for change in CHANGES:
        changed = sum(part.changed[change] for part in parts.values())
        assert changed >= 5
        assert sum(part.detected[change] for part in parts.values()) == changed


@pytest.mark.usefixtures("few_draws")
def test_wrong_gradients_are_counted_as_failures():
    run = fuzz(wrong, SEEDS[:3], gradients=True)
    assert run.tally.failures == sum(part.compared for part in run.tally.summaries().values()) > 0


@pytest.mark.usefixtures("few_draws")
def test_a_function_without_gradients_is_unsupported():
    run = fuzz(rounded, SEEDS[:1], gradients=True)
    assert not run.tally.compared


def test_all_problems_of_the_seeds_are_asked_and_counted():
    calls, log = [], Kept()
    fuzz(rounded, SEEDS[:1], progress=lambda *arguments: calls.append(arguments), log=log)
    healthy = [record.id for record in log.records if not record.change]
    assert healthy == [f"fuzz-0-{draw}" for draw in range(DRAWS)]
    assert calls[-1][1:3] == (DRAWS, DRAWS)
    assert {record.change for record in log.records} <= {"", *CHANGES}
    assert log.tally.problems == DRAWS


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_array_is_off_by_the_fault_size(change):
    questions = questions_of(0, None, gradients=False)
    question = next(each for each in questions if each.change == change)
    problem = question.healthy
    size = FLOAT_TYPES[problem.threshold_type].fault
    pairs = zip(question.healthy.weights, question.problem.weights, strict=True)
    different = [(a, b) for a, b in pairs if not np.array_equal(a.data, b.data)]
    ((before, after),) = different
    assert before.name == question.array
    used = before.data != 0
    ratio = after.data[used].astype(float) / before.data[used]
    assert np.allclose(np.abs(ratio - 1), size, rtol=0.1)


def test_an_infinite_distance_is_recorded_as_a_number():
    def missing(problem):
        return list(rounded(problem).values())[:-1]

    run = fuzz(missing, range(1))
    assert run.tally.failing[0].sigma == fuzz_answers.FARTHEST


@pytest.mark.usefixtures("few_draws")
def test_ctrl_c_keeps_the_seeds_that_are_finished():
    def interrupted(problem):
        if problem.id == "fuzz-2-1":
            raise KeyboardInterrupt
        return rounded(problem)

    log = Kept()
    run = fuzz(interrupted, SEEDS, log=log)
    assert run.interrupted
    assert [seed.seed for seed in log.seeds] == [0, 1]


FAILING = """
import os, time
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.reference import compute
from rnnparity.reference.gradients import compute_gradients

def fails(problem):
    if problem.id == "fuzz-3-1":
        {statement}
    pairs = zip(problem.output_slots(), compute(problem), strict=True)
    return [FLOAT_TYPES[slot.dtype].round(tensor.data) for slot, tensor in pairs]

fails.takes_dropout_masks = True
"""


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("os._exit(3)", "worker died with exit status 3"),
        ("time.sleep(600)", "timed out after 15 s; worker killed"),
        ("raise ValueError('no such gate')", "ValueError: no such gate"),
    ],
)
def test_a_subject_that_fails_costs_one_problem(tmp_path, monkeypatch, statement, reason):
    monkeypatch.syspath_prepend(own_package(tmp_path))
    (tmp_path / "own" / "failing.py").write_text(FAILING.format(statement=statement))
    log = Kept()
    run = fuzz("own.failing:fails", range(3, 4), timeout_s=15, log=log)
    (record,) = run.tally.failing
    assert (record.id, record.verdict) == ("fuzz-3-1", Verdict.ERROR)
    assert record.reason.startswith(reason)
    others = {record.id for record in log.records} - {"fuzz-3-1"}
    assert others == {f"fuzz-3-{draw}" for draw in range(DRAWS)} - {"fuzz-3-1"}


@pytest.mark.usefixtures("few_draws")
def test_equal_seeds_give_equal_tables_for_any_number_of_workers(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(own_package(tmp_path))
    (tmp_path / "own" / "failing.py").write_text(FAILING.format(statement="return []"))
    tallies = [fuzz("own.failing:fails", range(2, 8), jobs=jobs).tally for jobs in (1, 3)]
    assert tallies[0].summaries() == tallies[1].summaries()
    assert tallies[0].failing == tallies[1].failing
    assert tallies[0].failures == 1


@pytest.mark.usefixtures("few_draws")
def test_changes_are_detected_in_what_the_reference_computes():
    summary = fuzz("reference", SEEDS).tally.summaries()["float32"]
    assert summary.failing == 0
    assert summary.detected["scaled"] == summary.changed["scaled"] > 3


def test_expected_outputs_of_unsupported_problems_are_not_computed(monkeypatch):
    def refused(problem):
        raise Unsupported("nothing")

    monkeypatch.setattr(fuzz_answers, "expect_answer", lambda *_, **__: pytest.fail("computed"))
    log = Kept()
    run = fuzz(refused, SEEDS[:2], log=log)
    assert not run.tally.compared
    assert [record.verdict for record in log.records] == [Verdict.UNSUPPORTED] * 2 * DRAWS
    types = {
        problem.id: problem.threshold_type for seed in (0, 1) for problem in problems_of_seed(seed)
    }
    assert {record.id: record.dtype for record in log.records} == types
