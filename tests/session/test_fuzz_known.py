"""Known differences in random problems: recognized by how they show."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import random_problem, spec_of

from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.faults import BACKWARD_FAULTS, backward_mutants
from rnnparity.golden.known_differences import KnownDifference
from rnnparity.problem.answer import Answer
from rnnparity.problem.dtypes import FLOAT_TYPES, declared_precision
from rnnparity.problem.problem import Tensor
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference import compute
from rnnparity.reference.gradients import compute_gradients
from rnnparity.reference.gradients.tolerance import expect_gradients
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


COARSE = entry(precision=declared_precision("2**-20"))


@pytest.mark.parametrize(("error", "known"), [(1e-6, True), (1e-3, False), (np.nan, False)])
def test_errors_within_the_noise_of_the_stated_arithmetic_are_known(error, known):
    right = answer_of(TANH).outputs
    wrong = tuple(replace(t, data=t.data + np.float32(error)) for t in right)
    assert (judged([COARSE], TANH, Answer(wrong)).verdict is Verdict.KNOWN) == known


def test_a_missing_output_is_within_no_noise():
    assert judged([COARSE], TANH, Answer(())).verdict is Verdict.DIVERGES


@pytest.mark.parametrize(
    ("reason", "known"), [("ValueError: got 6 of 3 gates", True), ("ValueError: other", False)]
)
def test_an_error_with_a_listed_message_is_known(reason, known):
    entries = [entry(kinds=("error",), messages=("no such gate", "6 of 3 gates"))]
    result = judged(entries, TANH, None, Verdict.ERROR, reason)
    assert (result.verdict is Verdict.KNOWN) == known


def test_what_agrees_is_left():
    listed = [COARSE]
    assert judged(listed, TANH, answer_of(TANH), Verdict.AGREES).verdict is Verdict.AGREES


WIDE = with_options(BACKWARDS, dtype="float64")
SINGLE = entry("float64-in-float32", precision=FLOAT_TYPES["float32"])


def test_values_that_agree_in_a_listed_coarser_type_are_known():
    single = answer_of(WIDE)
    assert judged([entry()], WIDE, single).verdict is Verdict.DIVERGES
    assert judged([SINGLE], WIDE, single).known == ("float64-in-float32",)
    assert judged([SINGLE], BACKWARDS, single).known == ()  # no coarser type than its own


def test_an_error_larger_than_that_of_the_listed_type_diverges():
    wrong = tuple(replace(t, data=t.data * np.float32(1.001)) for t in answer_of(WIDE).outputs)
    assert judged([SINGLE], WIDE, Answer(wrong)).verdict is Verdict.DIVERGES
    forward = answer_of(with_options(WIDE, go_backwards=False))
    names = judged([SINGLE, FORWARD], WIDE, forward).known
    assert names == ("ignores-direction", "float64-in-float32")


def gradients_of(problem, cause=None):
    """The answer of a port in float32, with a fault of the backward pass."""
    tensors = compute_gradients(problem)
    if cause:
        (fault,) = (each for each in BACKWARD_FAULTS if f"{each.cause}: {each.variant}" == cause)
        tensors = next(backward_mutants(problem, [fault])).outputs
    return Answer(gradients=tuple(Tensor.of(t.name, t.data, "float32") for t in tensors))


def judged_gradients(entries, answer, problem, verdict=Verdict.DIVERGES, reason=""):
    result = CaseResult(problem.id, verdict, 1e6, reason=reason)
    expected = expect_gradients(problem)
    return KnownSigns(entries).judged(result, problem, answer, expected)


def test_gradients_that_a_listed_backward_fault_explains_are_known():
    problem = with_cotangents(BACKWARDS)
    answer = gradients_of(problem, "gradient-not-reversed: inputs")
    listed = entry("unreversed", gradients=True, faults=("gradient-not-reversed: *",))
    assert judged_gradients([listed], answer, problem).known == ("unreversed",)
    other = entry("doubled", gradients=True, faults=("gradient-doubled: *",))
    assert judged_gradients([other], answer, problem).verdict is Verdict.DIVERGES
    assert judged_gradients([COARSE], answer, problem).verdict is Verdict.DIVERGES


def test_gradients_in_a_coarser_type_and_listed_errors_are_known():
    problem = with_cotangents(WIDE)
    assert judged_gradients([SINGLE], gradients_of(problem), problem).known == (SINGLE.name,)
    listed = entry(messages=("no such gate",))
    result = judged_gradients([listed], None, problem, Verdict.ERROR, "TypeError: no such gate")
    assert result.known == (listed.name,)


def test_entries_of_gradients_cover_no_outputs():
    listed = entry(gradients=True, messages=("no such gate",))
    assert judged([listed], TANH, None, Verdict.ERROR, "no such gate").verdict is Verdict.ERROR


@pytest.mark.parametrize(
    ("listed", "raises", "known"),
    [(True, False, True), (False, False, False), (True, True, False)],
)
def test_gradients_are_known_where_the_outputs_of_the_problem_are(
    monkeypatch, listed, raises, known
):
    """A port that ignores go_backwards: its gradients are those of another layer."""
    signs = KnownSigns([FORWARD if listed else ACTIVATION])
    monkeypatch.setattr(fuzzing, "known_signs", lambda *_: signs)
    problem = replace(BACKWARDS, id="fuzz-0-0")
    monkeypatch.setattr("rnnparity.session.fuzz_questions.problems_of_seed", lambda _: [problem])
    monkeypatch.setattr(fuzzing, "DRAWS", 1)
    monkeypatch.setattr(fuzzing, "CHANGED_DRAWS", 1)

    def port(problem):
        return [t.data for t in answer_of(with_options(problem, go_backwards=False)).outputs]

    def gradients(problem):
        if raises:
            raise ValueError("no gradients of this layer")
        return [t.data for t in gradients_of(with_options(problem, go_backwards=False)).gradients]

    port.gradients = gradients
    run = fuzz(port, range(1), gradients=True)
    assert run.tally.known == ({"ignores-direction": 1} if known else {})
    verdicts = [record.verdict for record in run.tally.failing]
    assert verdicts == ([] if known else [Verdict.ERROR if raises else Verdict.DIVERGES])


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


def test_the_states_after_the_first_step_are_those_of_an_engine():
    problem = with_options(BACKWARDS, return_sequences=False, return_state=True)
    first = answer_of(
        replace(problem, inputs=replace(problem.inputs, data=problem.inputs.data[:, -1:]))
    )
    listed = entry("first-state", faults=("returned-state: *",))
    assert judged([listed], problem, first).known == ("first-state",)
    assert judged([FORWARD], problem, first).verdict is Verdict.DIVERGES
