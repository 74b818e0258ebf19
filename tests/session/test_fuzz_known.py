"""Known differences in random problems: recognized by how they show."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import random_problem, spec_of

from rnnparity.golden.known_differences import KnownDifference
from rnnparity.problem.answer import Answer
from rnnparity.problem.problem import Tensor
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference import compute
from rnnparity.reference.tolerance import expect
from rnnparity.session import fuzz as fuzzing
from rnnparity.session.fuzz import fuzz
from rnnparity.session.fuzz_known import KnownSigns, known_signs

BACKWARDS = random_problem(
    spec_of("gru", 5, go_backwards=True, return_sequences=True), 1, (3, 6, 4)
)
TANH = random_problem(spec_of("gru", 5, activation="relu", recurrent_activation="tanh"), 1)


def entry(name="listed-difference", cause="somewhere: something else", **fields):
    base = KnownDifference(name, "subject", ("*",), ("values",), {}, cause, "mistake", "", "")
    return replace(base, **fields)


FORWARD = entry("ignores-direction", "reverse-ignored: read forward")
ACTIVATION = entry("ignores-activation", faults=("activation: *", "recurrent-activation: *"))


def with_options(problem, **options):
    return replace(problem, layer=replace(problem.layer, **options))


def answer_of(problem):
    return Answer(tuple(Tensor.of(t.name, t.data, "float32") for t in compute(problem)))


def judged(entries, problem, answer, verdict=Verdict.DIVERGES, reason=""):
    result = CaseResult(problem.id, verdict, 1e6, reason=reason)
    return KnownSigns(entries).judged(result, problem, answer, expect(problem))


def test_outputs_that_a_listed_fault_explains_are_known():
    forward = answer_of(with_options(BACKWARDS, go_backwards=False))
    result = judged([ACTIVATION, FORWARD], BACKWARDS, forward)
    assert (result.verdict, result.known) == (Verdict.KNOWN, ("ignores-direction",))
    assert judged([ACTIVATION], BACKWARDS, forward).verdict is Verdict.DIVERGES


def test_a_pattern_stands_for_faults_in_several_places():
    plain = answer_of(with_options(TANH, activation="tanh", recurrent_activation="sigmoid"))
    assert judged([FORWARD, ACTIVATION], TANH, plain).known == ("ignores-activation",)


def test_two_listed_faults_are_known_and_one_that_is_not_listed_diverges():
    problem = with_options(BACKWARDS, activation="relu")
    both = answer_of(with_options(problem, activation="tanh", go_backwards=False))
    names = judged([FORWARD, ACTIVATION], problem, both).known
    assert set(names) == {"ignores-direction", "ignores-activation"}
    assert judged([FORWARD], problem, both).verdict is Verdict.DIVERGES


@pytest.mark.parametrize(("error", "known"), [(1e-6, True), (1e-4, False), (np.nan, False)])
def test_errors_within_the_stated_size_are_known(error, known):
    right = answer_of(TANH).outputs
    wrong = tuple(replace(t, data=t.data + np.float32(error)) for t in right)
    result = judged([entry(error=2e-6)], TANH, Answer(wrong))
    assert (result.verdict is Verdict.KNOWN) == known


def test_a_missing_output_is_not_within_any_size():
    result = judged([entry(error=1.0)], TANH, Answer(()))
    assert result.verdict is Verdict.DIVERGES


@pytest.mark.parametrize(
    ("reason", "known"), [("ValueError: got 6 of 3 gates", True), ("ValueError: other", False)]
)
def test_an_error_with_a_listed_message_is_known(reason, known):
    entries = [entry(kinds=("error",), messages=("no such gate", "6 of 3 gates"))]
    result = judged(entries, TANH, None, Verdict.ERROR, reason)
    assert (result.verdict is Verdict.KNOWN) == known


def test_what_agrees_and_gradients_are_left():
    listed = [entry(error=1.0)]
    assert judged(listed, TANH, answer_of(TANH), Verdict.AGREES).verdict is Verdict.AGREES
    asked = replace(TANH, cotangents=answer_of(TANH).outputs)
    result = CaseResult("id", Verdict.DIVERGES, 1e6)
    assert KnownSigns(listed).judged(result, asked, None, expect(TANH)) is result


def test_differences_of_other_subjects_and_versions_are_left_out():
    names = {each.name for each in known_signs("ncnn", {"ncnn": "1.0.20261020"}).entries}
    assert names == {"ncnn-tanh-is-coarse-near-zero"}
    assert known_signs("ncnn", {"ncnn": "3.0"}).entries == []


def test_a_run_counts_known_problems_apart_from_failures(monkeypatch):
    message = entry("listed-error", kinds=("error",), messages=("no such gate",))
    monkeypatch.setattr(fuzzing, "known_signs", lambda *_: KnownSigns([message]))

    def fails(problem):
        raise ValueError("no such gate" if problem.id == "fuzz-0-0" else "other")

    run = fuzz(fails, range(1))
    assert run.tally.known == {"listed-error": 1}
    assert run.tally.failures == run.tally.problems - 1
    assert run.tally.failing[0].id == "fuzz-0-1"
