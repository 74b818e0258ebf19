"""An engine that declares a coarser arithmetic: healthy ones agree to it, faults still diverge."""

import json
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from _support import coarse_ports
from _support.random_problems import BOTH, problem_of, random_problem, spec_of

from rnnparity import check
from rnnparity.catalogue import catalogue
from rnnparity.problem.answer import Answer
from rnnparity.problem.dtypes import FLOAT_TYPES, declared_precision
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference import compute
from rnnparity.reference.gradients import compute_gradients
from rnnparity.report.pages.conformance import markdown
from rnnparity.report.stored.merge import merge
from rnnparity.report.stored.reports import dump, parse
from rnnparity.report.text.check import report_lines
from rnnparity.report.text.explanation import headline
from rnnparity.session.ask import explain_subject
from rnnparity.session.check import check_run
from rnnparity.session.fuzz import fuzz
from rnnparity.session.judging import judge_outcome
from rnnparity.session.selection import Selection
from rnnparity.session.session import LocalSession, open_session
from rnnparity.session.settings import Settings
from rnnparity.subjects import FunctionSubject, Registration, registry
from rnnparity.verdict.judge import expect_answer, judge

CASES = "lstm-spread-last and not bidirectional"
FLOAT16, FIXED = declared_precision("float16"), declared_precision("2**-16")
PORTS = {
    "float16": coarse_ports.in_float16,
    "bfloat16": coarse_ports.in_bfloat16,
    "2**-12": coarse_ports.in_fixed_point,
}
FAULTS = {
    "gates swapped": coarse_ports.port(coarse_ports.to_float16, gates="figo"),
    "forgets too much": coarse_ports.port(coarse_ports.to_float16, forget=0.95),
    "states are zeros": coarse_ports.port(coarse_ports.to_float16, keeps_state=False),
}


def forgets_too_much(problem):
    return FAULTS["forgets too much"](problem)


def counts(subject, precision, k=CASES):
    settings = Settings(causes=False, precision=precision)
    (result,) = check_run([subject], Selection(k), settings).report.subjects
    counts = result.counts
    del counts[Verdict.UNSUPPORTED]
    return counts


@pytest.mark.parametrize("precision", PORTS)
def test_a_healthy_port_agrees_to_its_precision_and_diverges_without(precision):
    found = counts(PORTS[precision], precision)
    assert found[Verdict.AGREES] > 3
    assert set(found) <= {Verdict.AGREES, Verdict.INCONCLUSIVE}
    assert set(counts(PORTS[precision], "")) == {Verdict.DIVERGES}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_diverges_in_most_cases_of_a_declared_precision(fault):
    cases = "lstm-spread-sequences-state and not bidirectional and not initial"
    found = counts(FAULTS[fault], "float16", cases)
    assert found[Verdict.DIVERGES] > 0.8 * found.total()
    assert not found[Verdict.AGREES]


def test_the_cause_of_a_fault_is_found_in_a_declared_precision():
    (result,) = check(FAULTS["gates swapped"], k="lstm-spread-last", precision="float16").subjects
    causes = [case.cause.names for case in result.failing if case.cause.explained]
    assert causes
    assert set(causes) == {("gate-order",)}


def test_random_problems_raise_no_false_alarm_in_a_declared_precision():
    run = fuzz(coarse_ports.in_float16, range(23, 28), precision="float16")
    assert run.precision == "float16"
    assert run.tally.failures == 0
    assert run.tally.summaries()["float16"].compared > 5


def accumulated(steps):
    """Return a SimpleRNN that forgets a thousandth of its state at every step."""
    spec = spec_of("simple_rnn", 1, activation="linear", **BOTH)
    weights = [[[0.01]], [[0.99902]], [0.0]]
    return problem_of(spec, weights, np.ones((1, steps, 1)))


def with_rounded_weights(problem, computed):
    """Return what is computed with weights rounded down to 2**-16, in the dtypes of the answer."""
    weights = tuple(
        replace(tensor, data=np.float32(np.floor(tensor.data * 2**16) / 2**16))
        for tensor in problem.weights
    )
    outputs = computed(replace(problem, weights=weights))
    pairs = zip(outputs, problem.answer_slots(), strict=True)
    return tuple(Tensor.of(slot.name, tensor.data, slot.dtype) for tensor, slot in pairs)


@pytest.mark.parametrize("steps", [10, 1000])
def test_weights_that_are_rounded_once_stay_within_the_tolerance(steps):
    """They are off by the same amount at every step."""
    problem = accumulated(steps)
    expected = expect_answer(problem, precision=FIXED)
    assert not expected.unpredictable
    result = judge(problem, Answer(with_rounded_weights(problem, compute)), expected)
    assert 0 < result.sigma < expected.dtype.threshold


def test_gradients_are_compared_in_a_declared_precision():
    problem = accumulated(1000)
    problem = replace(problem, cotangents=compute(problem))
    answer = Answer((), gradients=with_rounded_weights(problem, compute_gradients))
    relative = judge(problem, answer, expect_answer(problem, precision=FIXED))
    assert 0 < relative.sigma < FIXED.threshold
    assert (relative.precision, relative.differences) == ("2**-16", ())
    assert judge(problem, answer).verdict is Verdict.DIVERGES


def test_a_problem_in_a_coarser_type_than_declared_is_judged_by_its_own():
    problem = random_problem(spec_of("lstm", 3, dtype="float16"), 4)
    expected = expect_answer(problem, precision=declared_precision("2**-16"))
    assert (expected.dtype, expected.precision) == (FLOAT_TYPES["float16"], "")
    assert np.array_equal(expected.sigmas[0], expect_answer(problem).sigmas[0])


def test_a_registered_precision_is_that_of_every_run(monkeypatch):
    listed = Registration("coarse", lambda: None, "in float16", precision="float16")
    built_in = registry.built_in()
    monkeypatch.setattr(registry, "built_in", lambda: {**built_in, "coarse": listed})
    with open_session("coarse") as session:
        assert session.precision is FLOAT16
    with open_session("coarse", precision="bfloat16") as session:
        assert session.precision is FLOAT_TYPES["bfloat16"]


def test_the_report_states_the_precision_and_is_stored():
    subjects = [coarse_ports.in_float16, forgets_too_much]
    settings = Settings(causes=False, precision="float16")
    report = check_run(subjects, Selection(CASES), settings).report
    lines = list(report_lines(report))
    agreeing = report.subjects[0].counts[Verdict.AGREES]
    assert f"{agreeing} to float16" in lines[1]
    assert any(line.endswith("; verdicts are relative to float16") for line in lines)
    assert "  declared precision: float16" in lines
    assert "sigma (5 allowed)" in "\n".join(lines)
    assert "agrees to float16" in markdown(report)
    assert parse(json.loads(dump(report)), "stored") == report


def test_the_mutation_score_is_that_of_the_precision():
    fine, coarse = (
        check(coarse_ports.in_float16, k="simple_rnn-spread-last", precision=precision).score
        for precision in ("", "float16")
    )
    missed = {fault.cause for fault in coarse.undetected} - {
        fault.cause for fault in fine.undetected
    }
    assert "weights-stored-as" in missed


def test_parts_of_a_run_in_different_precisions_are_not_merged():
    parts = {
        precision: check(coarse_ports.in_float16, k=k, precision=precision)
        for precision, k in (("", "lstm-spread-last"), ("float16", "simple_rnn-spread-last"))
    }
    with pytest.raises(RequestError, match="got float16, expected no declared precision"):
        merge(parts, ())


def test_an_unknown_precision_is_refused_before_the_run():
    with pytest.raises(RequestError, match="precision: got 'half'"):
        check(coarse_ports.in_float16, k="lstm-spread-last", precision="half")


def test_what_agrees_to_a_registered_precision_is_explained_so(monkeypatch):
    session = LocalSession("coarse", FunctionSubject(coarse_ports.in_float16), precision=FLOAT16)
    monkeypatch.setattr("rnnparity.session.ask.open_session", lambda *_, **__: nullcontext(session))
    problem = catalogue()["simple_rnn-spread-last"]
    explanation = explain_subject(problem, "coarse").explanation
    assert headline(explanation) == "agrees to float16"
    assert (explanation.cause, explanation.differences) == (None, ())
    session.judge = partial(judge_outcome, precision=declared_precision("2**-20"))
    assert headline(explain_subject(problem, "coarse").explanation) != "agrees to float16"


def with_gradients(function):
    """Return a subject whose gradients are those of the reference, changed by a function."""

    def subject(problem):
        return [tensor.data for tensor in with_rounded_weights(problem, compute)]

    def gradients(problem):
        return [function(tensor.data) for tensor in compute_gradients(problem)]

    subject.gradients = lambda problem: [
        values.astype(slot.dtype)
        for values, slot in zip(gradients(problem), problem.gradient_slots(), strict=True)
    ]
    return subject


def test_gradients_are_explained_in_a_declared_precision():
    problem = catalogue()["lstm-spread-sequences-state"]
    rounded, scaled = with_gradients(np.float16), with_gradients(lambda values: 2 * values)
    explain = partial(explain_subject, problem, gradients=True, precision="float16")
    assert headline(explain(rounded).explanation) == "agrees to float16"
    assert explain(scaled).explanation.verdict is Verdict.DIVERGES
    fine = explain_subject(problem, rounded, gradients=True).explanation
    assert fine.verdict is Verdict.DIVERGES


def test_the_reasons_of_inconclusive_cases_are_on_the_screen():
    settings = Settings(causes=False, precision="2**-9")
    report = check_run([coarse_ports.in_float16], Selection("simple_rnn-spread"), settings).report
    assert report.subjects[0].counts[Verdict.INCONCLUSIVE]
    assert any(line.startswith("  inconclusive: ") for line in report_lines(report))
