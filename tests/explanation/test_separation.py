"""Separating problems and probes: the subject is asked until one cause is left."""

from dataclasses import replace

import pytest
from _support.explanations import CONSTANT, from_port
from _support.random_problems import random_problem, spec_of

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.explain import explain
from rnnparity.explanation.probe import PROBES, probe
from rnnparity.explanation.separate import with_separating_problem
from rnnparity.faults import backward_mutant
from rnnparity.faults.backward_flow import truncated_every
from rnnparity.faults.fault import PlacedFault
from rnnparity.problem.answer import Answer, Unsupported
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Tensor
from rnnparity.report.text.messages import faults_name


@pytest.fixture(scope="module")
def ambiguous():
    """Constant weights, for which several causes fit."""
    diagnosis = with_separating_problem(diagnose(from_port(catalogue()[CONSTANT])))
    assert diagnosis.explanation.cause.also_fits
    return diagnosis


def answer(problem):
    return Answer(from_port(problem).outputs)


def test_separating_problem_has_fewer_causes_that_fit(ambiguous):
    problem = ambiguous.separating
    assert problem.outputs is None
    diagnosis = diagnose(from_port(problem))
    assert faults_name(diagnosis.fits[0].faults) == "bias-missing"
    assert len(diagnosis.fits) < len(ambiguous.fits)


def test_single_cause_has_no_separating_problem(ambiguous):
    diagnosis = diagnose(from_port(ambiguous.separating))
    assert len(diagnosis.fits) == 1
    assert with_separating_problem(diagnosis).separating is None


def test_subject_is_asked_until_one_cause_is_left(ambiguous):
    diagnosis = explain(ambiguous.problem, answer)
    cause = diagnosis.explanation.cause
    assert [faults_name(fit.faults) for fit in diagnosis.fits] == ["bias-missing"]
    assert (cause.faults, cause.also_fits) == (diagnosis.fits[0].faults, ())
    assert cause.unambiguous
    assert diagnosis.explanation.descriptions[0].description == diagnosis.fits[0].fault.description
    assert 1 <= diagnosis.explanation.probes <= PROBES


def test_without_a_subject_nothing_is_asked(ambiguous):
    diagnosis = explain(ambiguous.problem)
    assert diagnosis.explanation.probes == 0
    assert diagnosis.separating is not None


@pytest.mark.parametrize("error", [RequestError("no"), Unsupported("no")])
def test_failed_probe_leaves_the_causes_unchanged(ambiguous, error):
    def fails(problem):
        raise error

    diagnosis = probe(ambiguous, fails)
    assert diagnosis.fits == ambiguous.fits
    assert diagnosis.explanation.cause == ambiguous.explanation.cause
    assert diagnosis.explanation.probes == 1


AMBIGUOUS = {"every step", "every 2 steps", "every 4 steps"}


def truncated(problem):
    """The gradients of a port that cuts what flows back after every fourth step."""
    mutant = backward_mutant(problem, PlacedFault(truncated_every(4), ""))
    pairs = zip(mutant.outputs, problem.gradient_slots(), strict=True)
    return Answer(gradients=tuple(Tensor.of(t.name, t.data, slot.dtype) for t, slot in pairs))


@pytest.fixture(scope="module")
def truncated_problem():
    """Of five steps with the last output only: a cut every step, or every two, is the same."""
    problem = with_cotangents(random_problem(spec_of("gru"), 0, (2, 5, 3)))
    return replace(problem, gradients=truncated(problem).gradients)


def test_subject_is_asked_for_gradients_until_one_cause_is_left(truncated_problem):
    explanation = explain(truncated_problem, truncated).explanation
    assert [fault.variant for fault in explanation.cause.faults] == ["every 4 steps"]
    assert explanation.cause.unambiguous
    assert 1 <= explanation.probes <= PROBES


def test_separating_problem_of_gradients_has_cotangents_of_its_own(truncated_problem):
    diagnosis = explain(truncated_problem)
    assert {fit.fault.variant for fit in diagnosis.fits} == AMBIGUOUS
    problem = diagnosis.separating
    assert problem.outputs is problem.gradients is None
    assert [t.shape for t in problem.cotangents] == [s.shape for s in problem.output_slots()]
    again = explain(replace(problem, gradients=truncated(problem).gradients))
    assert [fit.fault.variant for fit in again.fits] == ["every 4 steps"]


@pytest.mark.parametrize("reply", [Answer(), Answer(gradients=())])
def test_a_subject_without_gradients_leaves_the_causes_unchanged(truncated_problem, reply):
    diagnosis = explain(truncated_problem, lambda _: reply)
    assert {fit.fault.variant for fit in diagnosis.fits} == AMBIGUOUS
    assert diagnosis.explanation.probes == 1
